# What is compiled for an instruction set must not be linked into another's place, or a program stops on a processor
# that lacks it: of functions that several objects define (inline ones, templates: weak symbols) the linker keeps any
# one, for everybody. So the kernels' objects define nothing but their entry.
#   cmake -DNM=nm -DOBJECTS=a.o|b.o -P one_instruction_set.cmake
string(REPLACE "|" ";" OBJECTS "${OBJECTS}")
list(FILTER OBJECTS INCLUDE REGEX "kernels_[a-z0-9_]+\\.cpp")
if(NOT OBJECTS)
  message(FATAL_ERROR "no objects of kernels to look at")
endif()
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} --defined-only --extern-only ${object} OUTPUT_VARIABLE symbols RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${NM} cannot read ${object}")
  endif()
  string(REGEX MATCHALL "[^\n]+" symbols "${symbols}")
  # The entry; and pointers that are the same whoever defines them.
  list(FILTER symbols EXCLUDE REGEX "_kernelsEv$|DW\\.ref\\.__gxx_personality_v0$|__odr_asan")
  if(symbols)
    string(REPLACE ";" "\n  " symbols "${symbols}")
    message(SEND_ERROR "${object} defines what another object may be linked with:\n  ${symbols}")
  endif()
endforeach()
