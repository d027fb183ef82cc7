// SPDX-License-Identifier: Apache-2.0
#include "report/tune.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/printable.h"
#include "report/format.h"

namespace faultline::report {
namespace {

constexpr std::size_t kWide = 62, kHigh = 11;  // of the plot, without its scales
constexpr std::size_t kScale = 9;              // columns of the numbers on its left
constexpr std::size_t kLane = 6;               // columns from the plot to what is not detected

// Where values lie, from 0 to 1. Square roots, so that a setting that fires all the time leaves
// room for the others.
double height_of(double per_day, double most) {
  return most > 0 ? std::sqrt(std::max(0.0, per_day) / most) : 0;
}

std::string right(std::string text, std::size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

std::size_t place(double share, std::size_t cells) {
  return static_cast<std::size_t>(
      std::llround(std::clamp(share, 0.0, 1.0) * static_cast<double>(cells - 1)));
}

}  // namespace

std::string outcome_words(const api::TunePrediction& prediction) {
  switch (prediction.outcome) {  // no default: a new word must be thought about here
    case api::TuneOutcome::detected:
      return prediction.seconds ? seconds_words(*prediction.seconds) : "detected";
    case api::TuneOutcome::before_fault:
      return "before";
    case api::TuneOutcome::pending:
      return "pending";
    case api::TuneOutcome::missed:
      return "missed";
    case api::TuneOutcome::gap:
      break;
  }
  return "gap";
}

bool judged(const api::TuneSetting& setting) {
  return std::ranges::any_of(setting.runs, [](const api::TunePrediction& one) {
    return one.outcome != api::TuneOutcome::gap;
  });
}

std::optional<double> slowest(const api::TuneSetting& setting) {
  std::optional<double> out;
  for (const api::TunePrediction& one : setting.runs) {
    if (one.outcome == api::TuneOutcome::gap) continue;
    if (one.outcome != api::TuneOutcome::detected || !one.seconds) return std::nullopt;
    out = std::max(out.value_or(*one.seconds), *one.seconds);
  }
  return out;
}

std::string threshold_words(std::optional<double> threshold) {
  if (!threshold) return "-";
  char text[40];
  static_cast<void>(std::snprintf(text, sizeof text, "%.6g", *threshold));
  return text;
}

std::string mark_words(const api::TuneSetting& setting) {
  if (setting.present) return setting.best ? "now, best" : "now";
  return setting.best ? "best" : "";
}

std::string history_words(const api::TuneHistory& history) {
  if (!history.to.set()) return "";
  std::string out = "false alarms are counted from " + history.from.format().substr(0, 19) +
                    "Z to " + history.to.format().substr(0, 19) + "Z, every " +
                    exact_seconds_words(history.resolution);
  if (!history.dataFrom.set()) return out + "; there is no data of that time";
  if (history.from < history.dataFrom &&
      history.dataFrom.value - history.from.value > std::chrono::minutes(10))
    out += "; there is data from " + history.dataFrom.format().substr(0, 19) + "Z on";
  return out + ": " + number_words(history.counted / 86'400) + " days without " +
         plural(history.runsLeftOut, "run that is", "runs that are") + " left out";
}

std::vector<std::string> run_words(const api::TuneReport& report) {
  std::vector<std::string> out;
  for (const api::TuneRun& run : report.runs) {
    std::string words = printable(run.run) + ": ";
    words += run.measured ? "it fired after " + seconds_words(*run.measured) + " in the run itself"
                          : "it did not fire in the run itself";
    if (!run.problem.empty()) words += "; " + printable(run.problem);
    out.push_back(std::move(words));
  }
  return out;
}

std::vector<std::string> outcome_notes(const api::TuneReport& report) {
  std::vector<std::string> out;
  for (const auto& [outcome, words] :
       {std::pair{api::TuneOutcome::before_fault,
                  "before: it would have been pending or firing before the fault"},
        std::pair{api::TuneOutcome::pending,
                  "pending: the run ended before `for` was over; a longer fault would show more"},
        std::pair{api::TuneOutcome::gap, "gap: Prometheus does not have the samples of that time"}})
    if (std::ranges::any_of(report.settings, [&](const api::TuneSetting& one) {
          return std::ranges::any_of(
              one.runs, [&](const api::TunePrediction& run) { return run.outcome == outcome; });
        }))
      out.emplace_back(words);
  return out;
}

std::string tune_plot(const api::TuneReport& report) {
  double most = 0, longest = 0;
  bool any = false, undetected = false;
  for (const api::TuneSetting& one : report.settings) {
    if (!one.falsePerDay || !judged(one)) continue;
    any = true;
    most = std::max(most, *one.falsePerDay);
    if (const auto seconds = slowest(one))
      longest = std::max(longest, *seconds);
    else
      undetected = true;
  }
  if (!any) return "";
  std::vector<std::string> rows(kHigh, std::string(kWide + (undetected ? kLane + 1 : 0), ' '));
  const auto draw = [&](auto which, char mark) {
    for (const api::TuneSetting& one : report.settings) {
      if (!one.falsePerDay || !judged(one) || !which(one)) continue;
      const auto seconds = slowest(one);
      const std::size_t x =
          seconds ? place(longest > 0 ? *seconds / longest : 0, kWide) : kWide + kLane;
      rows[kHigh - 1 - place(height_of(*one.falsePerDay, most), kHigh)][x] = mark;
    }
  };
  draw([](const api::TuneSetting&) { return true; }, '.');
  draw([](const api::TuneSetting& one) { return one.best; }, 'o');
  draw([](const api::TuneSetting& one) { return one.present; }, '@');
  std::string out = "false alarms a day\n";
  for (std::size_t i = 0; i < kHigh; ++i) {
    std::string scale;
    if (i % 5 == 0) {
      const double share = static_cast<double>(kHigh - 1 - i) / (kHigh - 1);
      scale = number_words(most * share * share);
    }
    std::string row = rows[i];
    row.erase(row.find_last_not_of(' ') + 1);
    out += right(scale, kScale) + " |" + row + "\n";
  }
  std::string ends = "0 s";
  const std::string half = seconds_words(longest / 2), whole = seconds_words(longest);
  ends += right(half, kWide / 2 - ends.size() + half.size() / 2);
  ends += right(whole, kWide - std::min(kWide, ends.size()));
  if (undetected) ends += right("not all detected", kLane + 12);
  out += std::string(kScale, ' ') + " +" + std::string(kWide, '-') + "\n" +
         std::string(kScale + 2, ' ') + ends + "\n" + std::string(kScale + 2, ' ') +
         "from the first injected event to the detection, in the slowest run\n" +
         std::string(kScale + 2, ' ') + "@ as the rule is now   o best: no other beats it\n";
  return out;
}

}  // namespace faultline::report
