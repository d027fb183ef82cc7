// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "api/gap_words.h"
#include "report/alert_episodes.h"
#include "report/detections.h"
#include "report/format.h"
#include "report/promql.h"
#include "report/report.h"

namespace faultline::report {
namespace {

// A sample older than this is of a target that is scraped no more; Prometheus itself gives up after
// five minutes. Two scrapes where the interval is known.
constexpr double kOldest = 120;  // seconds

double median(std::vector<double> values) {
  const std::size_t middle = values.size() / 2;
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(middle));
  return values[middle];
}

// The answers whose whole range lies in the fault; of a range that is longer than the fault the
// last answer in it.
std::vector<const api::SignalSample*> answers_in_fault(const api::MonitoringRecord& record,
                                                       std::int64_t index, double window,
                                                       const DetectionTimes& times) {
  std::vector<const api::SignalSample*> within, whole;
  for (const api::SignalSample& sample : record.signals) {
    if (sample.abortWhen || sample.index != index || sample.at < times.first_injected ||
        times.last_injected < sample.at)
      continue;
    within.push_back(&sample);
    if (seconds_between(times.first_injected, sample.at) >= window) whole.push_back(&sample);
  }
  if (whole.empty() && !within.empty()) return {within.back()};
  return whole;
}

double longest_scrape(const api::MonitoringRecord& record) {
  double longest = 0;
  for (const api::AlertRule& rule : record.rules)
    longest = std::max(longest, rule.scrapeInterval.value_or(0));
  return longest;
}

// Why answers in the fault were not whole; empty: all were. Signals are asked of the first
// Prometheus.
std::string part_words(const api::MonitoringRecord& record, const DetectionTimes& times) {
  const auto first = std::ranges::find(record.sources, "prometheus", &api::MonitoringSource::kind);
  for (const api::MonitoringGap& gap : record.gaps)
    if (first != record.sources.end() && gap.source == first->name && api::is_partial(gap) &&
        times.first_injected < gap.to && gap.from < times.last_injected)
      return "; " + gap.source + ": " + gap.reason;
  return {};
}

api::SignalReport judge(const api::RunRecord& run, const api::ExpectSignal& expect,
                        std::int64_t index, const DetectionTimes& times) {
  api::SignalReport out{.promql = expect.promql, .metric = expect.equals};
  out.quantile = expect.quantile;
  out.kernel = metric_value(run, {}, expect.equals, expect.quantile, api::RunPhase::fault);
  const auto no_data = [&](std::string text) {
    out.text = std::move(text);
    return out;
  };
  if (!run.monitoring) return no_data("no monitoring was asked");
  if (!times.first_injected.set() || !times.last_injected.set())
    return no_data("no event was injected");
  const double window = scan_promql(expect.promql).longest_window;
  const auto answers = answers_in_fault(*run.monitoring, index, window, times);
  if (answers.empty()) return no_data("it was not asked during the fault");
  std::vector<double> values;
  const api::SignalSample* last = nullptr;
  for (const api::SignalSample* answer : answers)
    if (answer->value && std::isfinite(*answer->value)) {
      values.push_back(*answer->value);
      last = answer;
    }
  if (values.empty())
    return no_data("no data: none of " + plural(answers.size(), "answer", "answers") +
                   " had a number" + part_words(*run.monitoring, times));
  const api::Metric* metric = api::find_metric(expect.equals);
  const auto words = [&](double value) {
    return metric != nullptr ? value_words(*metric, value) : number_words(value);
  };
  out.monitoring = median(values);
  out.low = last->low;
  out.high = last->high;
  const double scrape = longest_scrape(*run.monitoring);
  const double oldest = scrape > 0 ? 2 * scrape : kOldest;
  if (last->newest && *last->newest > oldest) {
    out.verdict = api::SignalVerdict::stale;
    out.text = "its newest sample is " + seconds_words(*last->newest) + " old";
    return out;
  }
  if (last->newest && seconds_between(times.first_injected, last->at) < *last->newest) {
    out.verdict = api::SignalVerdict::stale;
    out.text = "its newest sample is of before the first injected event";
    return out;
  }
  if (!out.kernel) return no_data("the kernel did not measure " + expect.equals);
  const std::string both =
      "the monitoring says " + words(*out.monitoring) + ", the kernel " + words(*out.kernel);
  const double allowed = expect.tolerance.value * std::abs(*out.kernel);
  if (std::abs(*out.monitoring - *out.kernel) <= allowed) {
    out.verdict = api::SignalVerdict::agrees;
    out.text = both;
  } else if (out.low && *out.low <= *out.kernel && (!out.high || *out.kernel <= *out.high)) {
    out.verdict = api::SignalVerdict::too_coarse;
    out.text = both + ": the truth lies within one bucket, from " + words(*out.low) + " to " +
               (out.high ? words(*out.high) : "infinity");
  } else {
    out.verdict = api::SignalVerdict::differs;
    out.text = both + " (allowed: +- " + percent_words(expect.tolerance.value) + ")";
  }
  if (window > seconds_between(times.first_injected, times.last_injected))
    out.text += "; its range of " + promql_duration_words(window) + " is longer than the fault";
  return out;
}

}  // namespace

std::vector<api::SignalReport> signals_of(const api::RunRecord& record,
                                          const DetectionTimes& times) {
  std::vector<api::SignalReport> out;
  const auto& signals = record.experiment.spec.expect.signals;
  for (std::size_t i = 0; i < signals.size(); ++i)
    out.push_back(judge(record, signals[i], static_cast<std::int64_t>(i), times));
  return out;
}

}  // namespace faultline::report
