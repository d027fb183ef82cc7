// SPDX-License-Identifier: Apache-2.0
// usage: protocols [--page=FILE] [--busy] [gtest's words]
//   --page: writes the page instead of checking it
//   --busy: other programs run beside it, so quantiles may be off by 25 % or 5 ms
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "agent/kernel/watchdog.h"
#include "tests/protocols/figures.h"
#include "tests/protocols/page.h"

int main(int argc, char** argv) {
  if (const auto code = faultline::agent::run_as_watchdog(argc, argv)) return *code;
  testing::InitGoogleTest(&argc, argv);
  spdlog::set_level(spdlog::level::warn);
  if (!GTEST_FLAG_GET(list_tests) && geteuid() != 0) {
    std::fprintf(stderr,
                 "these tests load BPF programs and make network namespaces: run as root\n");
    return 1;
  }
  std::string page;
  for (int i = 1; i < argc; ++i)
    if (std::string_view(argv[i]).starts_with("--page="))
      page = argv[i] + 7;
    else if (std::string_view(argv[i]) == "--busy")
      faultline::test::bounds = {.share = 0.25, .seconds = 0.005};
  faultline::test::Page& found = faultline::test::Page::instance();
  if (!page.empty()) found.collect();
  const int status = RUN_ALL_TESTS();
  if (!page.empty()) found.write(page);
  return status;
}
