# Which build this is, for version.cc alone: a new commit compiles one file.
find_program(GIT git)
if(GIT)
  foreach(pair "commit:rev-parse;HEAD" "date:log;-1;--format=%cd;--date=format-local:%Y-%m-%dT%H:%M:%SZ"
               "dirty:status;--porcelain;--untracked-files=no")
    string(REGEX MATCH "^([a-z]+):(.*)$" _ "${pair}")
    execute_process(COMMAND ${CMAKE_COMMAND} -E env TZ=UTC ${GIT} ${CMAKE_MATCH_2} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
                    OUTPUT_VARIABLE git_${CMAKE_MATCH_1} OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endforeach()
  if(git_commit)
    set(git_state clean)
    if(git_dirty)
      set(git_state dirty)
    endif()
    set_source_files_properties(
      ${CMAKE_SOURCE_DIR}/src/base/version.cc
      PROPERTIES COMPILE_DEFINITIONS
                 "KM_GIT_COMMIT=\"${git_commit}\";KM_GIT_TREE_STATE=\"${git_state}\";KM_BUILD_DATE=\"${git_date}\"")
  endif()
endif()
