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
  for (std::size_t i = end; i > begin + 3; i -= 3) digits.insert(i - 3, 1, ' ');
  return digits;
}

// "50.000 ms" -> "50 ms".
std::string without_noughts(std::string text) {
  const std::size_t point = text.find('.');
  if (point == std::string::npos) return text;
  std::size_t end = std::min(text.find(' ', point), text.size());
  std::size_t keep = end;
  while (text[keep - 1] == '0') --keep;
  if (text[keep - 1] == '.') --keep;
  return text.erase(keep, end - keep);
}

struct Scale {
  double factor;
  std::string_view unit;
};
// One unit for several values of which `size` is the greatest.
Scale scale_of(const api::Metric& metric, double size) {
  if (metric.kind == api::MetricKind::kFraction) return {100, "points"};
  if (metric.unit == "s") {
    if (size >= 0.9995) return {1, "s"};
    if (size >= 0.9995e-3) return {1e3, "ms"};
    return {1e6, "us"};
  }
  if (metric.kind == api::MetricKind::kGauge) return {1, metric.unit};
  if (metric.unit != "B") return {1, "/s"};
  if (size >= 999.5e6) return {1e-9, "GB/s"};
  if (size >= 999.5e3) return {1e-6, "MB/s"};
  return size >= 999.5 ? Scale{1e-3, "kB/s"} : Scale{1, "B/s"};
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

std::string offset_words(double seconds) {
  char text[64];
  std::snprintf(text, sizeof text, "%.3f", seconds);
  return grouped(text) + " s";
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

std::string exact_seconds_words(double seconds) {
  return without_noughts(seconds_words(seconds, 6));
}

std::string bound_words(const api::Metric& metric, double bound) {
  if (metric.unit == "s") return exact_seconds_words(bound);
  return without_noughts(value_words(metric, bound));
}

std::string change_words(const api::Metric& metric, double change) {
  return change_words(metric, change, std::nullopt);
}

std::string change_words(const api::Metric& metric, double change,
                         const std::optional<api::Interval>& interval) {
  double size = std::abs(change);
  if (interval) size = std::max({size, std::abs(interval->low), std::abs(interval->high)});
  const Scale scale = scale_of(metric, size);
  // As many decimals as give the greatest of them three digits.
  const double greatest = size * scale.factor;
  const int decimals = greatest >= 99.95 || greatest == 0 ? 0
                       : greatest >= 9.995                ? 1
                       : greatest >= 0.9995               ? 2
                                                          : 3;
  const auto one = [&](double value) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", decimals, value * scale.factor);
    if (std::strtod(text, nullptr) == 0) return std::string("0");
    return signed_words(grouped(text), value);
  };
  std::string text = one(change) + " " + std::string(scale.unit);
  if (interval) text += " (" + one(interval->low) + " to " + one(interval->high) + ")";
  return text;
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

std::string container_words(const api::Target& target) {
  const std::vector<std::string>& names = target.containerNames;
  if (names.empty()) return "";
  return (names.size() == 1 ? "container " : "containers ") + join(names, ", ");
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

std::string short_labels_words(const std::map<std::string, std::string>& labels) {
  std::vector<std::string> parts;
  if (const auto side = labels.find("side"); side != labels.end()) parts.push_back(side->second);
  for (const auto& [key, value] : labels) {
    if (key == "side") continue;
    parts.push_back(key == "port" ? ":" + value : labels_words({{key, value}}));
  }
  return join(parts, " ");
}

}  // namespace faultline::report
