// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>

#include "report/analysis.h"
#include "report/format.h"
#include "report/stats.h"

namespace faultline::report {
namespace {

// Only what a service's users would feel; packets, bytes and CPU move with every request.
struct Watched {
  std::string_view metric;
  double floor;  // half a band is never less, in the metric's unit
};
constexpr std::array kWatched = {
    Watched{"request.latency", 100e-6}, Watched{"request.rate", 1.0},
    Watched{"request.errors", 0.005},   Watched{"connect.latency", 100e-6},
    Watched{"connect.errors", 0.005},   Watched{"tcp.rtt", 100e-6},
};
constexpr std::size_t kFewestForBand = 3;

struct Value {
  api::RunPhase phase{};
  UtcTime from, to;
  double value = 0;
};

std::optional<double> value_of(const api::Metric& metric, const Point& point, double quantile) {
  if (metric.kind == api::MetricKind::kHistogram)
    return point.histogram ? point.histogram->quantile(quantile) : std::nullopt;
  if (metric.kind == api::MetricKind::kFraction)
    return point.denominator > 0 ? std::optional(point.numerator / point.denominator)
                                 : std::nullopt;
  if (metric.kind == api::MetricKind::kCounter) return point.value / point.seconds();
  return point.value;
}

struct Watch {
  std::string what;
  std::vector<Value> values;
  double low = 0, high = 0;
  bool rises = false;  // the fault moved it up
  [[nodiscard]] bool out(const Value& v) const { return rises ? v.value > high : v.value < low; }
};

std::vector<double> of_phase(const std::vector<Value>& values, api::RunPhase phase) {
  std::vector<double> found;
  for (const Value& v : values)
    if (v.phase == phase) found.push_back(v.value);
  return found;
}

// A watch when the series has a band; `affected` says whether the fault moved it out, `enough`
// whether there are windows enough to say that it did not.
std::optional<Watch> watch(const Series& series, double floor, double quantile, bool& affected,
                           bool& enough) {
  Watch w{series.key.pod + " " + series.key.metric, {}, 0, 0, false};
  if (series.metric->kind == api::MetricKind::kHistogram) w.what += " " + quantile_words(quantile);
  for (const Point& point : series.points) {
    if (point.seconds() < kSliver) continue;
    if (const auto value = value_of(*series.metric, point, quantile))
      w.values.push_back({point.phase, point.from, point.to, *value});
  }
  const std::vector<double> before = of_phase(w.values, api::RunPhase::baseline);
  const std::vector<double> during = of_phase(w.values, api::RunPhase::fault);
  enough = before.size() >= kFewestForBand && during.size() >= kFewestForBand;
  if (before.size() < kFewestForBand || during.empty()) return std::nullopt;
  const double middle = median(before);
  const double half = std::max({3 * robust_deviation(before), 0.1 * std::abs(middle), floor});
  w.low = middle - half;
  w.high = middle + half;
  const double moved = median(during);
  w.rises = moved > middle;
  affected = moved > w.high || moved < w.low;
  return w;
}

// The start of the first window from which on no two in a row are out: one stray window is noise,
// not a relapse. Empty when the last known windows are out.
std::optional<UtcTime> back_for_good(const Watch& w, UtcTime last_injected) {
  std::vector<const Value*> after;
  for (const Value& v : w.values)
    if (v.phase == api::RunPhase::recovery && v.to > last_injected) after.push_back(&v);
  if (after.empty()) return std::nullopt;
  std::size_t first = 0;  // first window after the last pair that is out
  for (std::size_t i = 0; i < after.size(); ++i) {
    const bool out = w.out(*after[i]);
    const bool pair = out && i + 1 < after.size() && w.out(*after[i + 1]);
    if (pair) first = i + 2;
    // The effect's own tail: out from the start.
    if (out && first == i) first = i + 1;
  }
  if (first >= after.size()) return std::nullopt;
  return std::max(after[first]->from, last_injected);
}

}  // namespace

BandResult watch_bands(const std::vector<Series>& all, std::optional<UtcTime> first_injected,
                       std::optional<UtcTime> last_injected) {
  BandResult result;
  bool all_back = true;
  for (const Series& series : all) {
    if (series.role == api::PodRole::control) continue;
    const auto* rule = std::ranges::find(kWatched, series.key.metric, &Watched::metric);
    if (rule == kWatched.end()) continue;
    const bool histogram = series.metric->kind == api::MetricKind::kHistogram;
    for (const double quantile : {0.5, 0.99}) {
      if (!histogram && quantile != 0.5) continue;
      bool affected = false, enough = true;
      const std::optional<Watch> w = watch(series, rule->floor, quantile, affected, enough);
      if (!enough && result.unsure.empty())
        result.unsure = series.key.pod + " has too few windows of " + series.key.metric;
      if (!w) continue;
      ++result.watched;
      if (!affected) continue;
      ++result.affected;
      for (const Value& v : w->values) {
        if (v.phase != api::RunPhase::fault || !w->out(v)) continue;
        if (first_injected && v.to <= *first_injected) continue;
        const UtcTime at = std::max(v.from, first_injected.value_or(v.from));
        if (!result.first_out || at < *result.first_out) {
          result.first_out = at;
          result.first_what = w->what;
        }
        break;
      }
      if (!last_injected) continue;
      if (std::ranges::any_of(w->values, [&](const Value& v) {
            return v.phase == api::RunPhase::recovery && v.to > *last_injected;
          }))
        result.recovery_measured = true;
      const std::optional<UtcTime> back = back_for_good(*w, *last_injected);
      if (!back) {
        if (all_back) result.last_what = w->what;
        all_back = false;
      } else if (all_back && (!result.back || *back > *result.back)) {
        result.back = *back;
        result.last_what = w->what;
      }
    }
  }
  if (!all_back) result.back.reset();
  return result;
}

api::RecoveryReport recovery_of(const BandResult& bands, bool has_faults,
                                std::optional<UtcTime> last_injected, const std::string& unseen) {
  api::RecoveryReport recovery;
  if (!has_faults)
    recovery.text = "nothing was injected, so there was nothing to recover from";
  else if (!last_injected && !unseen.empty())
    recovery.text = "not known: " + unseen;
  else if (!last_injected)
    recovery.text = "no fault acted, so there was nothing to recover from";
  else if (bands.watched == 0)
    recovery.text = "not known: too little was measured in the baseline to say what is normal";
  else if (bands.affected == 0 && !(unseen.empty() && bands.unsure.empty()))
    recovery.text = "not known: no effect was seen outside its baseline band, but " +
                    (unseen.empty() ? bands.unsure : unseen);
  else if (bands.affected == 0)
    recovery.text = "no effect left its baseline band, so there was nothing to recover from";
  else if (bands.back) {
    recovery.recoveredAt = {*bands.back};
    recovery.seconds = std::chrono::duration<double>(*bands.back - *last_injected).count();
    recovery.text =
        "from the last injected event until every effect was back in its baseline band, " +
        bands.last_what + " last (measured in windows of 1 s)";
  } else if (bands.recovery_measured) {
    recovery.text = bands.last_what + " " + std::string(kNotBack);
  } else {
    recovery.text = "not known: " + bands.last_what + " was not measured after the fault";
  }
  return recovery;
}

}  // namespace faultline::report
