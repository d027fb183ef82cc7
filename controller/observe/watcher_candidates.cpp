// SPDX-License-Identifier: Apache-2.0
// When an expected alert did not notice the fault: which rules would have, over metrics that
// Prometheus has for the pods of the run. Each is asked of Prometheus over the run before it is
// called one.
#include <algorithm>
#include <cmath>

#include "base/printable.h"
#include "controller/observe/candidates.h"
#include "controller/observe/watcher_impl.h"
#include "report/detections.h"

namespace faultline::controller::observe {
namespace {

using boost::asio::awaitable;
using Clocked = std::chrono::steady_clock;

constexpr std::size_t kMostGroups = 4;
constexpr std::size_t kMostPods = 20;  // of one group
constexpr std::size_t kMostCandidates = 200;
constexpr std::size_t kMostFamilies = 12;
constexpr int kMostSeries = 200;
// Of all questions together: the run waits for them.
constexpr std::chrono::seconds kLongest{4};
constexpr double kUnknownScrape = 15;  // seconds, where no target tells its interval
constexpr double kMostSteps = 1'000;

// Pods of one workload are alike: a rule is made for all of them. The order stays.
std::vector<std::vector<api::PodRef>> groups_of(const std::vector<api::PodRef>& pods) {
  std::vector<std::vector<api::PodRef>> groups;
  for (const api::PodRef& pod : pods) {
    const auto same = [&](const std::vector<api::PodRef>& group) {
      return !pod.workload.empty() && group.front().namespace_ == pod.namespace_ &&
             group.front().workload == pod.workload;
    };
    if (const auto known = std::ranges::find_if(groups, same); known != groups.end()) {
      if (known->size() < kMostPods) known->push_back(pod);
    } else if (groups.size() < kMostGroups) {
      groups.push_back({pod});
    }
  }
  return groups;
}

struct Way {
  PodMatch match;
  std::vector<std::string> names;
};

// The pods as they may be named by labels, and as addresses in `instance`.
std::vector<Way> ways_to(const std::vector<api::PodRef>& pods) {
  std::vector<std::string> names, namespaces, addresses;
  for (const api::PodRef& pod : pods) {
    names.push_back(pod.name);
    if (std::ranges::find(namespaces, pod.namespace_) == namespaces.end())
      namespaces.push_back(pod.namespace_);
    addresses.insert(addresses.end(), pod.addresses.begin(), pod.addresses.end());
  }
  const auto words = [](const std::vector<std::string>& of) {
    // One word that no regular expression changes needs none.
    const std::string any = any_of(of);
    return of.size() == 1 && any.find('\\') == std::string::npos ? "=" + any : "=~" + any;
  };
  std::vector<Way> out;
  const auto add = [&](const std::string& ns, const std::string& pod) {
    out.push_back({{ns + words(namespaces) + "," + pod + words(names), {ns, pod}}, {}});
  };
  if (!names.empty()) {
    add("namespace", "pod");
    add("kubernetes_namespace", "kubernetes_pod_name");
  }
  if (!addresses.empty()) {
    std::string hosts = any_of(addresses);
    hosts = hosts.substr(1, hosts.size() - 2);
    out.push_back(
        {{"instance=~\"([a-z]+://)?\\\\[?(" + hosts + ")\\\\]?(:[0-9]+)?(/.*)?\"", {"instance"}},
         {}});
  }
  return out;
}

// The host of "10.0.0.5:8080", "[fd00::5]:80", "http://10.0.0.5:8080/health".
std::string_view host_of(std::string_view instance) {
  if (const std::size_t scheme = instance.find("://"); scheme != std::string_view::npos)
    instance.remove_prefix(scheme + 3);
  instance = instance.substr(0, instance.find('/'));
  if (instance.starts_with('[')) return instance.substr(1, instance.find(']') - 1);
  if (std::ranges::count(instance, ':') == 1) return instance.substr(0, instance.find(':'));
  return instance;
}

// Which of the pods a series is of; empty: of none.
std::string pod_of(const Labels& labels, const PodMatch& match,
                   const std::vector<api::PodRef>& pods) {
  const auto label = [&](std::size_t i) {
    const auto found = labels.find(match.by[i]);
    return found != labels.end() ? found->second : std::string();
  };
  for (const api::PodRef& pod : pods) {
    const bool same = match.by.size() == 2 ? label(0) == pod.namespace_ && label(1) == pod.name
                                           : std::ranges::find(pod.addresses, host_of(label(0))) !=
                                                 pod.addresses.end();
    if (same) return pod.id();
  }
  return {};
}

struct Spans {
  double begin = 0, injected = 0, last = 0, step = 1, window = 4;
};

std::string value_text(double value) {
  char text[32];
  static_cast<void>(std::snprintf(text, sizeof text, "%.3g", value));
  return text;
}

}  // namespace

// Asks for the candidates of one Prometheus. In an object of its own, since all its questions share
// where and when.
class Watcher::Impl::CandidateSearch {
 public:
  CandidateSearch(Impl& of, PrometheusSide& side, const Spans& spans, std::vector<api::PodRef> pods,
                  Clocked::time_point until)
      : of_(of), side_(side), spans_(spans), pods_(std::move(pods)), until_(until) {}

  awaitable<void> run() {
    bool any = false;
    std::vector<Way> ways = ways_to(pods_);
    for (Way& way : ways) {
      if (late()) co_return;
      Result<std::vector<std::string>> names = co_await side_.client.metric_names(
          "{" + way.match.matchers + "}", spans_.begin, spans_.last);
      if (!names) {
        note_unasked(names.error().message);
        co_return;
      }
      if (names->empty()) continue;
      any = true;
      // What was found by one name of the pods need not be asked by another.
      for (std::string& name : *names)
        if (asked_.insert(name).second) way.names.push_back(std::move(name));
      co_await ask_families(way);
    }
    if (!any) note_unasked("it has no series of " + pods_.front().id());
  }

 private:
  // What holds for all effects.
  void note_unasked(const std::string& why) {
    for (const api::PodRef& pod : pods_) {
      api::AlertCandidate none{.source = side_.client.options().name, .pod = pod.id()};
      none.reason = printable(why, 300);
      add(std::move(none));
    }
  }
  void add(api::AlertCandidate candidate) {
    if (of_.record.candidates.size() < kMostCandidates)
      of_.record.candidates.push_back(std::move(candidate));
  }
  bool late() {
    if (of_.clock.steady() < until_) return false;
    if (!told_late_) note_unasked("its metrics were not all asked for: there was no time left");
    told_late_ = true;
    return true;
  }

  awaitable<void> ask_families(const Way& way) {
    std::vector<Family> families = families_of(way.names);
    // Of each effect the first, then the second: the time is bounded, and so is the record.
    std::map<std::string_view, std::size_t> place;
    std::vector<std::pair<std::size_t, std::size_t>> order;
    for (std::size_t i = 0; i < families.size(); ++i)
      order.emplace_back(place[families[i].effect]++, i);
    std::ranges::stable_sort(order);
    if (order.size() > kMostFamilies) order.resize(kMostFamilies);
    for (const auto& [unused, i] : order) {
      Family& family = families[i];
      if (late()) co_return;
      if (family.shape == Shape::share) {
        const auto series = co_await side_.client.series(
            family.name + "{" + way.match.matchers + "}", spans_.begin, spans_.last, kMostSeries);
        if (!series) {
          of_.tell({series.error().message});
          if (series.error().code != Errc::kInvalid) co_return;
          continue;
        }
        family.failures = failures_of(*series);
        if (family.failures.empty()) continue;
      }
      if (late()) co_return;
      const std::string value = expression(family, way.match, spans_.window);
      const auto values =
          co_await side_.client.query_range(value, spans_.begin, spans_.last, spans_.step);
      if (!values) {
        of_.tell({values.error().message});
        if (values.error().code != Errc::kInvalid) co_return;
        continue;
      }
      co_await judge(way, family, value, *values, false);
      if (family.both) co_await judge(way, family, value, *values, true);
    }
  }

  // The rule is one for all pods of the group, so that its threshold is made from the values of all
  // of them.
  awaitable<void> judge(const Way& way, const Family& family, const std::string& value,
                        const std::vector<Series>& values, bool falls) {
    struct Seen {
      std::vector<double> before, during;
    };
    std::map<std::string, Seen> by_pod;
    std::vector<double> before;
    for (const Series& one : values) {
      const std::string pod = pod_of(one.labels, way.match, pods_);
      if (pod.empty()) continue;
      Seen& seen = by_pod[pod];
      for (const Point& point : one.points) {
        if (!std::isfinite(point.value)) continue;
        (point.at < spans_.injected ? seen.before : seen.during).push_back(point.value);
        if (point.at < spans_.injected) before.push_back(point.value);
      }
    }
    std::string why;
    const std::optional<Threshold> threshold = threshold_of(family, falls, before, why);
    std::vector<Series> fired;
    std::string rule;
    const auto crosses = [&](double at) {
      if (family.shape == Shape::zero) return at == 0;
      return falls ? at < threshold->value : at > threshold->value;
    };
    if (threshold) {
      rule = rule_of(family, value, falls, threshold->value);
      const bool moved = std::ranges::any_of(
          by_pod, [&](const auto& pod) { return std::ranges::any_of(pod.second.during, crosses); });
      if (moved) {
        if (late()) co_return;
        auto asked =
            co_await side_.client.query_range(rule, spans_.begin, spans_.last, spans_.step);
        if (!asked) {
          of_.tell({asked.error().message});
          co_return;
        }
        fired = std::move(*asked);
      }
    }
    for (const auto& [pod, seen] : by_pod) {
      api::AlertCandidate out{.source = side_.client.options().name, .pod = pod};
      out.metric = family.effect;
      out.falls = falls;
      out.promql = rule;
      if (threshold) {
        out.baseline = threshold->baseline;
        out.threshold = threshold->value;
      }
      for (const Series& one : fired) {
        if (pod_of(one.labels, way.match, pods_) != pod) continue;
        for (const Point& point : one.points) {
          if (point.at < spans_.injected) {
            out.trueBefore = true;
          } else {
            if (!out.trueAt.set()) out.trueAt = to_ours(point.at, side_.offset);
            break;
          }
        }
      }
      if (!threshold) {
        out.reason = family.name + ": " + why;
      } else if (out.trueBefore) {
        out.reason = "the rule would have been true before the fault already";
      } else if (!out.trueAt.set() && family.shape == Shape::zero) {
        out.reason = family.name + " was never 0";
      } else if (!out.trueAt.set()) {
        out.reason = family.name + " did not cross " + value_text(threshold->value);
        if (!seen.during.empty())
          out.reason +=
              ": it was " +
              value_text(falls ? std::ranges::min(seen.during) : std::ranges::max(seen.during)) +
              (falls ? " at least" : " at most");
      }
      out.reason = printable(out.reason, 300);
      add(std::move(out));
    }
  }

  Impl& of_;
  PrometheusSide& side_;
  const Spans spans_;
  const std::vector<api::PodRef> pods_;
  const Clocked::time_point until_;
  std::set<std::string> asked_;  // names of metrics
  bool told_late_ = false;
};

awaitable<void> Watcher::Impl::find_candidates(PrometheusSide& side, const WatchTimes& times,
                                               std::vector<api::PodRef> pods, SteadyTime until) {
  if (!source_of(side).problem.empty()) co_return;
  Spans spans;
  const Result<std::vector<Target>> targets = co_await side.client.targets();
  double scrape = 0;
  if (targets) {
    for (const Target& target : *targets) {
      const auto instance = target.labels.find("instance");
      const auto pod = target.labels.find("pod");
      const bool ours = std::ranges::any_of(pods, [&](const api::PodRef& one) {
        return (pod != target.labels.end() && pod->second == one.name) ||
               (instance != target.labels.end() &&
                std::ranges::find(one.addresses, host_of(instance->second)) != one.addresses.end());
      });
      if (ours) scrape = std::max(scrape, target.scrape_interval);
    }
  }
  double grid = 0;
  double step = 0;
  for (const api::AlertRule& rule : record.rules)
    if (rule.source == side.client.options().name && expected(rule.alert) &&
        rule.evaluationInterval > 0 && (step == 0 || rule.evaluationInterval < step)) {
      step = rule.evaluationInterval;
      grid = rule.lastEvaluation.set() ? to_theirs(rule.lastEvaluation.value, side.offset) : 0;
      if (scrape == 0) scrape = rule.scrapeInterval.value_or(0);
    }
  if (!(scrape > 0)) scrape = kUnknownScrape;
  if (!(step > 0)) step = scrape;
  const double begin = to_theirs(times.begin, side.offset);
  spans.injected = to_theirs(times.first_injected.value, side.offset);
  spans.last =
      to_theirs(times.last_injected.set() ? times.last_injected.value : times.end, side.offset);
  if (!(spans.last > begin)) co_return;
  spans.step = step * std::max(1.0, std::ceil((spans.last - begin) / step / kMostSteps));
  spans.begin = grid + std::ceil((begin - grid) / step) * step;
  if (!(spans.last >= spans.begin)) co_return;
  // A rate needs two samples; with four scrapes one that is lost is made up for.
  spans.window = 4 * scrape;
  std::vector<std::vector<api::PodRef>> groups = groups_of(pods);
  for (std::vector<api::PodRef>& group : groups) {
    CandidateSearch search(*this, side, spans, std::move(group), until);
    co_await search.run();
  }
}

awaitable<void> Watcher::Impl::conclude(const WatchTimes& times, std::vector<api::PodRef> pods,
                                        SteadyTime until) {
  const std::vector<api::DetectionReport> found =
      report::detections_of(record, experiment.spec.expect,
                            {.first_injected = times.first_injected,
                             .last_injected = times.last_injected,
                             .end = {times.end},
                             .begin = {times.begin}},
                            own_pods);
  bool unnoticed = false;
  for (const api::DetectionReport& one : found) {
    record.outcomes.push_back({one.source, one.alert, one.verdict, one.firingAt, one.seconds});
    unnoticed = unnoticed || (one.within && report::wants_hints(one.verdict));
  }
  if (!unnoticed || !times.first_injected.set()) co_return;
  const SteadyTime enough = std::min(until, clock.steady() + kLongest);
  bool all = false;
  std::vector<Beat> search;
  search.emplace_back([&]() -> awaitable<void> {
    for (const auto& side : prometheus) {
      std::vector<api::PodRef> of = pods;
      co_await find_candidates(*side, times, std::move(of), enough);
    }
    all = true;
  });
  co_await together_until(std::move(search), until);
  if (!all) tell({"not all rules that would have noticed were looked for: there was no time left"});
}

}  // namespace faultline::controller::observe
