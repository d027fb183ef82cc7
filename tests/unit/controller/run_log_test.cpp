// SPDX-License-Identifier: Apache-2.0
// The journal against a fake API server that keeps objects, and refuses what the test says; a fake
// because a real etcd cannot be told when to refuse. tests/cluster/kube has the real one.
#include <gmock/gmock.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <deque>
#include <random>

#include "controller/kubernetes/run_log_fit.h"
#include "controller/kubernetes/run_log_object.h"
#include "controller/kubernetes/run_log_store.h"
#include "fixtures.h"
#include "http/target.h"
#include "tests/unit/kube/fake_api.h"
#include "tests/unit/kube/loop.h"

namespace faultline::controller::test {
namespace {

namespace asio = boost::asio;
using api::RunState;
using kube::FakeApi;
using kube::run;
using kube::run_until;
using testing::HasSubstr;

// Objects by name, as an API server keeps them.
class Objects {
 public:
  std::string answer(const std::string& request) {
    const std::lock_guard lock(mutex_);
    const std::string method = request.substr(0, request.find(' '));
    std::string target = request.substr(method.size() + 1);
    target.erase(target.find(' '));
    const std::string body = request.substr(request.find("\r\n\r\n") + 4);
    const auto mark = target.find('?');
    const std::string name = target.substr(0, mark).substr(target.find("/runlogs") + 8);
    if (method == "POST") {
      const auto object = boost::json::parse(body);
      const std::string made(object.at("metadata").at("name").as_string());
      if (!away_.empty() && made.starts_with(away_)) return status(503, "ServiceUnavailable", "");
      if (body.size() > most_)
        return status(500, "InternalError", "etcdserver: request is too large");
      if (objects_.contains(made)) return status(409, "AlreadyExists", made);
      objects_[made] = object;
      return FakeApi::answer(201, body);
    }
    if (name.empty()) {
      const bool open = target.find("open") != target.npos;
      boost::json::array items;
      for (const auto& [key, object] : objects_)
        if (object.at("metadata").at("labels").at(kLogLabel).as_string() ==
            (open ? kLogOpen : kLogFinished))
          items.push_back(object);
      return FakeApi::answer(
          200, boost::json::serialize(boost::json::object{{"metadata", boost::json::object{}},
                                                          {"items", std::move(items)}}));
    }
    const auto known = objects_.find(name.substr(1));
    if (known == objects_.end()) return status(404, "NotFound", name);
    const std::string text = boost::json::serialize(known->second);
    if (method == "DELETE") objects_.erase(known);
    return FakeApi::answer(200, text);
  }
  void refuse_beyond(std::size_t most) { set(most_, most); }
  // Creating objects whose name begins so fails; empty: none.
  void away(const std::string& prefix) { set(away_, prefix); }
  void remove(const std::string& name) {
    const std::lock_guard lock(mutex_);
    objects_.erase(name);
  }
  [[nodiscard]] std::vector<std::string> names() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const auto& [name, object] : objects_) out.push_back(name);
    return out;
  }

 private:
  template <class T>
  void set(T& value, T now) {
    const std::lock_guard lock(mutex_);
    value = std::move(now);
  }
  static std::string status(int code, const std::string& reason, const std::string& message) {
    return FakeApi::answer(code, boost::json::serialize(boost::json::object{{"kind", "Status"},
                                                                            {"status", "Failure"},
                                                                            {"code", code},
                                                                            {"reason", reason},
                                                                            {"message", message}}));
  }

  mutable std::mutex mutex_;
  std::map<std::string, boost::json::value> objects_;
  std::size_t most_ = 3 << 19;  // 1.5 MiB
  std::string away_;
};

api::RunRecord head_of(const std::string& run, RunState state = RunState::Pending) {
  api::RunRecord head{.run = run, .experiment = experiment(), .requestedBy = "jane"};
  head.state = state;
  head.history = {{RunState::Pending, {UtcTime(seconds(1795428902))}, ""}};
  return head;
}

// Text that zlib cannot make smaller.
std::string noise(std::size_t size) {
  static std::mt19937 random(1);
  std::string text(size, ' ');
  for (char& c : text)
    c = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[random() % 64];
  return text;
}

api::NumberedBatch batch(std::uint64_t number, const std::string& run, std::size_t size = 10) {
  api::NumberedBatch numbered{.number = number, .batch = {.run = run}};
  numbered.batch.windows = {{.pod = pod("shop", "web-0"),
                             .from = {UtcTime(seconds(1795428902))},
                             .to = {UtcTime(seconds(1795428903))}}};
  // About `size` bytes that do not compress, in labels as long as a message may have them.
  for (std::size_t left = size; left > 0;) {
    api::EffectSample& sample = numbered.batch.windows[0].samples.emplace_back();
    sample.metric = "noise";
    for (int i = 0; i < 30 && left > 0; ++i) {
      const std::size_t part = std::min<std::size_t>(left, 250);
      sample.labels["k" + std::to_string(i)] = noise(part);
      left -= part;
    }
  }
  numbered.batch.events = {event(api::RunEventKind::armed)};
  return numbered;
}

struct Read {
  std::map<std::string, std::vector<api::RunLogEntry>> runs;
  [[nodiscard]] std::set<std::uint64_t> numbers(const std::string& run) const {
    std::set<std::uint64_t> out;
    for (const auto& entry : runs.contains(run) ? runs.at(run) : std::vector<api::RunLogEntry>{})
      for (const auto& logged : entry.batches) out.insert(logged.number);
    return out;
  }
  [[nodiscard]] RunState state(const std::string& run) const {
    RunState state = RunState::Pending;
    for (const auto& entry : runs.at(run))
      if (entry.head) state = entry.head->state;
    return state;
  }
  [[nodiscard]] std::vector<std::string> gaps(const std::string& run) const {
    std::vector<std::string> out;
    for (const auto& entry : runs.at(run)) {
      if (entry.head) {
        out.clear();  // the newest head has all
        for (const api::Gap& gap : entry.head->gaps) out.push_back(gap.reason);
      }
    }
    for (const auto& entry : runs.at(run))
      for (const auto& logged : entry.batches)
        for (const api::Gap& gap : logged.batch.gaps) out.push_back(gap.reason);
    return out;
  }
};

class RunLogTest : public testing::Test {
 protected:
  std::unique_ptr<RunLogStore> store(const std::string& writer) {
    RunLogOptions options{.ns = "faultline", .writer = writer, .every = milliseconds(20)};
    options.most_waiting = 8 << 20;
    options.most_waiting_of_run = 4 << 20;
    options.displaced = [this, writer](const std::string& why) { displaced_[writer] = why; };
    return std::make_unique<RunLogStore>(io_.get_executor(), api_.config(), clock_,
                                         std::move(options));
  }
  Journal::Give into(Read& read) {
    return [&read, run = std::make_shared<std::string>()](
               api::RunLogEntry entry) -> boost::asio::awaitable<Result<>> {
      if (entry.head) *run = entry.head->run;
      read.runs[entry.batches.empty() ? *run : entry.batches[0].batch.run].push_back(
          std::move(entry));
      co_return Result<>{};
    };
  }
  Read take_over(RunLogStore& store, bool and_finished = true) {
    Read read;
    const auto taken = run(io_, store.take_over(into(read)));
    EXPECT_TRUE(taken) << taken.error().message;
    if (and_finished) (void)finished(store);
    return read;
  }
  Read finished(RunLogStore& store) {
    Read read;
    const auto known = run(io_, store.finished(into(read)));
    EXPECT_TRUE(known) << known.error().message;
    return read;
  }
  bool create(RunLogStore& store, const std::string& id) {
    const auto made = run(io_, store.create(head_of(id)));
    EXPECT_TRUE(made) << made.error().message;
    return made.has_value();
  }
  Result<> finish(RunLogStore& store, std::vector<api::RunLogEntry> entries) {
    const std::string id = entries.front().head->run;
    auto left = std::make_shared<std::deque<api::RunLogEntry>>(entries.begin(), entries.end());
    Journal::Next next =
        [left]() -> boost::asio::awaitable<Result<std::optional<api::RunLogEntry>>> {
      std::optional<api::RunLogEntry> entry;
      if (!left->empty()) {
        entry = std::move(left->front());
        left->pop_front();
      }
      co_return entry;
    };
    return run(io_, store.finish(id, std::move(next)));
  }
  void append(RunLogStore& store, std::uint64_t number, const std::string& id,
              std::size_t size = 10, const std::string& instance = "a") {
    store.append("n1", instance, {batch(number, id, size)}, clock_.utc());
  }
  std::uint64_t acked(RunLogStore& store, std::uint64_t highest, seconds wait = seconds(10),
                      const std::string& instance = "a") {
    return run(io_, store.acked("n1", instance, highest, clock_.steady() + wait));
  }

  boost::asio::io_context io_{1};
  SystemClock clock_;
  Objects objects_;
  FakeApi api_{[this](const std::string& request, int) { return objects_.answer(request); }};
  std::map<std::string, std::string> displaced_;
};

TEST_F(RunLogTest, ABatchThatCanNeverBeWrittenIsAGapOfItsRunAndHoldsUpNothing) {
  auto first = store("first");
  take_over(*first);
  ASSERT_TRUE(create(*first, "slow-1"));
  ASSERT_TRUE(create(*first, "fast-1"));
  append(*first, 1, "slow-1", 2'500'000);
  append(*first, 1, "fast-1", 10, "b");
  EXPECT_EQ(acked(*first, 1, seconds(10), "b"), 1U);
  EXPECT_EQ(acked(*first, 1), 1U) << "the agent need not keep what nobody will take";
  append(*first, 2, "slow-1");
  EXPECT_EQ(acked(*first, 2), 2U);
  EXPECT_EQ(first->state().left_out, 1U);
  EXPECT_TRUE(first->state().error.empty()) << first->state().error;
  EXPECT_EQ(first->state().waiting.count(), 0);
  auto second = store("second");
  const Read read = take_over(*second);
  EXPECT_EQ(read.numbers("slow-1"), (std::set<std::uint64_t>{1, 2}));
  EXPECT_THAT(read.gaps("slow-1").at(0), HasSubstr("larger than the journal takes"));
  EXPECT_EQ(read.numbers("fast-1"), (std::set<std::uint64_t>{1}));
}

TEST_F(RunLogTest, WhatAnApiServerFindsTooLargeIsSplit) {
  objects_.refuse_beyond(150'000);  // less than we expect of etcd
  auto first = store("first");
  take_over(*first);
  ASSERT_TRUE(create(*first, "slow-1"));
  for (std::uint64_t i = 1; i <= 8; ++i) append(*first, i, "slow-1", 60'000);
  EXPECT_EQ(acked(*first, 8), 8U);
  EXPECT_EQ(first->state().left_out, 0U);
  auto second = store("second");
  EXPECT_EQ(take_over(*second).numbers("slow-1").size(), 8U);
}

TEST_F(RunLogTest, ARunWhoseEntriesAreNotTakenHoldsUpNoOther) {
  auto first = store("first");
  take_over(*first);
  ASSERT_TRUE(create(*first, "slow-1"));
  ASSERT_TRUE(create(*first, "fast-1"));
  objects_.away("slow-1");
  append(*first, 1, "slow-1");
  append(*first, 1, "fast-1", 10, "b");
  EXPECT_EQ(acked(*first, 1, seconds(10), "b"), 1U);
  EXPECT_EQ(acked(*first, 1, seconds(1)), 0U);
  EXPECT_GT(first->state().waiting, milliseconds(900));
  objects_.away("");
  EXPECT_EQ(acked(*first, 1), 1U);
  EXPECT_EQ(first->state().waiting.count(), 0);
}

TEST_F(RunLogTest, WhatWaitsForAnApiServerIsBounded) {
  auto first = store("first");
  take_over(*first);
  ASSERT_TRUE(create(*first, "slow-1"));
  objects_.away("slow");
  for (std::uint64_t i = 1; i <= 40; ++i) append(*first, i, "slow-1", 500'000);
  EXPECT_LE(first->state().waiting_bytes, 4U << 20);
  EXPECT_GT(first->state().left_out, 20U);
  objects_.away("");
  EXPECT_EQ(acked(*first, 40), 40U);
  EXPECT_EQ(first->state().waiting_bytes, 0U);
  EXPECT_TRUE(run(io_, first->update(head_of("slow-1", RunState::Injecting), {})));
  auto second = store("second");
  EXPECT_THAT(take_over(*second).gaps("slow-1").at(0), HasSubstr("too much waits"));
}

TEST_F(RunLogTest, ALateWriteOfAReplacedControllerDoesNotChangeAFinishedRun) {
  auto first = store("first");
  take_over(*first);
  ASSERT_TRUE(create(*first, "slow-1"));
  // It stands still; another one takes over, and the run comes to its end there.
  auto second = store("second");
  take_over(*second);
  ASSERT_TRUE(run(io_, second->update(head_of("slow-1", RunState::Completed), {})));
  std::vector<api::RunLogEntry> whole(1);
  whole[0].head = head_of("slow-1", RunState::Completed);
  ASSERT_TRUE(finish(*second, whole));
  // The first one goes on, and writes what it believes.
  boost::asio::co_spawn(io_, first->update(head_of("slow-1", RunState::Aborted), {}),
                        [](const std::exception_ptr&, bool) {});
  EXPECT_TRUE(run_until(
      io_, [&] { return displaced_.contains("first"); }, seconds(5)));
  EXPECT_FALSE(displaced_.contains("second"));
  auto third = store("third");
  EXPECT_TRUE(take_over(*third, false).runs.empty()) << "nothing goes on";
  EXPECT_EQ(finished(*third).state("slow-1"), RunState::Completed);
  ASSERT_TRUE(run(io_, third->remove("slow-1")));
  EXPECT_TRUE(objects_.names().empty()) << "with its fence";
}

TEST_F(RunLogTest, ATakeOverThatIsTriedAgainHasOneFence) {
  auto first = store("first");
  take_over(*first);
  ASSERT_TRUE(create(*first, "slow-1"));
  auto second = store("second");
  Journal::Give full = [](api::RunLogEntry) -> asio::awaitable<Result<>> {
    co_return fail(Errc::kUnavailable, "no room");
  };
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(run(io_, second->take_over(full)));
  EXPECT_EQ(take_over(*second).runs.size(), 1U);
  EXPECT_EQ(objects_.names(), (std::vector<std::string>{"slow-1-000001", "slow-1-000002"}));
  append(*second, 1, "slow-1");
  EXPECT_EQ(acked(*second, 1), 1U);
}

TEST_F(RunLogTest, EntriesWithoutABeginningAreNoRun) {
  auto first = store("first");
  take_over(*first);
  ASSERT_TRUE(create(*first, "slow-1"));
  ASSERT_TRUE(run(io_, first->update(head_of("slow-1", RunState::Aborted), {})));
  objects_.remove("slow-1-000001");
  auto second = store("second");
  EXPECT_TRUE(take_over(*second).runs.empty());
}

TEST_F(RunLogTest, WhoPutsTogetherWhatAnotherOneDoesIsReplaced) {
  auto first = store("first"), second = store("second");
  take_over(*first);
  ASSERT_TRUE(create(*first, "slow-1"));
  take_over(*second);
  std::vector<api::RunLogEntry> whole(1);
  whole[0].head = head_of("slow-1", RunState::Completed);
  ASSERT_TRUE(finish(*second, whole));
  whole[0].head = head_of("slow-1", RunState::Aborted);
  EXPECT_FALSE(finish(*first, whole));
  EXPECT_TRUE(displaced_.contains("first")) << "and does not try with another number";
  auto third = store("third");
  take_over(*third, false);
  EXPECT_EQ(finished(*third).state("slow-1"), RunState::Completed);
}

TEST_F(RunLogTest, AFinishedRunOfManyPartsComesBackAndLateNewsMakeItAnew) {
  auto first = store("first");
  take_over(*first);
  ASSERT_TRUE(create(*first, "slow-1"));
  std::vector<api::RunLogEntry> whole(3);
  whole[0].head = head_of("slow-1", RunState::Completed);
  for (std::uint64_t i = 1; i <= 9; ++i)
    whole[(i - 1) / 3].batches.push_back({"n1", "a", i, batch(i, "slow-1", 300'000).batch});
  ASSERT_TRUE(finish(*first, whole));
  EXPECT_EQ(objects_.names().front(), "slow-1-f1-1");
  const std::size_t parts = objects_.names().size();
  EXPECT_GE(parts, 3U);
  append(*first, 10, "slow-1");
  EXPECT_EQ(acked(*first, 10, seconds(1)), 9U);
  whole[2].batches.push_back({"n1", "a", 10, batch(10, "slow-1").batch});
  ASSERT_TRUE(finish(*first, whole));
  EXPECT_EQ(acked(*first, 10), 10U);
  auto second = store("second");
  EXPECT_TRUE(take_over(*second, false).runs.empty());
  EXPECT_EQ(finish(*second, whole).error().code, Errc::kUnavailable)
      << "what is there is not known yet";
  const Read read = finished(*second);
  EXPECT_EQ(read.numbers("slow-1").size(), 10U);
  EXPECT_EQ(read.state("slow-1"), RunState::Completed);
}

TEST(RunLogFit, EachPieceIsAsSmallAsAskedAndNothingThatFitsIsLost) {
  api::RunLogEntry entry;
  entry.head = head_of("slow-1");
  for (std::uint64_t i = 1; i <= 30; ++i)
    entry.batches.push_back({"n1", "a", i, batch(i, "slow-1", i == 7 ? 90'000 : 5'000).batch});
  const Fitted fitted = fit(entry, 40'000);
  EXPECT_EQ(fitted.left_out, 1U);
  LogReader reader("slow-1");
  std::set<std::uint64_t> numbers;
  std::uint64_t number = 0;
  for (const std::string& data : fitted.data) {
    EXPECT_LE(data.size(), 40'000U);
    const auto read = reader.take(++number, data);
    ASSERT_TRUE(read);
    for (const auto& logged : read->batches) {
      numbers.insert(logged.number);
      EXPECT_EQ(logged.batch.windows.empty(), logged.number == 7);
      EXPECT_EQ(logged.batch.events.size(), 1U) << "that it was armed is kept";
    }
  }
  EXPECT_EQ(numbers.size(), 30U);
  EXPECT_FALSE(reader.end());
}

}  // namespace
}  // namespace faultline::controller::test
