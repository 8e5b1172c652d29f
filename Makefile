# The usual commands; cmake does the work (see CMakePresets.json).
PRESET ?= local
BUILD := _output/$(PRESET)/build
JOBS ?= $(shell nproc)

.PHONY: packages build test unit up check format clean

# Says what it installs, and nothing where everything is there.
packages:
	@tools/install-packages

build: packages $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS)

$(BUILD)/build.ninja: CMakeLists.txt CMakePresets.json cmake/rooms.cmake
	cmake --preset $(PRESET)

# Unit tests, then the tests of the running program where there are any.
test: unit
	@if [ -x test/run ]; then test/run; fi  # PARTS=1: on separate processes

unit: build check
	cd $(BUILD) && ctest --output-on-failure -j $(JOBS)

# A cluster on this machine.
up: build
	_output/$(PRESET)/bin/km up

check:
	tools/check-layers
	@tools/check-format || echo "check-format: see above (not fatal)"

# Formats what differs from main.
format:
	tools/check-format --fix

clean:
	rm -rf _output
