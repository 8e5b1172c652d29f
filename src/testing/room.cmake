# Runs many seeds of the simulation; not shipped. The test of this room runs it.
add_executable(simulate ${CMAKE_SOURCE_DIR}/src/testing/simulate_main.cc)
target_link_libraries(simulate km_testing)
add_dependencies(testing_test simulate)
