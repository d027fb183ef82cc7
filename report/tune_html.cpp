// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/printable.h"
#include "report/format.h"
#include "report/html_parts.h"
#include "report/promql.h"
#include "report/tune.h"
#include "report/web/assets.h"

namespace faultline::report {
namespace {

constexpr double kWidth = 720, kHeight = 340;  // of the picture, pixels
constexpr double kLeft = 70, kRight = 600, kTop = 20, kBottom = 280, kUndetected = 670;

constexpr std::string_view kStyle = R"css(
.trade { width: 100%; max-width: 760px; height: auto; }
.trade text { fill: var(--soft); font: 12px system-ui, sans-serif; }
.trade line { stroke: var(--grid); }
.trade line.axis { stroke: var(--soft); }
.trade circle { fill: var(--soft); fill-opacity: 0.45; }
.trade circle.best { fill: var(--accent); fill-opacity: 1; }
.trade circle.now { fill: none; stroke: var(--asked); stroke-width: 3; }
td code { overflow-wrap: anywhere; }
)css";

std::string shown_text(std::string_view text) { return escape(printable(text)); }

std::string at(double value) {
  char text[32];
  static_cast<void>(std::snprintf(text, sizeof text, "%.1f", value));
  return text;
}
std::string text_at(double x, double y, std::string_view anchor, std::string_view words) {
  return "<text x=\"" + at(x) + "\" y=\"" + at(y) + "\" text-anchor=\"" + std::string(anchor) +
         "\">" + escape(words) + "</text>\n";
}
std::string line(double x1, double y1, double x2, double y2, std::string_view css) {
  return "<line class=\"" + std::string(css) + "\" x1=\"" + at(x1) + "\" y1=\"" + at(y1) +
         "\" x2=\"" + at(x2) + "\" y2=\"" + at(y2) + "\"/>\n";
}

std::string setting_words(const api::TuneSetting& setting) {
  std::string out = "for " + promql_duration_words(setting.forSeconds);
  if (setting.threshold) out += ", threshold " + threshold_words(setting.threshold);
  if (setting.window) out += ", window " + promql_duration_words(*setting.window);
  for (const api::TunePrediction& one : setting.runs) out += "; " + outcome_words(one);
  if (setting.falsePerDay) out += "; " + number_words(*setting.falsePerDay) + " false alarms a day";
  return out;
}

// The picture: a square root's scale upwards, as in tune_plot().
class Picture {
 public:
  explicit Picture(const api::TuneReport& report) : report_(report) {
    for (const api::TuneSetting& one : report.settings) {
      if (!one.falsePerDay || !judged(one)) continue;
      any_ = true;
      most_ = std::max(most_, *one.falsePerDay);
      longest_ = std::max(longest_, slowest(one).value_or(0));
    }
  }

  [[nodiscard]] std::string svg() const {
    if (!any_) return "<p>There is nothing to draw: no run or no history could be looked at.</p>\n";
    std::string out =
        "<svg class=\"trade\" role=\"img\" aria-label=\"false alarms a day against "
        "seconds to the detection\" viewBox=\"0 0 " +
        at(kWidth) + " " + at(kHeight) + "\">\n";
    for (const double share : {0.0, 0.5, 1.0}) {
      const double y = kBottom - share * (kBottom - kTop);
      out += line(kLeft, y, kUndetected + 30, y, share == 0 ? "axis" : "rule") +
             text_at(kLeft - 8, y + 4, "end", number_words(most_ * share * share));
      const double x = kLeft + share * (kRight - kLeft);
      out += line(x, kTop, x, kBottom, share == 0 ? "axis" : "rule") +
             text_at(x, kBottom + 18, "middle", seconds_words(longest_ * share));
    }
    out += text_at(kUndetected, kBottom + 18, "middle", "not all detected") +
           text_at((kLeft + kRight) / 2, kBottom + 40, "middle",
                   "from the first injected event to the detection, in the slowest run") +
           text_at(kLeft, kTop - 6, "start", "false alarms a day");
    for (const auto& [css, radius, which] :
         {std::tuple{"", 4.0, &all}, std::tuple{"best", 5.0, &best}, std::tuple{"now", 8.0, &now}})
      for (const api::TuneSetting& one : report_.settings)
        if (one.falsePerDay && judged(one) && which(one)) out += circle(one, css, radius);
    return out + "</svg>\n";
  }

 private:
  static bool all(const api::TuneSetting&) { return true; }
  static bool best(const api::TuneSetting& one) { return one.best; }
  static bool now(const api::TuneSetting& one) { return one.present; }

  [[nodiscard]] std::string circle(const api::TuneSetting& one, std::string_view css,
                                   double radius) const {
    const auto seconds = slowest(one);
    const double x = !seconds ? kUndetected
                              : kLeft + (longest_ > 0 ? *seconds / longest_ : 0) * (kRight - kLeft);
    const double y =
        kBottom - (most_ > 0 ? std::sqrt(*one.falsePerDay / most_) : 0) * (kBottom - kTop);
    return "<circle class=\"" + std::string(css) + "\" cx=\"" + at(x) + "\" cy=\"" + at(y) +
           "\" r=\"" + at(radius) + "\"><title>" + escape(setting_words(one)) +
           "</title></circle>\n";
  }

  const api::TuneReport& report_;
  bool any_ = false;
  double most_ = 0, longest_ = 0;
};

std::string settings_table(const api::TuneReport& report) {
  std::vector<std::string> names;
  for (const api::TuneRun& run : report.runs) names.push_back(printable(run.run));
  std::vector<Column> columns{{"", false}, {"for", true}, {"threshold", true}, {"window", true}};
  for (const std::string& name : names) columns.push_back({name, true});
  columns.insert(columns.end(), {{"false alarms", true},
                                 {"a day", true},
                                 {"firing", true},
                                 {"of runs", true},
                                 {"expression", false}});
  std::vector<std::vector<std::string>> rows;
  for (const api::TuneSetting& one : report.settings) {
    std::vector<std::string> row{
        one.present ? badge("now", "warn") + (one.best ? " " + badge("best", "good") : "")
        : one.best  ? badge("best", "good")
                    : "",
        escape(promql_duration_words(one.forSeconds)), escape(threshold_words(one.threshold)),
        one.window ? escape(promql_duration_words(*one.window)) : "-"};
    for (std::size_t r = 0; r < names.size(); ++r)
      row.push_back(r < one.runs.size() ? typeset(outcome_words(one.runs[r])) : "");
    row.push_back(one.falseAlarms ? typeset(count_words(*one.falseAlarms)) : "not known");
    row.push_back(one.falsePerDay ? typeset(number_words(*one.falsePerDay)) : "");
    row.push_back(one.falseSeconds ? typeset(seconds_words(*one.falseSeconds)) : "");
    row.push_back(typeset(count_words(one.leftOut)));
    row.push_back("<code>" + shown_text(one.expr) + "</code>");
    rows.push_back(std::move(row));
  }
  return html_table("Settings, and what each would have made of the runs and of the history",
                    columns, rows);
}

}  // namespace

std::string tune_html(const api::TuneReport& report) {
  const std::string title = "Tuning " + printable(report.alert);
  std::string out = html_head(title, false);
  out += web::kReportCss;
  out += kStyle;
  out += "</style>\n</head>\n<body>\n<main>\n<header><p class=\"run\">Faultline &middot; " +
         shown_text(report.source) + ", group " + shown_text(report.group) + "</p><h1>" +
         escape(title) + "</h1><p><code>" + shown_text(report.expr) + "</code>, evaluated every " +
         typeset(exact_seconds_words(report.evaluationInterval)) + "</p></header>\n<section>\n" +
         Picture(report).svg() +
         "<p class=\"legend\">A ring is the rule as it is now; the filled ones are best: no other "
         "setting beats them in one thing and is as good in the rest.</p>\n";
  if (const std::string words = history_words(report.history); !words.empty())
    out += "<p>" + typeset(words) + ".</p>\n";
  out += "</section>\n" + settings_table(report) + "<ul>\n";
  for (const std::string& words : run_words(report)) out += "<li>" + typeset(words) + "</li>\n";
  for (const std::string& words : outcome_notes(report)) out += "<li>" + typeset(words) + "</li>\n";
  for (const std::string& note : report.notes) out += "<li>" + typeset(printable(note)) + "</li>\n";
  return out + "</ul>\n</main>\n</body>\n</html>\n";
}

}  // namespace faultline::report
