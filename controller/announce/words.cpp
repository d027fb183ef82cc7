// SPDX-License-Identifier: Apache-2.0
#include "controller/announce/words.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <string_view>

#include "base/printable.h"
#include "report/format.h"
#include "report/html_parts.h"
#include "report/noticed.h"
#include "report/story.h"

namespace faultline::controller::announce {
namespace {

std::string name_of(const api::Metadata& what) {
  return (what.namespace_.empty() ? "" : what.namespace_ + "/") + what.name;
}

std::vector<std::string> tags_of(const api::RunRecord& head) {
  std::vector<std::string> tags{"faultline", "run:" + head.run};
  if (const std::string& ns = head.experiment.metadata.namespace_; !ns.empty())
    tags.push_back("namespace:" + ns);
  return tags;
}

// What chats make a link, a mention or a layout of is written so that they do not: as Slack's
// entities, or with a blank of no width behind what begins it ("@all", "://", "[words](", "a.b").
std::string chat_text(const std::string& line) {
  constexpr const char* kNoWidth = "\u200b";
  const std::string text = printable(line, kLongestLine);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i], next = i + 1 < text.size() ? text[i + 1] : ' ';
    const bool letter = (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z');
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else
      out += c;
    if (std::string_view("@[]`*_~!").find(c) != std::string_view::npos ||
        (c == ':' && next == '/') || (c == '.' && letter))
      out += kNoWidth;
  }
  return out;
}

std::string html_text(const std::string& line) {
  return report::escape(printable(line, kLongestLine));
}

std::string lines_of(const Announcement& what, std::string_view end,
                     std::string (*safe)(const std::string&)) {
  std::string out;
  for (std::size_t i = 0; i < what.lines.size() && i < kMostLines; ++i)
    out += (i == 0 ? "" : std::string(end)) + safe(what.lines[i]);
  if (what.lines.size() > kMostLines)
    out += std::string(end) + "and " +
           report::plural(what.lines.size() - kMostLines, "line more", "lines more") +
           " in the report";
  return out;
}

std::int64_t milliseconds_of(UtcTime at) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

// Of all pods of the run: its first injected event, and the last.
std::pair<api::Timestamp, api::Timestamp> injected(const api::Report& report) {
  api::Timestamp first, last;
  for (const api::InjectionReport& row : report.injections) {
    if (row.firstInjectedAt.set() && (!first.set() || row.firstInjectedAt < first))
      first = row.firstInjectedAt;
    if (row.lastInjectedAt.set() && row.lastInjectedAt > last) last = row.lastInjectedAt;
  }
  return {first, last};
}

}  // namespace

std::optional<UtcTime> injecting_from(const api::RunRecord& head) {
  for (const api::PhaseMark& mark : head.history)
    if (mark.state == api::RunState::Injecting) return mark.at.value;
  return std::nullopt;
}

std::optional<UtcTime> injecting_to(const api::RunRecord& head) {
  bool injecting = false;
  for (const api::PhaseMark& mark : head.history) {
    if (injecting && mark.state != api::RunState::Injecting) return mark.at.value;
    injecting = injecting || mark.state == api::RunState::Injecting;
  }
  return std::nullopt;
}

Announcement faults_begin(const api::RunRecord& head) {
  Announcement out{.run = head.run, .lines = {}, .tags = tags_of(head)};
  out.from = injecting_from(head).value_or(UtcTime{});
  out.lines.push_back("Faultline: " + name_of(head.experiment.metadata) + " injects faults since " +
                      api::Timestamp{out.from}.format() + " (run " + head.run + ", asked for by " +
                      head.requestedBy + ")");
  for (const api::RunPod& pod : head.pods) {
    if (pod.role != api::PodRole::target) continue;
    std::vector<std::string> faults;
    for (const api::Fault& fault : head.experiment.spec.faults) faults.emplace_back(fault.name());
    out.lines.push_back(report::join(faults, ", ") + " on " + pod.pod.id());
  }
  return out;
}

Announcement run_over(const api::RunRecord& head, const api::Report& report) {
  Announcement out{.run = head.run, .over = true, .lines = {}, .tags = tags_of(head)};
  const auto [first, last] = injected(report);
  const UtcTime begin = head.history.empty() ? UtcTime{} : head.history.front().at.value;
  out.from = first.set() ? first.value : injecting_from(head).value_or(begin);
  out.to = last.set() ? last.value : injecting_to(head).value_or(out.from);
  out.lines.push_back("Faultline: " + name_of(head.experiment.metadata) + ": " +
                      report::headline(report) + " (run " + head.run + ")");
  out.lines.push_back(report::verdict_reason(report));
  for (const api::InjectionReport& row : report.injections)
    out.lines.push_back(row.fault + " on " + row.pod + ": " +
                        std::string(report::verdict_word(row.verdict)));
  for (const api::DetectionReport& alert : report.detections)
    out.lines.push_back(report::alert_words(alert) + ": " +
                        std::string(report::detection_word(alert.verdict)) + ", " +
                        report::detection_words(alert));
  return out;
}

std::string webhook_body(const Announcement& what) {
  return boost::json::serialize(boost::json::object{{"text", lines_of(what, "\n", chat_text)}});
}

std::string annotation_body(const Announcement& what) {
  boost::json::array tags;
  for (const std::string& tag : what.tags) tags.emplace_back(printable(tag, kLongestLine));
  boost::json::object body{{"time", milliseconds_of(what.from)},
                           {"tags", std::move(tags)},
                           {"text", lines_of(what, "<br>", html_text)}};
  if (what.to) body["timeEnd"] = milliseconds_of(*what.to);
  return boost::json::serialize(body);
}

}  // namespace faultline::controller::announce
