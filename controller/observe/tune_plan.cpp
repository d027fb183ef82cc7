// SPDX-License-Identifier: Apache-2.0
// Which settings are looked at.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/quoted.h"
#include "controller/observe/tune.h"
#include "report/promql.h"

namespace faultline::controller::observe {
namespace {

constexpr double kLongestFor = 7 * 86'400;   // seconds; also of a window
constexpr std::size_t kLongestList = 1'000;  // bytes

using Read = std::optional<double> (*)(std::string_view);

std::optional<double> length_in(std::string_view text) {
  return report::parse_promql_duration(text);
}
std::optional<double> number_in(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

Result<std::vector<double>> list_in(const std::string& field, std::string_view text, Read read,
                                    std::string_view takes) {
  std::vector<double> out;
  if (text.empty()) return out;
  if (text.size() > kLongestList)
    return fail(Errc::kInvalid,
                field + ": the list is longer than " + std::to_string(kLongestList) + " bytes");
  while (true) {
    const std::size_t comma = text.find(',');
    std::string_view one = text.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    const auto value = read(one);
    if (!value)
      return fail(Errc::kInvalid, field + ": " + in_quotes(one) + " is not " + std::string(takes));
    if (std::ranges::find(out, *value) == out.end()) out.push_back(*value);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  if (out.size() > kMostTuneValues)
    return fail(Errc::kInvalid, field + ": " + std::to_string(out.size()) +
                                    " values are more than the " + std::to_string(kMostTuneValues) +
                                    " that a list may have");
  return out;
}

Result<double> one_length(const std::string& field, std::string_view text, double otherwise,
                          double most) {
  if (text.empty()) return otherwise;
  const auto value = length_in(text);
  if (!value)
    return fail(Errc::kInvalid,
                field + ": " + in_quotes(text) + " is no length of time, such as 7d, 12h or 30s");
  if (*value > most)
    return fail(Errc::kInvalid, field + ": at most " + report::promql_duration_words(most) +
                                    ", not " + in_quotes(text));
  return *value;
}

Result<> at_most(const std::string& field, const std::vector<double>& list, double most) {
  for (const double value : list)
    if (value > most)
      return fail(Errc::kInvalid, field + ": at most " + report::promql_duration_words(most));
  return {};
}

std::vector<double> in_order(std::vector<double> list, double present) {
  if (std::ranges::find(list, present) == list.end()) list.push_back(present);
  std::ranges::sort(list);
  const auto again = std::ranges::unique(list);
  list.erase(again.begin(), again.end());
  return list;
}

std::vector<double> fors_around(const api::AlertRule& rule) {
  const double present = rule.forSeconds;
  if (present > 0)
    return {0, present >= 2 ? std::ceil(present / 2) : present / 2, present, 2 * present};
  const double step = rule.evaluationInterval > 0 ? rule.evaluationInterval : 15;
  return {0, step, 2 * step, 4 * step};
}

std::vector<double> windows_around(double present, const api::AlertRule& rule) {
  std::vector<double> out{present, 2 * present};
  // A rate needs two samples.
  if (present / 2 >= 2 * rule.scrapeInterval.value_or(0)) out.push_back(present / 2);
  return out;
}

// The values of one dimension; a single empty one where the rule has none.
std::vector<std::optional<double>> values(std::optional<double> present,
                                          const std::vector<double>& wanted,
                                          std::vector<double> around) {
  if (!present) return {std::nullopt};
  std::vector<std::optional<double>> out;
  for (const double value : in_order(wanted.empty() ? std::move(around) : wanted, *present))
    out.emplace_back(value);
  return out;
}

}  // namespace

Result<TuneWish> tune_wish(const TuneWords& words) {
  constexpr std::string_view kLength = "a length of time, such as 30s, 2m or 1h30m";
  auto fors = list_in("for", words.fors, length_in, kLength);
  if (!fors) return fail(std::move(fors.error()));
  auto thresholds = list_in("threshold", words.thresholds, number_in, "a number");
  if (!thresholds) return fail(std::move(thresholds.error()));
  auto windows = list_in("window", words.windows, length_in, kLength);
  if (!windows) return fail(std::move(windows.error()));
  if (auto good = at_most("for", *fors, kLongestFor); !good) return fail(std::move(good.error()));
  if (auto good = at_most("window", *windows, kLongestFor); !good)
    return fail(std::move(good.error()));
  if (std::ranges::any_of(*windows, [](double window) { return window < 0.001; }))
    return fail(Errc::kInvalid, "window: a range of no length has no samples");
  TuneWish out{.fors = std::move(*fors),
               .thresholds = std::move(*thresholds),
               .windows = std::move(*windows)};
  const auto history = one_length("history", words.history, out.history, kLongestHistory);
  if (!history) return fail(history.error());
  const auto step = one_length("step", words.step, 0, 86'400);
  if (!step) return fail(step.error());
  out.history = *history;
  out.step = *step;
  return out;
}

Result<TunePlan> tune_plan(const api::AlertRule& rule, const TuneWish& wish) {
  TunePlan out{.rule = rule, .parts = tunable(rule.expr), .fors = {}, .expressions = {}};
  const auto threshold = out.parts.threshold(), window = out.parts.window();
  const auto cannot = [&](const std::string& field) {
    std::string why;
    for (const std::string& note : out.parts.notes)
      if (note.find(field) != std::string::npos) why = note;
    return fail(Errc::kInvalid, field + ": " + (why.empty() ? "the rule has none to vary" : why));
  };
  if (!threshold && !wish.thresholds.empty()) return cannot("threshold");
  if (!window && !wish.windows.empty()) return cannot("window");
  out.fors = in_order(wish.fors.empty() ? fors_around(rule) : wish.fors, rule.forSeconds);
  std::vector<double> around;
  for (const double factor : {0.5, 0.75, 1.0, 1.5, 2.0})
    around.push_back(threshold.value_or(0) * factor);
  const auto thresholds = values(threshold, wish.thresholds, std::move(around));
  const auto windows = values(window, wish.windows, windows_around(window.value_or(0), rule));
  if (out.fors.size() * thresholds.size() * windows.size() > kMostTuneSettings)
    return fail(Errc::kInvalid,
                "for, threshold, window: " + std::to_string(out.fors.size()) + " x " +
                    std::to_string(thresholds.size()) + " x " + std::to_string(windows.size()) +
                    " settings are more than the " + std::to_string(kMostTuneSettings) +
                    " that one question may have; give shorter lists");
  for (const auto& one : windows)
    for (const auto& other : thresholds)
      out.expressions.push_back({other, one, varied(out.parts, other, one)});
  return out;
}

}  // namespace faultline::controller::observe
