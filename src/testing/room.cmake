# Runs many seeds of the simulation; not shipped.
add_executable(simulate ${CMAKE_SOURCE_DIR}/src/testing/simulate_main.cc)
target_link_libraries(simulate km_testing)
