// SPDX-License-Identifier: Apache-2.0
// What the monitoring saw, in the report: the verdict of the run, the times, the words.
#include "report/noticed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "report/detections.h"
#include "report/report.h"
#include "tests/unit/report/synthetic.h"

namespace faultline::report {
namespace {

using api::AlertState;
using synthetic::at;
using testing::HasSubstr;

// A run whose fault was real, and that expects CheckoutSlow within 20 s.
api::RunRecord expecting() {
  api::RunRecord record = synthetic::slow_payments();
  record.experiment.spec.expect.effects.clear();
  api::ExpectAlert alert{.name = "CheckoutSlow"};
  alert.within.value = std::chrono::seconds(20);
  record.experiment.spec.expect.alerts = {alert};
  return record;
}

api::MonitoringRecord asked() {
  api::MonitoringRecord seen;
  seen.sources = {{.name = "main", .kind = "prometheus"}};
  api::AlertRule rule{.source = "main", .group = "shop", .alert = "CheckoutSlow", .expr = "s > 1"};
  rule.forSeconds = 2;
  rule.evaluationInterval = 1;
  rule.scrapeInterval = 1;
  rule.lastEvaluation = at(0.2);
  seen.rules = {rule};
  seen.ruleNames = {"CheckoutSlow"};
  return seen;
}

double injected(const api::Report& report) {
  const auto t2 = std::ranges::find(report.timeline, "t2", &api::TimelineEntry::key);
  return t2->monotonic.value();
}

TEST(Noticed, WithoutAMonitoringNothingIsCalledMet) {
  const api::Report report = build(expecting());
  EXPECT_EQ(report.verdict, api::RunVerdict::missed);
  EXPECT_TRUE(report.detections.empty());
  ASSERT_EQ(report.expectations.size(), 1U);
  EXPECT_THAT(report.expectations[0].measured, HasSubstr("no monitoring was asked"));
}

TEST(Noticed, AnAlertThatFiredInTimeIsMetAndStandsInTheTimeline) {
  api::RunRecord record = expecting();
  record.monitoring = asked();
  const double t2 = injected(build(record));
  const std::map<std::string, std::string> labels{{"alertname", "CheckoutSlow"}};
  record.monitoring->changes = {
      {"main", "CheckoutSlow", labels, AlertState::pending, at(t2 + 1)},
      {"main", "CheckoutSlow", labels, AlertState::firing, at(t2 + 3)},
      {"main", "CheckoutSlow", labels, AlertState::inactive, at(t2 + 35)}};
  const api::Report report = build(record);
  ASSERT_EQ(report.detections.size(), 1U);
  EXPECT_EQ(report.detections[0].verdict, api::DetectionVerdict::detected)
      << report.detections[0].reason;
  EXPECT_EQ(report.verdict, api::RunVerdict::met) << report.expectations[0].measured;
  for (const char* key : {"t4", "t5", "t11"})
    EXPECT_NE(std::ranges::find(report.timeline, key, &api::TimelineEntry::key),
              report.timeline.end())
        << key;
  EXPECT_TRUE(std::ranges::is_sorted(report.timeline, {}, &api::TimelineEntry::at));
  for (const std::string& text :
       {to_terminal(report, false), to_markdown(report), to_html(report, record)})
    EXPECT_THAT(text, HasSubstr("CheckoutSlow"));
  EXPECT_THAT(to_terminal(report, false), HasSubstr("alert        detected"));
  api::Report before = report;
  before.detections[0].verdict = api::DetectionVerdict::before_fault;
  EXPECT_THAT(to_terminal(before, false), HasSubstr("alert        before fault CheckoutSlow"));
  EXPECT_THAT(to_markdown(report), HasSubstr("## Did anyone notice?"));
  EXPECT_THAT(to_html(report, record), HasSubstr("class=\"fall\""));
}

TEST(Noticed, AnAlertThatDidNotFireOrCannotBeKnownMakesTheRunMissed) {
  api::RunRecord record = expecting();
  record.monitoring = asked();
  EXPECT_EQ(build(record).verdict, api::RunVerdict::missed);
  record.monitoring->sources[0].problem = "Connection refused";
  record.monitoring->rules.clear();
  record.monitoring->gaps = {{"main", at(1), at(9), "Connection refused"}};
  const api::Report report = build(record);
  EXPECT_EQ(report.detections[0].verdict, api::DetectionVerdict::unknown);
  EXPECT_EQ(report.verdict, api::RunVerdict::missed);
  EXPECT_TRUE(std::ranges::any_of(report.gaps, [](const api::Gap& gap) {
    return gap.reason == "the monitoring's source main: Connection refused";
  }));
}

TEST(Noticed, AMissedAlertNamesWhatMovedMostAndARuleThatWouldHaveSeenIt) {
  api::RunRecord record = expecting();
  record.monitoring = asked();
  const api::Report bare = build(record);
  ASSERT_EQ(bare.detections[0].verdict, api::DetectionVerdict::missed);
  ASSERT_FALSE(bare.detections[0].hints.empty());
  ASSERT_LE(bare.detections[0].hints.size(), kMostHints);
  for (const api::DetectionHint& hint : bare.detections[0].hints) {
    EXPECT_THAT(hint.text, HasSubstr(" went from "));
    EXPECT_THAT(hint.text, HasSubstr("was not asked"));
    EXPECT_TRUE(hint.promql.empty());
  }
  const double t2 = injected(bare);
  // For every pod of the run, so that it does not matter which of them moved most.
  for (const api::RunPod& pod : record.pods) {
    api::AlertCandidate late{.source = "main", .pod = pod.pod.id(), .metric = "request.latency"};
    late.promql = "late > 1";
    late.trueAt = at(t2 + 9);
    api::AlertCandidate early = late;
    early.promql = "early{a=\"<bogus>\"} > 1";
    early.trueAt = at(t2 + 4);
    api::AlertCandidate none{.source = "main", .pod = pod.pod.id(), .metric = "request.rate"};
    none.falls = true;
    none.reason = "it varies too much";
    record.monitoring->candidates.insert(record.monitoring->candidates.end(), {late, early, none});
  }
  const api::Report report = build(record);
  const auto& hints = report.detections[0].hints;
  const auto latency = std::ranges::find_if(hints, [](const api::DetectionHint& hint) {
    return hint.text.starts_with("request.latency") || hint.text.starts_with("request.duration");
  });
  ASSERT_NE(latency, hints.end());
  EXPECT_EQ(latency->promql, "early{a=\"<bogus>\"} > 1");
  EXPECT_NEAR(*latency->seconds, 4, 1e-6);
  EXPECT_THAT(to_terminal(report, false), HasSubstr("would have fired after 4.00 s: early{"));
  EXPECT_THAT(to_markdown(report), HasSubstr("would have fired after 4.00 s"));
  EXPECT_THAT(to_markdown(report), testing::Not(HasSubstr("<bogus>")));
  EXPECT_THAT(to_html(report, record), HasSubstr("would have fired after 4.00 s"));
  EXPECT_THAT(to_html(report, record), testing::Not(HasSubstr("<bogus>")));
}

TEST(Noticed, AnAlertThatFiredInTimeHasNoHint) {
  api::RunRecord record = expecting();
  record.monitoring = asked();
  const double t2 = injected(build(record));
  const std::map<std::string, std::string> labels{{"alertname", "CheckoutSlow"}};
  record.monitoring->changes = {{"main", "CheckoutSlow", labels, AlertState::firing, at(t2 + 3)}};
  EXPECT_TRUE(build(record).detections[0].hints.empty());
}

TEST(Noticed, WordsOfOthersCannotBreakOutOfTheReport) {
  api::RunRecord record = expecting();
  record.monitoring = asked();
  const double t2 = injected(build(record));
  record.monitoring->changes = {{"main",
                                 "<script>alert(1)</script>\n| x",
                                 {{"a", "</table><b>"}},
                                 AlertState::firing,
                                 at(t2 + 3)}};
  const api::Report report = build(record);
  EXPECT_THAT(to_html(report, record), testing::Not(HasSubstr("<script>alert(1)")));
  EXPECT_THAT(to_markdown(report), testing::Not(HasSubstr("<b>")));
}

}  // namespace
}  // namespace faultline::report
