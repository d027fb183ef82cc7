// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <boost/describe.hpp>
#include <boost/json.hpp>
#include <cmath>

#include "api/codec.h"
#include "base/printable.h"
#include "report/format.h"
#include "report/html_parts.h"
#include "report/shown.h"
#include "report/story.h"
#include "report/windows.h"

namespace faultline::report {
namespace {

namespace json = boost::json;

// More lines than this in one chart cannot be told apart.
constexpr std::size_t kLines = 8;
constexpr std::size_t kTopCharts = 6;
constexpr std::size_t kShapes = 4;

json::value number(std::optional<double> value) {
  return value && std::isfinite(*value) ? json::value(*value) : json::value(nullptr);
}

struct Chart {
  double weight = 0;
  const api::Metric* metric = nullptr;
  std::string title;
  std::vector<std::pair<double, const Series*>> lines;
};

double seconds_since(UtcTime start, UtcTime at) {
  return std::chrono::duration<double>(at - start).count();
}

// Pods of all roles share a chart where they are measured from the same side: the reader compares.
std::string chart_key(const Series& series, std::string& line_labels) {
  std::map<std::string, std::string> shared, own;
  for (const auto& [key, value] : series.key.labels)
    (key == "side" || key == "direction" ? shared : own)[key] = value;
  line_labels = short_labels_words(own);
  const std::string words = labels_words(shared);
  return series.key.metric + (words.empty() ? "" : " " + words);
}

double weight_of(const api::Report& report, const Series& series) {
  for (const api::EffectReport& e : report.effects)
    if (e.pod == series.key.pod && e.metric == series.key.metric && e.labels == series.key.labels)
      // A control pod's chance movement does not make a chart important.
      return e.role == api::PodRole::control
                 ? 0
                 : weight(e) * (e.role == api::PodRole::observed ? 1.2 : 1);
  return 0;
}

json::object line_json(const Series& series, UtcTime start) {
  json::array x, p50, p99, values;
  const bool histogram = series.metric->kind == api::MetricKind::kHistogram;
  UtcTime covered{};
  const auto put = [&](double at, std::optional<double> a, std::optional<double> b) {
    x.push_back(at);
    (histogram ? p50 : values).push_back(number(a));
    if (histogram) p99.push_back(number(b));
  };
  for (const Point& point : series.points) {
    if (point.seconds() < kSliver) continue;
    // What no window covers is a hole in the line, not a slope.
    if (covered != UtcTime{} && point.from - covered > std::chrono::milliseconds(1500))
      put(seconds_since(start, covered), std::nullopt, std::nullopt);
    covered = point.to;
    const double middle = seconds_since(start, point.from) + point.seconds() / 2;
    if (histogram)
      put(middle, point.histogram ? point.histogram->quantile(0.5) : std::nullopt,
          point.histogram ? point.histogram->quantile(0.99) : std::nullopt);
    else
      put(middle, rate_of(*series.metric, {point}), std::nullopt);
  }
  json::object line{
      {"pod", printable(series.key.pod)}, {"role", role_word(series.role)}, {"x", std::move(x)}};
  if (histogram) {
    line["p50"] = std::move(p50);
    line["p99"] = std::move(p99);
  } else {
    line["value"] = std::move(values);
  }
  return line;
}

// Counts of a phase in buckets of an eighth of a power of two: 32 would draw noise.
json::array shape(const std::vector<Point>& points) {
  constexpr std::uint32_t kJoin = 4;
  std::map<std::uint32_t, std::uint64_t> joined;
  for (const auto& [index, n] : merged(points).buckets)
    joined[index == 0 ? 0 : 1 + (index - 1) / kJoin * kJoin] += n;
  json::array out;
  for (const auto& [index, n] : joined)
    out.push_back(json::array{api::Histogram::bucket_low(index),
                              api::Histogram::bucket_high(index == 0 ? 0 : index + kJoin - 1), n});
  return out;
}

json::array phases_json(const api::RunRecord& record, UtcTime start) {
  json::array phases;
  for (std::size_t i = 0; i < record.history.size(); ++i) {
    const api::PhaseMark& mark = record.history[i];
    const char* name = mark.state == api::RunState::Baseline     ? "before"
                       : mark.state == api::RunState::Injecting  ? "fault"
                       : mark.state == api::RunState::Recovering ? "after"
                                                                 : nullptr;
    if (name == nullptr) continue;
    json::object phase{{"name", name}, {"from", seconds_since(start, mark.at.value)}};
    if (i + 1 < record.history.size())
      phase["to"] = seconds_since(start, record.history[i + 1].at.value);
    phases.push_back(std::move(phase));
  }
  return phases;
}

std::vector<Chart> charts_of(const api::Report& report, const std::vector<Series>& all) {
  std::map<std::string, Chart> by_key;
  for (const Series& series : all) {
    std::string labels;
    const std::string key = chart_key(series, labels);
    Chart& chart = by_key[key];
    chart.title = key;
    chart.metric = series.metric;
    const double w = weight_of(report, series);
    chart.weight = std::max(chart.weight, w);
    chart.lines.emplace_back(w, &series);
  }
  std::vector<Chart> charts;
  for (auto& [key, chart] : by_key) {
    std::ranges::stable_sort(chart.lines, [](const auto& a, const auto& b) {
      return std::tuple(a.second->role == api::PodRole::control, -a.first) <
             std::tuple(b.second->role == api::PodRole::control, -b.first);
    });
    charts.push_back(std::move(chart));
  }
  std::ranges::stable_sort(charts, std::ranges::greater{}, &Chart::weight);
  return charts;
}

// Distributions of the histograms that changed most.
json::array shapes_of(const api::Report& report, const std::vector<Series>& all) {
  std::vector<std::pair<double, const Series*>> chosen;
  for (const Series& series : all)
    if (series.metric->kind == api::MetricKind::kHistogram)
      chosen.emplace_back(weight_of(report, series), &series);
  std::ranges::stable_sort(chosen, std::ranges::greater{},
                           &std::pair<double, const Series*>::first);
  json::array out;
  for (const auto& [w, series] : chosen) {
    if (out.size() >= kShapes) break;
    const std::string labels = labels_words(series->key.labels);
    out.push_back(json::object{
        {"title", printable(series->key.metric + (labels.empty() ? "" : " " + labels))},
        {"pod", printable(series->key.pod)},
        {"role", role_word(series->role)},
        {"before", shape(series->in(api::RunPhase::baseline))},
        {"during", shape(series->in(api::RunPhase::fault))},
        {"after", shape(series->in(api::RunPhase::recovery))}});
  }
  return out;
}

}  // namespace

std::string html_data(const api::Report& report, const api::RunRecord& record) {
  const UtcTime start = record.history.empty() ? UtcTime{} : record.history.front().at.value;
  const std::vector<Series> all = all_series(record);
  json::array charts;
  for (const Chart& chart : charts_of(report, all)) {
    json::array lines;
    for (const auto& [w, series] : chart.lines) {
      if (lines.size() >= kLines) break;
      json::object line = line_json(*series, start);
      std::string labels;
      (void)chart_key(*series, labels);
      line["label"] = printable(series->key.pod + (labels.empty() ? "" : " " + labels));
      lines.push_back(std::move(line));
    }
    charts.push_back(
        json::object{{"title", printable(chart.title)},
                     {"help", chart.metric->help},
                     {"kind", chart.metric->kind == api::MetricKind::kHistogram  ? "latency"
                              : chart.metric->kind == api::MetricKind::kFraction ? "fraction"
                              : chart.metric->kind == api::MetricKind::kCounter  ? "rate"
                                                                                 : "gauge"},
                     {"unit", chart.metric->unit},
                     {"top", charts.size() < kTopCharts && (chart.weight > 0 || charts.size() < 2)},
                     {"more", chart.lines.size() - lines.size()},
                     {"lines", std::move(lines)}});
  }
  const json::value data = json::object{{"phases", phases_json(record, start)},
                                        {"charts", std::move(charts)},
                                        {"shapes", shapes_of(report, all)},
                                        {"report", api::to_json(shown(report))}};
  // "</script>" or "<!--" in a name must not end the element: '<' is only ever inside strings.
  std::string text = printable_json(json::serialize(data)), safe;
  safe.reserve(text.size());
  for (const char c : text) {
    if (c == '<')
      safe += "\\u003c";
    else
      safe += c;
  }
  return safe;
}

}  // namespace faultline::report
