// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>

#include "report/detections.h"
#include "report/format.h"
#include "report/noticed.h"
#include "report/report.h"
#include "report/shown.h"
#include "report/story.h"

namespace faultline::report {
namespace {

constexpr std::size_t kRows = 8;
constexpr std::size_t kLabel = 13, kWord = 12;
constexpr std::size_t kProse = 96;  // where sentences are wrapped; rows of figures are not

enum class Paint { kNone, kGood, kWarn, kBad, kDim, kBold };

class Page {
 public:
  explicit Page(bool color) : color_(color) {}

  [[nodiscard]] std::string paint(const std::string& text, Paint p) const {
    if (!color_ || p == Paint::kNone) return text;
    static constexpr const char* kCodes[] = {"", "32", "33", "31", "2", "1"};
    return std::string("\033[") + kCodes[static_cast<int>(p)] + "m" + text + "\033[0m";
  }
  // "  label        word        rest"
  void line(std::string_view label, std::string_view word, Paint p, const std::string& rest) {
    const std::size_t width = rest.empty() ? 0 : std::max(kWord, word.size() + 1);
    out_ += "  " + padded(label, kLabel) + paint(padded(word, width), p) + rest + "\n";
  }
  // As line(), with a sentence of any length.
  void prose(std::string_view label, std::string_view word, Paint p, const std::string& rest) {
    std::size_t from = 0;
    while (rest.size() - from > kProse) {
      std::size_t blank = rest.rfind(' ', from + kProse);
      if (blank == rest.npos || blank < from) break;  // one long word
      line(label, word, p, rest.substr(from, blank - from));
      from = blank + 1;
      label = word = "";
      p = Paint::kNone;
    }
    line(label, word, p, rest.substr(from));
  }
  void text(const std::string& line) { out_ += line + "\n"; }
  [[nodiscard]] std::string take() { return std::move(out_); }

  // Every character we print is one column wide and one byte long; pod names are ASCII.
  static std::string padded(std::string_view text, std::size_t width) {
    std::string out(text);
    if (out.size() < width) out.append(width - out.size(), ' ');
    return out;
  }

 private:
  bool color_;
  std::string out_;
};

Paint paint_of(api::InjectionVerdict verdict) {
  switch (verdict) {
    case api::InjectionVerdict::confirmed:
      return Paint::kGood;
    case api::InjectionVerdict::partial:
      return Paint::kWarn;
    case api::InjectionVerdict::no_traffic:
    case api::InjectionVerdict::blocked:
      break;
  }
  return Paint::kBad;
}

Paint paint_of(const api::Report& report) {
  const std::string word = headline(report);
  if (word == "met") return Paint::kGood;
  return word == "missed" || word == "partial" || word == "running" || word == "aborted"
             ? Paint::kWarn
             : Paint::kBad;
}

void faults(const api::Report& report, Page& page) {
  for (const api::InjectionReport& row : report.injections) {
    std::string text = row.fault + " on " + row.pod;
    if (row.verdict != api::InjectionVerdict::blocked && row.matched > 0)
      text += ": " + acted_words(row);
    page.line("fault", verdict_word(row.verdict), paint_of(row.verdict), text);
    page.line("", "", Paint::kNone, page.paint("asked " + row.asked, Paint::kDim));
    if (!row.reason.empty()) page.prose("", "", Paint::kNone, row.reason);
  }
}

using Cells = std::vector<std::string>;

Cells effect_cells(const api::EffectReport& e) {
  const api::Metric& metric = *api::find_metric(e.metric);
  const Telling figure = telling_figure(e);
  const std::string labels = short_labels_words(e.labels);
  return {std::string(role_word(e.role)),
          e.pod,
          metric_words(e) + (labels.empty() ? "" : " " + labels),
          figure_words(figure.before, metric),
          figure_words(figure.during, metric),
          ratio_words(e, metric),
          figure.change ? change_words(metric, *figure.change, figure.ci95) : "not comparable"};
}

void effects(const api::Report& report, Page& page) {
  const std::vector<const api::EffectReport*> rows = telling_effects(report, kRows);
  if (rows.empty()) return;
  const bool faults = !report.experiment.spec.faults.empty();
  std::vector<Cells> table{{"", "", "", "before", "during", "",
                            faults ? "change (95 % interval)" : "during minus before"}};
  for (const api::EffectReport* e : rows) table.push_back(effect_cells(*e));
  std::vector<std::size_t> width(table.front().size(), 0);
  for (const Cells& cells : table)
    for (std::size_t c = 0; c < cells.size(); ++c) width[c] = std::max(width[c], cells[c].size());
  for (std::size_t r = 0; r < table.size(); ++r) {
    std::string text;
    for (std::size_t c = 0; c < table[r].size(); ++c) {
      const std::string& cell = table[r][c];
      if (width[c] == 0) continue;
      const bool figure = c >= 3 && c <= 5;
      if (!text.empty()) text += "  ";
      text += figure ? std::string(width[c] - cell.size(), ' ') + cell
                     : Page::padded(cell, c + 1 == table[r].size() ? 0 : width[c]);
    }
    if (r == 0) text = page.paint(text, Paint::kDim);
    page.text("  " + Page::padded(r == 0 ? "effects" : "", kLabel) + text);
  }
  if (report.effects.size() > rows.size())
    page.text("  " + Page::padded("", kLabel) +
              page.paint(count_words(report.effects.size() - rows.size()) + " more in the report",
                         Paint::kDim));
}

// What hides an effect that callers feel comes before what does not.
std::vector<api::Gap> gaps_that_matter_first(const api::Report& report) {
  std::vector<api::Gap> gaps = report.gaps;
  std::ranges::stable_sort(gaps, {}, [](const api::Gap& gap) {
    return gap.metric.empty() || gap.metric.starts_with("request.")               ? 0
           : gap.metric.starts_with("connect.") || gap.metric.starts_with("tls.") ? 1
                                                                                  : 2;
  });
  return gaps;
}

// One row for each reason: a lost node makes the same gap for all of its pods.
void gaps(const api::Report& report, Page& page) {
  constexpr std::size_t kReasons = 3;
  std::vector<std::pair<std::string, std::vector<std::string>>> reasons;  // and where
  std::map<std::string, api::Gap> shares;                                 // by reason, summed up
  for (const api::Gap& gap : gaps_that_matter_first(report)) {
    if (gap.missed && gap.of) {
      api::Gap& share = shares[gap.reason];
      share.missed = share.missed.value_or(0) + *gap.missed;
      share.of = share.of.value_or(0) + *gap.of;
    }
    std::vector<std::string> where;
    for (const std::string* part : {&gap.node, &gap.pod, &gap.metric})
      if (!part->empty()) where.push_back(*part);
    auto known = std::ranges::find(reasons, gap.reason, [](const auto& r) { return r.first; });
    if (known == reasons.end()) known = reasons.insert(reasons.end(), {gap.reason, {}});
    known->second.push_back(join(where, " "));
  }
  for (std::size_t i = 0; i < reasons.size() && i < kReasons; ++i) {
    const auto& [reason, where] = reasons[i];
    std::string text = where.front();
    if (where.size() > 1) text += " and " + count_words(where.size() - 1) + " more";
    page.prose(i == 0 ? "gaps" : "", count_words(where.size()), Paint::kWarn,
               text + (text.empty() ? "" : ": ") + reason + gap_words(shares[reason]));
  }
  if (reasons.size() > kReasons)
    page.line("", "", Paint::kNone,
              count_words(reasons.size() - kReasons) + " other reasons in the report");
}

// A line for each alert and signal.
void did_anyone_notice(const api::Report& report, Page& page) {
  for (const api::DetectionReport& d : report.detections) {
    const std::string words = detection_words(d);
    page.prose("alert", detection_word(d.verdict), noticed(d.verdict) ? Paint::kGood : Paint::kWarn,
               alert_words(d) + (words.empty() ? "" : ": " + words));
    for (const std::string& hint : hint_words(d)) page.prose("", "hint", Paint::kDim, hint);
  }
  for (const api::SignalReport& s : report.signals)
    page.prose("signal", signal_word(s.verdict),
               s.verdict == api::SignalVerdict::agrees ? Paint::kGood : Paint::kWarn,
               signal_words(s));
}

}  // namespace

std::string to_terminal(const api::Report& foreign, bool color) {
  const api::Report report = shown(foreign);
  Page page(color);
  faults(report, page);
  effects(report, page);
  for (const api::EffectReport* e : moved_controls(report))
    page.prose("control", "changed", Paint::kWarn, moved_control_words(*e));
  for (const api::ExpectationReport& e : report.expectations)
    page.prose("expectation", e.met ? "met" : "missed", e.met ? Paint::kGood : Paint::kWarn,
               e.text + "; measured " + e.measured);
  if (!report.experiment.spec.faults.empty() && !report.recovery.text.empty())
    page.prose("recovery", report.recovery.seconds ? recovery_words(report) : "-", Paint::kNone,
               report.recovery.text);
  const bool clean = report.residue && report.residue->empty();
  page.line("residue", residue_words(report), clean ? Paint::kGood : Paint::kBad, "");
  gaps(report, page);
  page.prose("verdict", headline(report), paint_of(report), verdict_reason(report));
  did_anyone_notice(report, page);
  return page.take();
}

}  // namespace faultline::report
