# One folder of src/ is one library, and says here what it may use: an include or a call that goes against the
# direction of ARCHITECTURE.md does not compile or does not link.

set(CHORUS_WARNINGS -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual)
if(CHORUS_WERROR)
  list(APPEND CHORUS_WARNINGS -Werror)
endif()

function(chorus_flags target)
  target_compile_options(${target} PRIVATE ${CHORUS_WARNINGS} -ffp-contract=off)
  if(CHORUS_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${CHORUS_SANITIZE} -fno-omit-frame-pointer
                                             -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${CHORUS_SANITIZE})
  endif()
endfunction()

# chorus_library(NAME SOURCES a.cpp ... [DEPENDS other folders ...] [LIBRARIES third-party targets ...])
# Headers of NAME are included as "NAME/header.h"; only what DEPENDS names is on the include path of others.
function(chorus_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  string(REPLACE "/" "_" target chorus_${name})
  add_library(${target} STATIC ${ARG_SOURCES})
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  foreach(dependency IN LISTS ARG_DEPENDS)
    string(REPLACE "/" "_" dependency chorus_${dependency})
    target_link_libraries(${target} PUBLIC ${dependency})
  endforeach()
  target_link_libraries(${target} PUBLIC ${ARG_LIBRARIES})
  chorus_flags(${target})
endfunction()

# chorus_test(NAME SOURCES a_test.cpp ... DEPENDS folders ... [LIBRARIES ...] [TIMEOUT seconds])
# One GoogleTest program per folder of tests/, known to ctest under the folder's name.
function(chorus_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  string(REPLACE "/" "_" target ${name}_test)
  add_executable(${target} ${ARG_SOURCES})
  foreach(dependency IN LISTS ARG_DEPENDS)
    string(REPLACE "/" "_" dependency chorus_${dependency})
    target_link_libraries(${target} PRIVATE ${dependency})
  endforeach()
  target_link_libraries(${target} PRIVATE ${ARG_LIBRARIES} GTest::gtest GTest::gtest_main)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${target} PRIVATE CHORUS_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  chorus_flags(${target})
  target_compile_options(${target} PRIVATE -O1)  # a third less to compile; what is tested is built as it is shipped
  add_test(NAME ${name} COMMAND ${target})
  if(ARG_TIMEOUT)
    if(CMAKE_CROSSCOMPILING)  # an emulator runs them
      math(EXPR ARG_TIMEOUT "${ARG_TIMEOUT} * 6")
    endif()
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
  endif()
endfunction()
