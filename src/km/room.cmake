add_executable(km ${CMAKE_SOURCE_DIR}/src/km/km_main.cc)
target_link_libraries(km km_km)
set_target_properties(km PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/../bin)
