// SPDX-License-Identifier: Apache-2.0
// What the programs cost while nothing runs, and after many runs.
#include <thread>

#include "tests/e2e/harness.h"

namespace faultline::test {
namespace {

using testing::IsEmpty;
using testing::Not;

constexpr long kIdleAgentKb = 30 * 1024;

TEST_F(EndToEnd, IdleAgentHasNothingInTheKernelAndIsSmall) {
  Cluster both = cluster();
  const pid_t agent = both.agent().pid();
  const auto expect_idle = [&] {
    EXPECT_THAT(programs_of(agent), IsEmpty());
    EXPECT_THAT(residue_.left(), IsEmpty());
    const long kb = look_at(agent).resident_kb;
    std::cout << "resident: " << kb << " kB\n";
    EXPECT_GT(kb, 0);
    EXPECT_LT(kb, kIdleAgentKb);
  };
  expect_idle();
  Program run =
      both.command({"run", experiment("slow", "networkLatency: {latency: 200ms}", {.fault = "1s"}),
                    "--report", report_folder()});
  ASSERT_TRUE(comes_true([&] { return delayed(180); }, 15s));
  EXPECT_THAT(programs_of(agent), Not(IsEmpty())) << "the test must see them";
  EXPECT_EQ(run.wait(), 0) << run.err();
  expect_idle();
}

TEST_F(EndToEnd, ManyRunsLeaveNoDescriptorsProgramsThreadsOrMemory) {
  Cluster both = cluster();
  const std::string file =
      experiment("short", "networkLatency: {latency: 5ms, direction: both}", {.fault = "0.2s"});
  testbed::Child traffic([&] {
    for (;;) testbed::command({"ping", "-n", "-c", "50", "-i", "0.02", a_.ip4()});
    return 0;
  });
  int runs = 0;
  const auto one_run = [&] {
    Program run = both.command({"run", file, "--report", report_folder()});
    ++runs;
    ASSERT_EQ(run.wait(), 0) << run.err();
  };
  const auto look = [](Program& program) { return look_at(program.pid()); };
  for (int i = 0; i < 8; ++i) one_run();
  const ProcessState agent = look(both.agent()), controller = look(both.controller());
  const auto begin = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() < begin + 20s && runs < 50 && !HasFatalFailure())
    one_run();
  EXPECT_GE(runs, 16);
  const auto expect_same = [&](const char* name, Program& program, const ProcessState& before) {
    // A connection of the last command may still be closing.
    EXPECT_TRUE(comes_true([&] { return look(program).descriptors <= before.descriptors; }, 5s))
        << name << ": " << before.descriptors << " -> " << look(program).descriptors;
    const ProcessState now = look(program);
    std::cout << name << " after " << runs << " runs: resident " << before.resident_kb << " -> "
              << now.resident_kb << " kB, descriptors " << before.descriptors << " -> "
              << now.descriptors << ", threads " << before.threads << " -> " << now.threads << "\n";
    EXPECT_LE(now.threads, before.threads) << name;
    EXPECT_LT(now.resident_kb, before.resident_kb + 3072) << name;
  };
  expect_same("agent", both.agent(), agent);
  expect_same("controller", both.controller(), controller);
  EXPECT_THAT(programs_of(both.agent().pid()), IsEmpty());
  EXPECT_THAT(residue_.left(), IsEmpty());
}

}  // namespace
}  // namespace faultline::test
