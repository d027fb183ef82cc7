// SPDX-License-Identifier: Apache-2.0
// What the log and the metrics of an agent tell of a run that is a surprise of a game day: nothing,
// while the controller is told everything.
#include <gmock/gmock.h>
#include <spdlog/spdlog.h>

#include "api/gameday.h"
#include "base/log.h"
#include "link_doubles.h"

namespace faultline::agent::test {
namespace {

using api::RunPhase;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

api::Experiment with_note(bool quiet) {
  api::Experiment surprise = experiment();
  surprise.metadata.name = "pay-s3";
  if (quiet) surprise.metadata.annotations[std::string(api::kQuietNote)] = "true";
  return surprise;
}

// What is logged to standard error, of the debug level and above, from now until text().
class Log {
 public:
  Log() : before_(spdlog::default_logger()) {
    EXPECT_TRUE(init_logging("agent", "debug"));
    testing::internal::CaptureStderr();
  }
  ~Log() { spdlog::set_default_logger(before_); }
  std::string text() {
    spdlog::default_logger()->flush();
    return testing::internal::GetCapturedStderr();
  }

 private:
  std::shared_ptr<spdlog::logger> before_;
};

// A whole run, in which all goes wrong that a log line is about: a fault is blocked, a collector
// does not start, counters cannot be read, the lease runs out, and something is left.
void live_through(Node& node, bool quiet) {
  node.world.no_collector = "no ring buffer";
  node.world.unreadable = true;
  const auto run = [&](RunPhase phase) {
    auto wanted = Node::run(phase, with_note(quiet), "pay-s3-1");
    wanted.pods[1].role = api::PodRole::target;
    wanted.targets = 2;
    wanted.matching = 4;  // half of which may be hit
    return wanted;
  };
  node.give();
  node.answer({run(RunPhase::baseline)});
  int armed = 0;
  node.world.arming = [&] {
    if (++armed == 1) node.world.refuse = "no tcx on this kernel";
  };
  node.answer({run(RunPhase::fault)});
  EXPECT_EQ(node.reconciler->shown().armed, quiet ? 0U : 1U);
  EXPECT_EQ(node.reconciler->shown().runs, quiet ? 0U : 1U);
  EXPECT_EQ(node.reconciler->shown().counts.blocked, quiet ? 0U : 1U);
  node.pass(4s);
  EXPECT_EQ(node.reconciler->shown().counts.leases_expired, quiet ? 0U : 1U);
  node.answer({run(RunPhase::recovery)});
  node.answer({});
  node.pass(2s);
  // It is taken down, and asked for again.
  node.answer({run(RunPhase::fault)});
  EXPECT_EQ(node.reconciler->size(), 0U);
  EXPECT_EQ(node.reconciler->shown().counts.blocked, 1U) << "when it is over its counts are there";
  EXPECT_EQ(node.reconciler->shown().counts.leases_expired, 1U);
}

TEST(QuietRun, NothingOfItIsLoggedOrCountedUntilItIsOver) {
  Node node;
  Log log;
  live_through(node, true);
  EXPECT_THAT(log.text(), IsEmpty());
  EXPECT_THAT(node.events(), ElementsAre("measuring", "blocked", "armed", "lease_expired",
                                         "disarmed", "closed", "closed"))
      << "the controller is told all the same";
}

TEST(QuietRun, AnyOtherIsLoggedAsBefore) {
  Node node;
  Log log;
  live_through(node, false);
  EXPECT_THAT(log.text(),
              AllOf(HasSubstr("pay-s3-1: begins here, 2 pods"),
                    HasSubstr("networkLatency on shop/b is blocked"),
                    HasSubstr("collector noted does not run"),
                    HasSubstr("cannot read the counters of networkLatency"),
                    HasSubstr("the kernel ended 1 fault"), HasSubstr("pay-s3-1: is over here"),
                    HasSubstr("was taken down here")));
}

TEST(QuietRun, WhoeverWantsItsPodLearnsNoName) {
  Node node;
  Log log;
  node.give();
  node.answer({Node::run(RunPhase::baseline, with_note(true), "pay-s3-1")});
  node.answer({Node::run(RunPhase::fault, with_note(true), "pay-s3-1")});
  const auto mine = Node::run(RunPhase::fault, experiment(), "mine-1");
  node.answer({Node::run(RunPhase::fault, with_note(true), "pay-s3-1"), mine});
  const std::string text = log.text();
  EXPECT_THAT(text, HasSubstr("it is a target of another run"));
  EXPECT_THAT(text, Not(HasSubstr("pay-s3")));
}

TEST(QuietRun, WhatIsLeftInTheKernelIsSaidWithoutItsName) {
  Node node;
  Log log;
  node.begin(RunPhase::baseline, with_note(true));
  node.world.arming = [&] { node.kernel.ours = node.kernel.here = {{ObjectKind::program, 7}}; };
  node.answer({Node::run(RunPhase::fault, with_note(true))});
  node.answer({});
  node.pass(2s);
  EXPECT_EQ(node.reconciler->shown().counts.residue, 1U);
  EXPECT_THAT(log.text(), AllOf(HasSubstr("1 object of a run that is over still in the kernel"),
                                Not(HasSubstr("object 7")), Not(HasSubstr("slow-1"))));
}

TEST(Unlogged, TheInnermostCounts) {
  Log log;
  {
    const Unlogged hush(true);
    spdlog::error("secret");
    {
      const Unlogged aloud(false);
      spdlog::info("inner");
    }
    spdlog::error("secret");
  }
  spdlog::info("after");
  EXPECT_THAT(log.text(), AllOf(HasSubstr("inner"), HasSubstr("after"), Not(HasSubstr("secret"))));
}

}  // namespace
}  // namespace faultline::agent::test
