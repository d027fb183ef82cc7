// SPDX-License-Identifier: Apache-2.0
// The act that asks whether the monitoring noticed.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "demo/acts.h"
#include "demo/monitoring/monitoring.h"
#include "demo/run.h"
#include "demo/words.h"

namespace faultline::demo {
namespace {

double seconds_of(const api::Timestamp& at) {
  return std::chrono::duration<double>(at.value.time_since_epoch()).count();
}

const api::DetectionReport* detection(const api::Report& report, const std::string& alert) {
  const auto found = std::ranges::find(report.detections, alert, &api::DetectionReport::alert);
  return found == report.detections.end() ? nullptr : &*found;
}

std::string words(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
}

bool detected(const api::Report& report, const Monitoring& monitoring) {
  const api::DetectionReport* slow = detection(report, "CheckoutSlow");
  if (slow == nullptr || slow->verdict != api::DetectionVerdict::detected || !slow->seconds)
    return claim(false, "CheckoutSlow should have been detected.");
  const double injected = seconds_of(slow->firingAt) - *slow->seconds;
  const double stored = monitoring.first_fired("CheckoutSlow", std::floor(injected));
  bool good = claim(true, "CheckoutSlow fired " + words(*slow->seconds) +
                              " after the first delayed packet; its settings allow " +
                              words(slow->floor.value_or(0)) + " at best.");
  good &= claim(std::abs(stored - injected - *slow->seconds) < 1.5,
                "Prometheus itself has stored its firing " + words(stored - injected) +
                    " after that packet; it evaluates once a second.");
  return good;
}

bool missed_with_a_hint(const api::Report& report) {
  const api::DetectionReport* failing = detection(report, "CheckoutFailing");
  if (failing == nullptr || failing->verdict != api::DetectionVerdict::missed)
    return claim(false, "CheckoutFailing should have been missed.");
  const auto hint = std::ranges::find_if(
      failing->hints, [](const api::DetectionHint& one) { return !one.promql.empty(); });
  return claim(hint != failing->hints.end(),
               "CheckoutFailing missed it, rightly: checkout was slow, and answered. The report "
               "names what moved, and a rule that would have fired" +
                   (hint == failing->hints.end() ? std::string(".") : ": " + hint->promql));
}

}  // namespace

bool who_noticed(const Stage& stage) {
  heading("2. Did anyone notice?");
  paragraph(
      "Prometheus, Alertmanager and a prober watch checkout now, with two alerts: one when it is "
      "slow, one when it fails. payments answers 100 ms late this time. Faultline asks Prometheus "
      "what it saw, on one clock, from the first delayed packet on.");
  const Monitoring monitoring(stage.shop, "demo/monitoring/rules.yml");
  const Ran ran =
      run(stage, "noticed",
          {"--prometheus", monitoring.prometheus(), "--alertmanager", monitoring.alertmanager()});
  blank();
  bool good = claim(ran.status == 1,
                    "Faultline ended with exit code 1: an alert that was expected missed.");
  good &= detected(ran.report, monitoring);
  good &= missed_with_a_hint(ran.report);
  return good;
}

}  // namespace faultline::demo
