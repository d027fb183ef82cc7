// SPDX-License-Identifier: Apache-2.0
#include "report/gameday/axis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include "base/printable.h"
#include "report/format.h"
#include "report/gameday/words.h"
#include "report/html_parts.h"

namespace faultline::report::gameday {

const std::string_view kAxisStyle = R"css(
.day { width: 100%; height: auto; min-width: 760px; display: block; }
.day text { fill: var(--ink); font: 12px system-ui, -apple-system, "DejaVu Sans", sans-serif; }
.day text.soft { fill: var(--soft); }
.day text.lane { font-weight: 600; }
.day line.grid { stroke: var(--grid); }
.day line.between { stroke: var(--line); }
.day .bar { fill-opacity: 0.3; stroke-width: 1.5; }
.day .step { fill: var(--calm); stroke: var(--calm); }
.day .fault { fill: var(--asked); stroke: var(--asked); }
.day .effect { fill: var(--accent); stroke: var(--accent); }
.day .alert { fill: var(--bad); stroke: var(--bad); }
.day .people { fill: var(--good); stroke: var(--good); }
.day .open { stroke-dasharray: 3 3; }
.trend i { display: inline-block; height: 0.7em; background: var(--accent); margin-right: 8px; }
)css";

namespace {

constexpr double kWidth = 1120, kLeft = 84, kRight = 1110, kTop = 30;
constexpr double kRow = 20, kBar = 14, kLetter = 7.0;  // pixels; of a letter: its mean width
constexpr std::size_t kMostRows = 8, kMostDrawn = 1000, kMostLines = 800, kMostLabel = 44;

std::string number(double value) {
  std::array<char, 32> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), "%.1f", value));
  return text.data();
}

std::size_t letters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

// At most kMostLabel letters.
std::string cut(const std::string& text) {
  if (letters(text) <= kMostLabel) return text;
  std::size_t at = 0;
  for (std::size_t n = 0; at < text.size(); ++at) {
    if ((text[at] & 0xc0) == 0x80) continue;
    if (n++ == kMostLabel - 3) break;
  }
  return text.substr(0, at) + "...";
}

// One thing to draw: a bar, or a point where `to` is `from`.
struct Mark {
  std::string css;
  UtcTime from, to;
  bool open = false;  // its end is not known
  std::string label, title;
};

class Axis {
 public:
  Axis(UtcTime from, UtcTime to) : from_(from), to_(to) {}

  [[nodiscard]] double x(UtcTime at) const {
    const double all = std::chrono::duration<double>(to_ - from_).count();
    const double here = std::chrono::duration<double>(at - from_).count();
    return kLeft + std::clamp(all > 0 ? here / all : 0, 0.0, 1.0) * (kRight - kLeft);
  }
  [[nodiscard]] bool covers(UtcTime from, UtcTime to) const { return to >= from_ && from <= to_; }
  [[nodiscard]] UtcTime end() const { return to_; }

  // Ticks at round times, at most ten.
  [[nodiscard]] std::vector<UtcTime> ticks() const {
    constexpr std::array kSteps{1,   2,    5,    10,   15,    30,    60,    120,   300,   600,
                                900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800};
    const double all = std::chrono::duration<double>(to_ - from_).count();
    std::int64_t step = kSteps.back();
    for (const int one : kSteps)
      if (all / one <= 10) {
        step = one;
        break;
      }
    while (all / static_cast<double>(step) > 10) step *= 2;
    std::vector<UtcTime> out;
    const std::int64_t first =
        std::chrono::ceil<std::chrono::seconds>(from_).time_since_epoch().count();
    for (std::int64_t at = (first + step - 1) / step * step;; at += step) {
      const UtcTime time{std::chrono::seconds(at)};
      if (time > to_) return out;
      out.push_back(time);
    }
  }

 private:
  UtcTime from_, to_;
};

std::string shape(const Axis& axis, const Mark& mark, double y, bool labelled) {
  const double left = axis.x(mark.from), right = axis.x(mark.open ? axis.end() : mark.to);
  const bool point = mark.from == mark.to && !mark.open;
  std::string out = "<g><title>" + escape(mark.title) + "</title>";
  double text = left;
  if (point) {
    out += "<circle class=\"" + mark.css + "\" cx=\"" + number(left) + "\" cy=\"" +
           number(y + kBar / 2) + "\" r=\"4\"/>";
    text = left + 8;
  } else {
    const double wide = std::max(2.0, right - left);
    out += "<rect class=\"bar " + mark.css + (mark.open ? " open" : "") + "\" x=\"" + number(left) +
           "\" y=\"" + number(y) + "\" width=\"" + number(wide) + "\" height=\"" + number(kBar) +
           "\" rx=\"2\"/>";
    // Beside the bar where it does not fit into it.
    const double needed = kLetter * static_cast<double>(letters(mark.label)) + 8;
    text = needed <= wide ? left + 4 : left + wide + 4;
  }
  if (labelled && !mark.label.empty()) {
    const double needed = kLetter * static_cast<double>(letters(mark.label));
    const bool before = text + needed > kRight + 4;  // at the end of the axis: to the left of it
    out += "<text x=\"" + number(before ? left - 6 : text) + "\" y=\"" + number(y + kBar - 3) +
           "\"" + (before ? " text-anchor=\"end\"" : "") + ">" + escape(mark.label) + "</text>";
  }
  return out + "</g>\n";
}

// From where to where a mark with its label takes its row.
std::pair<double, double> room(const Axis& axis, const Mark& mark) {
  const double left = axis.x(mark.from), right = axis.x(mark.open ? axis.end() : mark.to);
  const double label = kLetter * static_cast<double>(letters(mark.label)) + 14;
  const double after = right + (right - left >= label ? 0 : label);
  if (after <= kRight + 10) return {left, after + 6};
  return {std::max(kLeft, left - label), right + 6};
}

struct Lane {
  std::string name;
  std::vector<Mark> marks;
};

// The marks of a lane in as many rows as they need so that no label is over another, at most
// kMostRows; what finds no place is drawn in the last without a label.
std::string lane_svg(const Axis& axis, const Lane& lane, double& y) {
  std::vector<double> ends;
  std::string out;
  for (const Mark& mark : lane.marks) {
    const auto [left, right] = room(axis, mark);
    std::size_t row = 0;
    while (row < ends.size() && ends[row] > left) ++row;
    const bool labelled = row < kMostRows;
    if (!labelled) row = kMostRows - 1;
    if (row == ends.size()) ends.push_back(0);
    if (labelled) ends[row] = right;
    out += shape(axis, mark, y + 6 + static_cast<double>(row) * kRow, labelled);
  }
  out += "<text class=\"lane\" x=\"4\" y=\"" + number(y + 17) + "\">" + lane.name + "</text>\n";
  y += 10 + kRow * static_cast<double>(std::max<std::size_t>(1, ends.size()));
  if (lane.marks.empty())
    out += "<text class=\"soft\" x=\"" + number(kLeft) + "\" y=\"" + number(y - 13) +
           "\">nothing</text>\n";
  out += "<line class=\"between\" x1=\"0\" y1=\"" + number(y) + "\" x2=\"" + number(kWidth) +
         "\" y2=\"" + number(y) + "\"/>\n";
  return out;
}

// From the start of the day to its end, and on to the end of what was measured.
Axis axis_of(const api::GameDayReport& r) {
  UtcTime from = r.startedAt.value, to = r.overAt.value;
  for (const api::DayLine& line : r.timeline) {
    if (!line.at.set()) continue;
    if (from == UtcTime{}) from = line.at.value;
    const bool measured = line.number == 0;
    if (measured || !r.overAt.set()) to = std::max(to, line.at.value);
  }
  if (to <= from) to = from + std::chrono::seconds(1);
  return {from, to};
}

void add_mark(Lane& lane, std::size_t& left_out, const Axis& axis, Mark mark) {
  if (!axis.covers(mark.from, mark.to) || lane.marks.size() >= kMostDrawn)
    ++left_out;
  else
    lane.marks.push_back(std::move(mark));
}

Mark bar(std::string css, api::Timestamp from, api::Timestamp to, const std::string& label,
         const std::string& title) {
  const bool open = !to.set() || to < from;
  return {std::move(css),
          from.value,
          open ? from.value : to.value,
          open,
          cut(label),
          clock_words(from) + (open ? "" : " to " + clock_words(to)) + ": " + title};
}

// What people said, the telling words first in the label.
std::string people_label(const api::DayLine& line) {
  if (line.event == "tick") return "";  // many, and the runbook's table has them
  return line.who.empty() ? line.event : line.event + ", " + line.who;
}

std::string_view css_of(api::DayLane lane) {
  switch (lane) {
    case api::DayLane::fault:
      return "fault";
    case api::DayLane::effect:
      return "effect";
    case api::DayLane::alert:
      return "alert";
    case api::DayLane::people:
      return "people";
    case api::DayLane::course:
      break;
  }
  return "step";
}

}  // namespace

std::string day_axis(const api::GameDayReport& r) {
  if (r.timeline.empty() || !r.timeline.back().at.set()) return "";
  const Axis axis = axis_of(r);
  std::array<Lane, 5> lanes{Lane{"steps", {}}, Lane{"faults", {}}, Lane{"effects", {}},
                            Lane{"alerts", {}}, Lane{"people", {}}};
  std::size_t left_out = 0;
  for (const api::DayStep& step : r.steps)
    if (step.begunAt.set())
      add_mark(lanes[0], left_out, axis,
               bar("step", step.begunAt, step.overAt, step.name,
                   step.name + ": " + outcome_word(step.outcome)));
  std::ranges::stable_sort(lanes[0].marks, {}, &Mark::from);
  for (const api::DaySpan& span : r.spans)
    add_mark(lanes[static_cast<std::size_t>(span.lane)], left_out, axis,
             bar(std::string(css_of(span.lane)), span.from, span.to, span.text,
                 span.text + ", run " + span.run));
  const auto drawn = telling_lines(r, kMostLines);
  left_out += r.timeline.size() - drawn.size();
  for (const api::DayLine* one : drawn) {
    const api::DayLine& line = *one;
    if (line.number == 0 || !line.at.set()) continue;
    const bool people = line.lane == api::DayLane::people;
    if (!people && line.lane != api::DayLane::alert) continue;
    if (!people && line.text.find(" is silent again") != line.text.npos) continue;
    const std::string label = people ? people_label(line) : line.text;
    add_mark(lanes[people ? 4 : 3], left_out, axis,
             {std::string(css_of(line.lane)), line.at.value, line.at.value, false, cut(label),
              clock_words(line.at) + (line.who.empty() ? ": " : " " + line.who + ": ") +
                  printable(line.text, 300)});
  }
  for (Lane& lane : lanes) std::ranges::stable_sort(lane.marks, {}, &Mark::from);
  double y = kTop;
  std::string body;
  for (const Lane& lane : lanes) body += lane_svg(axis, lane, y);
  std::string grid;
  for (const UtcTime tick : axis.ticks()) {
    const std::string x = number(axis.x(tick));
    grid += "<line class=\"grid\" x1=\"" + x + "\" y1=\"20\" x2=\"" + x + "\" y2=\"" + number(y) +
            "\"/><text class=\"soft\" text-anchor=\"middle\" x=\"" + x + "\" y=\"14\">" +
            clock_words({tick}).substr(0, 8) + "</text>\n";
  }
  std::string out =
      "<div class=\"scroll\" tabindex=\"0\"><svg class=\"day\" role=\"img\" "
      "aria-label=\"steps, faults, effects, alerts and people over time\" "
      "viewBox=\"0 0 " +
      number(kWidth) + " " + number(y + 4) + "\">\n" + grid + body + "</svg></div>\n";
  if (left_out > 0)
    out += "<p class=\"lead\">" + typeset(plural(left_out, "mark is", "marks are")) +
           " not drawn: before the start, after the end, or more than can be told apart. The table "
           "has them.</p>\n";
  return out;
}

}  // namespace faultline::report::gameday
