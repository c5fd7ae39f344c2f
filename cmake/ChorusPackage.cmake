# What `cmake --install` leaves: libchorus.so with everything inside, the public headers, the program, and the files
# that let another project say find_package(chorus).
include(CMakePackageConfigHelpers)

add_library(chorus SHARED ${PROJECT_SOURCE_DIR}/src/engine/version.cpp)
target_compile_definitions(chorus PRIVATE CHORUS_VERSION="${PROJECT_VERSION}")
set_target_properties(chorus PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION 0
  # The folders that implement public headers go in whole; the others as far as they are needed.
  LINK_LIBRARY_OVERRIDE "WHOLE_ARCHIVE,chorus_engine,chorus_harmony,chorus_sampler")
target_link_libraries(chorus PRIVATE chorus_engine chorus_harmony chorus_sampler)
target_link_libraries(chorus INTERFACE nlohmann_json::nlohmann_json)
target_compile_features(chorus INTERFACE cxx_std_20)
target_include_directories(chorus INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                            $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
if(CHORUS_SANITIZE)
  target_link_options(chorus PRIVATE -fsanitize=${CHORUS_SANITIZE})
endif()
add_library(chorus::chorus ALIAS chorus)

install(TARGETS chorus EXPORT chorus LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET chorus_cli)
  install(TARGETS chorus_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/chorus DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT chorus NAMESPACE chorus:: FILE chorus-targets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/chorus)
file(WRITE ${PROJECT_BINARY_DIR}/chorus-config.cmake
"include(CMakeFindDependencyMacro)
find_dependency(nlohmann_json)
include(\${CMAKE_CURRENT_LIST_DIR}/chorus-targets.cmake)
")
write_basic_package_version_file(${PROJECT_BINARY_DIR}/chorus-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/chorus-config.cmake ${PROJECT_BINARY_DIR}/chorus-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/chorus)
