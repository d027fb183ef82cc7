// SPDX-License-Identifier: Apache-2.0
// Which Experiments begin, which runs they follow and stop, and what they cost. The API server and
// the runs are fakes; tests/cluster has both for real.
#include "controller/kubernetes/operator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controller/kubernetes/experiment_object.h"
#include "controller/kubernetes/run_events.h"
#include "controller/kubernetes/work_queue.h"
#include "fake_cluster.h"
#include "kube/times.h"
#include "tests/unit/kube/loop.h"

namespace faultline::controller {
namespace {

namespace json = boost::json;
using boost::asio::awaitable;
using namespace std::chrono_literals;
using test::FakeCluster;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Runs that are what the test says, and what was asked of them.
class FakeRuns final : public RunControl {
 public:
  explicit FakeRuns(boost::asio::io_context& io) : io_(io) {}

  awaitable<Result<>> take_over() override { co_return Result<>{}; }
  awaitable<Result<std::string>> start_run(api::Experiment experiment, std::string who,
                                           std::string uid) override {
    api::RunRecord head;
    head.run = experiment.metadata.name + "-run";
    head.experiment = std::move(experiment);
    head.requestedBy = std::move(who);
    head.experimentUid = std::move(uid);
    started.push_back(head.run);
    add(head, api::RunState::Injecting);
    co_return started.back();
  }
  awaitable<Result<std::string>> run_of(std::string, std::string uid) override {
    for (const auto& [id, head] : all)
      if (head.experimentUid == uid) co_return id;
    co_return fail(Errc::kNotFound, "no run");
  }
  [[nodiscard]] std::string active_run_of(const std::string& uid) const override {
    for (const api::RunRecord* head : active_runs())
      if (head->experimentUid == uid) return head->run;
    return {};
  }
  [[nodiscard]] std::vector<const api::RunRecord*> active_runs() const override {
    std::vector<const api::RunRecord*> active;
    for (const auto& [id, head] : all)
      if (head.state != api::RunState::Completed) active.push_back(&head);
    return active;
  }
  void stop_run(const std::string& run, const std::string& reason) override {
    stopped.push_back(run + ": " + reason);
  }
  awaitable<Result<RunNow>> run_now(std::string run) override {
    const auto found = all.find(run);
    if (found == all.end()) co_return fail(Errc::kNotFound, "no run");
    RunNow now{.head = found->second, .report = {}};
    if (found->second.state == api::RunState::Completed) {
      now.report.emplace();
      now.report->verdict = api::RunVerdict::met;
    }
    co_return now;
  }
  [[nodiscard]] std::uint64_t changes() const override { return changes_; }
  awaitable<void> wait_for_change(std::uint64_t seen, SteadyTime until) override {
    while (changes_ == seen && std::chrono::steady_clock::now() < until) {
      boost::asio::steady_timer timer(io_, 5ms);
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
  }

  void add(api::RunRecord head, api::RunState state) {
    const std::string run = head.run;
    all[run] = std::move(head);
    move(run, state, clock_.utc());
  }
  void move(const std::string& run, api::RunState state, UtcTime at) {
    all[run].state = state;
    all[run].history.push_back({state, {at}, ""});
    ++changes_;
  }

  std::map<std::string, api::RunRecord> all;
  std::vector<std::string> started, stopped;

 private:
  boost::asio::io_context& io_;
  SystemClock clock_;
  std::uint64_t changes_ = 1;
};

class OperatorTest : public testing::Test {
 protected:
  OperatorTest() : client_(io_.get_executor(), cluster_.config()), runs_(io_) {
    options_.status_every = 10ms;
  }
  ~OperatorTest() override {
    if (operator_) operator_->stop();
    kube::run_until(
        io_, [] { return false; }, 50ms);
    operator_.reset();
  }

  void lead() {
    operator_ = std::make_unique<Operator>(io_.get_executor(), client_, clock_, runs_, options_);
    operator_->start();
    EXPECT_TRUE(until([&] { return operator_->state().synced; }));
  }
  bool until(const std::function<bool()>& done) { return kube::run_until(io_, done, 20s); }
  // Long enough for everything that is going to happen to have happened.
  void settle() {
    kube::run_until(
        io_, [] { return false; }, 1500ms);
  }

  json::object experiment(const std::string& name, const std::string& uid,
                          const json::object& status = {}) const {
    json::object object =
        json::parse(R"({"apiVersion": "faultline.dev/v1alpha1", "kind": "Experiment",
        "spec": {"target": {"selector": {"labelSelectors": {"app": "web"}}},
                 "faults": [{"networkLatency": {"latency": "300ms"}}]}})")
            .as_object();
    object["metadata"] = {{"name", name},
                          {"namespace", "shop"},
                          {"uid", uid},
                          {"generation", 1},
                          {"creationTimestamp", kube::format_time(clock_.utc())}};
    if (!status.empty()) object["status"] = status;
    return object;
  }
  json::object status(const std::string& name) const {
    const json::object object = cluster_.get("experiments", "shop", name);
    const auto* found = object.if_contains("status");
    return found == nullptr ? json::object{} : found->as_object();
  }
  std::string said(const std::string& name, const char* key) const {
    const json::object now = status(name);
    const auto* found = now.if_contains(key);
    return found == nullptr ? "" : std::string(found->as_string());
  }
  static api::RunRecord run(const std::string& id, const std::string& uid) {
    api::RunRecord head;
    head.run = id;
    head.experimentUid = uid;
    return head;
  }
  std::vector<std::string> events(const std::string& reason) const {
    std::vector<std::string> found;
    for (const json::object& event : cluster_.all("events"))
      if (event.at("reason").as_string() == reason)
        found.emplace_back(event.at("involvedObject").at("name").as_string());
    return found;
  }

  SystemClock clock_;
  FakeCluster cluster_;
  boost::asio::io_context io_{1};
  kube::Client client_;
  FakeRuns runs_;
  OperatorOptions options_;
  std::unique_ptr<Operator> operator_;
};

TEST_F(OperatorTest, ARunIsOfTheUidItWasBegunFor) {
  lead();
  cluster_.put("experiments", experiment("slow", "u1"));
  ASSERT_TRUE(until([&] { return said("slow", "phase") == "Injecting"; }));
  EXPECT_EQ(said("slow", "run"), "slow-run");
  EXPECT_EQ(runs_.all.at("slow-run").experimentUid, "u1");
  cluster_.remove("experiments", "shop", "slow");
  ASSERT_TRUE(until([&] { return !runs_.stopped.empty(); }));
  EXPECT_THAT(runs_.stopped[0], HasSubstr("slow-run: the Experiment shop/slow was deleted"));
}

TEST_F(OperatorTest, ARunThatTheStatusNamesAndIsAnothersIsNeitherFollowedNorStopped) {
  runs_.add(run("others", "u9"), api::RunState::Injecting);
  lead();
  cluster_.put("experiments",
               experiment("mine", "u1",
                          {{"phase", "Injecting"}, {"run", "others"}, {"observedGeneration", 1}}));
  ASSERT_TRUE(until([&] { return said("mine", "phase") == "Failed"; }));
  EXPECT_FALSE(status("mine").contains("run")) << json::value(status("mine"));
  EXPECT_FALSE(status("mine").contains("targets"));
  EXPECT_THAT(said("mine", "reason"), HasSubstr("a run that is not of this Experiment"));
  cluster_.remove("experiments", "shop", "mine");
  settle();
  EXPECT_THAT(runs_.stopped, IsEmpty());
  EXPECT_THAT(runs_.started, IsEmpty());
}

TEST_F(OperatorTest, AStatusThatSomebodyElseWroteIsWrittenOver) {
  runs_.add(run("own", "u1"), api::RunState::Injecting);
  // As it is found by the next leader.
  cluster_.put("experiments", experiment("slow", "u1",
                                         {{"phase", "Completed"},
                                          {"run", "others"},
                                          {"observedGeneration", 1},
                                          {"completedAt", "2026-01-01T00:00:00Z"}}));
  lead();
  ASSERT_TRUE(until([&] { return said("slow", "phase") == "Injecting"; }));
  EXPECT_EQ(said("slow", "run"), "own");
  // And while it is followed.
  cluster_.change("experiments", "shop", "slow", [](json::object& object) {
    object["status"].as_object()["phase"] = "Completed";
    object["status"].as_object()["run"] = "others";
  });
  ASSERT_TRUE(until([&] { return said("slow", "phase") == "Injecting"; }));
  EXPECT_EQ(said("slow", "run"), "own");
  cluster_.remove("experiments", "shop", "slow");
  ASSERT_TRUE(until([&] { return !runs_.stopped.empty(); }));
  EXPECT_THAT(runs_.stopped[0], HasSubstr("own: "));
}

TEST_F(OperatorTest, WhatHasRunDoesNotRunAgainWhenItsStatusIsTakenAway) {
  runs_.add(run("own", "u1"), api::RunState::Completed);
  lead();
  cluster_.put("experiments", experiment("slow", "u1"));
  ASSERT_TRUE(until([&] { return said("slow", "phase") == "Completed"; }));
  EXPECT_EQ(said("slow", "run"), "own");
  EXPECT_THAT(runs_.started, IsEmpty());
}

TEST_F(OperatorTest, AStatusThatCannotBeReadMeansBegunAndStaysAsItIs) {
  const json::object words{{"phase", "Completed"}, {"verdict", "inconclusive"}, {"run", "old"}};
  const json::object phase{{"phase", "Paused"}, {"of", "a later version"}};
  const json::object types{{"phase", "Completed"}, {"injected", "many"}};
  cluster_.put("experiments", experiment("words", "u1", words));
  cluster_.put("experiments", experiment("phase", "u2", phase));
  cluster_.put("experiments", experiment("types", "u3", types));
  lead();
  ASSERT_TRUE(until([&] { return events("StatusUnreadable").size() == 3; }));
  settle();
  EXPECT_THAT(runs_.started, IsEmpty());
  EXPECT_EQ(status("words"), words);
  EXPECT_EQ(status("phase"), phase);
  EXPECT_EQ(status("types"), types);
}

TEST_F(OperatorTest, WhoAskedIsAskedAboutWhenItBegins) {
  int asked = 0;
  options_.admitted = [&](json::object, api::Experiment) -> awaitable<Result<>> {
    ++asked;
    co_return fail(Errc::kDenied, "jane may not create experiments.faultline.dev in shop");
  };
  cluster_.put("experiments", experiment("late", "u1"));
  lead();
  ASSERT_TRUE(until([&] { return said("late", "phase") == "Failed"; }));
  EXPECT_THAT(said("late", "reason"), HasSubstr("jane may not"));
  EXPECT_EQ(asked, 1);
  EXPECT_THAT(runs_.started, IsEmpty());
}

TEST_F(OperatorTest, WhatWasCreatedLongAgoDoesNotBegin) {
  json::object old = experiment("old", "u1");
  old["metadata"].as_object()["creationTimestamp"] = kube::format_time(clock_.utc() - 2h);
  cluster_.put("experiments", old);
  lead();
  ASSERT_TRUE(until([&] { return said("old", "phase") == "Failed"; }));
  EXPECT_THAT(said("old", "reason"), HasSubstr("did not begin within 1h: create it anew"));
  EXPECT_THAT(runs_.started, IsEmpty());
}

TEST_F(OperatorTest, OneThatIsTooLargeIsRefusedAndNotKept) {
  json::object large = experiment("large", "u1");
  large["spec"].as_object()["purpose"] = std::string(300'000, 'x');
  cluster_.put("experiments", large);
  cluster_.put("experiments", experiment("good", "u2"));
  lead();
  ASSERT_TRUE(until([&] { return said("large", "phase") == "Failed"; }));
  EXPECT_THAT(said("large", "reason"), HasSubstr("at most 131072 are read"));
  ASSERT_TRUE(until([&] { return said("good", "phase") == "Injecting"; }));
}

TEST_F(OperatorTest, FinishedOnesCostNothingWhenAnotherOneChanges) {
  const json::object over{{"phase", "Completed"},
                          {"run", "r"},
                          {"observedGeneration", 1},
                          {"completedAt", kube::format_time(clock_.utc())}};
  for (int i = 0; i < 2000; ++i)
    cluster_.put("experiments",
                 experiment("old" + std::to_string(i), "u" + std::to_string(i), over));
  lead();
  settle();
  EXPECT_EQ(operator_->state().looks, 0U);
  EXPECT_EQ(operator_->state().followed, 0U);
  cluster_.put("experiments", experiment("good", "g1"));
  ASSERT_TRUE(until([&] { return said("good", "phase") == "Injecting"; }));
  for (int i = 0; i < 20; ++i)
    cluster_.change("experiments", "shop", "old0", [&](json::object& object) {
      object["metadata"].as_object()["labels"] = {{"x", std::to_string(i)}};
    });
  settle();
  // The one that runs, each second and at each change; never the 2000.
  EXPECT_LT(operator_->state().looks, 200U);
  EXPECT_EQ(operator_->state().followed, 1U);
}

TEST_F(OperatorTest, FinishedOnesAreDeletedWhenTheirTimeIsOver) {
  options_.kept_for = [] { return std::optional<std::chrono::seconds>(1h); };
  const auto over = [&](std::chrono::seconds ago) {
    return json::object{{"phase", "Failed"},
                        {"observedGeneration", 1},
                        {"completedAt", kube::format_time(clock_.utc() - ago)}};
  };
  const auto with_ttl = [&](const char* name, const char* uid, const char* ttl) {
    json::object object = experiment(name, uid, over(2h));
    object["spec"].as_object()["ttlAfterFinished"] = ttl;
    return object;
  };
  cluster_.put("experiments", experiment("by-policy", "u1", over(2h)));
  cluster_.put("experiments", experiment("fresh", "u2", over(1min)));
  cluster_.put("experiments", with_ttl("own", "u3", "90m"));
  cluster_.put("experiments", with_ttl("longer", "u4", "3h"));
  cluster_.put("experiments", with_ttl("always", "u5", "never"));
  lead();
  ASSERT_TRUE(until([&] { return operator_->state().deleted == 2; }));
  settle();
  std::vector<std::string> left;
  for (const json::object& object : cluster_.all("experiments"))
    left.emplace_back(object.at("metadata").at("name").as_string());
  EXPECT_THAT(left, ElementsAre("always", "fresh", "longer"));
}

TEST_F(OperatorTest, OwnersOfPodsAreToldOfEveryRunWithTheTimeOfWhatHappened) {
  for (const char* name : {"web-0", "web-1"})
    cluster_.put(
        "pods",
        json::object{
            {"metadata",
             {{"name", name}, {"namespace", "shop"}, {"uid", std::string("uid-") + name}}}});
  api::RunRecord head = run("by-hand", "");  // asked for over HTTP
  head.requestedBy = "jane";
  head.experiment.metadata.name = "slow";
  head.experiment.spec.faults.push_back({api::NetworkLatency{}});
  head.pods = {{{"shop", "web-0", "n1", {}}, api::PodRole::target},
               {{"shop", "web-1", "n1", {}}, api::PodRole::control}};
  runs_.add(head, api::RunState::Baseline);
  RunEvents told(io_.get_executor(), client_, clock_, runs_);
  told.start();
  settle();
  EXPECT_THAT(cluster_.all("events"), IsEmpty());
  const UtcTime begun = clock_.utc() - 60s, ended = clock_.utc() - 30s;
  runs_.move("by-hand", api::RunState::Injecting, begun);
  ASSERT_TRUE(until([&] { return !events("FaultInjected").empty(); }));
  runs_.move("by-hand", api::RunState::Recovering, ended);
  runs_.move("by-hand", api::RunState::Completed, clock_.utc());
  ASSERT_TRUE(until([&] { return !events("FaultEnded").empty(); }));
  EXPECT_THAT(events("FaultInjected"), ElementsAre("web-0")) << "the control pod is not hit";
  EXPECT_THAT(events("FaultEnded"), ElementsAre("web-0"));
  for (const json::object& event : cluster_.all("events")) {
    const bool first = event.at("reason").as_string() == "FaultInjected";
    EXPECT_EQ(event.at("firstTimestamp").as_string(), kube::format_time(first ? begun : ended));
    EXPECT_EQ(event.at("involvedObject").at("uid").as_string(), "uid-web-0");
    EXPECT_THAT(std::string(event.at("message").as_string()), HasSubstr("asked for by jane"));
  }
  // Another leader that takes over in between tells nothing twice.
  runs_.all.at("by-hand").state = api::RunState::Injecting;
  RunEvents next(io_.get_executor(), client_, clock_, runs_);
  next.start();
  settle();
  EXPECT_EQ(cluster_.all("events").size(), 2U);
  told.stop();
  next.stop();
  settle();
}

TEST(WorkQueue, GivesEachKeyOnceAndTheEarliestFirst) {
  const SteadyTime t{1000s};
  WorkQueue queue;
  queue.add({"shop", "b"}, t + 2s);
  queue.add({"shop", "a"}, t + 3s);
  queue.add({"shop", "a"}, t + 1s);
  queue.add({"shop", "a"}, t + 9s);
  EXPECT_EQ(queue.next(), t + 1s);
  EXPECT_FALSE(queue.take(t));
  EXPECT_EQ(queue.take(t + 5s)->name, "a");
  EXPECT_EQ(queue.take(t + 5s)->name, "b");
  EXPECT_FALSE(queue.take(t + 5s));
  queue.add({"shop", "a"}, t);
  queue.put({"shop", "a"}, t + 9s);
  EXPECT_FALSE(queue.take(t + 5s));
}

}  // namespace
}  // namespace faultline::controller
