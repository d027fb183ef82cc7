// SPDX-License-Identifier: Apache-2.0
#include "report/noticed.h"

#include <algorithm>

#include "api/metrics.h"
#include "report/format.h"

namespace faultline::report {

std::string_view detection_word(api::DetectionVerdict verdict) {
  switch (verdict) {
    case api::DetectionVerdict::detected:
      return "detected";
    case api::DetectionVerdict::late:
      return "late";
    case api::DetectionVerdict::missed:
      return "missed";
    case api::DetectionVerdict::not_notified:
      return "not notified";
    case api::DetectionVerdict::false_alarm:
      return "false alarm";
    case api::DetectionVerdict::before_fault:
      return "before fault";
    case api::DetectionVerdict::still_firing:
      return "still firing";
    case api::DetectionVerdict::flapping:
      return "flapping";
    case api::DetectionVerdict::unknown:
      break;
  }
  return "unknown";
}

std::string_view signal_word(api::SignalVerdict verdict) {
  switch (verdict) {
    case api::SignalVerdict::agrees:
      return "agrees";
    case api::SignalVerdict::differs:
      return "differs";
    case api::SignalVerdict::too_coarse:
      return "too coarse";
    case api::SignalVerdict::stale:
      return "stale";
    case api::SignalVerdict::no_data:
      break;
  }
  return "no data";
}

std::string alert_words(const api::DetectionReport& detection) {
  std::string labels;
  for (const auto& [name, value] : detection.labels)
    if (name != "alertname") labels += (labels.empty() ? "" : ", ") + name + "=" + value;
  return detection.alert + (labels.empty() ? "" : " (" + labels + ")");
}

std::string detection_words(const api::DetectionReport& detection) {
  std::vector<std::string> parts;
  if (detection.seconds) {
    std::string text = "fired after " + seconds_words(*detection.seconds);
    if (detection.within) text += " (asked within " + exact_seconds_words(*detection.within) + ")";
    std::vector<std::string> steps;
    for (const api::DetectionStep& step : detection.steps)
      if (step.seconds && step.name != "group")
        steps.push_back(seconds_words(*step.seconds) + " " + step.name);
    if (!steps.empty()) text += " = " + join(steps, " + ");
    parts.push_back(std::move(text));
  } else if (detection.within) {
    parts.push_back("asked within " + exact_seconds_words(*detection.within));
  }
  if (detection.floor) parts.push_back("floor " + seconds_words(*detection.floor));
  for (const api::DetectionStep& step : detection.steps)
    if (step.name == "group" && step.seconds)
      parts.push_back("told " + seconds_words(*step.seconds) + " later" +
                      (detection.receivers.empty() ? "" : ": " + join(detection.receivers, ", ")));
  if (!detection.reason.empty()) parts.push_back(detection.reason);
  return join(parts, "; ");
}

std::vector<std::string> hint_words(const api::DetectionReport& detection) {
  std::vector<std::string> out;
  for (const api::DetectionHint& hint : detection.hints) {
    std::string text = hint.text;
    if (!hint.promql.empty() && hint.seconds)
      text +=
          "; this rule would have fired after " + seconds_words(*hint.seconds) + ": " + hint.promql;
    out.push_back(std::move(text));
  }
  return out;
}

std::string signal_words(const api::SignalReport& signal) {
  const api::Metric* metric = api::find_metric(signal.metric);
  const auto value = [&](const std::optional<double>& v) {
    if (!v) return std::string("nothing");
    return metric != nullptr ? value_words(*metric, *v) : number_words(*v);
  };
  std::string text = signal.promql + " says " + value(signal.monitoring) + ", the kernel " +
                     value(signal.kernel) + " (" + signal.metric +
                     (signal.quantile ? " " + quantile_words(*signal.quantile) : "") + ")";
  if (!signal.text.empty()) text += "; " + signal.text;
  return text;
}

std::optional<double> after_injection(const api::Report& report, const api::Timestamp& at) {
  const auto t2 = std::ranges::find(report.timeline, "t2", &api::TimelineEntry::key);
  if (t2 == report.timeline.end() || !at.set()) return std::nullopt;
  return std::chrono::duration<double>(at.value - t2->at.value).count();
}

}  // namespace faultline::report
