add_executable(scheduler_bench ${CMAKE_SOURCE_DIR}/src/scheduler/bench_main.cc)
target_link_libraries(scheduler_bench km_scheduler)
