// SPDX-License-Identifier: Apache-2.0
#include "report/gameday/words.h"

#include <algorithm>
#include <array>
#include <boost/describe.hpp>
#include <set>

#include "api/strings.h"
#include "base/printable.h"
#include "report/format.h"
#include "report/story.h"

namespace faultline::report::gameday {

api::GameDayReport shown(const api::GameDayReport& report, std::size_t limit) {
  api::GameDayReport out = report;
  api::for_each_text(out, [&](std::string& text) {
    // What is cut away need not be looked at: an escape is no shorter than what it stands for.
    if (text.size() > limit + 8) text = text.substr(0, limit + 8) + "...";
    text = printable(printable_prose(text), limit);
  });
  return out;
}

std::string clock_words(api::Timestamp at) { return at.set() ? at.format().substr(11, 12) : ""; }

std::string date_words(api::Timestamp at) {
  if (!at.set()) return "";
  std::string text = at.format().substr(0, 19);
  text[10] = ' ';
  return text + " UTC";
}

std::string seconds_or_dash(const std::optional<double>& seconds) {
  return seconds ? seconds_words(*seconds) : "-";
}

std::string figure_words(const api::DayFigure& figure) {
  if (!figure.seconds) return "not known: " + figure.reason;
  return seconds_words(*figure.seconds) + ", from: " + figure.since + "; to: " + figure.until;
}

std::string parts_words(const std::vector<api::DayPart>& parts) {
  std::vector<std::string> words;
  for (const api::DayPart& part : parts)
    words.push_back(seconds_words(part.seconds) + " " + part.name +
                    (part.cause.empty() ? "" : " (" + part.cause + ")"));
  return join(words, " + ");
}

std::string mean_words(const api::DayMean& mean) {
  return seconds_or_dash(mean.seconds) + " (" + std::to_string(mean.known) + " of " +
         std::to_string(mean.of) + ")";
}

std::string outcome_word(const std::optional<api::StepOutcome>& outcome) {
  return outcome ? boost::describe::enum_to_string(*outcome, "") : "-";
}

std::string state_word(api::DayState state) { return boost::describe::enum_to_string(state, ""); }

std::string_view lane_word(api::DayLane lane) {
  switch (lane) {
    case api::DayLane::course:
      return "course";
    case api::DayLane::fault:
      return "fault";
    case api::DayLane::effect:
      return "effect";
    case api::DayLane::alert:
      return "alert";
    case api::DayLane::people:
      break;
  }
  return "people";
}

std::string_view change_word(api::DayChange change) {
  switch (change) {
    case api::DayChange::better:
      return "better";
    case api::DayChange::same:
      return "the same";
    case api::DayChange::worse:
      return "worse";
    case api::DayChange::not_retested:
      return "not re-tested";
    case api::DayChange::unknown:
      break;
  }
  return "not known";
}

std::string surprise_words(const api::DaySurprise& surprise) {
  if (!surprise.seconds) return surprise.text;
  const std::string seconds = seconds_words(*surprise.seconds);
  switch (surprise.kind) {
    case api::SurpriseKind::hidden:
      return surprise.text + ", " + seconds + " after it began";
    case api::SurpriseKind::people_first:
      return surprise.text + ", by " + seconds;
    case api::SurpriseKind::unexpected_alert:
      return surprise.text + ", " + seconds + " after the first injected event";
    case api::SurpriseKind::missed:
    case api::SurpriseKind::bystander:
      break;
  }
  return surprise.text + ", after " + seconds;
}

std::string action_words(const api::DayAction& action) {
  std::vector<std::string> more;
  if (!action.owner.empty()) more.push_back(action.owner);
  if (!action.due.empty()) more.push_back("by " + action.due);
  if (!action.retest.empty()) more.push_back("re-test: " + action.retest);
  return action.text + (more.empty() ? "" : " (" + join(more, ", ") + ")");
}

std::string item_words(const api::DayItem& item) {
  if (!item.worked) return "untouched";
  std::string text = *item.worked ? "worked" : "did not work";
  if (item.seconds) text += " after " + seconds_words(*item.seconds);
  if (item.ticks > 1) text += " (" + std::to_string(item.ticks) + " ticks)";
  return text;
}

std::string spread_words(const api::DayRun& run) {
  std::map<std::string, std::set<std::string>> moved;
  for (const api::DayPod& pod : run.spread) moved[std::string(role_word(pod.role))].insert(pod.pod);
  std::vector<std::string> parts;
  for (const auto& [role, measured] : run.measuredPods)
    parts.push_back(std::to_string(moved[role].size()) + " of " + std::to_string(measured) + " " +
                    role);
  return parts.empty() ? "no pod was measured" : join(parts, ", ");
}

std::string late_words(const std::optional<double>& late) {
  return late ? "taken " + seconds_words(*late) + " later" : "";
}

std::vector<const api::DayLine*> telling_lines(const api::GameDayReport& report,
                                               std::size_t limit) {
  static const std::set<std::string_view> kFirst{
      "started", "step-begun",   "step-over", "aborted", "over",     "held",         "resumed",
      "skipped", "acknowledged", "mitigated", "found",   "injected", "effect",       "recovered",
      "firing",  "condition",    "gap",       "alert",   "resolved", "last-injected"};
  static const std::set<std::string_view> kSecond{"tick", "missing", "answered", "action"};
  std::array<std::vector<const api::DayLine*>, 3> classes;
  for (const api::DayLine& line : report.timeline)
    classes[kFirst.contains(line.event)    ? 0
            : kSecond.contains(line.event) ? 1
                                           : 2]
        .push_back(&line);
  std::vector<const api::DayLine*> lines;
  for (const auto& one : classes) {
    // Of those for which there is not enough room, some from the whole of the day.
    const std::size_t room = std::min(limit - lines.size(), one.size());
    for (std::size_t i = 0; i < room; ++i) lines.push_back(one[i * one.size() / room]);
  }
  std::ranges::sort(lines);  // pointers into one vector: in its order again
  return lines;
}

}  // namespace faultline::report::gameday
