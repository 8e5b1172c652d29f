add_executable(km ${CMAKE_SOURCE_DIR}/src/km/km_main.cc)
target_link_libraries(km km_km)
# The allocator of the shipped program; sanitizers bring their own.
find_library(KM_JEMALLOC libjemalloc.a)
if(KM_JEMALLOC AND NOT KM_SANITIZE)
  target_sources(km PRIVATE ${CMAKE_SOURCE_DIR}/src/km/allocator_main.cc)
  target_link_libraries(km ${KM_JEMALLOC} ${CMAKE_DL_LIBS})
else()
  message(STATUS "km is linked without jemalloc")
endif()
set_target_properties(km PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/../bin)

# The program of the sandbox image is made here and carried inside km.
set(pause_program ${CMAKE_BINARY_DIR}/gen/pause)
add_custom_command(
  OUTPUT ${pause_program}
  COMMAND gcc -Os -static -nostdlib -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -Wl,--build-id=none -s
          -o ${pause_program} ${CMAKE_SOURCE_DIR}/src/km/pause.c
  DEPENDS ${CMAKE_SOURCE_DIR}/src/km/pause.c)
add_custom_target(pause_program DEPENDS ${pause_program})
add_dependencies(km_km pause_program)
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/km/own_images.cc PROPERTIES COMPILE_DEFINITIONS "KM_PAUSE=\"${pause_program}\""
                                                                                OBJECT_DEPENDS ${pause_program})
