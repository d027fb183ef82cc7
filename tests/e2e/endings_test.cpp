// SPDX-License-Identifier: Apache-2.0
// However one of the three programs ends in the middle of a fault, the fault ends, nothing is left,
// and what is said about it is true. A ping of 200 ms and more is delayed, others are not.
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "tests/e2e/harness.h"

namespace faultline::test {
namespace {

constexpr auto kLease = 3s;
constexpr auto kSlack = 300ms;  // a machine with other things to do

class Endings : public EndToEnd {
 protected:
  [[nodiscard]] std::string slow(const Phases& phases = {}) const {
    return experiment("slow", "networkLatency: {latency: 200ms}", phases);
  }
  void wait_for_fault(const Program& run) const {
    ASSERT_TRUE(comes_true([&] { return delayed(180); }, 15s)) << run.err();
  }
  void expect_untouched() const {
    const auto pings = testbed::ping(a_.ip4(), 50);
    EXPECT_LT(pings.median(), 5);
    EXPECT_LT(pings.max(), kUntouchedMs);
  }
  // The process of that name that this test has started.
  static pid_t descendant(const std::string& name) {
    for (const std::string& process : descendants())
      if (process.ends_with(" " + name)) return std::stoi(process);
    throw std::runtime_error("no " + name);
  }
  // The lines of the audit log with all of these.
  static std::size_t audited(const Cluster& cluster, const std::vector<std::string>& words) {
    std::ifstream in(cluster.audit_log());
    std::size_t found = 0;
    for (std::string line; std::getline(in, line);)
      found += std::ranges::all_of(
          words, [&](const std::string& word) { return line.find(word) != std::string::npos; });
    return found;
  }
  // A new run on the same programs does what it is asked.
  void expect_works(Cluster& cluster) {
    Program run = cluster.command({"run", slow({.fault = "1s"}), "--report", report_folder()});
    wait_for_fault(run);
    EXPECT_EQ(run.wait(), 0) << run.err();
    EXPECT_EQ(report_json().at_pointer("/injections/0/verdict"), "confirmed");
  }
};

TEST_F(Endings, KilledAgentTakesItsFaultsWithItAndTheReportSaysSo) {
  Cluster both = cluster();
  Program run = both.command({"run", slow(), "--report", report_folder()});
  wait_for_fault(run);
  EXPECT_THAT(programs_of(both.agent().pid()), testing::Not(testing::IsEmpty()));
  both.agent().signal(SIGKILL);
  EXPECT_EQ(both.agent().wait(), 128 + SIGKILL);
  expect_untouched();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());

  EXPECT_EQ(run.wait(10s), 5) << run.err();
  const auto report = report_json();
  EXPECT_EQ(report.at("state"), "Failed");
  EXPECT_EQ(report.at("verdict"), "failed");
  EXPECT_THAT(std::string(report.at("stateReason").as_string()), testing::HasSubstr("node-1"));
  EXPECT_FALSE(report.at("gaps").as_array().empty());
  EXPECT_TRUE(report.at("residue").is_null()) << "nobody could look";

  both.start_agent();
  both.wait_connected();
  expect_works(both);
  EXPECT_FALSE(both.agent().ended());
}

TEST_F(Endings, StoppedAgentStopsDelayingWithItsLease) {
  Cluster both = cluster();
  Program run = both.command({"run", slow(), "--report", report_folder()});
  wait_for_fault(run);
  both.agent().signal(SIGSTOP);
  std::this_thread::sleep_for(kLease + kSlack);
  EXPECT_EQ(look_at(both.agent().pid()).state, 'T');
  expect_untouched();
  EXPECT_EQ(look_at(both.agent().pid()).state, 'T');
  EXPECT_EQ(run.wait(10s), 5) << run.err();
  EXPECT_EQ(report_json().at("state"), "Failed");
  // It goes on, and learns that the run is over.
  both.agent().signal(SIGCONT);
  both.wait_connected();
  expect_untouched();
  EXPECT_TRUE(comes_true([&] { return programs_of(both.agent().pid()).empty(); }, 5s));
  expect_works(both);
}

TEST_F(Endings, KilledControllerEndsTheFaultWithTheLeaseAndTellsTheTruthAfterwards) {
  Cluster both = cluster();
  Program run = both.command({"run", slow(), "--report", report_folder()});
  wait_for_fault(run);
  // The agent tells that it has armed once it measures as well.
  const std::string injecting = R"("state":"Injecting")";
  ASSERT_TRUE(comes_true([&] { return audited(both, {injecting}) == 1; }, 5s));
  std::this_thread::sleep_for(200ms);  // the audit has it before the store
  both.controller().signal(SIGKILL);
  EXPECT_EQ(both.controller().wait(), 128 + SIGKILL);
  std::this_thread::sleep_for(kLease + kSlack);
  expect_untouched();
  EXPECT_FALSE(both.agent().ended());

  both.start_controller();
  both.wait_connected();
  EXPECT_EQ(run.wait(20s), 5) << run.err();
  const auto known = both.ask({"get", "slow"});
  EXPECT_THAT(boost::json::serialize(known), testing::HasSubstr("\"Failed\""));
  EXPECT_THAT(boost::json::serialize(known),
              testing::HasSubstr("the controller was restarted during the fault"));
  const auto report = both.ask({"report", "slow"});
  EXPECT_EQ(report.at("state"), "Failed");
  EXPECT_FALSE(report.at("gaps").as_array().empty());

  EXPECT_EQ(
      audited(both, {R"("via":"http","verb":"start","user":"person")", R"("from":"127.0.0.1:)",
                     R"("experiment":"slow")", R"("decision":"allowed")"}),
      1U);
  EXPECT_EQ(audited(both, {R"("via":"phases","verb":"state")", R"("state":"Injecting")"}), 1U);
  EXPECT_EQ(audited(both, {R"("via":"restart","verb":"state")", R"("state":"Failed")"}), 1U);
  const std::string nowhere = folder_.write(
      "nowhere.yaml",
      "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: nowhere}\n"
      "spec:\n  target: {selector: {namespaces: [nowhere]}}\n"
      "  faults: [{networkLatency: {latency: 1ms}}]\n");
  EXPECT_NE(both.command({"run", nowhere}).wait(), 0);
  EXPECT_EQ(audited(both, {R"("via":"http","verb":"plan","user":"person")", R"("from":"127.0.0.1:)",
                           R"("experiment":"nowhere")", R"("decision":"denied","reason":")"}),
            1U);
  EXPECT_TRUE(comes_true([&] { return programs_of(both.agent().pid()).empty(); }, 5s));
  expect_works(both);
}

TEST_F(Endings, KilledCommandLeavesNoFaultNoProcessAndNoFolder) {
  Program run = run_privately(slow());
  wait_for_fault(run);
  EXPECT_GE(descendants().size(), 4U) << "the command, its guardian, a controller and an agent";
  EXPECT_FALSE(empty_folder(temp_));
  run.signal(SIGKILL);
  EXPECT_EQ(run.wait(), 128 + SIGKILL);
  EXPECT_TRUE(comes_true([&] { return descendants().empty() && empty_folder(temp_); }, 3s));
  expect_untouched();
  expect_nothing_left();
}

TEST_F(Endings, KilledCommandAndGuardianLeaveNoFaultAndNoProcess) {
  Program run = run_privately(slow());
  wait_for_fault(run);
  kill(descendant("faultline-guard"), SIGKILL);
  run.signal(SIGKILL);
  EXPECT_EQ(run.wait(), 128 + SIGKILL);
  EXPECT_TRUE(comes_true([&] { return descendants().empty(); }, 3s));
  expect_untouched();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(Endings, KilledAgentOfAPrivateRunEndsTheRunAndSaysSo) {
  Program run = run_privately(slow());
  wait_for_fault(run);
  const pid_t agent = descendant("faultline-agent");
  kill(agent, SIGKILL);
  // The kernel takes milliseconds to end it, longer on a busy machine; then its command reaps it.
  for (int i = 0; i < 1000 && kill(agent, 0) == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  expect_untouched();
  EXPECT_EQ(run.wait(20s), 5);
  EXPECT_THAT(run.out() + run.err(), testing::HasSubstr("agent"));
  expect_nothing_left();
}

TEST_F(Endings, InterruptedCommandReportsThatItWasAborted) {
  Program run = run_privately(slow());
  wait_for_fault(run);
  run.signal(SIGINT);
  EXPECT_EQ(run.wait(10s), 4) << run.err();
  expect_untouched();
  const auto report = report_json();
  EXPECT_EQ(report.at("state"), "Aborted");
  EXPECT_EQ(report.at("verdict"), "aborted");
  EXPECT_EQ(report.at("residue"), "none");
  expect_nothing_left();
}

}  // namespace
}  // namespace faultline::test
