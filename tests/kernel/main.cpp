// SPDX-License-Identifier: Apache-2.0
// main() of the kernel tests: without root they fail, loudly, instead of passing by skipping.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>

#include "agent/kernel/watchdog.h"

int main(int argc, char** argv) {
  if (const auto code = faultline::agent::run_as_watchdog(argc, argv)) return *code;
  testing::InitGoogleTest(&argc, argv);
  spdlog::set_level(spdlog::level::warn);
  if (!GTEST_FLAG_GET(list_tests) && geteuid() != 0) {
    std::fprintf(stderr,
                 "kernel tests load BPF programs and make network namespaces: run them as root\n");
    return 1;
  }
  return RUN_ALL_TESTS();
}
