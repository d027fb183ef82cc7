// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/samples.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <utility>

#include "report/alert_episodes.h"

namespace faultline::controller::observe {
namespace {

constexpr std::size_t kMostEvaluations = 4'000;  // of one rule and expectation
// A sample may be this much later than a whole interval after the one before it, in intervals.
constexpr double kSlack = 0.5;
// Prometheus stores the samples of an evaluation some time after it; seconds.
constexpr double kStored = 1;

bool has_all(const Labels& labels, const Labels& wanted) {
  return std::ranges::all_of(wanted, [&](const auto& label) {
    if (label.first == "alertname") return true;
    const auto found = labels.find(label.first);
    return found != labels.end() && found->second == label.second;
  });
}

bool is_alert_of(const api::AlertRule& rule, const Labels& labels) {
  const auto name = labels.find("alertname");
  return name != labels.end() && name->second == rule.alert && report::is_of(rule, labels);
}

// What is known of one instance: its samples of both states, by time.
struct Samples {
  double interval = 0;
  std::vector<std::pair<double, api::AlertState>> at;
};

double interval_of(const Labels& labels, const std::vector<api::AlertRule>& rules,
                   const std::vector<std::pair<double, api::AlertState>>& at) {
  for (const api::AlertRule& rule : rules)
    if (is_alert_of(rule, labels) && rule.evaluationInterval > 0) return rule.evaluationInterval;
  double shortest = 0;
  for (std::size_t i = 1; i < at.size(); ++i)
    if (const double step = at[i].first - at[i - 1].first;
        step > 0 && (shortest == 0 || step < shortest))
      shortest = step;
  return shortest > 0 ? shortest : 60;
}

}  // namespace

bool changes_of(const std::vector<Series>& alerts, const std::vector<api::AlertRule>& rules,
                const std::string& source, const Offset& offset, double end,
                const std::function<bool(const Labels&)>& wanted,
                const Take<api::AlertChange>& take) {
  std::map<Labels, Samples> instances;
  for (const Series& series : alerts) {
    Labels labels = series.labels;
    labels.erase("__name__");
    const auto state = labels.extract("alertstate");
    if (state.empty() || !labels.contains("alertname") || !wanted(labels)) continue;
    Samples& samples = instances[std::move(labels)];
    for (const Point& point : series.points)
      if (point.value == 1 && point.at <= end)
        samples.at.emplace_back(point.at, state.mapped() == "firing" ? api::AlertState::firing
                                                                     : api::AlertState::pending);
  }
  for (auto& [labels, samples] : instances) {
    if (samples.at.empty()) continue;
    std::ranges::sort(samples.at);
    samples.interval = interval_of(labels, rules, samples.at);
    api::AlertChange change{.source = source, .alert = labels.at("alertname"), .labels = labels};
    change.labels.erase("alertname");
    const auto tell = [&](api::AlertState state, double at) {
      change.state = state;
      change.at = to_ours(at, offset);
      return take(change);
    };
    const double longest = (1 + kSlack) * samples.interval;
    for (std::size_t i = 0; i < samples.at.size(); ++i) {
      const auto& [at, state] = samples.at[i];
      const bool gone = i > 0 && at - samples.at[i - 1].first > longest;
      if (gone && !tell(api::AlertState::inactive, samples.at[i - 1].first + samples.interval))
        return false;
      const bool begins = i == 0 || gone || state != samples.at[i - 1].second;
      if (begins && !tell(state, at)) return false;
    }
    if (end - samples.at.back().first > longest + kStored &&
        !tell(api::AlertState::inactive, samples.at.back().first + samples.interval))
      return false;
  }
  return true;
}

std::optional<double> grid_of(const std::vector<Series>& alerts,
                              const std::vector<api::AlertRule>& rules,
                              const api::AlertRule& rule) {
  for (const Series& series : alerts)
    for (const api::AlertRule& other : rules)
      if (other.group == rule.group && other.evaluationInterval == rule.evaluationInterval &&
          is_alert_of(other, series.labels) && !series.points.empty())
        return series.points.back().at;
  return std::nullopt;
}

bool instance_has(const api::AlertRule& rule, const Labels& series, const Labels& wanted) {
  Labels labels = series;
  Labels decided = wanted;
  for (const auto& [name, value] : rule.labels) {
    if (value.find("{{") == std::string::npos)
      labels[name] = value;
    else
      decided.erase(name);
  }
  return has_all(labels, decided);
}

std::vector<api::AlertEvaluation> evaluations_of(const std::vector<Series>& series,
                                                 const api::AlertRule& rule, const Labels& wanted,
                                                 std::int64_t expected, double from, double to,
                                                 double step, bool on_grid, const Offset& offset) {
  std::vector<api::AlertEvaluation> out;
  if (!(step > 0) || !(to >= from)) return out;
  const auto count = static_cast<std::size_t>(
      std::min<double>(std::floor((to - from) / step + 1e-6) + 1, kMostEvaluations));
  std::vector<std::uint64_t> held(count);
  for (const Series& one : series) {
    if (!instance_has(rule, one.labels, wanted)) continue;
    for (const Point& point : one.points) {
      const double index = std::round((point.at - from) / step);
      if (index >= 0 && index < static_cast<double>(count)) ++held[static_cast<std::size_t>(index)];
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    api::AlertEvaluation one;
    one.source = rule.source;
    one.group = rule.group;
    one.alert = rule.alert;
    one.expected = expected;
    one.at = to_ours(from + static_cast<double>(i) * step, offset);
    one.onGrid = on_grid;
    one.series = held[i];
    out.push_back(std::move(one));
  }
  return out;
}

void only_changes(std::vector<api::AlertEvaluation>& evaluations) {
  std::vector<api::AlertEvaluation> out;
  for (api::AlertEvaluation& one : evaluations)
    if (out.empty() || (out.back().series.value_or(0) > 0) != (one.series.value_or(0) > 0))
      out.push_back(std::move(one));
  evaluations = std::move(out);
}

bool scrapes_of(const std::vector<Series>& up, const std::string& source, const Offset& offset,
                const Take<api::ScrapeSample>& take) {
  for (const Series& series : up) {
    const auto label = [&](const char* name) {
      const auto found = series.labels.find(name);
      return found != series.labels.end() ? found->second : std::string();
    };
    api::ScrapeSample sample{.source = source, .job = label("job"), .instance = label("instance")};
    if (const std::string pod = label("pod"); !pod.empty())
      sample.pod = label("namespace").empty() ? pod : label("namespace") + "/" + pod;
    for (const Point& point : series.points) {
      sample.at = to_ours(point.at, offset);
      sample.up = point.value == 1;
      if (!take(sample)) return false;
    }
  }
  return true;
}

std::optional<QuantileQuery> quantile_query(std::string_view promql) {
  const auto trim = [](std::string_view text) {
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0)
      text.remove_prefix(1);
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0)
      text.remove_suffix(1);
    return text;
  };
  constexpr std::string_view kFunction = "histogram_quantile";
  promql = trim(promql);
  if (!promql.starts_with(kFunction) || !promql.ends_with(')')) return std::nullopt;
  promql = trim(promql.substr(kFunction.size()));
  if (!promql.starts_with('(')) return std::nullopt;
  // The parenthesis that it begins with must be the one that it ends with.
  int depth = 0;
  for (std::size_t i = 0; i < promql.size(); ++i) {
    if (promql[i] == '(') ++depth;
    if (promql[i] == ')' && --depth == 0 && i + 1 != promql.size()) return std::nullopt;
  }
  promql = promql.substr(1, promql.size() - 2);
  const std::size_t comma = promql.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  const std::string_view number = trim(promql.substr(0, comma));
  double quantile = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), quantile);
  if (error != std::errc{} || end != number.data() + number.size() || !(quantile >= 0) ||
      quantile > 1)
    return std::nullopt;
  return QuantileQuery{quantile, std::string(trim(promql.substr(comma + 1)))};
}

std::optional<Bucket> bucket_of(const std::vector<Series>& buckets, double quantile) {
  std::vector<std::pair<double, double>> edges;  // upper edge, number up to it
  std::optional<Labels> histogram;
  for (const Series& one : buckets) {
    Labels labels = one.labels;
    const auto le = labels.extract("le");
    labels.erase("__name__");
    if (le.empty() || one.points.empty()) return std::nullopt;
    if (histogram && *histogram != labels) return std::nullopt;
    histogram = labels;
    const std::string& text = le.mapped();
    double edge = 0;
    if (text == "+Inf" || text == "Inf") {
      edge = std::numeric_limits<double>::infinity();
    } else if (const auto [end, error] =
                   std::from_chars(text.data(), text.data() + text.size(), edge);
               error != std::errc{} || end != text.data() + text.size()) {
      return std::nullopt;
    }
    edges.emplace_back(edge, one.points.back().value);
  }
  std::ranges::sort(edges);
  if (edges.empty() || !std::isinf(edges.back().first)) return std::nullopt;
  const double all = edges.back().second;
  if (!(all > 0) || !std::isfinite(all)) return std::nullopt;
  double low = 0;
  for (const auto& [edge, count] : edges) {
    if (count >= quantile * all)
      return Bucket{low, std::isinf(edge) ? std::nullopt : std::optional(edge)};
    low = edge;
  }
  return std::nullopt;
}

std::string any_of(const std::vector<std::string>& words) {
  std::string out = "\"";
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += '|';
    for (const char c : words[i]) {
      // A backslash of the expression is two in the text.
      if (std::string_view(".+*?()[]{}|^$").find(c) != std::string_view::npos) out += "\\\\";
      if (c == '\\') out += "\\\\\\";
      if (c == '"') out += '\\';
      if (c == '\n') {
        out += "\\n";
        continue;
      }
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace faultline::controller::observe
