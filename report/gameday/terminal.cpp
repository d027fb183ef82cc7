// SPDX-License-Identifier: Apache-2.0
// The day for a terminal, and as JSON.
#include <algorithm>

#include "api/codec.h"
#include "report/format.h"
#include "report/gameday/gameday.h"
#include "report/gameday/times.h"
#include "report/gameday/words.h"
#include "report/noticed.h"

namespace faultline::report {
namespace gameday {
namespace {

constexpr std::size_t kMostText = 400;  // bytes of one text on a terminal
constexpr std::size_t kMostLines = 60, kMostItems = 20;

// UTF-8 continuation bytes take no column.
std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

// A line, folded at words; lines after the first are indented to `indent`.
void fold(std::string& out, const std::string& text, std::size_t width, std::size_t indent) {
  std::size_t at = std::min(text.find_first_not_of(' '), text.size());
  std::string line(at, ' ');
  std::size_t used = at;
  bool empty = true;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string_view word = std::string_view(text).substr(at, end - at);
    const std::size_t wide = columns_of(word);
    if (!empty && used + 1 + wide > width) {
      out += line + "\n";
      line.assign(indent, ' ');
      used = indent;
      empty = true;
    }
    if (!empty) line += ' ';
    used += wide + (empty ? 0 : 1);
    line += word;
    empty = false;
    at = end + 1;
  }
  out += line + "\n";
}

template <class Items, class Words>
void add_list(std::string& out, std::string_view title, const Items& items, const Words& words,
              std::size_t width) {
  if (items.empty()) return;
  out += "\n  " + std::string(title) + "\n";
  for (std::size_t i = 0; i < items.size() && i < kMostItems; ++i)
    fold(out, "    " + words(items[i]), width, 6);
  if (items.size() > kMostItems)
    out += "    " + plural(items.size() - kMostItems, "more is", "more are") + " in the report\n";
}

void add_timeline(std::string& out, const api::GameDayReport& r, std::size_t width) {
  const auto lines = telling_lines(r, kMostLines);
  if (lines.empty()) return;
  out += "\n  timeline (UTC)\n";
  for (const api::DayLine* line : lines) {
    std::string text = "    " + clock_words(line->at) + "  " + std::string(lane_word(line->lane));
    text.append(7 - std::min<std::size_t>(6, lane_word(line->lane).size()), ' ');
    if (!line->who.empty()) text += line->who + ": ";
    text += line->text;
    if (line->late) text += " (" + late_words(line->late) + ")";
    fold(out, text, width, 25);
  }
  if (lines.size() < r.timeline.size())
    out += "    " + plural(r.timeline.size() - lines.size(), "more line is", "more lines are") +
           " in the report\n";
}

void add_figures(std::string& out, const api::GameDayReport& r, std::size_t width) {
  out += "\n  MTTD " + mean_words(r.mttd) + "   MTTA " + mean_words(r.mtta) + "   MTTR " +
         mean_words(r.mttr) + "\n";
  std::size_t told = 0;
  for (const api::DayRun& run : r.runs) {
    if (!run.fault) continue;
    if (++told > kMostItems) {
      out += "    more are in the report\n";
      return;
    }
    fold(out, "    " + run.step + " (" + run.run + ")", width, 6);
    for (const auto& [name, figure, parts] :
         {std::tuple{"noticed", &run.detection, &run.detectionParts},
          {"acknowledged", &run.acknowledgement, &run.acknowledgementParts},
          {"mitigated", &run.repair, &run.repairParts}}) {
      const std::string pieces = parts_words(*parts);
      fold(out,
           "      " + std::string(name) + ": " + figure_words(*figure) +
               (pieces.empty() ? "" : " = " + pieces),
           width, 8);
    }
    for (const api::DetectionReport& d : run.detections)
      fold(out,
           "      " + std::string(detection_word(d.verdict)) + ": " + alert_words(d) + ", " +
               detection_words(d),
           width, 8);
    fold(out, "      moved: " + spread_words(run), width, 8);
  }
}

void add_tasks(std::string& out, const api::GameDayReport& r, std::size_t width) {
  add_list(
      out, "runbooks", r.tasks,
      [](const api::DayTask& task) {
        std::string text = task.step + again_words(task.times) + ": " + outcome_word(task.outcome);
        if (task.seconds) text += " after " + seconds_words(*task.seconds);
        if (!task.items.empty())
          text += "; " + std::to_string(task.worked) + " worked, " + std::to_string(task.failed) +
                  " did not, " + std::to_string(task.untouched) + " untouched";
        if (!task.missing.empty()) text += "; " + std::to_string(task.missing.size()) + " missing";
        return text;
      },
      width);
}

}  // namespace
}  // namespace gameday

std::string gameday_terminal(const api::GameDayReport& foreign, std::size_t width) {
  using namespace gameday;  // NOLINT(google-build-using-namespace)
  const api::GameDayReport r = shown(foreign, kMostText);
  std::string out;
  fold(out, "  " + (r.title.empty() ? r.name : r.title) + " (" + r.day + ")", width, 4);
  fold(out, "  " + r.summary, width, 2);
  if (!r.hypothesis.empty()) fold(out, "  believed: " + r.hypothesis, width, 4);
  add_list(
      out, "what we believed", r.beliefs,
      [](const api::DayBelief& b) {
        return std::string(!b.met   ? "not judged: "
                           : *b.met ? "held: "
                                    : "did not hold: ") +
               b.step + ", " + b.text + (b.measured.empty() ? "" : ": " + b.measured);
      },
      width);
  gameday::add_figures(out, r, width);
  gameday::add_timeline(out, r, width);
  gameday::add_tasks(out, r, width);
  add_list(out, "what surprised us", r.surprises, surprise_words, width);
  const auto rest = [](const api::DayRest& one) { return one.step + ": " + one.text; };
  add_list(out, "what never recovered", r.neverRecovered, rest, width);
  add_list(out, "residue", r.residue, rest, width);
  add_list(
      out, "what is not known", r.gaps,
      [](const api::DayGap& gap) {
        return gap.where + (gap.what.empty() ? "" : ", " + gap.what) + ": " + gap.reason;
      },
      width);
  add_list(out, "action items", r.actions, action_words, width);
  add_list(
      out, "action items of earlier days", r.followUps,
      [](const api::DayFollowUp& one) {
        return std::string(change_word(one.change)) + ": " + action_words(one.action) + "; " +
               one.words;
      },
      width);
  if (r.trend.size() > 1)
    add_list(
        out, "MTTD over all days", r.trend,
        [](const api::DayTrendPoint& point) { return point.day + ": " + mean_words(point.mttd); },
        width);
  return out;
}

std::string gameday_json(const api::GameDayReport& report) {
  return api::gameday_report_text(report);
}

std::string gameday_actions_json(const api::GameDayReport& report) {
  return api::to_json_text(report.actions);
}

}  // namespace faultline::report
