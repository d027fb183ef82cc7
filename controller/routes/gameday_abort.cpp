// SPDX-License-Identifier: Apache-2.0
// Orders to abort a day that are not stored yet, whoever gave them: a person, the object of the day
// that is gone, or the day itself. What injects must not go on because the journal, or the disk,
// does not take them: of all that could happen before something is stored, an end is the harmless
// thing. The order itself goes into a file that takes it also where the disk is full, so that who
// kills the controller does not take it back.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "controller/routes/gamedays.h"

namespace faultline::controller {

using api::DayEntry;
using api::EntryKind;

namespace {

constexpr std::chrono::seconds kStored{1};  // so long an order to abort waits for the store

}  // namespace

bool Service::GameDays::is_aborting(const Active& active) const {
  const gameday::Day& day = active.day;
  if (day.over() || day.record().state == api::DayState::aborting) return false;
  if (!active.ending.empty()) return true;
  // What is refused, or was heard before, ends nothing.
  return std::ranges::any_of(active.pending, [&](const auto& said) {
    if (said->word.kind != EntryKind::aborted) return false;
    const auto entry = day.say(said->word, said->who, said->via, service_.clock_.utc());
    return entry && entry->number > day.record().entries.size();
  });
}

void Service::GameDays::await_abort(const Shared& active) {
  if (active->awaiting_abort || !is_aborting(*active)) return;
  active->awaiting_abort = true;
  active->abort_failed = false;
  spawn(end_unless_stored(active));
}

boost::asio::awaitable<void> Service::GameDays::end_unless_stored(Shared active) {
  const auto waits = [&] { return !stopped_ && !service_.closed_ && is_aborting(*active); };
  const SteadyTime late = service_.clock_.steady() + kStored;
  while (waits() && !active->abort_failed && service_.clock_.steady() < late)
    co_await active->signal.wait(late);
  const std::string& id = active->day.record().day;
  if (waits()) {
    spdlog::warn("game day {}: that it is aborted cannot be stored yet: its runs end now", id);
    if (!active->in_orders) spawn(keep_order(active));
  }
  // Also what comes up meanwhile.
  while (waits()) {
    for (const std::string& run : runs_under_way(id))
      if (active->stopped.insert(run).second)
        service_.stop_run(run, "the game day was aborted, which could not be stored yet");
    co_await active->signal.wait(service_.clock_.steady() + kTurn);
  }
  active->awaiting_abort = false;
  // Of a controller that ends before it is stored the next one finds it.
  if (active->in_orders && !stopped_ && !service_.closed_) {
    active->in_orders = false;
    spawn(drop_order(id));
  }
}

std::vector<DayEntry> Service::GameDays::order_of(const Active& active) const {
  if (!active.ending.empty()) return active.ending;
  for (const auto& said : active.pending) {
    if (said->word.kind != EntryKind::aborted) continue;
    auto entry = active.day.say(said->word, said->who, said->via, service_.clock_.utc());
    if (entry && entry->number > active.day.record().entries.size()) return {std::move(*entry)};
  }
  return {};
}

boost::asio::awaitable<void> Service::GameDays::keep_order(Shared active) {
  KeptOrder order{.day = active->day.record().day, .entries = order_of(*active)};
  if (order.entries.empty()) co_return;
  active->in_orders = true;
  for (DayEntry& entry : order.entries)
    if (!entry.at.set()) entry.at = {service_.clock_.utc()};
  const std::string day = order.day;
  auto keep = [this, order = std::move(order)]() mutable -> Result<> {
    auto kept = orders_.keep(order);
    if (kept || kept.error().code != Errc::kInvalid) return kept;
    std::erase_if(order.entries,
                  [](const DayEntry& entry) { return entry.kind != EntryKind::aborted; });
    for (DayEntry& entry : order.entries) entry.text = "why was too long to be kept";
    return orders_.keep(order);
  };
  const auto kept = co_await orders_worker_.run(std::move(keep));
  if (!kept)
    spdlog::error("game day {}: that it is aborted is in memory only: {}", day,
                  kept.error().message);
}

boost::asio::awaitable<void> Service::GameDays::drop_order(std::string day) {
  auto drop = [this, day] { return orders_.drop(day); };
  const auto dropped = co_await orders_worker_.run(std::move(drop));
  // The next controller finds an order for a day that is over, or being ended, and drops it.
  if (!dropped) spdlog::warn("game day {}: {}", day, dropped.error().message);
}

void Service::GameDays::take_over_orders() {
  if (auto reserved = orders_.reserve(); !reserved)
    spdlog::error("an order to abort a game day may get lost where the disk is full: {}",
                  reserved.error().message);
  const auto orders = orders_.read();
  if (!orders) return spdlog::error("orders to abort game days: {}", orders.error().message);
  for (const KeptOrder& order : *orders) {
    const auto found = days_.find(order.day);
    const bool waits = found != days_.end() && !found->second->day.over() &&
                       found->second->day.record().state != api::DayState::aborting;
    if (!waits) {
      if (auto dropped = orders_.drop(order.day); !dropped)
        spdlog::warn("game day {}: {}", order.day, dropped.error().message);
      continue;
    }
    spdlog::warn("game day {}: it was aborted, which an earlier controller could not store",
                 order.day);
    found->second->ending = order.entries;
    // Where the journal is elsewhere, others may have gone on with the day meanwhile.
    if (service_.day_journal_)
      std::erase_if(found->second->ending,
                    [](const DayEntry& entry) { return entry.kind != EntryKind::aborted; });
    found->second->in_orders = true;
  }
}

void Service::GameDays::abort_not_stored(Active& active) {
  active.abort_failed = true;
  active.next_abort = service_.clock_.steady() + kAsk;
  active.signal.notify();
}

boost::asio::awaitable<void> Service::GameDays::watch(Shared active) {
  const auto goes_on = [&] { return !stopped_ && !service_.closed_ && !active->day.over(); };
  while (goes_on()) {
    co_await active->signal.wait(service_.clock_.steady() + kTurn);
    if (!goes_on() || is_aborting(*active)) continue;
    if (service_.clock_.steady() - active->turn_at < kStored) continue;
    std::vector<DayEntry> entries = active->day.advance(seen_now(*active));
    if (entries.empty() || entries.back().kind != EntryKind::aborted) continue;
    const std::string step = entries.back().step;
    // What is on its way to the store may be the answer that the step lacks.
    if (!step.empty() && !active->pending.empty()) continue;
    // The rest may be on its way already, and comes again if it is not.
    std::erase_if(entries, [&step](const DayEntry& entry) {
      const bool why = entry.kind == EntryKind::step_over && entry.step == step;
      return !why && entry.kind != EntryKind::aborted && entry.kind != EntryKind::condition;
    });
    spdlog::warn("game day {}: it has to end, and its store does not answer",
                 active->day.record().day);
    active->ending = std::move(entries);
    await_abort(active);
    active->abort_failed = true;  // the turn has waited long enough
    active->signal.notify();
  }
}

std::vector<std::string> Service::GameDays::runs_under_way(const std::string& day) const {
  std::vector<std::string> runs;
  for (const api::RunRecord* head : service_.engine_.active_heads())
    if (head->experimentUid.starts_with(gameday::kRunKey) &&
        gameday::day_of_key(head->experimentUid) == day)
      runs.push_back(head->run);
  return runs;
}

void Service::GameDays::end_day(const std::string& day, const std::string& why) {
  const auto found = days_.find(day);
  if (found == days_.end() || found->second->day.over() || !found->second->ending.empty()) return;
  // Not what a person says: nobody need have the right to say it, the object is gone.
  DayEntry entry{.kind = EntryKind::aborted, .via = "kubectl", .text = why};
  found->second->ending.push_back(std::move(entry));
  await_abort(found->second);
  found->second->signal.notify();
}

boost::asio::awaitable<void> Service::GameDays::end_if_asked(Active& active) {
  if (active.ending.empty() || active.day.over()) co_return;
  if (active.day.record().state != api::DayState::aborting) {
    if (service_.clock_.steady() < active.next_abort) co_return;
    const std::vector<DayEntry>& known = active.day.record().entries;
    const api::Timestamp now = {std::max(service_.clock_.utc(), known.back().recordedAt.value)};
    std::vector<DayEntry> entries = active.ending;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      entries[i].number = known.size() + 1 + i;
      if (!entries[i].at.set()) entries[i].at = now;
      entries[i].recordedAt = now;
    }
    const Result<> written = co_await write(active, entries);
    if (!written) co_return abort_not_stored(active);
  }
  active.ending.clear();
  end_unwanted(active);
}

}  // namespace faultline::controller
