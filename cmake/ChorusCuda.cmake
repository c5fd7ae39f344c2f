# CUDA sources to objects with nvcc itself: CMake 3.25 knows neither C++20 for nvcc 13 nor how to leave the linking to
# g++. sm_90a machine code and its PTX; the runtime is linked statically, so that only the driver must be there.
find_program(NVCC nvcc HINTS $ENV{CUDA_HOME}/bin /usr/local/cuda/bin REQUIRED)
get_filename_component(CUDA_ROOT ${NVCC} DIRECTORY)
get_filename_component(CUDA_ROOT ${CUDA_ROOT} DIRECTORY)

# No fused multiply-adds but those that are written: a token's sums must not depend on which instance of a kernel
# template, compiled on its own, computes them.
set(CHORUS_NVCC_FLAGS -std=c++20 -O3 -lineinfo -fmad=false --expt-relaxed-constexpr -Xcompiler=-fPIC,-Wall,-Wextra
  -gencode=arch=compute_90a,code=[sm_90a,compute_90a])
if(CHORUS_WERROR)
  list(APPEND CHORUS_NVCC_FLAGS -Werror=all-warnings)
endif()

# chorus_cuda_objects(OUT a.cu ...): the objects' paths in OUT.
function(chorus_cuda_objects out)
  set(objects)
  foreach(source IN LISTS ARGN)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${source}.o)
    add_custom_command(OUTPUT ${object}
      COMMAND ${NVCC} ${CHORUS_NVCC_FLAGS} -I${PROJECT_SOURCE_DIR}/include -I${PROJECT_SOURCE_DIR}/src
        -MD -MF ${object}.d -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source} DEPFILE ${object}.d VERBATIM
      COMMENT "nvcc ${source}")
    list(APPEND objects ${object})
  endforeach()
  set(${out} ${objects} PARENT_SCOPE)
endfunction()
