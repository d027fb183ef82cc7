// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/candidates.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>

#include "report/promql.h"
#include "report/stats.h"

namespace faultline::controller::observe {
namespace {

constexpr std::string_view kLatency = "request.latency", kErrors = "request.errors",
                           kRate = "request.rate", kCpu = "cpu.usage", kConnect = "connect.errors",
                           kBytes = "net.bytes", kPackets = "net.packets";
constexpr double kQuantile = 0.95;
constexpr std::size_t kLongestName = 256;

// Families that are of the program's runtime or of the monitoring itself, not of its requests.
constexpr std::array<std::string_view, 16> kOfOthers = {
    "go_",     "promhttp_", "prometheus_",   "scrape_",    "process_", "python_",
    "jvm_",    "node_",     "alertmanager_", "workqueue_", "nodejs_",  "rest_client_",
    "kubelet", "kube_",     "container_",    "apiserver_"};

bool has(std::string_view text, std::string_view word) {
  return text.find(word) != std::string_view::npos;
}
template <std::size_t N>
bool has_any(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::ranges::any_of(words, [&](std::string_view word) { return has(text, word); });
}

constexpr std::array<std::string_view, 8> kRequestWords = {
    "request", "http", "grpc", "rpc", "response", "queries", "calls", "handled"};
constexpr std::array<std::string_view, 8> kTimeWords = {
    "latency", "duration", "_seconds", "_milliseconds", "_ms", "response_time", "handling", "rtt"};
// Times of a clock, settings and sums, which are no latencies.
constexpr std::array<std::string_view, 10> kNoLatency = {
    "timestamp", "start_time", "created",  "uptime", "timeout",
    "interval",  "expiry",     "time_now", "_cpu_",  "_age_"};

// How likely a name is that of what callers of a pod wait for.
int fitness(std::string_view name) {
  int fit = 0;
  if (has(name, "request")) fit += 4;
  if (has(name, "http") || has(name, "grpc")) fit += 3;
  if (has(name, "server") || has(name, "handl")) fit += 2;
  if (has(name, "duration") || has(name, "latency")) fit += 2;
  if (has(name, "client")) fit -= 1;
  if (has(name, "queue") || has(name, "gc_") || has(name, "size")) fit -= 4;
  return fit;
}

double unit_of(std::string_view name) {
  for (const std::string_view end : {"_milliseconds", "_millis", "_ms"})
    if (name.ends_with(end) || has(name, std::string(end) + "_")) return 1e3;
  for (const std::string_view end : {"_microseconds", "_us"})
    if (name.ends_with(end) || has(name, std::string(end) + "_")) return 1e6;
  return 1;
}

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == ':';
  });
}

std::string_view without(std::string_view name, std::string_view end) {
  return name.substr(0, name.size() - end.size());
}

// Every family that the name belongs to.
void add_of_name(std::string_view name, const std::set<std::string_view>& all,
                 std::vector<Family>& out) {
  const auto add = [&](std::string_view effect, Shape shape, std::string_view of,
                       bool both = false) {
    out.push_back({effect, shape, std::string(of), effect == kLatency ? unit_of(of) : 1, both, {}});
  };
  if (name == "up" || name == "probe_success") return add(kConnect, Shape::zero, name);
  if (name == "probe_duration_seconds") return add(kLatency, Shape::gauge, name);
  if (name == "container_cpu_usage_seconds_total" || name == "process_cpu_seconds_total")
    return add(kCpu, Shape::rate, name, true);
  if (name.starts_with("container_network_")) {
    if (name.ends_with("receive_bytes_total") || name.ends_with("transmit_bytes_total"))
      add(kBytes, Shape::rate, name, true);
    if (name.ends_with("receive_packets_total") || name.ends_with("transmit_packets_total"))
      add(kPackets, Shape::rate, name, true);
    return;
  }
  if (std::ranges::any_of(kOfOthers, [&](std::string_view of) { return name.starts_with(of); }))
    return;
  const bool timed = has_any(name, kTimeWords) && !has_any(name, kNoLatency);
  if (name.ends_with("_bucket")) {
    if (timed) add(kLatency, Shape::quantile, name);
    return;
  }
  if (name.ends_with("_sum")) {
    const std::string_view base = without(name, "_sum");
    if (timed && all.contains(std::string(base) + "_count") &&
        !all.contains(std::string(base) + "_bucket"))
      add(kLatency, Shape::mean, base);
    return;
  }
  const bool counter = name.ends_with("_total") || name.ends_with("_count");
  if (counter && has_any(name, kRequestWords)) {
    add(kErrors, Shape::share, name);
    add(kRate, Shape::rate, name, true);
  }
  if (name.ends_with("_total") && (has(name, "error") || has(name, "fail")))
    add(kErrors, Shape::rate, name);
  if (!counter && timed) add(kLatency, Shape::gauge, name);
}

int order_of(Shape shape) {
  switch (shape) {
    case Shape::quantile:
    case Shape::share:
    case Shape::zero:
      return 0;
    case Shape::mean:
    case Shape::rate:
      return 1;
    case Shape::gauge:
      break;
  }
  return 2;
}

// A step smaller than this is none, whatever the baseline: in the effect's base unit.
double least_step(const Family& family) {
  if (family.effect == kLatency) return 0.005 * family.unit;
  if (family.effect == kErrors) return family.shape == Shape::share ? 0.01 : 0.1;
  if (family.effect == kCpu) return 0.05;
  if (family.effect == kBytes) return 1000;
  return 1;
}

double two_digits(double value, bool up) {
  if (!(value > 0)) return 0;
  const double grain = std::pow(10.0, std::floor(std::log10(value)) - 1);
  // What is two digits already stays so: 0.3 / 0.01 is a little above 30.
  const double steps = value / grain;
  return (up ? std::ceil(steps - 1e-9) : std::floor(steps + 1e-9)) * grain;
}

// As a person would write it; six digits are more than the two that it has.
std::string number_text(double value) {
  char text[40];
  const auto [end, error] =
      std::to_chars(text, text + sizeof text, value, std::chars_format::general, 6);
  return error == std::errc{} ? std::string(text, end) : "0";
}

}  // namespace

std::vector<Family> families_of(const std::vector<std::string>& names) {
  // Views into `names`, to look for a family's other metrics.
  std::set<std::string_view> all;
  for (const std::string& name : names)
    if (good_name(name)) all.insert(name);
  std::vector<Family> found;
  for (const std::string_view name : all) add_of_name(name, all, found);
  std::ranges::stable_sort(found, {}, [](const Family& family) {
    return std::tuple(family.effect, order_of(family.shape), -fitness(family.name));
  });
  std::vector<Family> out;
  std::string_view effect;
  std::size_t of_effect = 0;
  for (Family& family : found) {
    if (family.effect != effect) of_effect = 0;
    effect = family.effect;
    if (++of_effect <= kMostOfEffect) out.push_back(std::move(family));
  }
  return out;
}

std::string failures_of(const std::vector<Labels>& series) {
  constexpr std::array<std::string_view, 9> kHttp = {
      "code",        "status",     "status_code",   "http_status_code",
      "http_status", "statuscode", "response_code", "http_response_status_code",
      "http_code"};
  constexpr std::array<std::string_view, 5> kGrpc = {"grpc_code", "grpc_status", "grpc_status_code",
                                                     "rpc_grpc_status_code", "rpc_status_code"};
  const auto any = [&](std::string_view label, auto&& good) {
    return std::ranges::any_of(series, [&](const Labels& one) {
      const auto found = one.find(std::string(label));
      return found != one.end() && good(found->second);
    });
  };
  for (const std::string_view label : kHttp)
    if (any(label, [](const std::string& value) {
          return value.size() == 3 && value[0] >= '1' && value[0] <= '5';
        }))
      return std::string(label) + "=~\"5..\"";
  for (const std::string_view label : kGrpc)
    if (any(label, [](const std::string& value) { return !value.empty(); }))
      return std::string(label) + "!~\"OK|0\"";
  return {};
}

std::string expression(const Family& family, const PodMatch& pods, double window) {
  std::string by;
  for (const std::string& label : pods.by) by += (by.empty() ? "" : ", ") + label;
  const std::string range = "[" + report::promql_duration_words(window) + "]";
  const auto selector = [&](const std::string& name, const std::string& more = {}) {
    return name + "{" + pods.matchers + (more.empty() ? "" : "," + more) + "}";
  };
  const auto rate = [&](const std::string& name, const std::string& more = {}) {
    return "sum by (" + by + ") (rate(" + selector(name, more) + range + "))";
  };
  switch (family.shape) {
    case Shape::quantile:
      return "histogram_quantile(" + number_text(kQuantile) + ", sum by (" + by + ", le) (rate(" +
             selector(family.name) + range + ")))";
    case Shape::mean:
      return rate(family.name + "_sum") + " / " + rate(family.name + "_count");
    case Shape::gauge:
      return "max by (" + by + ") (" + selector(family.name) + ")";
    case Shape::share:
      // A counter of failures is often not there before the first of them.
      return "(" + rate(family.name, family.failures) + " or 0 * " + rate(family.name) + ") / " +
             rate(family.name);
    case Shape::rate:
      // The kubelet tells the CPU of a pod's containers and of the pod as a whole.
      return rate(family.name, family.name == "container_cpu_usage_seconds_total"
                                   ? "container!=\"\",container!=\"POD\""
                                   : "");
    case Shape::zero:
      return "min by (" + by + ") (" + selector(family.name) + ")";
  }
  return {};
}

std::string rule_of(const Family& family, const std::string& expression, bool falls,
                    double threshold) {
  if (family.shape == Shape::zero) return expression + " == 0";
  return expression + (falls ? " < " : " > ") + number_text(threshold);
}

std::optional<Threshold> threshold_of(const Family& family, bool falls,
                                      std::vector<double> baseline, std::string& why) {
  std::erase_if(baseline, [](double value) { return !std::isfinite(value); });
  if (baseline.size() < kLeastValues) {
    why = baseline.empty() ? "it has no value in the baseline"
                           : "it has too few values in the baseline to make a threshold of";
    return std::nullopt;
  }
  const auto [lowest, highest] = std::ranges::minmax(baseline);
  if (family.shape == Shape::zero) {
    if (lowest > 0) return Threshold{lowest, 0};
    why = "it was 0 in the baseline already";
    return std::nullopt;
  }
  const double spread = report::robust_deviation(baseline);
  if (!falls) {
    const double step = std::max({highest / 2, 3 * spread, least_step(family)});
    return Threshold{highest, two_digits(highest + step, true)};
  }
  const double value = two_digits(lowest - std::max(lowest / 2, 3 * spread), false);
  if (value > 0) return Threshold{lowest, value};
  why = lowest > 0 ? "it varies too much in the baseline for a threshold below it"
                   : "it was 0 in the baseline already";
  return std::nullopt;
}

}  // namespace faultline::controller::observe
