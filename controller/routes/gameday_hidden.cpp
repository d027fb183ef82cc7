// SPDX-License-Identifier: Apache-2.0
// Which runs are a surprise, and for whom; also of days that are not in memory any more.
#include <algorithm>
#include <set>

#include "controller/gameday/words.h"
#include "controller/routes/gamedays.h"

namespace faultline::controller {

using gameday::Day;

// A run that is under way says itself of which day and step it is, so that it is hidden before the
// day knows that it began. Of one that is over the days know, as soon as they have looked; but for
// rehearsals, which are of no step.
bool Service::GameDays::hidden(const std::string& run, const http::Identity& who) const {
  const auto knows = [&](const Active& active) {
    return active.day.role_of(who.user) == api::DayRole::facilitator ||
           (active.day.over() && active.day.may_lead(who.user));
  };
  // Of a day that is not in memory.
  const auto kept_secret = [&](const std::string& day) {
    const auto kept = secrets_of_.find(day);
    return kept != secrets_of_.end() &&
           std::ranges::find(kept->second, who.user) == kept->second.end();
  };
  if (const Run* known = service_.in_memory(run)) {
    if (!gameday::is_quiet(known->head())) return false;
    const std::string& key = known->head().experimentUid;
    const std::string id(gameday::day_of_key(key));
    const auto day = days_.find(id);
    // Of a day that is not under way only what is over is shown.
    if (day == days_.end()) return !known->over() || kept_secret(id);
    return !knows(*day->second) && day->second->day.hides(run, key);
  }
  if (const auto rehearsed = rehearsals_.find(run); rehearsed != rehearsals_.end()) {
    const auto day = days_.find(rehearsed->second);
    if (day == days_.end()) return kept_secret(rehearsed->second);
    return !knows(*day->second) && day->second->day.hides(run, {});
  }
  for (const auto& [id, active] : days_) {
    const Day& day = active->day;
    if (knows(*active)) continue;
    if (day.hidden_runs().contains(run)) return true;
    if (day.over()) continue;
    if (!active->looked && run.starts_with(day.quiet_prefix())) return true;
    if (std::ranges::any_of(active->quiet_names,
                            [&](const std::string& name) { return run.starts_with(name + "-"); }))
      return true;
    for (const auto& [key, seen] : active->runs)
      if (seen.run == run && day.is_surprise(std::string(gameday::step_of_key(key))) &&
          day.hides(run, key))
        return true;
  }
  return false;
}

void Service::GameDays::note_run(const api::RunRecord& head) {
  if (gameday::is_quiet(head) && gameday::step_of_key(head.experimentUid).empty())
    rehearsals_[head.run] = std::string(gameday::day_of_key(head.experimentUid));
}

void Service::GameDays::forget(const std::string& day) {
  const auto found = days_.find(day);
  if (found == days_.end()) return;
  remember_secrets(found->second->day);
  days_.erase(found);
}

void Service::GameDays::remember_secrets(const Day& day) {
  const api::GameDayRecord& record = day.record();
  const std::vector<std::string>& facilitators = record.document.spec.roles.facilitator;
  secrets_of_.erase(record.day);
  if (day.hides_any() && !facilitators.empty()) secrets_of_[record.day] = facilitators;
}

// Blocks.
Result<> Service::GameDays::take_over_secrets() {
  constexpr std::int64_t kAll = 1'000'000, kMostRehearsals = 100;
  auto refs = service_.store_->day_refs("", kAll);
  if (!refs) return fail(std::move(refs.error()));
  std::set<std::string> names;
  for (const DayRef& ref : *refs) {
    if (days_.contains(ref.summary.day)) names.insert(ref.summary.name);
    if (ref.summary.state != api::DayState::failed) continue;
    auto record = service_.store_->load_day(ref.summary.day);
    if (record)
      remember_secrets(Day(std::move(*record)));
    else
      secrets_of_[ref.summary.day] = {};  // nobody can say who may know what
    if (secrets_of_.contains(ref.summary.day)) names.insert(ref.summary.name);
  }
  // A journal gives the runs that are over later: note_run().
  for (const std::string& name : names) {
    const RefQuery rehearsals{.name = name + "-rehearsal", .limit = kMostRehearsals};
    const auto runs = service_.store_->refs(rehearsals);
    if (!runs) return fail(runs.error());
    for (const RunRef& run : *runs)
      if (const auto head = service_.store_->load(run.run, Windows::kWithout)) note_run(*head);
  }
  return {};
}

}  // namespace faultline::controller
