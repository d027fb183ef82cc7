// SPDX-License-Identifier: Apache-2.0
// Did anyone notice? Real runs, and what the monitoring beside them saw.
#include "tests/e2e/monitoring.h"

#include <algorithm>

namespace faultline::test {
namespace {

using testing::HasSubstr;

constexpr double kEvaluation = 1;    // seconds, of the configuration
constexpr double kBeyondGrid = 0.5;  // seconds that times may differ beside their grid

TEST_F(Monitoring, EachVerdictIsTheOneThatTheConfigurationDeserves) {
  const double now = static_cast<double>(time(nullptr));
  char ends[32];
  const time_t later = time(nullptr) + 600;
  strftime(ends, sizeof ends, "%Y-%m-%dT%H:%M:%SZ", gmtime(&later));
  const auto silenced = ask(
      alertmanager_url(), "POST", "/api/v2/silences",
      R"({"matchers":[{"name":"alertname","value":"PaymentsSilenced","isRegex":false}],"startsAt":)"
      R"("2026-01-01T00:00:00Z","endsAt":")" +
          std::string(ends) + R"(","createdBy":"ops","comment":"night"})");
  ASSERT_TRUE(silenced.is_object());

  Program run = cluster_->command(
      {"run",
       expecting("verdicts",
                 "{name: PaymentsSlow, within: 8s}, {name: PaymentsStuck, within: 8s}, {name: "
                 "PaymentsUntold, within: 8s}, {name: PaymentsSilenced, within: 8s}, {name: "
                 "PaymentsThere, within: 8s}",
                 {.baseline = "3s", .fault = "9s", .recovery = "4s"}),
       "--yes", "--anyway", "--report", report_folder()});
  EXPECT_EQ(run.wait(std::chrono::seconds(60)), 1) << run.err();
  const boost::json::value report = report_json();
  EXPECT_EQ(report.at("verdict"), "missed");

  const auto& slow = detection(report, "PaymentsSlow");
  EXPECT_EQ(slow.at("verdict"), "detected") << slow;
  const auto& timeline = report.at("timeline").as_array();
  const auto t2 = std::ranges::find_if(timeline, [](const auto& e) { return e.at("key") == "t2"; });
  ASSERT_NE(t2, timeline.end());
  const double injected = seconds_of(t2->at("at"));
  const double firing = seconds_of(slow.at("firingAt"));
  EXPECT_NEAR(firing, first_in_series("PaymentsSlow", "firing", now), kEvaluation + kBeyondGrid);
  EXPECT_NEAR(seconds_of(slow.at("pendingAt")), first_in_series("PaymentsSlow", "pending", now),
              kEvaluation + kBeyondGrid);
  EXPECT_NEAR(seconds_of(slow.at("notifiedAt")), told_at("PaymentsSlow", injected), kBeyondGrid);
  EXPECT_NEAR(slow.at("seconds").to_number<double>(), firing - injected, 0.01);
  EXPECT_LE(slow.at("floor").to_number<double>(),
            slow.at("seconds").to_number<double>() + kBeyondGrid);
  EXPECT_GE(slow.at("floor").to_number<double>(), 2 - kBeyondGrid) << "for: 2s";
  std::cout << "fired after " << slow.at("seconds") << " s, floor " << slow.at("floor")
            << " s, told after " << seconds_of(slow.at("notifiedAt")) - injected
            << " s, the other receiver after " << told_at("PaymentsSlow", injected) - injected
            << " s; steps " << slow.at("steps") << "\n";

  EXPECT_EQ(detection(report, "PaymentsStuck").at("verdict"), "missed");
  const auto& untold = detection(report, "PaymentsUntold");
  EXPECT_EQ(untold.at("verdict"), "not-notified") << untold;
  EXPECT_THAT(untold.at("reason").as_string().c_str(), HasSubstr("nobody"));
  const auto& quiet = detection(report, "PaymentsSilenced");
  EXPECT_EQ(quiet.at("verdict"), "not-notified") << quiet;
  EXPECT_THAT(quiet.at("reason").as_string().c_str(), HasSubstr("silence"));
  EXPECT_EQ(detection(report, "PaymentsThere").at("verdict"), "before-fault");
  const auto& hints = detection(report, "PaymentsStuck").at("hints").as_array();
  EXPECT_FALSE(hints.empty());
  std::cout << "hints of the missed alert: " << boost::json::value(hints) << "\n";

  // What this run showed of the rules, and one of them as a test for promtool.
  const boost::json::value alerts = cluster_->ask({"alerts"});
  EXPECT_EQ(alerts.at("rules"), 6) << alerts;
  for (const auto& one : alerts.at("alerts").as_array()) {
    if (one.at("alert") == "PaymentsStuck") {
      EXPECT_TRUE(one.at("lastFiredAt").is_null()) << one;
    }
    if (one.at("alert") == "PaymentsSlow") {
      EXPECT_EQ(one.at("run"), report.at("run")) << one;
      EXPECT_EQ(one.at("verdict"), "detected") << one;
    }
  }
  const auto metrics = http::request_blocking({.base_url = cluster_->url()}, "GET", "/metrics", "",
                                              std::chrono::seconds(5));
  ASSERT_TRUE(metrics);
  EXPECT_THAT(metrics->body,
              HasSubstr("faultline_alert_last_fired_timestamp_seconds{alert=\"PaymentsSlow\"}"));
  EXPECT_THAT(metrics->body, HasSubstr("faultline_alert_rules{tested=\"true\"} "));
  EXPECT_THAT(metrics->body, HasSubstr("faultline_detection_seconds{alert=\"PaymentsSlow\"}"));
  Program made = cluster_->command(
      {"rule-test", "verdicts", "PaymentsSlow", "--directory", folder_.file("rule-test")});
  EXPECT_EQ(made.wait(), 0) << made.err();
  const std::string rules = folder_.file("rule-test") + "/PaymentsSlow.rules.yml";
  const std::string promtool =
      "promtool test rules " + folder_.file("rule-test") + "/PaymentsSlow.test.yml";
  EXPECT_EQ(std::system(promtool.c_str()), 0) << content(rules);
  std::string raised = content(rules);
  const std::size_t threshold = raised.find("> 0.1");
  ASSERT_NE(threshold, std::string::npos) << raised;
  std::ofstream(rules) << raised.replace(threshold, 5, "> 50");
  EXPECT_NE(std::system((promtool + " >/dev/null 2>&1").c_str()), 0);

  // What other settings would have made of it, and the present ones as it really was.
  const boost::json::value tuning = cluster_->ask(
      {"tune", "verdicts", "PaymentsSlow", "--for", "4s", "--threshold", "50", "--history", "1h"});
  EXPECT_EQ(tuning.at_pointer("/history/runsLeftOut"), 1) << tuning;
  ASSERT_EQ(tuning.at("settings").as_array().size(), 4U) << tuning;
  for (const auto& setting : tuning.at("settings").as_array()) {
    const auto& predicted = setting.at("runs").at(0);
    if (setting.at("threshold").to_number<double>() == 50) {
      EXPECT_EQ(predicted.at("outcome"), "missed") << setting;
      continue;
    }
    ASSERT_EQ(predicted.at("outcome"), "detected") << setting;
    const double longer = setting.at("forSeconds").to_number<double>() - 2;
    EXPECT_EQ(setting.at("present").as_bool(), longer == 0);
    EXPECT_NEAR(predicted.at("seconds").to_number<double>(), firing - injected + longer,
                kEvaluation + 0.05)
        << setting;
    EXPECT_EQ(setting.at("falseAlarms"), 0) << setting;
  }

  EXPECT_THAT(content(report_folder() + "/report.md"), HasSubstr("Did anyone notice?"));
  EXPECT_THAT(content(report_folder() + "/report.html"), HasSubstr("Did anyone notice?"));
}

TEST_F(Monitoring, AnAlertThatCannotFireIsRefusedBeforeAnythingIsHit) {
  const std::string file = expecting("patient", "{name: PaymentsPatient, within: 10m}",
                                     {.baseline = "1s", .fault = "10s", .recovery = "1s"});
  Program run = cluster_->command({"run", file, "--yes", "--report", report_folder()});
  EXPECT_EQ(run.wait(), 3) << run.err();
  EXPECT_THAT(run.out(), HasSubstr("PaymentsPatient cannot be noticed"));
  EXPECT_THAT(run.out(), HasSubstr("set phases.fault"));
  EXPECT_THAT(run.out(), HasSubstr("--anyway"));
  EXPECT_TRUE(cluster_->ask({"get"}).at("runs").as_array().empty());

  Program misspelt = cluster_->command(
      {"run", expecting("misspelt", "{name: PaymentSlow, within: 8s}", {.fault = "10s"}), "--yes"});
  EXPECT_EQ(misspelt.wait(), 3) << misspelt.err();
  EXPECT_THAT(misspelt.out(), HasSubstr("PaymentsSlow"));
  EXPECT_FALSE(delayed(kUntouchedMs));
}

TEST_F(Monitoring, AMonitoringThatIsAwayInMidRunIsNotAPass) {
  Program run = cluster_->command({"run",
                                   expecting("away", "{name: PaymentsSlow, within: 6s}",
                                             {.baseline = "2s", .fault = "7s", .recovery = "1s"}),
                                   "--yes", "--report", report_folder()});
  ASSERT_TRUE(comes_true([&] { return delayed(200) || run.ended(); }, 20s));
  prometheus_->signal(SIGKILL);
  EXPECT_EQ(run.wait(std::chrono::seconds(60)), 1) << run.err();
  const boost::json::value report = report_json();
  EXPECT_EQ(report.at("verdict"), "missed");
  const auto& slow = detection(report, "PaymentsSlow");
  EXPECT_EQ(slow.at("verdict"), "unknown") << slow;
  std::cout << slow.at("reason") << "\n";
  EXPECT_THAT(boost::json::serialize(report.at("gaps")), HasSubstr("prometheus"));
}

TEST_F(Monitoring, AQueryThatHoldsOrCannotBeAskedEndsTheFault) {
  const Phases phases{.baseline = "1s", .fault = "30s", .recovery = "1s"};
  const auto aborting = [&](const std::string& name, const std::string& above) {
    const std::string file = experiment(name, "networkLatency: {latency: 300ms}", phases);
    std::ofstream(file, std::ios::app)
        << "  abortWhen: [{promql: 'max(payments_database_newest_seconds)', above: '" << above
        << "'}]\n";
    return cluster_->command({"run", file, "--yes", "--report", report_folder()});
  };
  Program holds = aborting("holds", "0.2");
  EXPECT_EQ(holds.wait(), 4) << holds.err();
  EXPECT_THAT(report_json().at("stateReason").as_string().c_str(),
              HasSubstr("abortWhen max(payments_database_newest_seconds) above 0.2: it was 0."));

  Program away = aborting("away", "10");
  ASSERT_TRUE(comes_true([&] { return delayed(200) || away.ended(); }, 20s));
  prometheus_->signal(SIGSTOP);
  EXPECT_EQ(away.wait(), 4) << away.err();
  EXPECT_THAT(report_json().at("stateReason").as_string().c_str(), HasSubstr("no answer"));
  prometheus_->signal(SIGCONT);
}

// The run goes on without its controller, within the lease; what happens after that is seen, and
// what was not is a gap.
TEST_F(Monitoring, AControllerThatIsStartedAnewGoesOnToWatch) {
  Program run = cluster_->command({"run",
                                   expecting("restarted", "{name: PaymentsSlow, within: 12s}",
                                             {.baseline = "2s", .fault = "12s", .recovery = "2s"}),
                                   "--yes", "--report", report_folder()});
  ASSERT_TRUE(comes_true([&] { return delayed(100) || run.ended(); }, 20s)) << run.err();
  cluster_->controller().signal(SIGKILL);
  cluster_->start_controller();
  EXPECT_EQ(run.wait(std::chrono::seconds(60)), 0) << run.err();
  const boost::json::value report = report_json();
  EXPECT_EQ(detection(report, "PaymentsSlow").at("verdict"), "detected")
      << detection(report, "PaymentsSlow");
  EXPECT_THAT(boost::json::serialize(report.at("gaps")), HasSubstr("the controller was restarted"));
}

// A condition that nobody looks at would be none.
TEST_F(Monitoring, AConditionStillEndsTheFaultAfterARestartOfTheController) {
  const std::string file = experiment("guarded", "networkLatency: {latency: 300ms}",
                                      {.baseline = "1s", .fault = "40s", .recovery = "1s"});
  std::ofstream(file, std::ios::app)
      << "  abortWhen: [{promql: 'min_over_time(payments_database_newest_seconds[6s])', above: "
         "0.1}]\n";
  Program run = cluster_->command({"run", file, "--yes", "--report", report_folder()});
  ASSERT_TRUE(comes_true([&] { return delayed(100) || run.ended(); }, 20s)) << run.err();
  cluster_->controller().signal(SIGKILL);
  cluster_->start_controller();
  EXPECT_EQ(run.wait(std::chrono::seconds(60)), 4) << run.err();
  EXPECT_THAT(report_json().at("stateReason").as_string().c_str(),
              HasSubstr("abortWhen min_over_time"));
}

}  // namespace
}  // namespace faultline::test
