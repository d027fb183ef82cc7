// SPDX-License-Identifier: Apache-2.0
#include "controller/routes/gamedays.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/printable.h"
#include "controller/engine/abort.h"
#include "controller/gameday/words.h"

namespace faultline::controller {

using gameday::Day;
using gameday::Seen;
using gameday::WantedRun;

namespace {

constexpr std::chrono::seconds kClockSet{1};  // less is no more than what a figure can be off

}  // namespace

Service::GameDays::GameDays(Service& service)
    : service_(service),
      orders_(orders_beside(service.options_.store_path)),
      answered_(service.executor_),
      changed_(service.executor_),
      reports_("fl-day-report", service.options_.store_path),
      course_("fl-day-course", service.options_.store_path),
      looks_("fl-days", service.options_.store_path) {}

std::set<std::string> Service::GameDays::namespaces_of(const api::GameDay& document) {
  Scope scope = scope_of(document);
  std::set<std::string> namespaces = std::move(scope.hit);
  namespaces.merge(scope.seen);
  return namespaces;
}

Result<> Service::GameDays::take_over() {
  auto unfinished = service_.store_->unfinished_days();
  if (!unfinished) return fail(std::move(unfinished.error()));
  for (const std::string& id : *unfinished) {
    auto record = service_.store_->load_day(id);
    if (!record) {
      // One day that cannot be read must not keep the others, and the controller, from going on.
      spdlog::error("game day {}: it has failed: {}", id, record.error().message);
      const auto failed =
          service_.store_->fail_day(id, record.error().message, service_.clock_.utc());
      if (!failed) spdlog::error("game day {}: {}", id, failed.error().message);
      unreadable_.push_back(id);
      continue;
    }
    spdlog::info("game day {}: the controller was restarted; it goes on", id);
    days_[id] = std::make_shared<Active>(std::move(*record), service_.executor_);
  }
  take_over_orders();
  return take_over_secrets();
}

void Service::GameDays::spawn(awaitable<void> work) {
  boost::asio::co_spawn(service_.executor_, std::move(work),
                        [self = service_.shared_from_this()](const std::exception_ptr& error) {
                          if (!error) return;
                          spdlog::critical("what drives the game days failed");
                          std::rethrow_exception(error);
                        });
}

boost::asio::awaitable<void> Service::GameDays::let_others() {
  co_await boost::asio::post(service_.executor_, boost::asio::use_awaitable);
}

void Service::GameDays::start() {
  end_strays();
  for (const auto& [id, active] : days_) {
    await_abort(active);
    spawn(drive(active));
  }
  if (!days_.empty()) ask();
}

// Runs of days that nobody drives, because they cannot be read, or the journal has no such day (any
// more): nobody else would end them.
void Service::GameDays::end_strays() {
  std::vector<std::pair<std::string, std::string>> strays;  // run, day
  for (const api::RunRecord* head : service_.engine_.active_heads()) {
    if (!head->experimentUid.starts_with(gameday::kRunKey)) continue;
    std::string day(gameday::day_of_key(head->experimentUid));
    if (!days_.contains(day)) strays.emplace_back(head->run, std::move(day));
  }
  for (const auto& [run, day] : strays) {
    const bool unreadable = std::ranges::find(unreadable_, day) != unreadable_.end();
    const std::string why =
        "its game day " + day + (unreadable ? " cannot be read" : " is not under way any more");
    spdlog::error("game day {}: its run {} is ended: {}", day, run, why);
    service_.stop_run(run, why);
  }
}

void Service::GameDays::stop() {
  stopped_ = true;
  answered_.notify();
  for (const auto& [id, active] : days_) active->signal.notify();
  changed_.notify();
  for (const auto& [key, asked] : rights_asked_) asked->answered.notify();
  for (ReadingThread* thread : {&reports_, &course_, &looks_}) thread->join();
  orders_worker_.join();
}

boost::asio::awaitable<void> Service::GameDays::wait_for_entry(std::string day, std::string user,
                                                               std::uint64_t after,
                                                               SteadyTime until) {
  while (!stopped_ && service_.clock_.steady() < until) {
    const auto found = days_.find(day);
    if (found == days_.end()) co_return;
    const Shared active = found->second;
    if (active->day.newest(user) > after || active->day.over()) co_return;
    co_await active->signal.wait(until);
  }
}

boost::asio::awaitable<Result<api::DayEntry>> Service::GameDays::say(std::string day,
                                                                     api::DayWord word,
                                                                     std::string who,
                                                                     std::string via) {
  auto known = co_await active_of(std::move(day));
  if (!known) co_return fail(known.error());
  if (stopped_ || service_.closed_) co_return fail(Errc::kUnavailable, "the controller is ending");
  const Shared active = *known;
  const bool ends = word.kind == api::EntryKind::aborted;
  const std::string speaker = who;
  if (active->pending.size() >= (ends ? 2 * kMostPending : kMostPending))
    co_return fail(Errc::kUnavailable, "too much is being said on this game day; say it again");
  auto said = std::make_shared<Said>();
  said->word = std::move(word);
  said->who = std::move(who);
  said->via = std::move(via);
  // An order to abort is heard before everything else that was said.
  const auto behind = std::ranges::find_if(active->pending, [ends](const auto& other) {
    return ends && other->word.kind != api::EntryKind::aborted;
  });
  active->pending.insert(behind, said);
  if (ends) await_abort(active);
  active->signal.notify();
  constexpr std::chrono::seconds kPatience{10};
  const SteadyTime until = service_.clock_.steady() + kPatience;
  while (!said->answer && !stopped_ && service_.clock_.steady() < until)
    co_await active->signal.wait(until);
  if (!said->answer && ends && !stopped_)
    co_return fail(Errc::kUnavailable,
                   "this is not stored yet: it is kept and tried again, and the runs of the game "
                   "day are ended");
  if (!said->answer)
    co_return fail(Errc::kUnavailable,
                   "it is not known whether this was stored; say it again with "
                   "the same key");
  // As the person counts the entries: the numbers of others would tell of what is hidden.
  if (*said->answer)
    (*said->answer)->number = active->day.number_for(speaker, (*said->answer)->number);
  co_return *said->answer;
}

// One turn after the other: what people said, what is seen, what follows from both.
boost::asio::awaitable<void> Service::GameDays::drive(Shared active) {
  while (!stopped_ && !service_.closed_) {
    co_await hear(*active);
    co_await end_if_asked(*active);
    if (active->day.over()) {
      // A while longer, so that whoever follows it sees the end, and late words find it.
      if (has_to_hear(*active)) continue;
      const bool woken = co_await active->signal.wait(service_.clock_.steady() + kStays);
      // What the store has not got is in memory only.
      if (woken || !active->pending.empty() || active->copy_lacks) continue;
      forget(active->day.record().day);
      co_return;
    }
    if (is_aborting(*active)) {  // nothing goes past an order to abort
      if (!has_to_hear(*active)) co_await active->signal.wait(service_.clock_.steady() + kTurn);
      continue;
    }
    if (active->day.record().state == api::DayState::checking && !active->checking) {
      active->checking = true;
      spawn(check(active));
    }
    if (!active->asking && !active->day.asked().queries.empty()) {
      active->asking = true;
      spawn(ask_queries(active));
    }
    if (!active->watched) {
      active->watched = true;
      spawn(watch(active));
    }
    if (!active->measuring) {
      active->measuring = true;
      if (asks_effects(active->day)) spawn(look_at_effects(active));
    }
    std::vector<WantedRun> unread = look_at_runs(*active);
    if (unread.empty()) {
      active->not_read.clear();  // what nobody waits for any more is not asked for again
    } else {
      active->looking = true;
      spawn(read_runs(active, std::move(unread)));
      // Whoever reads others' reports may make this long: nobody who speaks waits for it.
      while (active->looking && !stopped_ && !service_.closed_) {
        co_await hear(*active);
        co_await end_if_asked(*active);
        if (active->looking && !has_to_hear(*active))
          co_await active->signal.wait(service_.clock_.steady() + kTurn);
      }
      if (is_aborting(*active)) continue;
    }
    if (active->not_read.empty()) active->looked = true;
    const Seen seen = seen_now(*active);
    const std::vector<api::DayEntry> entries = active->day.advance(seen);
    if (!entries.empty()) {
      const bool started = active->day.asked().alerts;
      Result<> written;
      if (std::ranges::find(entries, api::EntryKind::aborted, &api::DayEntry::kind) ==
          entries.end()) {
        written = co_await write(*active, entries);
      } else {
        active->ending = entries;
        await_abort(active);
        co_await end_if_asked(*active);
        if (!active->ending.empty()) continue;
      }
      if (!written) co_await active->signal.wait(service_.clock_.steady() + kAsk);
      if (written) {
        active->heard = started && seen.alerts.has_value();
        end_unwanted(*active);
      }
      continue;
    }
    active->heard = active->day.asked().alerts && seen.alerts.has_value();
    reconcile(active);
    co_await active->signal.wait(service_.clock_.steady() + kTurn);
  }
  for (const auto& said : active->pending)
    said->answer = fail(Errc::kUnavailable, "the controller is ending");
  active->signal.notify();
}

bool Service::GameDays::has_to_hear(const Active& active) const {
  return !active.pending.empty() && (active.pending.back()->word.kind != api::EntryKind::aborted ||
                                     service_.clock_.steady() >= active.next_abort);
}

// What is said by now, and nothing that comes meanwhile: the course of the day goes on, too. A word
// is among those that are pending until it is stored, so that a run which comes up sees it. Orders
// to abort are before the others, and stay there when they cannot be stored.
boost::asio::awaitable<void> Service::GameDays::hear(Active& active) {
  std::size_t kept = 0;
  for (std::size_t left = active.pending.size(); left > 0 && kept < active.pending.size(); --left) {
    const auto said = active.pending[kept];
    const bool ends = said->word.kind == api::EntryKind::aborted;
    if (ends && service_.clock_.steady() < active.next_abort) {
      ++kept;
      continue;
    }
    auto entry = active.day.say(said->word, said->who, said->via, service_.clock_.utc());
    if (entry && entry->number > active.day.record().entries.size()) {
      const std::vector<api::DayEntry> one{*entry};
      Result<> stored = fail(Errc::kUnavailable, "it is being aborted");
      if (ends || !is_aborting(active)) stored = co_await write(active, one);
      if (!stored && ends) {
        abort_not_stored(active);
        ++kept;
        continue;
      }
      if (!stored && stored.error().code != Errc::kUnavailable)
        entry = fail(stored.error());  // saying it again changes nothing
      else if (!stored)
        entry = fail(Errc::kUnavailable, "it could not be stored; say it again");
      if (stored && gameday::is_control(said->word.kind)) end_unwanted(active);
    }
    std::erase(active.pending, said);
    said->answer = std::move(entry);
    active.signal.notify();
  }
}

Seen Service::GameDays::seen_now(Active& active) const {
  const SteadyTime now = service_.clock_.steady();
  Seen seen{.now = service_.clock_.utc(), .runs = active.runs};
  seen.alerts = alerts_;
  seen.alerts_anew = !active.heard;
  for (const auto& [query, value] : active.queries) {
    if (value.known && now - value.at < kUnasked) seen.queries[query] = value.value;
    if (unasked(active, query)) seen.unasked.insert(query);
  }
  seen.checks = active.checks;
  seen.beginning = active.beginning;
  seen.beginning.insert(active.not_read.begin(), active.not_read.end());
  // A day that is aborted is over when the rehearsal is.
  if (active.day.record().state == api::DayState::aborting) {
    std::string rehearsal = rehearsal_key(active.day);
    if (!service_.active_run_of(rehearsal).empty()) seen.beginning.insert(std::move(rehearsal));
  }
  const auto ahead = seen.now.time_since_epoch() - now.time_since_epoch();
  const auto set = ahead - active.clock_ahead.value_or(ahead);
  const api::DayState state = active.day.record().state;
  const bool began = state != api::DayState::checking && state != api::DayState::waiting;
  if (began && std::chrono::abs(set) >= kClockSet)
    seen.clock_set = set;
  else
    active.clock_ahead = ahead;  // clocks that are kept right run a little faster or slower
  // The wall clock may be set while a step runs; of one that an earlier controller began nothing
  // else is known.
  const bool held = state == api::DayState::held;
  const auto rested = held && active.was_held ? now - active.turn_at : std::chrono::nanoseconds(0);
  std::map<std::pair<std::string, UtcTime>, SteadyTime> running;
  for (const auto& step : active.day.running_steps()) {
    const auto known = active.running_since.find(step);
    const SteadyTime since = known == active.running_since.end()
                                 ? now - active.day.age_of(step.first, seen.now)
                                 : known->second + rested;
    running[step] = since;
    seen.ages[step.first] = now - since;
  }
  active.running_since = std::move(running);
  active.was_held = held;
  active.turn_at = now;
  seen.effects = active.effects;
  return seen;
}

boost::asio::awaitable<Result<>> Service::GameDays::write(
    Active& active, const std::vector<api::DayEntry>& entries) {
  if (service_.day_journal_) {
    std::string day = active.day.record().day;
    std::vector<api::DayEntry> copy = entries;
    const auto kept = co_await service_.day_journal_->append(std::move(day), std::move(copy));
    if (!kept) {
      spdlog::error("game day {}: {}", active.day.record().day, kept.error().message);
      co_return kept;
    }
  }
  auto append = [this, id = active.day.record().day, entries] {
    return service_.store_->append_entries(id, entries);
  };
  const auto stored = co_await service_.store_worker_.run(std::move(append));
  if (!stored) spdlog::error("game day {}: {}", active.day.record().day, stored.error().message);
  // What is in the journal has happened, also where this controller's copy lacks it.
  if (!stored && !service_.day_journal_) co_return fail(Errc::kUnavailable, stored.error().message);
  active.copy_lacks = active.copy_lacks || !stored;
  active.day.apply(entries);
  for (const api::DayEntry& entry : entries) {
    tell(active, entry);
    if (entry.kind == api::EntryKind::run_over) active.runs.erase(entry.key);
    if (entry.kind == api::EntryKind::step_over) active.effects.erase(entry.step);
    if (entry.kind == api::EntryKind::gap && entry.word == gameday::kClock)
      active.clock_ahead.reset();
  }
  active.signal.notify();
  ++changes_;
  changed_.notify();
  co_return Result<>{};
}

// The log is read by more people than the day's surprises are for.
void Service::GameDays::tell(const Active& active, const api::DayEntry& entry) const {
  const std::string& id = active.day.record().day;
  if (entry.kind == api::EntryKind::over)
    spdlog::info("game day {}: {}{}", id, entry.word,
                 entry.text.empty() ? "" : ": " + printable(entry.text));
  else if (gameday::is_control(entry.kind))
    spdlog::info("game day {}: {} by {}", id, gameday::word_of(entry.kind),
                 entry.who.empty() ? "the controller" : printable(entry.who));
}

}  // namespace faultline::controller
