// SPDX-License-Identifier: Apache-2.0
#include "report/format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace faultline::report {
namespace {

constexpr double kMinute = 60;

// Puts a blank before each group of three digits of the whole part.
std::string grouped(std::string digits) {
  const std::size_t end = std::min(digits.find('.'), digits.size());
  const std::size_t begin = digits.starts_with('-') ? 1 : 0;
  for (std::size_t i = end; i > begin + 3; i -= 3) digits.insert(i - 3, " ");
  return digits;
}

std::string signed_words(std::string text, double value) {
  return value > 0 && !text.starts_with('-') ? "+" + text : text;
}

}  // namespace

std::string number_words(double value, int digits) {
  if (std::isnan(value)) return "?";
  if (std::isinf(value)) return value > 0 ? "infinite" : "-infinite";
  if (value == 0) return "0";
  // Rounded first, because 9.996 has one digit more after rounding than before.
  char text[64];
  std::snprintf(text, sizeof text, "%.*e", std::max(digits, 1) - 1, value);
  const double rounded = std::strtod(text, nullptr);
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(rounded))));
  const int decimals = std::clamp(digits - 1 - magnitude, 0, 12);
  std::snprintf(text, sizeof text, "%.*f", decimals, decimals == 0 ? value : rounded);
  return grouped(text);
}

std::string count_words(std::uint64_t value) { return grouped(std::to_string(value)); }

std::string seconds_words(double seconds, int digits) {
  const double size = std::abs(seconds);
  if (size == 0) return "0 s";
  if (size >= 2 * kMinute) {
    const auto whole = static_cast<std::uint64_t>(std::llround(size));
    const std::string rest = whole % 60 == 0 ? "" : " " + std::to_string(whole % 60) + " s";
    return (seconds < 0 ? "-" : "") + count_words(whole / 60) + " min" + rest;
  }
  // 0.9996 s would read "1 000 ms": each limit is where rounding reaches the next unit.
  const double edge = 1 - 0.5 * std::pow(10.0, -digits);
  if (size >= edge) return number_words(seconds, digits) + " s";
  if (size >= 1e-3 * edge) return number_words(seconds * 1e3, digits) + " ms";
  if (size >= 1e-6 * edge) return number_words(seconds * 1e6, digits) + " us";
  return number_words(seconds * 1e9, digits) + " ns";
}

std::string percent_words(double fraction, int digits) {
  std::string text = number_words(fraction * 100, digits);
  if (text.find('.') != std::string::npos) {
    while (text.ends_with('0')) text.pop_back();
    if (text.ends_with('.')) text.pop_back();
  }
  return text + " %";
}

std::string value_words(const api::Metric& metric, double value) {
  switch (metric.kind) {
    case api::MetricKind::kHistogram:
      return seconds_words(value);
    case api::MetricKind::kFraction:
      return percent_words(value, 3);
    case api::MetricKind::kGauge:
      if (metric.unit == "s") return seconds_words(value);
      return number_words(value) + " " + std::string(metric.unit);
    case api::MetricKind::kCounter:
      break;
  }
  if (metric.unit == "B") {
    for (const auto& [limit, name] : {std::pair{1e9, " GB/s"}, {1e6, " MB/s"}, {1e3, " kB/s"}})
      if (std::abs(value) >= limit * 0.9995) return number_words(value / limit) + name;
    return number_words(value) + " B/s";
  }
  return number_words(value) + " /s";
}

std::string change_words(const api::Metric& metric, double change) {
  if (metric.kind == api::MetricKind::kFraction)
    return signed_words(number_words(change * 100), change) + " points";
  return signed_words(value_words(metric, change), change);
}

std::string plural(std::uint64_t n, std::string_view one, std::string_view many) {
  return count_words(n) + " " + std::string(n == 1 ? one : many);
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts) {
    if (!text.empty()) text += separator;
    text += part;
  }
  return text;
}

std::string selector_words(const api::Selector& selector) {
  if (selector == api::Selector{}) return "every measured pod";
  std::vector<std::string> labels;
  for (const auto& [key, value] : selector.labelSelectors) labels.push_back(key + "=" + value);
  std::vector<std::string> names;
  for (const auto& [space, pods] : selector.pods)
    for (const std::string& pod : pods) names.push_back(space + "/" + pod);
  std::string text = join(labels, ",");
  if (!names.empty()) text += (text.empty() ? "" : " among ") + join(names, ", ");
  if (text.empty()) text = "every pod";
  if (!selector.namespaces.empty()) text += " in " + join(selector.namespaces, ", ");
  if (!selector.nodes.empty()) text += " on " + join(selector.nodes, ", ");
  return text;
}

std::string quantile_words(double quantile) {
  if (quantile >= 1) return "max";
  if (quantile <= 0) return "min";
  char text[32];
  std::snprintf(text, sizeof text, "p%.6g", quantile * 100);
  return text;
}

std::string labels_words(const std::map<std::string, std::string>& labels) {
  std::vector<std::string> parts;
  // The side comes first: it says whose view the other labels belong to.
  if (const auto side = labels.find("side"); side != labels.end())
    parts.push_back(side->second == "server" ? "as server" : "as client");
  for (const auto& [key, value] : labels) {
    if (key == "side") continue;
    if (key == "direction")
      parts.push_back(value == "to" ? "sent" : "received");
    else if (key == "errno")
      parts.push_back(value);
    else
      parts.push_back(key + " " + value);
  }
  return join(parts, ", ");
}

}  // namespace faultline::report
