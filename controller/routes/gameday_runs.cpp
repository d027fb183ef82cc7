// SPDX-License-Identifier: Apache-2.0
// The runs of game days: how they stand, which begin and which end.
#include <algorithm>

#include "controller/gameday/words.h"
#include "controller/routes/gamedays.h"

namespace faultline::controller {

using gameday::SeenRun;
using gameday::WantedRun;

std::vector<WantedRun> Service::GameDays::look_at_runs(Active& active) const {
  std::vector<WantedRun> unread;
  for (WantedRun& run : active.day.open_runs()) {
    // begin() tells when it is there: until then the engine knows what the store may not have.
    if (active.beginning.contains(run.key)) continue;
    SeenRun& seen = active.runs[run.key];
    if (seen.over || !seen.refused.empty()) continue;
    if (seen.run.empty()) seen.run = run.run;
    if (seen.run.empty()) seen.run = service_.active_run_of(run.key);
    const Run* found = seen.run.empty() ? nullptr : service_.in_memory(seen.run);
    if (found != nullptr && !found->over())
      seen.state = found->head().state;
    else if (!seen.run.empty() || !active.looked_up.contains(run.key))
      unread.push_back(std::move(run));
  }
  return unread;
}

boost::asio::awaitable<void> Service::GameDays::read_runs(Shared active,
                                                          std::vector<WantedRun> runs) {
  active->not_read.clear();
  for (WantedRun& run : runs) co_await read_run(*active, std::move(run));
  active->looking = false;
  active->signal.notify();
}

boost::asio::awaitable<void> Service::GameDays::read_run(Active& active, WantedRun run) {
  if (active.runs[run.key].run.empty()) {
    // Perhaps begun by a controller that was killed before it could write that down.
    auto find = [name = run.name, uid = run.key](Store& store) {
      return store.find_of_experiment(name, uid);
    };
    const auto found = co_await course_.read(std::move(find));
    const bool none = !found && found.error().code == Errc::kNotFound && service_.complete_;
    if (!found && !none) {  // it is asked again
      active.not_read.insert(run.key);
      co_return;
    }
    active.looked_up.insert(run.key);
    if (!found) co_return;
    active.runs[run.key].run = *found;
  }
  std::string id = active.runs[run.key].run;
  const auto now = co_await run_now(std::move(id));
  SeenRun& after = active.runs[run.key];
  if (!now) {
    if (now.error().code != Errc::kNotFound) co_return;  // it is asked again
    after.over = true;
    after.state = api::RunState::Failed;
    after.reason = "the run is not in the store any more";
    co_return;
  }
  after.state = now->head.state;
  if (!now->report) co_return;
  after.over = true;
  after.verdict = now->report->verdict;
  after.reason = now->head.stateReason;
}

boost::asio::awaitable<Result<RunNow>> Service::GameDays::run_now(std::string run) {
  if (const Run* active = service_.in_memory(run); active != nullptr && !active->over())
    co_return co_await service_.run_now(std::move(run));  // it reads nothing
  auto make = reading_now(service_.reading(std::move(run), Windows::kWith));
  auto found = co_await course_.read(std::move(make));
  if (!found && found.error().code == Errc::kNotFound && !service_.complete_)
    co_return not_complete();
  co_return found;
}

void Service::GameDays::end_unwanted(Active& active) {
  // Once: a second stop would leave out the recovery.
  for (const auto& [run, why] : active.day.unwanted())
    if (active.stopped.insert(run).second) service_.stop_run(run, why);
  if (active.day.record().state != api::DayState::aborting) return;
  const std::string rehearsal = service_.active_run_of(rehearsal_key(active.day));
  if (rehearsal.empty()) return;
  if (active.stopped.insert(rehearsal).second)
    service_.stop_run(rehearsal, "the game day was aborted");
}

Service::GameDays::Room Service::GameDays::room_for(const Active& active,
                                                    const WantedRun& run) const {
  const gameday::Day& day = active.day;
  if (stopped_ || service_.closed_ || !active.ending.empty()) return Room::kNone;
  if (!day.wants(run)) return day.record().state == api::DayState::held ? Room::kHeld : Room::kNone;
  bool held = false;
  for (const auto& said : active.pending) {
    const api::EntryKind kind = said->word.kind;
    const bool skips = kind == api::EntryKind::skipped && said->word.step == run.step;
    if (kind != api::EntryKind::aborted && kind != api::EntryKind::held && !skips) continue;
    // What is refused, or was heard before, ends nothing.
    const auto entry = day.say(said->word, said->who, said->via, service_.clock_.utc());
    if (!entry || entry->number <= day.record().entries.size()) continue;
    if (kind != api::EntryKind::held) return Room::kNone;
    held = true;
  }
  return held ? Room::kHeld : Room::kYes;
}

// Nothing here waits: what begins does so in a coroutine of its own.
void Service::GameDays::reconcile(const Shared& active) {
  end_unwanted(*active);
  const SteadyTime now = service_.clock_.steady();
  gameday::Wanted wanted = active->day.wanted();
  for (WantedRun& run : wanted.runs) {
    if (active->beginning.size() >= kMostBeginning) return;
    const SeenRun& seen = active->runs[run.key];
    if (!seen.run.empty() || !seen.refused.empty() || active->beginning.contains(run.key)) continue;
    // Perhaps it is there already, or is over, by a controller whose runs are still being read.
    if (!service_.complete_ || !active->looked_up.contains(run.key)) continue;
    if (run.not_before != UtcTime{}) {
      // By the steady clock: the other one may be set back while the sweep rests.
      const auto left = std::clamp<std::chrono::nanoseconds>(run.not_before - service_.clock_.utc(),
                                                             std::chrono::nanoseconds(0), run.rest);
      if (now < active->rests_until.emplace(run.key, now + left).first->second) continue;
    }
    if (const auto next = active->next_try.find(run.key);
        next != active->next_try.end() && now < next->second)
      continue;
    active->beginning.insert(run.key);
    spawn(begin_apart(active, std::move(run)));
  }
}

boost::asio::awaitable<void> Service::GameDays::begin_apart(Shared active, WantedRun run) {
  const std::string key = run.key;
  if (room_for(*active, run) == Room::kYes) {
    api::Experiment experiment = active->day.experiment_of(run);
    co_await begin(*active, std::move(run), std::move(experiment));
  }
  active->beginning.erase(key);
  active->signal.notify();
}

boost::asio::awaitable<void> Service::GameDays::begin(Active& active, WantedRun wanted,
                                                      api::Experiment experiment) {
  const std::string key = wanted.key;
  const SteadyTime asked_at = service_.clock_.steady();
  if (asked_at < active.next_try[key]) co_return;
  active.next_try[key] = asked_at + kAsk;
  if (service_.may_) experiment = in_own_namespace(std::move(experiment));
  const api::DayPerson& asker = active.day.record().asker;
  http::Identity who{.role = "person",
                     .user = asker.user,
                     .groups = asker.groups,
                     .uid = asker.uid,
                     .extra = asker.extra};
  const std::string name = active.day.record().requestedBy;
  AuditEntry entry{.via = "gameday", .verb = "start", .user = name, .groups = asker.groups};
  describe(entry, experiment);
  // In the store before it is in memory: until then its name says whose it is.
  struct Quiet {
    std::set<std::string>& all;
    std::string name;
    ~Quiet() { all.erase(name); }
  } quiet{active.quiet_names, {}};
  if (experiment.metadata.annotations.contains(std::string(api::kQuietNote))) {
    quiet.name = experiment.metadata.name;
    active.quiet_names.insert(quiet.name);
  }
  // The rights of who asked for the day, as they are now.
  Result<std::string> begun = fail(Errc::kDenied, "");
  const auto allowed = co_await service_.allow_start(who, experiment);
  // The API server, and then the monitoring, may have taken their time.
  if (room_for(active, wanted) != Room::kYes) co_return;
  if (allowed) {
    std::string by = name, uid = key;
    std::function<bool()> still_wanted = [this, &active, &wanted] {
      return room_for(active, wanted) == Room::kYes;
    };
    begun = co_await service_.begin_run(std::move(experiment), std::move(by), std::move(uid), entry,
                                        std::move(still_wanted));
  } else {
    begun = fail(allowed.error());
  }
  if (begun) {
    active.runs[key].run = *begun;
    if (const Run* known = service_.in_memory(*begun)) note_run(known->head());
    active.refused_since.erase(key);
    // It came up after it was ended. One that is held is ended when the hold is written down.
    if (room_for(active, wanted) == Room::kNone && active.stopped.insert(*begun).second)
      service_.stop_run(*begun, "the game day does not want it any more");
    co_return;
  }
  if (room_for(active, wanted) != Room::kYes) co_return;
  const Error& error = begun.error();
  const SteadyTime now = service_.clock_.steady();
  const auto since = active.refused_since.emplace(key, now).first->second;
  const bool may_change = error.code == Errc::kUnavailable || error.code == Errc::kConflict;
  if (may_change && now - since < kRefused) co_return;
  entry.allowed = false;
  entry.reason = error.message;
  service_.audit_within_budget(std::move(entry));
  active.runs[key].refused = error.message;
}

}  // namespace faultline::controller
