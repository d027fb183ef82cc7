# SPDX-License-Identifier: Apache-2.0
# Flags of our own code. Third-party headers are SYSTEM (imported targets are by default), so warnings can be errors.
add_library(faultline_flags INTERFACE)
target_compile_options(faultline_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  -Wold-style-cast -Wcast-qual -Wformat=2 -Woverloaded-virtual -Werror
  # g++ 12 reports these inside coroutine frames and std::string of the standard library (GCC bugs 105329, 105651); in frames
  # of optimised coroutines it pairs Asio's aligned_new with the wrong delete.
  -Wno-error=restrict -Wno-error=maybe-uninitialized -Wno-missing-field-initializers -Wno-mismatched-new-delete)
target_include_directories(faultline_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_include_directories(faultline_flags SYSTEM INTERFACE ${TL_EXPECTED_INCLUDE})
# Line numbers are what a backtrace needs; full debug information is for the debug preset. Measured over the whole build on
# two cores: a quarter of the time.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG" CACHE STRING "" FORCE)
if(FAULTLINE_SANITIZE)
  target_compile_options(faultline_flags INTERFACE -fsanitize=${FAULTLINE_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(faultline_flags INTERFACE -fsanitize=${FAULTLINE_SANITIZE})
endif()

# faultline_library(name SOURCES a.cpp ... LIBS x y): a static library faultline_<name>.
function(faultline_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_library(faultline_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(faultline_${name} PUBLIC faultline_flags ${ARG_LIBS})
endfunction()

# faultline_program(name SOURCES main.cpp LIBS x y)
function(faultline_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE faultline_flags ${ARG_LIBS})
endfunction()

# Tests are compiled once and run once: they are not optimised, which halves what their build costs.
add_library(faultline_test_flags INTERFACE)
target_compile_options(faultline_test_flags INTERFACE $<$<CONFIG:RelWithDebInfo>:-O0>)
