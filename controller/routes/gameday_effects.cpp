// SPDX-License-Identifier: Apache-2.0
// Effects that a day waits for, or ends at: what the agents measure of its runs. A run may have
// many pods and a day many runs, so that they are looked at one after the other, beside the day's
// turns.
#include <algorithm>

#include "api/metrics.h"
#include "controller/gameday/experiments.h"
#include "controller/routes/gamedays.h"
#include "report/format.h"
#include "report/measured.h"
#include "report/report.h"

namespace faultline::controller {
namespace {

// One of them: what is looked for, and under which name the day finds it.
struct Awaited {
  std::string key;
  api::Selector selector;
  std::string metric;
  std::optional<double> quantile;
  std::string above, below;
};

// Those of abortWhen, and of the steps that run now.
std::vector<Awaited> awaited_of(const gameday::Day& day) {
  const api::GameDay& document = day.record().document;
  std::vector<Awaited> all;
  for (std::size_t i = 0; i < document.spec.abortWhen.size(); ++i) {
    const api::AbortCondition& one = document.spec.abortWhen[i];
    if (one.effect.empty()) continue;
    all.push_back({gameday::condition_key(i), {}, one.effect, one.quantile, one.above, one.below});
  }
  std::set<std::string> running;
  for (const auto& [step, since] : day.running_steps()) running.insert(step);
  for (const api::Step* step : gameday::steps_of(document)) {
    if (!step->waitFor || !step->waitFor->effect || !running.contains(step->name)) continue;
    const api::ExpectEffect& one = *step->waitFor->effect;
    all.push_back({step->name, one.selector, one.metric, one.quantile, one.above, one.below});
  }
  return all;
}

// In words; empty: it does not hold.
std::string holds(const Awaited& one, const api::RunRecord& run) {
  const api::Metric* metric = api::find_metric(one.metric);
  const auto bound = report::parse_bound(one.metric, one.above.empty() ? one.below : one.above);
  if (metric == nullptr || !bound) return {};
  const auto value =
      report::metric_value(run, one.selector, one.metric, one.quantile, api::RunPhase::fault);
  if (!value || (one.above.empty() ? *value >= *bound : *value <= *bound)) return {};
  return one.metric + (one.above.empty() ? " below " : " above ") +
         report::value_words(*metric, *bound) + ": it was " + report::value_words(*metric, *value);
}

}  // namespace

bool Service::GameDays::asks_effects(const gameday::Day& day) {
  const api::GameDay& document = day.record().document;
  const std::vector<const api::Step*> steps = gameday::steps_of(document);
  return std::ranges::any_of(document.spec.abortWhen,
                             [](const auto& one) { return !one.effect.empty(); }) ||
         std::ranges::any_of(
             steps, [](const auto* step) { return step->waitFor && step->waitFor->effect; });
}

boost::asio::awaitable<void> Service::GameDays::look_at_effects(Shared active) {
  while (!stopped_ && !service_.closed_ && !active->day.over()) {
    std::vector<std::string> runs;
    for (const gameday::WantedRun& run : active->day.open_runs())
      if (const auto known = active->runs.find(run.key);
          known != active->runs.end() && !known->second.run.empty())
        runs.push_back(known->second.run);
    // What a step that begins meanwhile waits for is looked at the next time.
    std::map<std::string, std::string> seen;
    const auto before = active->day.running_steps();
    const std::map<std::string, UtcTime> begun(before.begin(), before.end());
    std::vector<Awaited> awaited = awaited_of(active->day);
    for (const std::string& run : runs) {
      if (awaited.empty() || stopped_ || service_.closed_) break;
      co_await let_others();
      const Run* found = service_.in_memory(run);
      if (found == nullptr || found->head().state != api::RunState::Injecting) continue;
      const api::RunRecord recent = found->recent();
      std::erase_if(awaited, [&](const Awaited& one) {
        std::string words = holds(one, recent);
        if (words.empty()) return false;
        seen.emplace(one.key, std::move(words));
        return true;
      });
    }
    // Steps may have ended, and begun again, while the runs were looked at.
    const auto running = active->day.running_steps();
    std::erase_if(seen, [&](const auto& one) {
      const auto step = begun.find(one.first);
      return step != begun.end() &&
             std::ranges::find(running, std::pair(step->first, step->second)) == running.end();
    });
    if (seen != active->effects) {
      active->effects = std::move(seen);
      active->signal.notify();
    }
    co_await active->signal.wait(service_.clock_.steady() + kTurn);
  }
}

}  // namespace faultline::controller
