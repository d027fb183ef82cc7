# SPDX-License-Identifier: Apache-2.0
# Flags of our own code. Third-party headers are SYSTEM (imported targets are by default), so warnings can be errors.
add_library(faultline_flags INTERFACE)
set(gnu $<CXX_COMPILER_ID:GNU>) # what we ship; clang's other warnings are scripts/lint's
target_compile_options(faultline_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  -Wold-style-cast -Wcast-qual -Wformat=2 -Woverloaded-virtual $<${gnu}:-Werror>
  # g++ 12 reports these inside coroutine frames and std::string of the standard library (GCC bugs 105329, 105651); in frames
  # of optimised coroutines it pairs Asio's aligned_new with the wrong delete.
  $<${gnu}:-Wno-restrict> $<${gnu}:-Wno-array-bounds> $<${gnu}:-Wno-stringop-overflow> $<${gnu}:-Wno-maybe-uninitialized>
  -Wno-missing-field-initializers $<${gnu}:-Wno-mismatched-new-delete>)
target_include_directories(faultline_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_include_directories(faultline_flags SYSTEM INTERFACE ${TL_EXPECTED_INCLUDE})
target_link_libraries(faultline_flags INTERFACE Boost::json)
# Line numbers are what a backtrace needs; full debug information is for the debug preset. Measured over the whole build on
# two cores: a quarter of the time.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG" CACHE STRING "" FORCE)
# No path of the machine that built it is in a program.
target_compile_options(faultline_flags INTERFACE -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
# A mistake in memory ends the program instead of serving whoever found it. Programs that a sanitizer watches go without, and code
# that is not optimised cannot be fortified. tests/unit/programs/ looks into the programs.
if(NOT FAULTLINE_SANITIZE)
  target_compile_options(faultline_flags INTERFACE -fPIE -fstack-protector-strong -D_GLIBCXX_ASSERTIONS
                         $<$<CONFIG:RelWithDebInfo,Release>:-D_FORTIFY_SOURCE=2>)
  target_link_options(faultline_flags INTERFACE -pie -Wl,-z,relro,-z,now)
endif()
if(FAULTLINE_SANITIZE)
  # A finding ends the program. thread: Asio's fences, which g++ cannot follow, guard nothing that it does not see otherwise.
  target_compile_options(faultline_flags INTERFACE -fsanitize=${FAULTLINE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
                         -D_GLIBCXX_ASSERTIONS $<${gnu}:-Wno-tsan>)
  target_link_options(faultline_flags INTERFACE -fsanitize=${FAULTLINE_SANITIZE})
endif()

# Tests are compiled once and run once: they are not optimised, which halves what their build costs.
add_library(faultline_test_flags INTERFACE)
target_compile_options(faultline_test_flags INTERFACE $<$<CONFIG:RelWithDebInfo>:-O0> -U_FORTIFY_SOURCE)
target_link_libraries(faultline_test_flags INTERFACE faultline_flags GTest::gtest GTest::gmock)

# Headers of others that most files read: half of what a file costs was reading them. Not in the debug preset,
# which notices a missing #include.
set(common <algorithm> <chrono> <filesystem> <fstream> <functional> <map> <memory> <optional> <sstream> <string> <string_view>
    <variant> <vector> <boost/describe.hpp> <boost/json.hpp> <tl/expected.hpp>)
set(asio <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp> <boost/asio/io_context.hpp> <boost/asio/ip/tcp.hpp>
    <boost/asio/steady_timer.hpp> <boost/asio/use_awaitable.hpp>)
file(WRITE ${CMAKE_BINARY_DIR}/precompiled.cpp "")
if(NOT CMAKE_DISABLE_PRECOMPILE_HEADERS) # a file that cannot use them says so; ccache wants the second
  target_compile_options(faultline_flags INTERFACE -Winvalid-pch $<IF:${gnu},-fpch-preprocess,-Xclang$<SEMICOLON>-fno-pch-timestamp>)
endif()
function(_faultline_precompiled name)
  add_library(precompiled_${name} OBJECT ${CMAKE_BINARY_DIR}/precompiled.cpp)
  target_link_libraries(precompiled_${name} PRIVATE faultline_flags)
  target_precompile_headers(precompiled_${name} PRIVATE ${ARGN})
endfunction()
_faultline_precompiled(common ${common})
_faultline_precompiled(asio ${common} ${asio})
if(FAULTLINE_TESTS)
  _faultline_precompiled(test ${common} <gtest/gtest.h> <gmock/gmock.h>)
  _faultline_precompiled(asio_test ${common} ${asio} <gtest/gtest.h> <gmock/gmock.h>)
  target_link_libraries(precompiled_test PRIVATE faultline_test_flags)
  target_link_libraries(precompiled_asio_test PRIVATE faultline_test_flags)
endif()

# faultline_library(name SOURCES a.cpp ... LIBS x y [PRECOMPILED asio]): a static library faultline_<name>.
function(faultline_library name)
  cmake_parse_arguments(ARG "" "PRECOMPILED" "SOURCES;LIBS" ${ARGN})
  if(NOT ARG_PRECOMPILED)
    set(ARG_PRECOMPILED common)
  endif()
  add_library(faultline_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(faultline_${name} PUBLIC faultline_flags ${ARG_LIBS})
  target_precompile_headers(faultline_${name} REUSE_FROM precompiled_${ARG_PRECOMPILED})
endfunction()

# faultline_program(name SOURCES main.cpp LIBS x y)
function(faultline_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE faultline_flags ${ARG_LIBS})
  target_precompile_headers(${name} REUSE_FROM precompiled_common)
endfunction()

# faultline_test_program(name SOURCES x_test.cpp LIBS x y [PRECOMPILED asio_test]): the caller enters its tests.
function(faultline_test_program name)
  cmake_parse_arguments(ARG "" "PRECOMPILED" "SOURCES;LIBS" ${ARGN})
  if(NOT ARG_PRECOMPILED)
    set(ARG_PRECOMPILED test)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE faultline_flags faultline_test_flags ${ARG_LIBS})
  target_precompile_headers(${name} REUSE_FROM precompiled_${ARG_PRECOMPILED})
endfunction()
