target_link_libraries(km_codec PUBLIC yaml)
