// SPDX-License-Identifier: Apache-2.0
// Batches between an agent and a controller that loses answers. The controller here is a double: it
// stores each number once and acknowledges what it stored, as api/sync.h says.
#include <gmock/gmock.h>

#include <map>
#include <random>

#include "agent/link/conversation.h"
#include "link_doubles.h"

namespace faultline::agent::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

api::RunBatch batch(int n, const std::string& run = "r", std::size_t buckets = 0) {
  api::RunBatch b;
  b.run = run;
  api::EffectWindow w;
  w.pod = {"shop", "a", "node-1", {}};
  w.from = {UtcTime{std::chrono::seconds(1000 + n)}};
  w.to = {UtcTime{std::chrono::seconds(1001 + n)}};
  api::EffectSample s;
  s.metric = "net.packets";
  s.value = n;
  if (buckets > 0) {
    s.histogram.emplace();
    for (std::uint32_t i = 0; i < buckets; ++i) s.histogram->buckets[i] = 1;
  }
  w.samples.push_back(std::move(s));
  b.windows.push_back(std::move(w));
  return b;
}

struct StoringController {
  std::map<std::uint64_t, api::RunBatch> stored;
  std::uint64_t acked = 0;
  api::SyncResponse take(const api::SyncRequest& request) {
    for (const auto& b : request.batches)
      if (b.number == acked + 1) {
        stored[b.number] = b.batch;
        acked = b.number;
      }
    api::SyncResponse response;
    response.revision = 1;
    response.ackedBatch = acked;
    return response;
  }
  [[nodiscard]] std::vector<double> values() const {
    std::vector<double> all;
    for (const auto& [number, b] : stored)
      for (const auto& w : b.windows) all.push_back(w.samples[0].value);
    return all;
  }
};

TEST(Outbox, NumbersFromOneAndKeepsUntilAcknowledged) {
  Outbox box;
  box.add(batch(1));
  EXPECT_EQ(box.next(1 << 20)[0].number, 1u);
  box.add(batch(2));
  ASSERT_THAT(box.next(1 << 20), SizeIs(2));
  box.acknowledged(1);
  ASSERT_THAT(box.next(1 << 20), SizeIs(1));
  EXPECT_EQ(box.next(1 << 20)[0].number, 2u);
  box.acknowledged(2);
  EXPECT_TRUE(box.empty());
}

TEST(Outbox, WhatWasNeverSentJoinsAndWhatWasSentStaysAsItWas) {
  Outbox box;
  box.add(batch(1));
  box.add(batch(2));
  auto sent = box.next(1 << 20);
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_THAT(sent[0].batch.windows, SizeIs(2));
  box.add(batch(3));
  EXPECT_THAT(box.next(1 << 20)[0].batch.windows, SizeIs(2));
}

TEST(Outbox, AcknowledgingWhatWasNeverSentLosesNothing) {
  Outbox box;
  box.add(batch(1));
  box.acknowledged(99);
  EXPECT_FALSE(box.empty());
}

TEST(Outbox, OneRequestHoldsABoundedPart) {
  Outbox box;
  for (int i = 0; i < 10; ++i) {
    box.add(batch(i, "r", 1000));
    (void)box.next(1);
    (void)box.next(std::size_t{1} << 30);
  }
  EXPECT_LT(box.next(25'000).size(), 4u);
  EXPECT_GE(box.next(1).size(), 1u);
}

TEST(Outbox, WhenFullTheOldestWindowsBecomeGapsAndAreCounted) {
  Outbox box(30'000);
  for (int i = 0; i < 10; ++i) {
    api::RunBatch b = batch(i, "r", 1000);  // about 10 kB
    b.events.push_back({api::RunEventKind::armed, {}, "", "kept", {}});
    box.add(std::move(b));
    (void)box.next(std::size_t{1} << 30);
  }
  const auto all = box.next(std::size_t{1} << 30);
  ASSERT_THAT(all, SizeIs(10));
  std::size_t windows = 0, gaps = 0;
  for (const auto& b : all) {
    windows += b.batch.windows.size();
    gaps += b.batch.gaps.size();
    EXPECT_THAT(b.batch.events, SizeIs(1));
  }
  EXPECT_EQ(windows + gaps, 10u);
  EXPECT_LT(windows, 3u);
  EXPECT_EQ(box.dropped_windows(), gaps);
  EXPECT_THAT(all[0].batch.windows, IsEmpty());
  EXPECT_THAT(all[9].batch.windows, SizeIs(1));
  EXPECT_EQ(all[0].batch.gaps[0].pod, "shop/a");
  EXPECT_EQ(all[0].batch.gaps[0].from.value, UtcTime{std::chrono::seconds(1000)});
  EXPECT_THAT(all[0].batch.gaps[0].reason, HasSubstr("1 windows dropped"));
}

TEST(Conversation, LosesAndDuplicatesNothingOverDroppedRequestsAndAnswers) {
  std::minstd_rand random(7);
  Conversation talk("i", {});
  StoringController controller;
  std::vector<double> expected;
  for (int i = 0; i < 500; ++i) {
    talk.add({batch(i)});
    expected.push_back(i);
    const auto request = talk.request({}, UtcTime{});
    const auto luck = random() % 10;
    if (luck < 3) continue;                          // the request is lost
    const auto response = controller.take(request);  //
    if (luck < 6) continue;                          // the answer is
    EXPECT_TRUE(talk.answered(request, response, UtcTime{}));
  }
  for (int i = 0; i < 3; ++i) {
    const auto request = talk.request({}, UtcTime{});
    EXPECT_TRUE(talk.answered(request, controller.take(request), UtcTime{}));
  }
  EXPECT_TRUE(talk.outbox().empty());
  EXPECT_EQ(controller.values(), expected);
}

TEST(Conversation, TellsWhatItIsAtFirstAndWhenAsked) {
  api::NodeInfo info;
  info.name = "node-1";
  Conversation talk("i", info);
  talk.pods({pod("a").ref});
  auto request = talk.request({}, UtcTime{});
  ASSERT_TRUE(request.info && request.pods);
  EXPECT_EQ(request.waitSeconds, 0);
  api::SyncResponse response;
  response.revision = 4;
  EXPECT_TRUE(talk.answered(request, response, UtcTime{}));
  request = talk.request({}, UtcTime{});
  EXPECT_FALSE(request.info || request.pods);
  EXPECT_EQ(request.knownRevision, 4u);
  EXPECT_EQ(request.waitSeconds, Conversation::kIdleWait);
  response.sendInfo = true;
  EXPECT_TRUE(talk.answered(request, response, UtcTime{}));
  request = talk.request({}, UtcTime{});
  EXPECT_TRUE(request.info && request.pods);
  EXPECT_EQ(request.waitSeconds, 0);
}

TEST(Conversation, TakesNothingFromALeaderBeforeTheNewest) {
  Conversation talk("i", {});
  talk.add({batch(1)});
  api::SyncResponse newest, earlier;
  newest.term = 7;
  newest.revision = 20;
  EXPECT_TRUE(talk.answered(talk.request({}, UtcTime{}), newest, UtcTime{}));
  EXPECT_EQ(talk.request({}, UtcTime{}).term, 7U);
  earlier.term = 6;
  earlier.revision = 900;
  earlier.ackedBatch = 1;
  EXPECT_FALSE(talk.answered(talk.request({}, UtcTime{}), earlier, UtcTime{}));
  EXPECT_EQ(talk.request({}, UtcTime{}).knownRevision, 20U);
  EXPECT_EQ(talk.outbox().size(), 1U) << "its acknowledgement counts for nothing";
  newest.term = 8;
  EXPECT_TRUE(talk.answered(talk.request({}, UtcTime{}), newest, UtcTime{}));
}

TEST(Conversation, PodsAreToldAgainUntilAnAnswerProvesTheyArrived) {
  Conversation talk("i", {});
  EXPECT_TRUE(talk.answered(talk.request({}, UtcTime{}), {}, UtcTime{}));
  EXPECT_TRUE(talk.pods({pod("a").ref}));
  EXPECT_TRUE(talk.request({}, UtcTime{}).pods);
  const auto again = talk.request({}, UtcTime{});
  EXPECT_TRUE(again.pods);
  EXPECT_TRUE(talk.pods({pod("b").ref}));  // meanwhile
  EXPECT_TRUE(talk.answered(again, {}, UtcTime{}));
  EXPECT_TRUE(talk.request({}, UtcTime{}).pods);
  EXPECT_FALSE(talk.pods({pod("b").ref}));
}

TEST(Conversation, WaitsShortlyWhileARunIsUpAndNotAtAllWhenItMustNot) {
  Conversation talk("i", {});
  EXPECT_TRUE(talk.answered(talk.request({}, UtcTime{}), {}, UtcTime{}));
  EXPECT_EQ(talk.request({.lease = 3s}, UtcTime{}).waitSeconds, 0.5);
  EXPECT_EQ(talk.request({.lease = 1s}, UtcTime{}).waitSeconds, 0.25);
  EXPECT_EQ(talk.request({.lease = 3s, .wants_answer = true}, UtcTime{}).waitSeconds, 0);
  talk.add({batch(1)});
  EXPECT_EQ(talk.request({.lease = 3s}, UtcTime{}).waitSeconds, 0.5);
  EXPECT_EQ(talk.request({}, UtcTime{}).waitSeconds, 0);  // the end of a run is to be acknowledged
}

TEST(Conversation, MeasuresTheClocksAsNtpDoes) {
  Conversation talk("i", {});
  const UtcTime t{std::chrono::seconds(1000)};
  auto request = talk.request({}, t + 2s);  // our clock is 2 s ahead
  EXPECT_FALSE(request.clockOffset);
  api::SyncResponse response;
  response.receivedAt = {t + 10ms};                               // 10 ms on the way
  response.answeredAt = {t + 510ms};                              // half a second of waiting
  EXPECT_TRUE(talk.answered(request, response, t + 2s + 540ms));  // 30 ms back
  request = talk.request({}, t);
  ASSERT_TRUE(request.clockOffset && request.clockRoundTrip);
  EXPECT_NEAR(*request.clockOffset, 2.010, 1e-9);
  EXPECT_NEAR(*request.clockRoundTrip, 0.040, 1e-9);
}

}  // namespace
}  // namespace faultline::agent::test
