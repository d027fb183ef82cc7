// SPDX-License-Identifier: Apache-2.0
// What an agent may write (t_forge), by the engine; and what random messages behind a valid sync do
// to it.
#include "controller/engine/write_guard.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <random>

#include "fixtures.h"

namespace faultline::controller::test {
namespace {

using api::RunEventKind;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Writes : public testing::Test {
 protected:
  Writes() : engine_({.first_revision = 1000, .random = [] { return 6; }}) {
    connect("n1", {pod("shop", "payments-1", "", {{"app", "payments"}}),
                   pod("shop", "idle-1", "", {{"app", "idle"}})});
    connect("n2", {pod("shop", "payments-2", "", {{"app", "payments"}})});
    connect("evil", {pod("other", "x", "", {{"app", "other"}})});
    auto head = engine_.prepare(experiment("  limits: {maxPercent: 100, allReadyPods: true}\n"),
                                "person", clock_.now());
    EXPECT_TRUE(head) << head.error().message;
    run_ = head->run;
    engine_.begin(run_, clock_.now());
  }

  void connect(const std::string& node, std::vector<api::PodRef> pods) {
    api::SyncRequest request{.instance = "a"};
    request.info = node_info(node);
    request.pods = std::move(pods);
    ASSERT_TRUE(engine_.hello(node, request, clock_.now()));
  }
  // What is left of a batch that the node sends; it is applied.
  api::RunBatch send(const std::string& node, api::RunBatch batch, Refused* refused = nullptr) {
    batch.run = batch.run.empty() ? run_ : batch.run;
    std::vector<api::NumberedBatch> batches{{++number_, std::move(batch)}};
    engine_.correct(node, batches[0].batch, clock_.now());
    engine_.answered(node, "a", clock_.now());  // the run knows which agent that is
    const Refused out = engine_.admit(node, batches, clock_.now());
    if (refused != nullptr) *refused = out;
    engine_.apply(node, "a", batches, clock_.now());
    return batches[0].batch;
  }
  [[nodiscard]] api::InjectionStatus status(const std::string& pod_name = "payments-1") const {
    api::InjectionStatus status = injection(pod("shop", pod_name, ""), 10, 5);
    status.armedAt = {clock_.now().utc};
    return status;
  }
  [[nodiscard]] api::EffectWindow window(const std::string& pod_name = "payments-1") const {
    return {.pod = pod("shop", pod_name, ""),
            .from = {clock_.now().utc - seconds(1)},
            .to = {clock_.now().utc},
            .samples = {{.metric = "net.packets", .value = 3}}};
  }
  api::RunBatch with(api::InjectionStatus status) {
    api::RunBatch batch;
    batch.injections = {std::move(status)};
    return batch;
  }
  [[nodiscard]] const api::RunRecord& head() const { return engine_.find(run_)->head(); }

  HandClock clock_;
  Engine engine_;
  std::string run_;
  std::uint64_t number_ = 0;
};

TEST_F(Writes, WhatAnAgentMeasuredOfItsOwnPodsIsTaken) {
  api::RunBatch batch = with(status());
  batch.windows = {window(), window("idle-1")};
  batch.windows[1].role = api::PodRole::control;
  batch.gaps = {{"", "shop/payments-1", "", {clock_.now().utc}, {clock_.now().utc}, "restart"}};
  batch.events = {event(RunEventKind::measuring, clock_.now().utc)};
  Refused refused;
  const api::RunBatch kept = send("n1", batch, &refused);
  EXPECT_EQ(refused.entries, 0U) << refused.why;
  EXPECT_THAT(kept.injections, SizeIs(1));
  EXPECT_THAT(kept.windows, SizeIs(2));
  EXPECT_THAT(kept.gaps, SizeIs(1));
  EXPECT_THAT(kept.events, SizeIs(1));
}

TEST_F(Writes, ANodeThatHasNoPartInARunWritesNothingIntoItAndLeavesNoTrace) {
  api::RunBatch batch = with(status());
  batch.gaps = {{"n1", "shop/payments-1", "", {clock_.now().utc}, {clock_.now().utc}, "FORGED"}};
  batch.events = {event(RunEventKind::closed, clock_.now().utc)};
  batch.events[0].residue = {"bpf program 66 FORGED"};
  Refused refused;
  const api::RunBatch kept = send("evil", batch, &refused);
  EXPECT_EQ(kept.run, "") << "no store has such a run";
  EXPECT_TRUE(kept.injections.empty() && kept.gaps.empty() && kept.events.empty());
  EXPECT_EQ(refused.entries, 3U);
  EXPECT_THAT(refused.why, HasSubstr("no part in this run"));
  EXPECT_THAT(head().gaps, IsEmpty()) << "else it would write gaps of others all the same";
  EXPECT_THAT(engine_.find(run_)->summary(clock_.now()).injections, IsEmpty());
}

TEST_F(Writes, OfAnotherNodesPodNothingIsTakenAndOneGapSaysHowMuch) {
  for (int i = 0; i < 5; ++i) {
    api::RunBatch batch = with(status("payments-2"));
    batch.windows = {window("payments-2")};
    batch.events = {event(RunEventKind::pod_gone, clock_.now().utc)};
    batch.events[0].pod = "shop/payments-2";
    const api::RunBatch kept = send("n1", batch);
    EXPECT_TRUE(kept.injections.empty() && kept.windows.empty() && kept.events.empty());
  }
  ASSERT_THAT(head().gaps, SizeIs(1));
  EXPECT_EQ(head().gaps[0].node, "n1");
  EXPECT_EQ(head().gaps[0].reason,
            "at least 12 entries that the agent sent could not be taken: a pod that is no target "
            "of this run on this node")
      << "15 of them: each doubling is told";
}

TEST_F(Writes, WhatCannotBeIsNotTaken) {
  using Change = std::function<void(api::RunBatch&)>;
  const UtcTime now = clock_.now().utc;
  const std::vector<std::pair<const char*, Change>> table = {
      {"a fault that it does not have", [](auto& b) { b.injections[0].index = 1; }},
      {"a negative index", [](auto& b) { b.injections[0].index = -1; }},
      {"another name of the fault", [](auto& b) { b.injections[0].fault = "networkLoss"; }},
      {"a count beyond all counts", [](auto& b) { b.injections[0].matched = ~std::uint64_t{0}; }},
      {"a count of a call",
       [](auto& b) {
         b.injections[0].byCall["read"] = {1ull << 60, 0};
       }},
      {"a status of the far future",
       [&](auto& b) { b.injections[0].lastInjectedAt = {now + std::chrono::hours(48)}; }},
      {"a status of long ago", [&](auto& b) { b.injections[0].armedAt = {UtcTime(seconds(5))}; }},
      {"a window of the far future", [&](auto& b) { b.windows[0].to = {UtcTime::max()}; }},
      {"a window that ends before it begins",
       [&](auto& b) { b.windows[0].to = {now - seconds(9)}; }},
      {"a window without times", [](auto& b) { b.windows[0].from = {}; }},
      {"a window of a role that the pod has not",
       [](auto& b) { b.windows[0].role = api::PodRole::observed; }},
      {"no number",
       [](auto& b) { b.windows[0].samples[0].value = std::numeric_limits<double>::infinity(); }},
      {"a long metric", [](auto& b) { b.windows[0].samples[0].metric.assign(5000, 'x'); }},
      {"a long reason", [](auto& b) { b.injections[0].reason.assign(5000, 'x'); }},
      {"many samples", [](auto& b) { b.windows[0].samples.resize(20'001); }},
  };
  for (const auto& [what, change] : table) {
    api::RunBatch batch = with(status());
    batch.windows = {window()};
    change(batch);
    Refused refused;
    send("n1", batch, &refused);
    EXPECT_EQ(refused.entries, 1U) << what;
  }
}

TEST_F(Writes, ABudgetBoundsWhatANodeWritesAndWhatMovesTheRunStillPasses) {
  api::RunBatch large;
  for (int i = 0; i < 100; ++i) {
    large.windows.push_back(window());
    large.windows.back().samples.assign(100, {.metric = std::string(100, 'm')});
  }
  std::size_t taken = 0;
  Refused refused;
  for (int i = 0; i < 50; ++i) taken += send("n1", large, &refused).windows.size();
  EXPECT_GT(taken, 500U);
  EXPECT_LT(taken, 1000U) << "16 MiB";
  EXPECT_THAT(refused.why, HasSubstr("more than a node may in a run"));
  api::RunBatch said;
  said.events = {event(RunEventKind::measuring, clock_.now().utc)};
  EXPECT_THAT(send("n1", said).events, SizeIs(1));
  clock_.after(seconds(60));
  EXPECT_THAT(send("n1", large).windows, SizeIs(100)) << "time gives more";

  api::RunBatch remarks;
  remarks.gaps.assign(1000, {"", "", "", {clock_.now().utc}, {clock_.now().utc}, "again"});
  for (int i = 0; i < 6; ++i) send("n1", remarks, &refused);
  EXPECT_EQ(refused.entries, 1000U);
  EXPECT_THAT(send("n1", said).events, SizeIs(1));
}

TEST_F(Writes, AfterTheEndOnlyWhatIsLateByAMomentAndOnlyOfItsNodes) {
  send("n1", with(status()));
  ASSERT_TRUE(engine_.stop(run_, "stopped", Recovery::kNone, clock_.now()));
  for (const char* node : {"n1", "n2"}) {
    api::RunBatch closed;
    closed.events = {event(RunEventKind::closed, clock_.now().utc)};
    send(node, closed);
  }
  ASSERT_TRUE(engine_.find(run_)->over());
  engine_.saved(run_, engine_.find(run_)->head_version());
  ASSERT_EQ(engine_.find(run_), nullptr);
  engine_.tick(clock_.now());
  api::RunBatch late;
  late.windows = {window()};
  EXPECT_EQ(send("n1", late).run, run_);
  EXPECT_EQ(send("evil", late).run, "");
  engine_.tick(clock_.after(std::chrono::minutes(3)));
  EXPECT_EQ(send("n1", late).run, "") << "what was told is not rewritten";
  late.run = "slow-20200101T000000Z";
  EXPECT_EQ(send("n1", late).run, "");
}

TEST_F(Writes, ANumberThatNoAgentCountsToIsNotAcknowledged) {
  std::vector<api::NumberedBatch> batches{{~std::uint64_t{0}, with(status())}};
  engine_.admit("n1", batches, clock_.now());
  EXPECT_THAT(batches, IsEmpty());
}

// ---- random messages behind a valid sync

// One byte, one number, one piece of text, or one part of the message is another.
std::string mutated(std::string text, std::mt19937_64& random) {
  const auto below = [&](std::size_t n) { return random() % std::max<std::size_t>(n, 1); };
  static const std::vector<std::string> kPieces = {"0",
                                                   "-1",
                                                   "18446744073709551615",
                                                   "9223372036854775808",
                                                   "1e308",
                                                   "-1e308",
                                                   "1e-320",
                                                   "null",
                                                   "true",
                                                   "[]",
                                                   "{}",
                                                   "\"\"",
                                                   "\"1677-09-21T00:12:44Z\"",
                                                   "\"2262-04-11T23:47:16.854775807Z\"",
                                                   "\"1970-01-01T00:00:00Z\"",
                                                   "\"shop/payments-1\"",
                                                   "\"evil\"",
                                                   "[[4294967295,1]]",
                                                   "\"\\u0000\""};
  for (std::size_t n = 1 + below(4); n > 0; --n) {
    const std::size_t at = below(text.size());
    switch (below(5)) {
      case 0:
        text[at] = static_cast<char>(32 + below(95));
        break;
      case 1: {  // the value after a colon is another
        const std::size_t colon = text.find(':', at);
        if (colon == std::string::npos) break;
        const std::size_t end = text.find_first_of(",}]", colon);
        if (end != std::string::npos)
          text.replace(colon + 1, end - colon - 1, kPieces[below(kPieces.size())]);
        break;
      }
      case 2: {  // a number has other digits
        const std::size_t digit = text.find_first_of("0123456789", at);
        if (digit != std::string::npos) text[digit] = static_cast<char>('0' + below(10));
        break;
      }
      case 3: {  // a part comes twice
        const std::size_t length = below(std::min<std::size_t>(200, text.size() - at));
        text.insert(at, text.substr(at, length));
        break;
      }
      case 4:
        text.erase(at, below(30));
        break;
    }
  }
  return text;
}

TEST_F(Writes, RandomMessagesBehindAValidSyncLeaveTheRunWhole) {
  const char* asked = std::getenv("FAULTLINE_RANDOM_MESSAGES");
  const long messages = asked != nullptr ? std::atol(asked) : 4000;
  api::SyncRequest valid{.instance = "a", .knownRevision = 3, .sentAt = {clock_.now().utc}};
  valid.clockOffset = 0.01;
  valid.clockRoundTrip = 0.001;
  valid.info = node_info("evil");
  valid.pods = {pod("other", "x", "", {{"app", "other"}})};
  api::RunBatch batch = with(status());
  batch.run = run_;
  batch.injections[0].addedLatency.add(0.05, 10);
  batch.injections[0].byErrno = {{"ETIMEDOUT", 3}};
  batch.windows = {window()};
  batch.windows[0].samples[0].histogram.emplace().add(0.002, 20);
  batch.gaps = {{"n1", "", "", {clock_.now().utc}, {clock_.now().utc}, "a gap"}};
  batch.events = {event(RunEventKind::armed, clock_.now().utc)};
  valid.batches = {{7, batch}};
  const std::string text = api::to_json_text(valid);

  std::mt19937_64 random(20261128);
  long read = 0;
  for (long i = 0; i < messages; ++i) {
    auto message = api::from_json_text<api::SyncRequest>(mutated(text, random));
    if (!message) continue;
    ++read;
    // Half of them are of a node of the run, half of one that has no part in it.
    const std::string node = i % 2 == 0 ? "n2" : "evil";
    clock_.after(milliseconds(1));
    if (!engine_.hello(node, *message, clock_.now())) continue;
    for (api::NumberedBatch& numbered : message->batches)
      engine_.correct(node, numbered.batch, clock_.now());
    engine_.admit(node, message->batches, clock_.now());
    for (const api::NumberedBatch& numbered : message->batches) {
      for (const auto& injection : numbered.batch.injections)
        ASSERT_EQ(injection.pod.id(), "shop/payments-2") << i;
      for (const auto& kept : numbered.batch.windows)
        ASSERT_EQ(kept.pod.id(), "shop/payments-2") << i;
      ASSERT_TRUE(node == "n2" || numbered.batch.run.empty()) << i;
    }
    engine_.apply(node, message->instance, message->batches, clock_.now());
    (void)engine_.desired(node, message->instance, clock_.now());
    if (i % 100 == 0) {
      (void)engine_.nodes(clock_.now());
      engine_.tick(clock_.now());
      // The node that tells the truth goes on.
      engine_.answered("n1", "a", clock_.now());
    }
  }
  EXPECT_GT(read, messages / 20) << "else nothing was tried";
  EXPECT_THAT(engine_.find(run_)->summary(clock_.now()).injections.size(), testing::Le(1U));
  EXPECT_LE(head().gaps.size(), 2001U);
  const auto again = api::from_json_text<api::RunRecord>(api::to_json_text(head()));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_THAT(send("n1", with(status())).injections, SizeIs(1)) << "n1 is not hurt";
}

}  // namespace
}  // namespace faultline::controller::test
