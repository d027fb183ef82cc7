// SPDX-License-Identifier: Apache-2.0
// The checks of tests/kills notice what they are there for: made-up rounds, each with one thing
// wrong.
#include "tests/kills/checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultline::kills {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Steady::time_point kStart{1h};

// A round whose fault was felt from 1 s on for `felt`, a sample each 20 ms for 12 s.
Seen seen(milliseconds felt = 3000ms) {
  Seen out;
  out.round.fault = fault_kinds()[1];
  out.round.fault_length = 3000ms;
  out.disturbed = true;
  for (milliseconds at = 0ms; at < 12s; at += 20ms)
    out.samples.push_back({kStart + at, at >= 1s && at <= 1s + felt});
  out.record.emplace();
  out.report.emplace();
  out.report->state = api::RunState::Completed;
  out.report->verdict = api::RunVerdict::met;
  return out;
}

TEST(KillChecks, AWholeRunIsFine) { EXPECT_THAT(broken(seen()), IsEmpty()); }

TEST(KillChecks, AFaultPastItsLengthAndALeaseIsNoticed) {
  EXPECT_THAT(broken(seen(6500ms)), IsEmpty());
  EXPECT_THAT(broken(seen(7500ms)), ElementsAre(HasSubstr("at most 7000 ms was allowed")));
}

TEST(KillChecks, AFaultPastTheLeaseOfWhatWasKilledIsNoticed) {
  Seen one = seen();
  one.silences = {{kStart + 1s, kStart + 6s, 1000ms, "the kill of the agent"}};
  EXPECT_THAT(broken(one), ElementsAre(HasSubstr("after the kill of the agent")));
  one.silences[0].grace = 3100ms;
  EXPECT_THAT(broken(one), IsEmpty());
}

TEST(KillChecks, ARunThatIsToldAsMetButWasCutIsNoticed) {
  EXPECT_THAT(broken(seen(1000ms)), ElementsAre(HasSubstr("is told as met")));
  Seen hole = seen();
  for (Sample& sample : hole.samples)
    if (sample.at > kStart + 1500ms && sample.at < kStart + 3500ms) sample.felt = false;
  EXPECT_THAT(broken(hole), ElementsAre(HasSubstr("without a gap")));
}

TEST(KillChecks, ARunThatNobodyDisturbedMustBeMetAndEveryRunMustEnd) {
  Seen one = seen();
  one.report->verdict = api::RunVerdict::failed;
  EXPECT_THAT(broken(one), IsEmpty());
  one.disturbed = false;
  EXPECT_THAT(broken(one), ElementsAre(HasSubstr("nobody disturbed it")));
  one.disturbed = true;
  one.report->state = api::RunState::Injecting;
  EXPECT_THAT(broken(one), ElementsAre(HasSubstr("does not end")));
}

TEST(KillChecks, ABatchThatWasStoredTwiceIsNoticed) {
  Seen one = seen();
  api::NodeRecord node;
  for (const int from : {0, 1, 1, 2}) {
    api::EffectWindow window{.pod = {"shop", "web-0", "n", {}}};
    window.from.value = UtcTime(std::chrono::seconds(from));
    window.to.value = window.from.value + 1s;
    node.windows.push_back(window);
  }
  one.record->nodes = {node};
  EXPECT_THAT(broken(one), ElementsAre(HasSubstr("stored twice")));
}

TEST(KillChecks, WindowsMayOverlapWhereAGapSaysThatTheClockWasSetButNoneIsStoredTwice) {
  Seen one = seen();
  api::NodeRecord node;
  for (const int at : {0, 3601, 2, 3}) {
    api::EffectWindow window{.pod = {"shop", "web-0", "n", {}}};
    window.from.value = UtcTime(std::chrono::seconds(at));
    window.to.value = window.from.value + 1s + std::chrono::nanoseconds(at);
    node.windows.push_back(window);
  }
  node.windows[2].to.value += 3600s;
  one.record->nodes = {node};
  EXPECT_THAT(broken(one), ElementsAre(HasSubstr("windows of shop/web-0 overlap")));
  one.record->gaps = {{.reason = "the clock of the node was set by 1 h"}};
  EXPECT_THAT(broken(one), IsEmpty());
  one.record->nodes[0].windows.push_back(node.windows[1]);
  EXPECT_THAT(broken(one), ElementsAre(HasSubstr("stored twice")));
}

TEST(KillChecks, MoreThanHappenedIsNoticedAndLessWhereNobodyDisturbed) {
  Seen one = seen();
  one.round.fault = fault_kinds()[3];
  one.felt = 10;
  api::NodeRecord node;
  node.injections = {{.injected = 12}};
  one.record->nodes = {node};
  EXPECT_THAT(broken(one), ElementsAre(HasSubstr("more than happened")));
  one.record->nodes[0].injections[0].injected = 5;
  EXPECT_THAT(broken(one), IsEmpty());
  one.disturbed = false;
  EXPECT_THAT(broken(one), ElementsAre(HasSubstr("less than happened")));
}

}  // namespace
}  // namespace faultline::kills
