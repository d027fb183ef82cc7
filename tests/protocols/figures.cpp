// SPDX-License-Identifier: Apache-2.0
#include "tests/protocols/figures.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "api/gap.h"
#include "api/metrics.h"
#include "testbed/stats.h"

namespace faultline::test {
namespace {

constexpr double kCountShare = 0.01;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

const api::Gap* gap_of(const Seen& seen, const std::string& metric) {
  for (const api::Gap& gap : seen.gaps)
    if (api::covers(gap, metric)) return &gap;
  return nullptr;
}

// What one pod said of one service and metric, all windows together.
struct Sum {
  api::Histogram histogram;
  double value = 0, numerator = 0, denominator = 0;
};

Sum sum_of(const Seen& seen, const std::string& metric,
           const std::map<std::string, std::string>& labels) {
  Sum sum;
  for (const api::EffectSample& sample : seen.samples) {
    if (sample.metric != metric) continue;
    const bool fits = std::ranges::all_of(labels, [&](const auto& label) {
      const auto found = sample.labels.find(label.first);
      return found != sample.labels.end() && found->second == label.second;
    });
    if (!fits) continue;
    if (sample.histogram) sum.histogram.merge(*sample.histogram);
    sum.value += sample.value;
    sum.numerator += sample.numerator;
    sum.denominator += sample.denominator;
  }
  return sum;
}

Judged quantile(const Seen& seen, const std::string& metric, const Sum& sum, double q,
                std::optional<Range> truth) {
  if (api::find_metric(metric) == nullptr) return {};
  if (const api::Gap* gap = gap_of(seen, metric)) return {Word::kGap, gap->reason};
  if (!truth) return {};
  const auto said = sum.histogram.quantile(q);
  if (!said) return {Word::kWrong, "nothing was said of " + metric + ", and there is no gap"};
  const double low = truth->least - std::max(bounds.share * truth->least, bounds.seconds),
               high = truth->most + std::max(bounds.share * truth->most, bounds.seconds);
  if (*said >= low && *said <= high) return {Word::kRight, {}};
  return {Word::kWrong, metric + ": truth " + number(truth->most * 1e3) + " ms, told " +
                            number(*said * 1e3) + " ms"};
}

Judged count(const Seen& seen, const std::string& metric, double said, double truth) {
  if (api::find_metric(metric) == nullptr) return {};
  if (const api::Gap* gap = gap_of(seen, metric)) return {Word::kGap, gap->reason};
  if (std::abs(said - truth) <= kCountShare * truth) return {Word::kRight, {}};
  return {Word::kWrong, metric + ": truth " + number(truth) + ", told " + number(said)};
}

}  // namespace

Truth Truth::of(const std::vector<double>& latency_least, const std::vector<double>& latency_most,
                const std::vector<double>& duration) {
  using testbed::quantile;
  Truth truth;
  truth.count = static_cast<double>(duration.size());
  if (duration.empty()) return truth;
  const auto range = [&](double q) {
    return Range{quantile(latency_least, q), quantile(latency_most, q)};
  };
  truth.latency_p50 = range(0.5);
  truth.latency_p99 = range(0.99);
  truth.duration_p50 = {quantile(duration, 0.5), quantile(duration, 0.5)};
  truth.duration_p99 = {quantile(duration, 0.99), quantile(duration, 0.99)};
  return truth;
}

Row judge(const Truth& truth, const Seen& seen, const std::string& side, std::uint16_t port,
          Family family) {
  const std::string prefix = family == Family::kTlsCalls ? "tls.request." : "request.";
  const auto named = [&](const char* name) { return prefix + name; };
  std::map<std::string, std::string> labels{{"side", side}};
  if (family == Family::kPackets) labels["port"] = std::to_string(port);
  const Sum latency = sum_of(seen, named("latency"), labels),
            duration = sum_of(seen, named("duration"), labels),
            rate = sum_of(seen, named("rate"), labels),
            errors = sum_of(seen, named("errors"), labels);
  Row row;
  row[0] = quantile(seen, named("latency"), latency, 0.5, truth.latency_p50);
  row[1] = quantile(seen, named("latency"), latency, 0.99, truth.latency_p99);
  row[2] = quantile(seen, named("duration"), duration, 0.5, truth.duration_p50);
  row[3] = quantile(seen, named("duration"), duration, 0.99, truth.duration_p99);
  row[4] = count(seen, named("rate"), rate.value, truth.count);
  // What was put on another port or side is counted twice, or where nobody looks.
  const double elsewhere = sum_of(seen, named("rate"), {}).value - rate.value;
  if (row[4].word == Word::kRight && elsewhere > kCountShare * truth.count)
    row[4] = {Word::kWrong, named("rate") + ": " + number(elsewhere) + " on another port or side"};
  row[5] = count(seen, named("errors"), errors.numerator, truth.errors);
  row[6] = count(seen, named("abandoned"), sum_of(seen, named("abandoned"), labels).value,
                 truth.abandoned);
  if (!truth.status_class.empty()) {
    const Sum all = sum_of(seen, named("responses"), labels);
    auto of_class = labels;
    of_class["class"] = truth.status_class;
    const Sum right = sum_of(seen, named("responses"), of_class);
    row[7] = count(seen, named("responses"), right.value, truth.count);
    if (row[7].word == Word::kRight && all.value > right.value * (1 + kCountShare))
      row[7] = {Word::kWrong, named("responses") + ": " + number(all.value - right.value) +
                                  " of another class than " + truth.status_class};
  }
  return row;
}

const char* text_of(Word word) {
  switch (word) {
    case Word::kNotMeasured:
      return "-";
    case Word::kRight:
      return "right";
    case Word::kGap:
      return "gap";
    case Word::kWrong:
      return "WRONG";
  }
  return "?";
}

}  // namespace faultline::test
