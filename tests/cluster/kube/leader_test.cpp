// SPDX-License-Identifier: Apache-2.0
// Leader election between processes, by a Lease of a real API server; kubectl is the witness.
#include "kube/leader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "testbed/child.h"
#include "tests/cluster/kube/control_plane.h"

namespace faultline::kube {
namespace {

std::int64_t now_ms() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

LeaderOptions options(const std::string& space, const std::string& identity) {
  LeaderOptions options;
  options.ns = space;
  options.name = "controller";
  options.identity = identity;
  options.lease_duration = seconds(6);
  options.renew_deadline = milliseconds(4000);
  options.retry_period = milliseconds(500);
  return options;
}

// What a candidate believed, also in another process. Times of CLOCK_MONOTONIC, which is one for
// all.
struct Belief {
  std::atomic<std::int64_t> first_led{0}, last_led{0}, last_alive{0};
  std::atomic<int> started{0}, stopped{0};
};

// Writes every 5 ms whether it leads, before it does anything else.
asio::awaitable<void> note(const LeaderElector& elector, Belief& belief) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    const std::int64_t now = now_ms();
    if (elector.leads()) {
      belief.last_led = now;
      if (belief.first_led == 0) belief.first_led = now;
    }
    belief.last_alive = now;
    timer.expires_after(milliseconds(5));
    co_await timer.async_wait(asio::use_awaitable);
  }
}

class Candidate {
 public:
  Candidate(const LeaderOptions& how, Belief& belief)
      : elector(io.get_executor(), control_plane().admin(), clock_, how,
                {[&belief] { ++belief.started; }, [&belief] { ++belief.stopped; }, {}}) {
    const auto started = elector.start();
    EXPECT_TRUE(started) << started.error().message;
    asio::co_spawn(io, note(elector, belief), [](const std::exception_ptr&) {});
  }
  asio::io_context io{1};

 private:
  SystemClock clock_;

 public:
  LeaderElector elector;
};

testbed::Child process(const LeaderOptions& how, testbed::Shared<Belief>& belief) {
  return testbed::Child([&]() -> int {
    Candidate candidate(how, *belief);
    candidate.io.run();
    return 0;
  });
}

class KubeLeader : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = ControlPlane::missing(); !missing.empty())
      GTEST_SKIP() << missing;
    static int number = 0;
    space_ = "l" + std::to_string(++number);
    plane().kubectl({"create", "namespace", space_});
  }
  static ControlPlane& plane() { return control_plane(); }
  std::string lease(const std::string& field) const {
    return plane().kubectl(
        {"-n", space_, "get", "lease", "controller", "-o", "jsonpath={.spec." + field + "}"});
  }
  static bool leads(testbed::Shared<Belief>& belief) {
    return testbed::wait_until([&] { return belief->first_led != 0; }, seconds(60));
  }
  std::string space_;
};

TEST_F(KubeLeader, OfTwoProcessesOneLeadsAndTheOtherFollowsAKillAfterTheLease) {
  testbed::Shared<Belief> first;
  Belief second;
  const LeaderOptions how = options(space_, "second");
  testbed::Child leader = process(options(space_, "first"), first);
  ASSERT_TRUE(leads(first));
  Candidate candidate(how, second);
  run_until(
      candidate.io, [] { return false; }, how.lease_duration + seconds(2));
  EXPECT_FALSE(candidate.elector.leads()) << "the lease was renewed all the time";
  EXPECT_EQ(second.started, 0);
  EXPECT_EQ(candidate.elector.holder(), "first");
  const std::int64_t killed = now_ms();
  leader.signal(SIGKILL);
  leader.wait();
  ASSERT_TRUE(run_until(
      candidate.io, [&] { return candidate.elector.leads(); }, seconds(60)));
  // The dead one's last renewal was at most a period and a request before its death.
  EXPECT_GE(now_ms() - killed, 6000 - 500 - 2000);
  EXPECT_EQ(lease("holderIdentity"), "second");
  EXPECT_EQ(lease("leaseTransitions"), "1");
  EXPECT_EQ(lease("leaseDurationSeconds"), "6");
  EXPECT_EQ(candidate.elector.transitions(), 1);
}

TEST_F(KubeLeader, OneThatWasStoppedMeanwhileDoesNotBelieveItLeads) {
  testbed::Shared<Belief> first;
  Belief second;
  testbed::Child leader = process(options(space_, "first"), first);
  ASSERT_TRUE(leads(first));
  Candidate candidate(options(space_, "second"), second);
  leader.signal(SIGSTOP);
  ASSERT_TRUE(run_until(
      candidate.io, [&] { return second.first_led != 0; }, seconds(60)));
  const std::int64_t taken = second.first_led;
  EXPECT_LT(first->last_led, taken);
  leader.signal(SIGCONT);
  ASSERT_TRUE(run_until(
      candidate.io, [&] { return first->last_alive > taken && first->stopped == 1; }, seconds(60)));
  run_until(
      candidate.io, [] { return false; }, seconds(2));
  EXPECT_LT(first->last_led, taken) << "two led at a time";
  EXPECT_TRUE(candidate.elector.leads());
  EXPECT_EQ(second.stopped, 0);
}

TEST_F(KubeLeader, OneThatEndsGivesTheLeaseBack) {
  Belief a, b;
  LeaderOptions how = options(space_, "a");
  how.lease_duration = seconds(120);
  Candidate first(how, a);
  ASSERT_TRUE(run_until(
      first.io, [&] { return first.elector.leads(); }, seconds(60)));
  how.identity = "b";
  Candidate second(how, b);
  run_until(
      second.io, [] { return false; }, seconds(2));
  EXPECT_FALSE(second.elector.leads());
  const auto stopped = run(first.io, first.elector.stop());
  EXPECT_TRUE(stopped) << stopped.error().message;
  EXPECT_EQ(a.stopped, 1);
  EXPECT_FALSE(first.elector.leads());
  EXPECT_EQ(lease("holderIdentity"), "");
  ASSERT_TRUE(run_until(
      second.io, [&] { return second.elector.leads(); }, seconds(30)))
      << "waited for the lease to expire";
  EXPECT_EQ(lease("holderIdentity"), "b");
}

TEST_F(KubeLeader, WithoutAnApiServerItStopsLeadingBeforeTheLeaseIsOver) {
  Belief belief;
  Candidate candidate(options(space_, "only"), belief);
  ASSERT_TRUE(run_until(
      candidate.io, [&] { return candidate.elector.leads(); }, seconds(60)));
  plane().kill_api_server();
  const std::int64_t killed = now_ms();
  ASSERT_TRUE(run_until(
      candidate.io, [&] { return belief.stopped == 1; }, seconds(60)));
  EXPECT_LE(belief.last_led - killed, 4000);
  EXPECT_FALSE(candidate.elector.leads());
  EXPECT_FALSE(candidate.elector.last_error().empty());
  plane().start_api_server();
  EXPECT_TRUE(run_until(
      candidate.io, [&] { return candidate.elector.leads(); }, seconds(60)));
  EXPECT_EQ(belief.started, 2);
}

TEST(KubeLeaderOptions, ThatCannotWorkAreRefused) {
  asio::io_context io(1);
  const SystemClock clock;
  LeaderOptions wrong = options("s", "a");
  wrong.renew_deadline = seconds(6);
  LeaderElector elector(io.get_executor(), {"http://127.0.0.1:1", "", "", make_credentials({})},
                        clock, wrong, {});
  const auto started = elector.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace faultline::kube
