// SPDX-License-Identifier: Apache-2.0
// Runs in a real etcd: written by one controller, read by the next; two that both believe they
// lead; an API server that goes away. kubectl is the witness.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <deque>
#include <fstream>

#include "api/codec.h"
#include "controller/kubernetes/run_log_object.h"
#include "controller/kubernetes/run_log_store.h"
#include "tests/cluster/kube/control_plane.h"
#include "tests/places.h"

namespace faultline::kube {
namespace {

using controller::RunLogOptions;
using controller::RunLogStore;
using testing::HasSubstr;

api::RunRecord head_of(const std::string& run, api::RunState state = api::RunState::Pending) {
  api::RunRecord head;
  head.run = run;
  head.experiment = *api::parse_experiment(
      "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: slow}\nspec:\n"
      "  target: {selector: {labelSelectors: {app: web}}, mode: one}\n"
      "  faults: [{networkLatency: {latency: 300ms}}]\n"
      "  phases: {baseline: 2s, fault: 5s, recovery: 2s}\n",
      "test");
  head.requestedBy = "jane";
  head.state = state;
  head.history = {{api::RunState::Pending, {UtcTime(seconds(1795428902))}, ""}};
  if (state != api::RunState::Pending)
    head.history.push_back({state, {UtcTime(seconds(1795428912))}, ""});
  head.nodes = {{.node = "n1"}};
  return head;
}

api::NumberedBatch batch(std::uint64_t number, const std::string& run) {
  api::NumberedBatch numbered;
  numbered.number = number;
  numbered.batch.run = run;
  numbered.batch.gaps = {{"n1", "", "", {}, {}, "number " + std::to_string(number)}};
  return numbered;
}

class RunLog : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!ControlPlane::missing().empty()) GTEST_SKIP() << ControlPlane::missing();
    std::ifstream crd(test::source_dir() / "daemonset/base/run-log-crd.yaml");
    control_plane().create({std::istreambuf_iterator<char>(crd), {}});
    control_plane().kubectl(
        {"wait", "--for=condition=Established", "--timeout=20s", "crd/runlogs.faultline.dev"});
  }
  void SetUp() override {
    if (!ControlPlane::missing().empty()) GTEST_SKIP() << ControlPlane::missing();
    static int number = 0;
    space_ = "logs-" + std::to_string(++number);
    control_plane().kubectl({"create", "namespace", space_});
  }

  std::unique_ptr<RunLogStore> store(const std::string& writer) {
    RunLogOptions options;
    options.ns = space_;
    options.writer = writer;
    options.every = milliseconds(50);
    options.displaced = [this, writer](const std::string& why) { displaced_[writer] = why; };
    return std::make_unique<RunLogStore>(io_.get_executor(), control_plane().admin(), clock_,
                                         std::move(options));
  }
  static controller::Journal::Give into(std::vector<api::RunLogEntry>& read) {
    return [&read](api::RunLogEntry entry) -> asio::awaitable<Result<>> {
      read.push_back(std::move(entry));
      co_return Result<>{};
    };
  }
  // Of runs that go on; also gets to know those that are over, without which none is finished.
  std::vector<api::RunLogEntry> take_over(RunLogStore& store) {
    std::vector<api::RunLogEntry> read, over;
    const auto taken = run(io_, store.take_over(into(read)));
    EXPECT_TRUE(taken) << taken.error().message;
    const auto known = run(io_, store.finished(into(over)));
    EXPECT_TRUE(known) << known.error().message;
    return read;
  }
  Result<> finish(RunLogStore& store, const std::string& id,
                  std::vector<api::RunLogEntry> entries) {
    auto left = std::make_shared<std::deque<api::RunLogEntry>>(entries.begin(), entries.end());
    controller::Journal::Next next =
        [left]() -> asio::awaitable<Result<std::optional<api::RunLogEntry>>> {
      std::optional<api::RunLogEntry> entry;
      if (!left->empty()) {
        entry = std::move(left->front());
        left->pop_front();
      }
      co_return entry;
    };
    return run(io_, store.finish(id, std::move(next)));
  }
  bool create(RunLogStore& store, const std::string& id) {
    const auto made = run(io_, store.create(head_of(id)));
    EXPECT_TRUE(made) << made.error().message;
    return made.has_value();
  }
  std::uint64_t acked(RunLogStore& store, std::uint64_t highest, milliseconds wait) {
    return run(io_, store.acked("n1", "a", highest, clock_.steady() + wait));
  }
  static std::set<std::uint64_t> numbers(const std::vector<api::RunLogEntry>& entries) {
    std::set<std::uint64_t> out;
    for (const auto& entry : entries)
      for (const auto& logged : entry.batches) {
        out.insert(logged.number);
        EXPECT_EQ(logged.batch.gaps.at(0).reason, "number " + std::to_string(logged.number));
      }
    return out;
  }
  std::string objects(const std::string& kind = "") const {
    std::vector<std::string> words{
        "-n",      space_, "get",
        "runlogs", "-o",   "jsonpath={range .items[*]}{.metadata.name}{\"\\n\"}{end}"};
    if (!kind.empty()) words.insert(words.end(), {"-l", "faultline.dev/run-log=" + kind});
    return control_plane().kubectl(words);
  }

  asio::io_context io_{1};
  SystemClock clock_;
  std::string space_;
  std::map<std::string, std::string> displaced_;
};

TEST_F(RunLog, TheNextControllerHasAllThatWasAcknowledged) {
  auto first = store("first");
  EXPECT_TRUE(take_over(*first).empty());
  ASSERT_TRUE(create(*first, "slow-20261126T101502Z"));
  for (std::uint64_t i = 1; i <= 60; i += 3)
    first->append("n1", "a",
                  {batch(i, "slow-20261126T101502Z"), batch(i + 1, "slow-20261126T101502Z"),
                   batch(i + 2, "slow-20261126T101502Z")},
                  clock_.utc());
  EXPECT_EQ(acked(*first, 60, seconds(10)), 60U);
  EXPECT_TRUE(
      run(io_, first->update(head_of("slow-20261126T101502Z", api::RunState::Injecting), {})));
  EXPECT_THAT(objects("open"), HasSubstr("slow-20261126t101502z-000001\n"));
  first.reset();  // as by kill -9: nothing is told

  auto second = store("second");
  const auto entries = take_over(*second);
  ASSERT_FALSE(entries.empty());
  ASSERT_TRUE(entries.front().head);
  EXPECT_EQ(entries.front().head->requestedBy, "jane");
  EXPECT_EQ(numbers(entries).size(), 60U);
  api::RunState newest{};
  for (const auto& entry : entries)
    if (entry.head) newest = entry.head->state;
  EXPECT_EQ(newest, api::RunState::Injecting);
}

TEST_F(RunLog, OneThatWasReplacedIsToldWithItsNextEntryAndWritesNothing) {
  auto old = store("old");
  take_over(*old);
  ASSERT_TRUE(create(*old, "slow-1"));
  auto next = store("next");
  take_over(*next);
  old->append("n1", "a", {batch(1, "slow-1")}, clock_.utc());
  EXPECT_TRUE(run_until(
      io_, [&] { return displaced_.contains("old"); }, seconds(10)));
  EXPECT_EQ(acked(*old, 1, milliseconds(10)), 0U) << "the agent keeps it";
  EXPECT_FALSE(displaced_.contains("next"));
  next->append("n1", "a", {batch(1, "slow-1")}, clock_.utc());
  EXPECT_EQ(acked(*next, 1, seconds(5)), 1U);
  auto third = store("third");
  EXPECT_EQ(numbers(take_over(*third)).size(), 1U);
}

TEST_F(RunLog, WhileTheApiServerIsAwayNothingIsAcknowledgedAndNothingIsLost) {
  auto only = store("only");
  take_over(*only);
  ASSERT_TRUE(create(*only, "slow-1"));
  only->append("n1", "a", {batch(1, "slow-1")}, clock_.utc());
  ASSERT_EQ(acked(*only, 1, seconds(5)), 1U);
  control_plane().pause_api_server(true);
  only->append("n1", "a", {batch(2, "slow-1"), batch(3, "slow-1")}, clock_.utc());
  EXPECT_EQ(acked(*only, 3, milliseconds(500)), 1U);
  // Long enough for the request to be given up, so that it may have been written twice.
  run_until(
      io_, [&] { return !only->state().error.empty(); }, seconds(8));
  EXPECT_FALSE(only->state().error.empty());
  control_plane().pause_api_server(false);
  EXPECT_EQ(acked(*only, 3, seconds(20)), 3U);
  EXPECT_TRUE(displaced_.empty()) << displaced_["only"];
  EXPECT_EQ(only->state().error, "");
  auto next = store("next");
  EXPECT_EQ(numbers(take_over(*next)).size(), 3U);
}

TEST_F(RunLog, ARunThatIsOverBecomesAFewPartsAndLateNewsMakeThemAnew) {
  auto first = store("first");
  take_over(*first);
  ASSERT_TRUE(create(*first, "slow-1"));
  std::vector<api::RunLogEntry> whole(2);
  whole[0].head = head_of("slow-1", api::RunState::Completed);
  for (std::uint64_t i = 1; i <= 8; ++i) {
    first->append("n1", "a", {batch(i, "slow-1")}, clock_.utc());
    EXPECT_EQ(acked(*first, i, seconds(5)), i);
    whole[i / 5].batches.push_back({"n1", "a", i, batch(i, "slow-1").batch});
  }
  ASSERT_TRUE(finish(*first, "slow-1", whole));
  EXPECT_EQ(objects(), "slow-1-f1-1\nslow-1-f1-2");
  // Late: acknowledged when it is written.
  first->append("n1", "a", {batch(9, "slow-1")}, clock_.utc());
  EXPECT_EQ(acked(*first, 9, milliseconds(200)), 8U);
  whole[1].batches.push_back({"n1", "a", 9, batch(9, "slow-1").batch});
  ASSERT_TRUE(finish(*first, "slow-1", whole));
  EXPECT_EQ(acked(*first, 9, seconds(1)), 9U);
  EXPECT_EQ(objects(), "slow-1-f2-1\nslow-1-f2-2");

  auto next = store("next");
  EXPECT_TRUE(take_over(*next).empty());
  std::vector<api::RunLogEntry> read;
  ASSERT_TRUE(run(io_, next->finished(into(read))));
  EXPECT_EQ(numbers(read).size(), 9U);
  ASSERT_TRUE(run(io_, next->remove("slow-1")));
  EXPECT_EQ(objects(), "");
}

TEST_F(RunLog, AnEntryThatIsMissingIsAGapAndForeignObjectsAreLeftAlone) {
  auto first = store("first");
  take_over(*first);
  ASSERT_TRUE(create(*first, "slow-1"));
  for (std::uint64_t i = 1; i <= 3; ++i) {
    first->append("n1", "a", {batch(i, "slow-1")}, clock_.utc());
    ASSERT_EQ(acked(*first, i, seconds(5)), i);
  }
  first.reset();
  control_plane().kubectl({"-n", space_, "delete", "runlog", "slow-1-000003"});
  control_plane().create(
      "apiVersion: faultline.dev/v1alpha1\nkind: RunLog\nmetadata: {name: strange, namespace: " +
      space_ +
      ", labels: {faultline.dev/run-log: open}}\n"
      "spec: {run: other, number: 1, writer: me, data: nonsense}\n");
  auto next = store("next");
  const auto entries = take_over(*next);
  EXPECT_EQ(numbers(entries), (std::set<std::uint64_t>{1, 3}));
  ASSERT_TRUE(entries.front().head);
  ASSERT_TRUE(entries.back().head) << "the newest head, with what is missing";
  ASSERT_EQ(entries.back().head->gaps.size(), 1U);
  EXPECT_THAT(entries.back().head->gaps[0].reason,
              HasSubstr("entry of the log of the run is missing"));
  EXPECT_THAT(objects(), HasSubstr("strange"));
}

}  // namespace
}  // namespace faultline::kube
