// SPDX-License-Identifier: Apache-2.0
// Whole runs by the three programs, and what ping and a client of the test's own make of them.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "testbed/stats.h"
#include "testbed/udp.h"
#include "tests/e2e/harness.h"

namespace faultline::test {
namespace {

using testbed::Child;
using testbed::Shared;

std::int64_t number(const boost::json::value& value) { return value.to_number<std::int64_t>(); }

TEST_F(EndToEnd, DelayOfARunIsWhatPingSeesAndTheReportSays) {
  const double before = testbed::ping(a_.ip4(), 100).median();
  Program run = run_privately(experiment("slow", "networkLatency: {latency: 20ms}",
                                         {.baseline = "1s", .fault = "4s", .recovery = "1s"}));
  ASSERT_TRUE(comes_true([&] { return delayed(15) || run.ended(); }, 15s));
  ASSERT_FALSE(run.ended()) << run.err();
  const double during = testbed::ping(a_.ip4(), 200).median();
  ASSERT_EQ(run.wait(), 0) << run.err();
  EXPECT_LT(testbed::ping(a_.ip4(), 50).median(), 5);

  const auto report = report_json();
  const auto& injection = report.at("injections").at(0);
  EXPECT_EQ(injection.at("verdict"), "confirmed") << injection.at("reason");
  const double reported = injection.at_pointer("/addedLatency/p50").to_number<double>() * 1e3;
  std::cout << "ping says +" << during - before << " ms, the report +" << reported << " ms\n";
  EXPECT_NEAR(during - before, 20, 1);
  EXPECT_NEAR(reported, during - before, 0.5);
  EXPECT_EQ(injection.at("lost"), 0);
  EXPECT_EQ(report.at("verdict"), "met");
  EXPECT_EQ(report.at("residue"), "none");
  const auto printed = boost::json::parse(run.out());
  EXPECT_EQ(printed.at("exitCode"), 0);
  EXPECT_EQ(printed.at("report"), report);
  for (const char* name : {"/report.md", "/report.html"})
    EXPECT_NE(content(report_folder() + name).find("20 ms"), std::string::npos) << name;
  expect_nothing_left();
}

TEST_F(EndToEnd, WhatNoPacketMatchesIsNotASuccess) {
  Program run = run_privately(
      experiment("idle", "networkLatency: {latency: 200ms, ports: [9]}", {.fault = "1s"}));
  while (!run.ended()) EXPECT_FALSE(delayed(kUntouchedMs + 100));
  EXPECT_EQ(run.wait(), 2) << run.err();
  const auto report = report_json();
  EXPECT_EQ(report.at_pointer("/injections/0/verdict"), "no-traffic");
  EXPECT_EQ(report.at_pointer("/injections/0/matched"), 0);
  EXPECT_EQ(report.at("verdict"), "not-real");
  expect_nothing_left();
}

TEST_F(EndToEnd, BadExperimentIsRefusedWithOneLineForEachErrorAndNothingIsStarted) {
  const std::string file = folder_.write("bad.yaml",
                                         "apiVersion: faultline.dev/v1alpha1\n"
                                         "kind: Experiment\n"
                                         "metadata: {name: bad}\n"
                                         "spec:\n"
                                         "  target:\n"
                                         "    selector: {namespace: [shop]}\n"
                                         "  faults:\n"
                                         "    - networkLatency: {latency: 50}\n"
                                         "  phases: {fault: 0s}\n");
  Program run({"faultline", "run", file, "--pods", pods_, "--report", report_folder(), "--yes"},
              folder_, "run", temp_);
  std::vector<std::string> seen;
  while (!run.ended())
    for (const std::string& process : descendants())
      if (!process.starts_with(std::to_string(run.pid()) + " ")) seen.push_back(process);
  EXPECT_EQ(run.wait(), 3);
  EXPECT_THAT(seen, testing::IsEmpty());
  EXPECT_EQ(run.out(), "");
  const std::string said = run.err();
  EXPECT_EQ(std::ranges::count(said, '\n'), 3) << said;
  EXPECT_THAT(said, testing::HasSubstr(":6: spec.target.selector.namespace: unknown key"));
  EXPECT_THAT(said, testing::HasSubstr(":8: spec.faults[0].networkLatency.latency: expected"));
  EXPECT_THAT(said, testing::HasSubstr(":9: spec.phases.fault: must be more than 0s"));
  EXPECT_FALSE(std::filesystem::exists(report_folder()));
  expect_nothing_left();
}

// What a process of the pod counts while it connects to the host again and again.
struct Connects {
  std::atomic<bool> stop = false;
  std::atomic<int> attempts = 0, timed_out = 0, other = 0, other_errno = 0;
  std::atomic<int> first = -1, last = -1;  // number of the attempt that timed out
};

int connect_again_and_again(const std::string& address, std::uint16_t port, Connects& counts) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  while (!counts.stop) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int attempt = counts.attempts++;
    if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
      if (errno == ETIMEDOUT) {
        ++counts.timed_out;
        if (counts.first < 0) counts.first = attempt;
        counts.last = attempt;
      } else {
        ++counts.other;
        counts.other_errno = errno;
      }
    }
    close(fd);
    usleep(500);
  }
  return 0;
}

TEST_F(EndToEnd, EveryErrorThatIsReportedWasSeenByTheApplicationAndNoOther) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  inet_pton(AF_INET, net_.host4().c_str(), &at.sin_addr);
  socklen_t size = sizeof at;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(listen(listener, 1024), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size), 0);
  std::jthread acceptor([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd p{listener, POLLIN, 0};
      if (poll(&p, 1, 20) == 1) close(accept(listener, nullptr, nullptr));
    }
  });

  Shared<Connects> counts;
  Child client =
      a_.start([&] { return connect_again_and_again(net_.host4(), ntohs(at.sin_port), *counts); });
  Program run = run_privately(experiment(
      "refuse", "socketError: {operations: [connect], errno: ETIMEDOUT, probability: 50%}",
      {.baseline = "0.5s", .fault = "3s"}));
  ASSERT_EQ(run.wait(), 0) << run.err();
  counts->stop = true;
  ASSERT_EQ(client.wait(), 0);
  acceptor.request_stop();
  acceptor.join();
  close(listener);

  const auto injection = report_json().at("injections").at(0);
  const std::int64_t matched = number(injection.at("matched"));
  const std::int64_t injected = number(injection.at("injected"));
  std::cout << counts->attempts << " attempts, " << counts->timed_out << " timed out; reported "
            << injected << " of " << matched << "\n";
  EXPECT_EQ(injection.at("verdict"), "confirmed");
  EXPECT_EQ(counts->other, 0) << "errno " << counts->other_errno;
  EXPECT_EQ(injected, counts->timed_out);
  EXPECT_EQ(number(injection.at_pointer("/byErrno/ETIMEDOUT")), injected);
  // From the first to the last that failed, all were matched; before and after them only those
  // that the dice let pass: each one more is half as likely.
  const std::int64_t between = counts->last - counts->first + 1;
  EXPECT_GE(matched, between);
  EXPECT_LE(matched, between + 60);
  ASSERT_GT(matched, 400);
  EXPECT_TRUE(testbed::binomial_interval(0.5, static_cast<std::uint64_t>(matched))
                  .contains(static_cast<double>(injected) / static_cast<double>(matched)));
  expect_nothing_left();
}

TEST_F(EndToEnd, PodThatRestartsHasItsFaultAgainWithinASecond) {
  Program run = run_privately(experiment("again", "networkLatency: {latency: 200ms}"));
  ASSERT_TRUE(comes_true([&] { return delayed(180); }, 15s)) << run.err();
  a_.restart();
  const auto restarted = std::chrono::steady_clock::now();
  ASSERT_TRUE(comes_true([&] { return delayed(180); }, 5s));
  // A ping that takes the 200 ms was sent that long ago.
  const auto took = std::chrono::steady_clock::now() - restarted - 200ms;
  std::cout << "after " << std::chrono::duration<double>(took).count() << " s\n";
  EXPECT_LT(took, 1s);
  run.signal(SIGINT);
  EXPECT_EQ(run.wait(), 4) << run.err();
  EXPECT_THAT(boost::json::serialize(report_json().at("timeline")),
              testing::HasSubstr("pod_restarted"));
  expect_nothing_left();
}

}  // namespace
}  // namespace faultline::test
