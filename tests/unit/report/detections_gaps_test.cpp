// SPDX-License-Identifier: Apache-2.0
// What is judged where the monitoring was away, answered in part, lost notifications, or has other
// rules than before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/gap_words.h"
#include "report/detections.h"
#include "tests/unit/report/made_monitoring.h"

namespace faultline::report {
namespace {

using api::AlertState;
using api::DetectionVerdict;
using synthetic::at;
using synthetic::Made;
using testing::HasSubstr;

TEST(Detections, WhatWasLeftOutOfNotificationsMayHaveBeenIt) {
  Made made;
  made.fires();
  made.record.notifications.clear();
  const std::string words = "Alertmanager left off 12 alerts of this notification: max_alerts";
  made.record.gaps.push_back({api::gap_of_receiver("tickets"), at(16), at(16), words});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::not_notified) << "of another receiver";
  made.record.gaps.push_back({api::gap_of_receiver("pager"), at(13), at(13), words});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::not_notified) << "before it fired";
  made.record.gaps.push_back({api::gap_of_receiver("pager"), at(16), at(16), words});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown);
  EXPECT_THAT(made.first().reason, HasSubstr(words + ": whether this alert was among them"));
}

// One that may lead there is no proof that nobody was told, and no pass.
TEST(Detections, AnAlertmanagerWhoseRoutesAreNotKnownMayHaveTold) {
  Made made;
  made.fires();
  made.record.notifications.clear();
  made.record.sources.push_back({.name = "am", .kind = "alertmanager"});
  made.record.sources.push_back({.name = "other", .kind = "alertmanager"});
  made.record.rules[0].routes[0].integrations.clear();
  EXPECT_EQ(made.first().verdict, DetectionVerdict::not_notified);
  made.record.gaps.push_back({"routes of other", at(0), at(20), "it was away"});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown);
  EXPECT_THAT(made.first().reason, HasSubstr("whom other tells is not known from "));
  made.record.gaps.back().to = at(14);
  EXPECT_EQ(made.first().verdict, DetectionVerdict::not_notified) << "it fired after that";
  made.record.gaps = {{"routes of am", at(0), at(20), "it was away"},
                      {"routes of other", at(0), at(20), "it was away"}};
  EXPECT_THAT(made.first().reason, HasSubstr("whether anybody was told is not known"));
}

TEST(Detections, ARuleThatWasChangedMeanwhileExplainsNothing) {
  Made made;
  made.fires();
  made.record.rules[0].changed = "for is 30s, was 3s";
  const auto found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::detected);
  EXPECT_EQ(found.reason, "the rule was changed during the run: for is 30s, was 3s");
  EXPECT_FALSE(found.floor.has_value());
  for (const auto& step : found.steps) {
    if (step.name != "for") continue;
    EXPECT_EQ(step.cause, "");
  }

  Made silent;
  silent.record.rules[0].changed = "it was removed";
  silent.record.evaluations.push_back({"main", "shop", "Slow", 0, at(10), true, std::nullopt});
  EXPECT_EQ(silent.first().verdict, DetectionVerdict::unknown);
  EXPECT_EQ(silent.first().reason, "the rule was changed during the run: it was removed");
}

TEST(Detections, NoDataIsNeverAPass) {
  Made made;
  made.record.sources[0].problem = "no answer within 5 s";
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown);
  EXPECT_EQ(made.first().reason, "main: no answer within 5 s");
  EXPECT_FALSE(noticed(made.first().verdict));

  const auto nothing = detections_of({}, made.expect, made.times);
  EXPECT_EQ(nothing.at(0).verdict, DetectionVerdict::unknown);
  const auto no_event = detections_of(made.record, made.expect, {{}, {}, at(60)});
  EXPECT_EQ(no_event.at(0).verdict, DetectionVerdict::unknown);
  EXPECT_EQ(no_event.at(0).reason, "no event was injected");

  Made unasked;
  unasked.record.evaluations.push_back({"main", "shop", "Slow", 0, at(10), true, std::nullopt});
  EXPECT_EQ(unasked.first().verdict, DetectionVerdict::unknown);
}

TEST(Detections, AGapInMidRunMakesUnknownWhatDidNotFire) {
  Made made;
  made.evaluate(9.2, 59.2, [](double) { return false; });
  made.record.gaps.push_back({"main", at(2), at(5), "before the fault"});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::missed);
  made.record.gaps.push_back({"main", at(12), at(30), "no answer within 5 s"});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown);
  EXPECT_THAT(made.first().reason,
              HasSubstr("main could not be asked from 10:15:12.000 to 10:15:30.000: no answer"));
  made.fires();
  EXPECT_EQ(made.first().verdict, DetectionVerdict::detected);
}

TEST(Detections, AnAnswerInPartMakesUnknownWhatDidNotFireAndWhatFiredLate) {
  const std::string part = std::string(api::kPartialAnswer) + "store 7: Unavailable";
  Made made;
  made.evaluate(9.2, 59.2, [](double) { return false; });
  made.record.gaps.push_back({"main", at(2), at(5), part});
  made.record.gaps.push_back({"signals of main", at(2), at(60), part});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::missed) << "before the fault, and of others";
  made.record.gaps.push_back({"main", at(0), at(60), part});
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown);
  EXPECT_EQ(made.first().reason, "main: " + part);
  made.record.sources[0].startedAt = at(20);
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown) << "a restart does not explain it";
  made.expect.alerts[0].name = "Slwo";
  EXPECT_EQ(made.first().verdict, DetectionVerdict::unknown) << "the rule may be there";

  Made fired;
  fired.fires();
  fired.record.gaps.push_back({"main", at(0), at(60), part});
  EXPECT_EQ(fired.first().verdict, DetectionVerdict::detected) << "what fired did";
  EXPECT_EQ(fired.first().reason, "main: " + part);
  fired.expect.alerts[0].within.value = std::chrono::seconds(4);
  EXPECT_EQ(fired.first().verdict, DetectionVerdict::unknown) << "perhaps it fired earlier";
  fired.expect.alerts.clear();
  ASSERT_EQ(fired.all().size(), 1U);
  EXPECT_EQ(fired.first().verdict, DetectionVerdict::false_alarm);
  EXPECT_THAT(fired.first().reason, HasSubstr(part));
}

TEST(Detections, ARuleInDoubtMakesNoFloor) {
  Made made;
  made.fires();
  ASSERT_TRUE(made.first().floor);
  made.record.gaps.push_back(
      {"rule Slow of main", at(0), at(60), std::string(api::kRuleInDoubt) + "Slow was changed"});
  const auto found = made.first();
  EXPECT_EQ(found.verdict, DetectionVerdict::detected) << found.reason;
  EXPECT_FALSE(found.floor);
}

TEST(Detections, ARuleThatIsNotThereAndTheNearest) {
  Made made;
  made.expect.alerts[0].name = "Slwo";
  EXPECT_EQ(made.first().verdict, DetectionVerdict::missed);
  EXPECT_EQ(made.first().reason, "no rule is named \"Slwo\"; the nearest is \"Slow\"");
}

TEST(Detections, ARestartOfPrometheusIsTold) {
  Made made;
  made.record.sources[0].startedAt = at(20);
  made.change(18.2, AlertState::pending);
  made.change(19.2, AlertState::inactive);
  made.evaluate(9.2, 59.2, [](double t) { return t > 18 && t < 19; });
  EXPECT_THAT(made.first().reason, HasSubstr("main was started anew at 10:15:20.000"));
}

}  // namespace
}  // namespace faultline::report
