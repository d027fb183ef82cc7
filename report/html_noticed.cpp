// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>

#include "report/detections.h"
#include "report/format.h"
#include "report/html_parts.h"
#include "report/noticed.h"

namespace faultline::report {
namespace {

std::string after(const std::optional<double>& seconds) {
  return seconds ? typeset(seconds_words(*seconds)) : "";
}

// Seconds of a timeline entry since the run was asked for.
std::optional<double> moment(const api::Report& report, std::string_view key) {
  const auto entry = std::ranges::find(report.timeline, key, &api::TimelineEntry::key);
  return entry == report.timeline.end() ? std::nullopt : entry->monotonic;
}

// A piece of a bar from `from` to `to`, both shares of the axis.
std::string piece(std::string_view kind, double from, double to, const std::string& title) {
  char place[64];
  std::snprintf(place, sizeof place, "left:%.3f%%;width:%.3f%%", from * 100,
                std::max(0.0, to - from) * 100);
  return "<span class=\"" + std::string(kind) + "\" style=\"" + place + "\" title=\"" +
         escape(title) + "\"></span>";
}

// One alert's way from the first injected event to its end: each step a piece, of its own tone.
std::string bar(const api::Report& report, const api::DetectionReport& detection, double t2,
                double end) {
  std::string pieces;
  const auto share = [&](double seconds) { return std::clamp((t2 + seconds) / end, 0.0, 1.0); };
  double at = 0;
  std::size_t tone = 0;
  for (const api::DetectionStep& step : detection.steps) {
    ++tone;
    if (!step.seconds) continue;
    pieces += piece("step step" + std::to_string(tone), share(at), share(at + *step.seconds),
                    step.name + " " + seconds_words(*step.seconds) + ": " + step.cause);
    at += *step.seconds;
  }
  if (detection.seconds) {
    const auto resolved = after_injection(report, detection.resolvedAt);
    pieces += piece("firing", share(*detection.seconds), resolved ? share(*resolved) : 1, "firing");
  }
  if (detection.floor)
    pieces += piece("floor", share(*detection.floor), share(*detection.floor),
                    "floor " + seconds_words(*detection.floor));
  return pieces;
}

std::string bars(const api::Report& report) {
  const std::optional<double> t2 = moment(report, "t2"), t9 = moment(report, "t9");
  if (!t2 || report.timeline.empty()) return "";
  const double end = report.timeline.back().monotonic.value_or(0);
  if (!(end > 0)) return "";
  std::string out;
  for (const api::DetectionReport& d : report.detections)
    out += "<div class=\"fall\"><span class=\"name\">" + escape(alert_words(d)) +
           "</span><span class=\"axis\">" +
           piece("fault", std::clamp(*t2 / end, 0.0, 1.0),
                 std::clamp(t9.value_or(*t2) / end, 0.0, 1.0), "fault") +
           bar(report, d, *t2, end) + "</span></div>\n";
  return out.empty() ? "" : "<div class=\"falls\">" + out + "</div>\n";
}

}  // namespace

std::string noticed_parts(const api::Report& report) {
  if (report.detections.empty() && report.signals.empty()) return "";
  std::string out = bars(report);
  std::vector<std::vector<std::string>> rows, steps, signals;
  for (const api::DetectionReport& d : report.detections) {
    rows.push_back({badge(detection_word(d.verdict), noticed(d.verdict) ? "good" : "warn"),
                    escape(alert_words(d)), after(after_injection(report, d.pendingAt)),
                    after(d.seconds), after(d.floor), after(after_injection(report, d.notifiedAt)),
                    escape(join(d.receivers, ", ")), after(after_injection(report, d.resolvedAt)),
                    typeset(d.reason)});
    for (const api::DetectionStep& step : d.steps)
      steps.push_back({escape(alert_words(d)), escape(step.name), after(step.seconds),
                       after(step.floor), typeset(step.cause)});
  }
  if (!rows.empty())
    out += html_table("Alerts",
                      {{""},
                       {"alert"},
                       {"pending", true},
                       {"firing", true},
                       {"floor", true},
                       {"told", true},
                       {"whom"},
                       {"resolved", true},
                       {"why"}},
                      rows);
  if (!steps.empty())
    out +=
        "<details><summary>Step by step</summary>" +
        html_table("Steps", {{"alert"}, {"step"}, {"took", true}, {"floor", true}, {"because of"}},
                   steps) +
        "</details>\n";
  for (const api::DetectionReport& d : report.detections)
    for (const std::string& hint : hint_words(d))
      out += "<p>" + badge("hint", "calm") + " " + escape(alert_words(d)) + ": " + escape(hint) +
             "</p>\n";
  for (const api::SignalReport& s : report.signals)
    signals.push_back(
        {badge(signal_word(s.verdict), s.verdict == api::SignalVerdict::agrees ? "good" : "warn"),
         escape(signal_words(s))});
  if (!signals.empty()) out += html_table("Signals", {{""}, {"signal"}}, signals);
  return out;
}

}  // namespace faultline::report
