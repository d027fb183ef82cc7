// SPDX-License-Identifier: Apache-2.0
// A run's record of its monitoring that is made up, for the tests of what is judged from it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "report/alert_episodes.h"
#include "report/detections.h"
#include "report/report.h"
#include "tests/unit/report/synthetic.h"

namespace faultline::report::synthetic {

// Scrapes and evaluations each second, `for` 3 s, first injected event at 10 s, last at 40 s.
struct Made {
  api::MonitoringRecord record;
  api::Expect expect;
  DetectionTimes times{at(10), at(40), at(60)};
  RunPods pods;  // empty: not known

  Made() {
    record.sources.push_back({.name = "main", .kind = "prometheus"});
    api::AlertRule rule{.source = "main", .group = "shop", .alert = "Slow", .expr = "slow > 0"};
    rule.forSeconds = 3;
    rule.evaluationInterval = 1;
    rule.scrapeInterval = 1;
    rule.labels = {{"severity", "page"}};
    rule.lastEvaluation = at(0.2);
    rule.routes.push_back({.receiver = "pager", .integrations = {"webhook"}, .observed = true});
    rule.routes.back().groupWait = 2;
    rule.routes.back().groupInterval = 10;
    record.rules.push_back(rule);
    record.ruleNames = {"Slow", "Errors"};
    for (int i = 0; i < 60; ++i) scrape(i + 0.7, true);
    api::ExpectAlert alert;
    alert.name = "Slow";
    alert.within.value = std::chrono::seconds(20);
    expect.alerts.push_back(alert);
  }
  void scrape(double t, bool up) {
    record.scrapes.push_back({"main", "payments", "10.0.0.5:80", "shop/payments-0", at(t), up});
  }
  static AlertLabels labels(const std::string& pod = "payments-0") {
    return {{"pod", pod}, {"severity", "page"}};
  }
  void change(double t, api::AlertState state, const std::string& pod = "payments-0") {
    record.changes.push_back({"main", "Slow", labels(pod), state, at(t)});
  }
  void evaluate(double from, double to, const std::function<bool(double)>& holds) {
    for (double t = from; t <= to; t += 1)
      record.evaluations.push_back({"main", "shop", "Slow", 0, at(t), true, holds(t) ? 1U : 0U});
  }
  void notify(double t, bool resolved = false, const std::string& pod = "payments-0") {
    record.notifications.push_back({"pager", "Slow", labels(pod), resolved, at(t), at(14.2)});
  }
  // Pending at 11.2, firing at 14.2, told at 16.3, over at 42.2.
  void fires() {
    change(11.2, api::AlertState::pending);
    change(14.2, api::AlertState::firing);
    change(42.2, api::AlertState::inactive);
    evaluate(9.2, 59.2, [](double t) { return t > 11 && t < 42; });
    notify(16.3);
    notify(52.3, true);
  }
  [[nodiscard]] std::vector<api::DetectionReport> all() const {
    return detections_of(record, expect, times, pods);
  }
  [[nodiscard]] api::DetectionReport first() const { return all().front(); }
};

}  // namespace faultline::report::synthetic
