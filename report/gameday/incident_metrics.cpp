// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include "api/metrics.h"
#include "base/printable.h"
#include "report/gameday/incident.h"
#include "report/story.h"

namespace faultline::report::gameday {
namespace {

using Labels = std::map<std::string, std::string>;
constexpr std::chrono::milliseconds kBetween{2};  // two samples of one series, at least

// A label's value: one line of printable text, as every reader of OpenMetrics takes it.
std::string label_value(std::string_view text) {
  std::string out = "\"";
  for (const char c : printable(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

// A name of a label: letters, digits and "_".
std::string label_name(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_';
  if (out.empty() || (out[0] >= '0' && out[0] <= '9') || out.starts_with("__"))
    out = "label_" + out;
  return out;
}

std::string labels_text(const Labels& labels) {
  std::string out = "{";
  for (const auto& [name, value] : labels)
    out += (out.size() > 1 ? "," : "") + name + "=" + label_value(value);
  return out + "}";
}

std::string value_text(double value) {
  std::array<char, 64> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), "%.9g", value));
  return text.data();
}

// Seconds since 1970, to the millisecond.
std::string time_text(api::Timestamp at) {
  std::array<char, 64> text{};
  static_cast<void>(
      std::snprintf(text.data(), text.size(), "%.3f",
                    std::chrono::duration<double>(at.value.time_since_epoch()).count()));
  return text.data();
}

struct Point {
  api::Timestamp at;
  double value = 0;
};

struct Family {
  bool counter = false;
  std::string help;
  std::map<std::string, std::vector<Point>> series;  // by the text of its labels
};

class Exposition {
 public:
  void add(const std::string& name, bool counter, std::string_view help, const Labels& labels,
           api::Timestamp at, double value) {
    if (!at.set() || !std::isfinite(value)) return;
    Family& family = families_[name];
    family.counter = counter;
    if (family.help.empty()) family.help = help;
    std::vector<Point>& points = family.series[labels_text(labels)];
    // Times of one series grow, to the millisecond as they are written; a counter goes on from
    // where it was.
    if (!points.empty() && at.value < points.back().at.value + kBetween) {
      if (counter) points.back().value += value;
      return;
    }
    if (counter && !points.empty()) value += points.back().value;
    points.push_back({at, value});
  }

  [[nodiscard]] std::string text() const {
    std::string out;
    for (const auto& [name, family] : families_) {
      out += "# TYPE " + name + (family.counter ? " counter\n" : " gauge\n");
      out += "# HELP " + name + " " + family.help + "\n";
      for (const auto& [labels, points] : family.series)
        for (const Point& point : points)
          out += name + (family.counter ? "_total" : "") + labels + " " + value_text(point.value) +
                 " " + time_text(point.at) + "\n";
    }
    return out + "# EOF\n";
  }

 private:
  std::map<std::string, Family> families_;
};

std::string base_name(const api::Metric& metric) {
  std::string out = "faultline_" + std::string(metric.name);
  std::ranges::replace(out, '.', '_');
  return out;
}

std::string gauge_name(const api::Metric& metric) {
  const std::string unit(metric.unit == "s" ? "seconds" : metric.unit == "1" ? "" : metric.unit);
  return base_name(metric) + (unit.empty() ? "" : "_" + label_name(unit));
}

Labels labels_of(const std::string& run, const std::string& step, const std::string& pod,
                 api::PodRole role, const Labels& more) {
  Labels out;
  for (const auto& [name, value] : more) out[label_name(name)] = value;
  const std::size_t slash = pod.find('/');
  out["namespace"] = slash == pod.npos ? "" : pod.substr(0, slash);
  out["pod"] = slash == pod.npos ? pod : pod.substr(slash + 1);
  out["role"] = role_word(role);
  out["run"] = run;
  out["step"] = step;
  return out;
}

void add_quantile(Exposition& out, const api::Metric& metric, std::string_view name,
                  const Labels& labels, api::Timestamp at, const std::optional<double>& value) {
  if (value)
    out.add(base_name(metric) + "_" + std::string(name) + "_seconds", false, metric.help, labels,
            at, *value);
}

void add_sample(Exposition& out, const api::EffectSample& sample, const Labels& labels,
                api::Timestamp at) {
  const api::Metric* metric = api::find_metric(sample.metric);
  if (metric == nullptr) return;
  switch (metric->kind) {
    case api::MetricKind::kHistogram:
      if (!sample.histogram) return;
      add_quantile(out, *metric, "p50", labels, at, sample.histogram->quantile(0.5));
      add_quantile(out, *metric, "p90", labels, at, sample.histogram->quantile(0.9));
      add_quantile(out, *metric, "p99", labels, at, sample.histogram->quantile(0.99));
      out.add(base_name(*metric) + "_values", true, metric->help, labels, at,
              static_cast<double>(sample.histogram->count()));
      return;
    case api::MetricKind::kCounter:
      out.add(base_name(*metric), true, metric->help, labels, at, sample.value);
      return;
    case api::MetricKind::kGauge:
      out.add(gauge_name(*metric), false, metric->help, labels, at, sample.value);
      return;
    case api::MetricKind::kFraction:
      if (sample.denominator > 0)
        out.add(base_name(*metric) + "_ratio", false, metric->help, labels, at,
                sample.numerator / sample.denominator);
  }
}

void add_record(Exposition& out, const api::DayRun& run, const api::RunRecord& record) {
  std::vector<const api::EffectWindow*> windows;
  for (const api::NodeRecord& node : record.nodes)
    for (const api::EffectWindow& window : node.windows) windows.push_back(&window);
  std::ranges::stable_sort(windows, {}, [](const api::EffectWindow* w) { return w->to; });
  for (const api::EffectWindow* window : windows)
    for (const api::EffectSample& sample : window->samples) {
      Labels labels = labels_of(run.run, run.step, window->pod.id(), window->role, sample.labels);
      labels["node"] = window->pod.node;
      add_sample(out, sample, labels, window->to);
    }
}

void add_phase(Exposition& out, const api::Metric& metric, Labels labels, std::string_view phase,
               api::Timestamp at, const std::optional<api::PhaseStats>& stats) {
  if (!stats) return;
  labels["phase"] = phase;
  switch (metric.kind) {
    case api::MetricKind::kHistogram:
      add_quantile(out, metric, "p50", labels, at, stats->p50);
      add_quantile(out, metric, "p90", labels, at, stats->p90);
      add_quantile(out, metric, "p99", labels, at, stats->p99);
      return;
    case api::MetricKind::kCounter:
      if (stats->rate)
        out.add(base_name(metric) + "_per_second", false, metric.help, labels, at, *stats->rate);
      return;
    case api::MetricKind::kGauge:
      if (stats->rate) out.add(gauge_name(metric), false, metric.help, labels, at, *stats->rate);
      return;
    case api::MetricKind::kFraction:
      if (stats->rate)
        out.add(base_name(metric) + "_ratio", false, metric.help, labels, at, *stats->rate);
  }
}

void add_report(Exposition& out, const api::DayRun& run, const api::Report& report) {
  const auto time_of = [&](std::string_view key) {
    const auto entry = std::ranges::find(report.timeline, key, &api::TimelineEntry::key);
    return entry == report.timeline.end() ? api::Timestamp{} : entry->at;
  };
  const api::Timestamp injecting = time_of("injecting"), recovering = time_of("recovering");
  api::Timestamp end = time_of("completed");
  for (const char* other : {"aborted", "failed"})
    if (!end.set()) end = time_of(other);
  for (const api::EffectReport& effect : report.effects) {
    const api::Metric* metric = api::find_metric(effect.metric);
    if (metric == nullptr) continue;
    const Labels labels = labels_of(run.run, run.step, effect.pod, effect.role, effect.labels);
    add_phase(out, *metric, labels, "baseline", injecting, effect.baseline);
    add_phase(out, *metric, labels, "fault", recovering, effect.fault);
    add_phase(out, *metric, labels, "recovery", end, effect.recovery);
  }
}

}  // namespace

std::string open_metrics(const api::GameDayReport& report,
                         const std::map<std::string, api::Report>& runs,
                         const std::map<std::string, api::RunRecord>& records) {
  Exposition out;
  for (const api::DayRun& run : report.runs) {
    if (const auto record = records.find(run.run); record != records.end())
      add_record(out, run, record->second);
    else if (const auto one = runs.find(run.run); one != runs.end())
      add_report(out, run, one->second);
  }
  return out.text();
}

}  // namespace faultline::report::gameday
