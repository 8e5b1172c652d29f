# The API types are written by tools/apigen from schema/*.api into the build tree.
file(GLOB api_schemas CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/api/schema/*.api)
set(api_generated ${CMAKE_BINARY_DIR}/gen/api/resources.cc)
foreach(schema IN LISTS api_schemas)
  get_filename_component(id ${schema} NAME_WE)
  list(APPEND api_generated ${CMAKE_BINARY_DIR}/gen/api/types/${id}.cc)
  list(APPEND api_headers ${CMAKE_BINARY_DIR}/gen/api/types/${id}.h)
endforeach()
list(APPEND api_headers ${CMAKE_BINARY_DIR}/gen/api/types/fwd.h)
set(apigen ${CMAKE_SOURCE_DIR}/tools/apigen/apigen.py)
# Written when cmake runs too, so that the first build knows the headers.
execute_process(COMMAND python3 ${apigen} ${CMAKE_SOURCE_DIR}/src/api/schema ${CMAKE_BINARY_DIR}/gen COMMAND_ERROR_IS_FATAL ANY)
add_custom_command(
  OUTPUT ${CMAKE_BINARY_DIR}/gen/apigen.stamp
  COMMAND python3 ${apigen} ${CMAKE_SOURCE_DIR}/src/api/schema ${CMAKE_BINARY_DIR}/gen
  COMMAND ${CMAKE_COMMAND} -E touch ${CMAKE_BINARY_DIR}/gen/apigen.stamp
  DEPENDS ${apigen} ${api_schemas}
  BYPRODUCTS ${api_generated} ${api_headers}
  COMMENT "apigen")
add_custom_target(apigen DEPENDS ${CMAKE_BINARY_DIR}/gen/apigen.stamp)
target_sources(km_api PRIVATE ${api_generated})
add_dependencies(km_api apigen)
