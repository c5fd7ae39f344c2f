# Cross-builds for 64-bit ARM with Debian's g++-aarch64-linux-gnu; ctest runs the tests under qemu-user.
# scripts/test-aarch64.sh unpacks Debian's arm64 libraries into CHORUS_AARCH64_LIBRARIES.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

set(CHORUS_AARCH64_LIBRARIES ${CMAKE_BINARY_DIR}/libraries CACHE PATH
  "Folder with usr/include and usr/lib/aarch64-linux-gnu of the libraries")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES CHORUS_AARCH64_LIBRARIES)
set(CMAKE_FIND_ROOT_PATH ${CHORUS_AARCH64_LIBRARIES} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CHORUS_AARCH64_LIBRARIES})
set(ENV{PKG_CONFIG_LIBDIR}
  ${CHORUS_AARCH64_LIBRARIES}/usr/lib/aarch64-linux-gnu/pkgconfig:${CHORUS_AARCH64_LIBRARIES}/usr/share/pkgconfig)

find_program(QEMU_AARCH64 NAMES qemu-aarch64 qemu-aarch64-static)
if(QEMU_AARCH64)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${QEMU_AARCH64} -L /usr/aarch64-linux-gnu)
endif()
