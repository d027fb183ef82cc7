// SPDX-License-Identifier: Apache-2.0
// The edges of a phase: what clients do at full speed before a fault acts, and while it is taken
// down, does not count to the fault. The reconciler runs as in the agent, with the kernel's own
// faults and collectors; the clients have their own stopwatch.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <thread>

#include "agent/kernel/fd.h"
#include "agent/link/reconciler.h"
#include "api/codec.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using agent::Fd;
using api::RunPhase;
using std::chrono::milliseconds;

namespace {

constexpr std::uint16_t kPort = 8080;
constexpr int kClients = 3;

// Residue is looked for by ResidueCheck.
class NoKernelObjects final : public agent::KernelObjects {
 public:
  [[nodiscard]] agent::ObjectSet named_ours() const override { return {}; }
  [[nodiscard]] agent::ObjectSet held_here() const override { return {}; }
  [[nodiscard]] agent::ObjectSet held_elsewhere(const agent::ObjectSet&) const override {
    return {};
  }
  [[nodiscard]] std::optional<std::string> describe(const agent::ObjectKey&) const override {
    return std::nullopt;
  }
};

sockaddr_in address(const std::string& ip) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(kPort);
  inet_pton(AF_INET, ip.c_str(), &a.sin_addr);
  return a;
}

// Answers each byte with one, each connection in a thread of its own.
int serve(std::atomic<int>& ready) {
  const Fd listener(::socket(AF_INET, SOCK_STREAM, 0));
  const int yes = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in a = address("0.0.0.0");
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0 ||
      ::listen(listener.get(), 64) != 0)
    return 1;
  ready = 1;
  while (true) {
    const int client = ::accept(listener.get(), nullptr, nullptr);
    std::thread([client, yes] {
      const Fd fd(client);
      ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      for (char byte = 0; ::recv(fd.get(), &byte, 1, 0) == 1;)
        if (::send(fd.get(), &byte, 1, MSG_NOSIGNAL) != 1) return;
    }).detach();
  }
}

// Closed loop: the next request leaves when the answer to the last one is there.
int ask_on(const std::string& ip) {
  const Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
  const int yes = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  const sockaddr_in a = address(ip);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0) return 1;
  char byte = 'r';
  while (::send(fd.get(), &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(fd.get(), &byte, 1, 0) == 1) {
  }
  return 0;
}

agent::Pod labelled(const TestPod& pod, const std::string& app) {
  agent::Pod found = pod.pod();
  found.ref.labels["app"] = app;
  return found;
}

class Edges : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { FAULTLINE_NEEDS_TC(); }

  api::DesiredRun desired(RunPhase phase) const {
    auto parsed = api::parse_experiment(
        "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: edges}\nspec:\n"
        "  target: {selector: {labelSelectors: {app: srv}}, mode: all}\n"
        "  faults: [{networkLatency: {latency: 150ms, direction: " +
            std::string(GetParam()) + "}}]\n  limits: {maxPercent: 100}\n  seed: 42\n",
        "test");
    if (!parsed) throw std::runtime_error(parsed.error().message);
    api::DesiredRun run;
    run.run = "edges-1";
    run.experiment = *parsed;
    run.phase = phase;
    run.pods = {{labelled(server_, "srv").ref, api::PodRole::target},
                {labelled(client_, "cli").ref, api::PodRole::observed}};
    run.matching = run.targets = 1;
    run.leaseSeconds = 30;
    return run;
  }
  void answer(RunPhase phase) {
    reconciler_.answer({desired(phase)}, {clock_.steady(), clock_.steady()});
    collect();
  }
  void pass(milliseconds time) {
    const auto end = clock_.steady() + time;
    while (clock_.steady() < end) {
      std::this_thread::sleep_for(milliseconds(20));
      reconciler_.tick();
    }
    collect();
  }
  void collect() {
    for (api::RunBatch& batch : reconciler_.drain()) {
      for (auto& w : batch.windows) windows_.push_back(std::move(w));
      for (auto& i : batch.injections) status_ = std::move(i);
    }
  }
  struct Seen {
    api::Histogram latency;
    double seconds = 0;
    [[nodiscard]] double rate() const { return static_cast<double>(latency.count()) / seconds; }
    // Of answers that came sooner than `ms`.
    [[nodiscard]] std::uint64_t sooner(double ms) const {
      std::uint64_t n = 0;
      for (const auto& [bucket, count] : latency.buckets)
        if (api::Histogram::bucket_mid(bucket) < ms / 1e3) n += count;
      return n;
    }
  };
  Seen seen(const TestPod& pod, const std::string& side, RunPhase phase) const {
    Seen all;
    for (const api::EffectWindow& w : windows_) {
      if (w.pod.id() != pod.pod().ref.id() || w.phase != phase) continue;
      all.seconds += std::chrono::duration<double>(w.to.value - w.from.value).count();
      for (const api::EffectSample& s : w.samples)
        if (s.metric == "request.latency" && s.histogram && s.labels.at("side") == side)
          all.latency.merge(*s.histogram);
    }
    return all;
  }

  SystemClock clock_;
  ResidueCheck residue_;
  TestNetwork net_;
  TestPod server_{net_, "srv"}, client_{net_, "cli"};
  Shared<std::atomic<int>> ready_;
  NoKernelObjects kernel_;
  agent::Reconciler reconciler_{{.clock = clock_,
                                 .features = features(),
                                 .find_fault = agent::find_fault,
                                 .collectors = agent::collector_registry(),
                                 .kernel = kernel_}};
  std::vector<api::EffectWindow> windows_;
  api::InjectionStatus status_;
};

TEST_P(Edges, ClosedLoopClientsAreSeenUnderTheFaultAndNotBesideIt) {
  const Child server = server_.start([this] { return serve(*ready_); });
  while (*ready_ == 0) std::this_thread::sleep_for(milliseconds(1));
  std::vector<Child> clients;
  for (int i = 0; i < kClients; ++i)
    clients.push_back(client_.start([ip = server_.ip4()] { return ask_on(ip); }));

  reconciler_.pods({labelled(server_, "srv"), labelled(client_, "cli")});
  answer(RunPhase::baseline);
  pass(milliseconds(1500));
  answer(RunPhase::fault);
  ASSERT_EQ(status_.state, api::InjectionState::armed) << status_.reason;
  pass(milliseconds(4000));
  answer(RunPhase::recovery);
  pass(milliseconds(1000));
  reconciler_.answer({}, {clock_.steady(), clock_.steady()});
  pass(milliseconds(1200));

  const double added = std::string(GetParam()) == "both" ? 300 : 150;
  for (const auto& [pod, side] : {std::pair{&server_, "server"}, {&client_, "client"}}) {
    const Seen fault = seen(*pod, side, RunPhase::fault);
    ASSERT_GT(fault.latency.count(), 0u) << side;
    EXPECT_NEAR(*fault.latency.quantile(0.5) * 1e3, added, 0.05 * added) << side;
    EXPECT_NEAR(fault.rate(), kClients * 1e3 / added, 0.1 * kClients * 1e3 / added) << side;
    // A request that was past the hook when the fault began, one a connection, is not slow.
    EXPECT_LE(fault.sooner(0.9 * added), kClients) << side;
    EXPECT_NEAR(fault.seconds, 4.0, 0.3) << side;
    // And at full speed before and after, or this test could not fail.
    EXPECT_GT(seen(*pod, side, RunPhase::baseline).rate(), 1000) << side;
    EXPECT_GT(seen(*pod, side, RunPhase::recovery).rate(), 1000) << side;
    EXPECT_EQ(seen(*pod, side, RunPhase::baseline).latency.count() -
                  seen(*pod, side, RunPhase::baseline).sooner(0.5 * added),
              0u)
        << side;
  }
  EXPECT_NEAR(status_.armedSeconds.value_or(0), 4.0, 0.3);
  EXPECT_EQ(status_.stalled, 0u) << "of " << status_.matched << " packets";
  EXPECT_EQ(status_.held, 0u);
  EXPECT_EQ(status_.lost, 0u);
  // What was flushed is no delay: none of what was measured is short.
  EXPECT_GE(*status_.addedLatency.quantile(0.001), 0.145);
}

INSTANTIATE_TEST_SUITE_P(Directions, Edges, testing::Values("both", "to", "from"));

}  // namespace
}  // namespace faultline::test
