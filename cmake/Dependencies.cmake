# SPDX-License-Identifier: Apache-2.0
# Everything comes from Debian packages; scripts/setup installs them.
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json url)
find_package(OpenSSL 3.0 REQUIRED)
find_package(spdlog REQUIRED)
find_package(cxxopts REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(SQLiteCpp REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBBPF REQUIRED IMPORTED_TARGET libbpf)
pkg_check_modules(LIBYAML REQUIRED IMPORTED_TARGET yaml-0.1)
find_path(TL_EXPECTED_INCLUDE tl/expected.hpp REQUIRED)

if(FAULTLINE_TESTS)
  find_package(GTest REQUIRED)
endif()
if(FAULTLINE_BENCH)
  find_package(benchmark REQUIRED)
endif()

find_program(CLANG_BPF NAMES clang-14 clang-15 clang-16 clang-19 clang REQUIRED)
find_program(BPFTOOL bpftool PATHS /usr/sbin /sbin REQUIRED)
