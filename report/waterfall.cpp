// SPDX-License-Identifier: Apache-2.0
#include "report/waterfall.h"

#include <algorithm>
#include <set>

#include "report/floor.h"
#include "report/format.h"
#include "report/promql.h"

namespace faultline::report {
namespace {

// Whether a scrape is of a target that the labels speak of. Labels that targets do not have are
// silent about them.
bool speaks_of(const AlertLabels& labels, const api::ScrapeSample& scrape) {
  const auto same = [&](const char* label, const std::string& value) {
    const auto found = labels.find(label);
    return found == labels.end() || found->second == value;
  };
  const std::size_t slash = scrape.pod.find('/');
  const std::string pod = slash == std::string::npos ? scrape.pod : scrape.pod.substr(slash + 1);
  return same("job", scrape.job) && same("instance", scrape.instance) &&
         (scrape.pod.empty() || same("pod", pod));
}

std::vector<const api::ScrapeSample*> scrapes_of(const api::MonitoringRecord& record,
                                                 const std::string& source,
                                                 const AlertLabels& labels) {
  std::vector<const api::ScrapeSample*> all, spoken;
  for (const api::ScrapeSample& scrape : record.scrapes) {
    if (scrape.source != source || !scrape.at.set()) continue;
    all.push_back(&scrape);
    if (speaks_of(labels, scrape)) spoken.push_back(&scrape);
  }
  return spoken.empty() ? all : spoken;
}

std::optional<double> least(std::optional<double> floor, std::optional<double> measured) {
  return floor && measured ? std::min(*floor, std::max(0.0, *measured)) : floor;
}

std::optional<double> between(api::Timestamp from, api::Timestamp to) {
  if (!from.set() || !to.set()) return std::nullopt;
  return seconds_between(from, to);
}

}  // namespace

Evaluated evaluated(const api::MonitoringRecord& record, const api::AlertRule& rule,
                    std::int64_t expected, const DetectionTimes& times,
                    api::Timestamp first_scrape) {
  Evaluated out;
  const std::string group = evaluated_as(record, rule);
  std::vector<const api::AlertEvaluation*> mine;
  for (const api::AlertEvaluation& one : record.evaluations)
    if (one.source == rule.source && one.group == group && one.alert == rule.alert &&
        one.expected == expected && one.at.set())
      mine.push_back(&one);
  std::ranges::stable_sort(mine, {}, [](const auto* one) { return one->at; });
  std::vector<ExpressionSample> samples;
  bool held = false;
  api::Timestamp since;
  for (const api::AlertEvaluation* one : mine) {
    const bool holds = one->series.value_or(0) > 0;
    if (one->series) samples.push_back({seconds_between(times.first_injected, one->at), holds});
    if (!one->onGrid || one->at < times.first_injected || times.end < one->at) continue;
    if (!one->series) {
      ++out.unknown;
      held = false;
      continue;
    }
    ++out.asked;
    if (holds) {
      ++out.held;
      if (!held) {
        ++out.times_true;
        since = one->at;
      }
      if (!out.true_at.set()) out.true_at = one->at;
      out.longest = std::max(out.longest, seconds_between(since, one->at));
    }
    held = holds;
  }
  out.floor = earliest_firing(rule, samples, between(times.first_injected, first_scrape));
  return out;
}

api::Timestamp first_scrape(const api::MonitoringRecord& record, const std::string& source,
                            const AlertLabels& labels, const DetectionTimes& times,
                            api::Timestamp before) {
  api::Timestamp good, any;
  for (const api::ScrapeSample* scrape : scrapes_of(record, source, labels)) {
    if (scrape->at < times.first_injected || (before.set() && before < scrape->at)) continue;
    if (!any.set() || scrape->at < any) any = scrape->at;
    if (scrape->up && (!good.set() || scrape->at < good)) good = scrape->at;
  }
  return good.set() ? good : any;
}

std::string broken_scrapes(const api::MonitoringRecord& record, const std::string& source,
                           const AlertLabels& labels, const DetectionTimes& times) {
  std::size_t all = 0, failed = 0;
  std::set<std::string> jobs;
  for (const api::ScrapeSample* scrape : scrapes_of(record, source, labels)) {
    // One that began before the fault ended is answered or broken after it.
    if (scrape->at < times.first_injected ||
        (times.last_injected.set() && times.last_injected < scrape->at))
      continue;
    ++all;
    if (scrape->up) continue;
    ++failed;
    jobs.insert(scrape->job);
  }
  if (failed == 0) return {};
  return "the fault itself broke " + count_words(failed) + " of " + count_words(all) +
         " scrapes of " + join({jobs.begin(), jobs.end()}, ", ");
}

void add_steps(api::DetectionReport& report, const api::AlertRule* rule,
               const api::AlertRoute* route, const Evaluated& seen, const DetectionTimes& times) {
  const auto scrape = between(times.first_injected, report.firstScrapeAt);
  const auto expression = between(
      report.firstScrapeAt.set() ? report.firstScrapeAt : times.first_injected, report.trueAt);
  const auto waited = between(report.trueAt, report.firingAt);
  const auto group = between(report.firingAt, report.notifiedAt);
  const auto setting = [](std::string_view name, double seconds) {
    return std::string(name) + " " + promql_duration_words(seconds);
  };
  api::DetectionStep step{"scrape", scrape, scrape ? std::optional(0.0) : std::nullopt, {}};
  if (rule != nullptr && rule->scrapeInterval)
    step.cause = setting("scrape_interval", *rule->scrapeInterval);
  report.steps.push_back(step);

  step = {"expression", expression, std::nullopt, {}};
  if (rule != nullptr) {
    // Without samples between the evaluations nothing is known but that it takes no negative time.
    const double needed = for_on_grid(*rule);
    step.floor = least(seen.floor ? *seen.floor - needed : 0.0, expression);
    step.cause = rule->longestWindow > 0 ? setting("range window", rule->longestWindow) + ", " : "";
    step.cause += setting("evaluation interval", rule->evaluationInterval);
  }
  report.steps.push_back(step);

  step = {"for", waited, std::nullopt, {}};
  if (rule != nullptr) {
    step.floor = least(for_on_grid(*rule), waited);
    step.cause = setting("for", rule->forSeconds);
    if (rule->forSeconds > 0)
      step.cause += setting(", evaluation interval", rule->evaluationInterval);
    report.floor = seen.floor ? *seen.floor : for_on_grid(*rule);
    report.floor = least(report.floor, between(times.first_injected, report.firingAt));
  }
  report.steps.push_back(step);

  step = {"group", group, std::nullopt, {}};
  if (route != nullptr) {
    // A group that exists is told at its next interval, which can be at once.
    step.floor = least(route->groupExists ? 0 : route->groupWait, group);
    step.cause = route->groupExists ? setting("group_interval", route->groupInterval)
                                    : setting("group_wait", route->groupWait);
  }
  report.steps.push_back(step);
}

}  // namespace faultline::report
