# The policy files are part of the program.
set_source_files_properties(
  ${CMAKE_SOURCE_DIR}/src/apiserver/policy_files.cc
  PROPERTIES COMPILE_DEFINITIONS "KM_POLICY_DIR=\"${CMAKE_SOURCE_DIR}/src/apiserver/policy\""
             OBJECT_DEPENDS "${CMAKE_SOURCE_DIR}/src/apiserver/policy/rbac.policy;${CMAKE_SOURCE_DIR}/src/apiserver/policy/objects.jsonl")
target_link_libraries(km_apiserver PUBLIC OpenSSL::Crypto z)
