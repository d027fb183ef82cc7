// SPDX-License-Identifier: Apache-2.0
// How a game day is made, once for each key, and the places of reports that are being made.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

#include "controller/engine/scope.h"
#include "controller/routes/gamedays.h"

namespace faultline::controller {

using gameday::Day;

namespace {

constexpr std::chrono::hours kKeyHolds{1};

tl::unexpected<Error> used_before(const std::string& day) {
  return fail(Errc::kConflict, "key: you have used it for the game day " + day);
}

}  // namespace

boost::asio::awaitable<Result<std::string>> Service::GameDays::create(
    api::GameDay document, http::Identity who, bool unattended, std::string key, std::string id) {
  if (key.empty()) {
    auto plain = co_await make(std::move(document), std::move(who), unattended, std::move(key),
                               std::move(id));
    co_return plain;
  }
  const std::pair<std::string, std::string> mine{who.name(), key};
  if (!making_.insert(mine).second)
    co_return fail(Errc::kUnavailable, "this game day is being made; ask again");
  struct Making {
    std::set<std::pair<std::string, std::string>>& all;
    const std::pair<std::string, std::string>& mine;
    ~Making() { all.erase(mine); }
  } making{making_, mine};
  std::string name = document.metadata.name, person = who.name(), same = key;
  auto made = co_await made_before(std::move(name), std::move(person), std::move(same));
  if (!made || !made->empty()) co_return made;
  std::string called = document.metadata.name;
  made =
      co_await make(std::move(document), std::move(who), unattended, std::move(key), std::move(id));
  const SteadyTime now = service_.clock_.steady();
  std::erase_if(made_, [now](const auto& one) { return now - one.second.at > kKeyHolds; });
  if (made) made_[mine] = {*made, std::move(called), now};
  co_return made;
}

boost::asio::awaitable<Result<std::string>> Service::GameDays::made_before(std::string name,
                                                                           std::string who,
                                                                           std::string key) {
  const auto is_it = [who, key](const api::GameDayRecord& record) {
    return record.requestedBy == who && !record.entries.empty() && record.entries[0].key == key;
  };
  for (const auto& [id, active] : days_) {
    if (!is_it(active->day.record())) continue;
    if (active->day.record().document.metadata.name == name) co_return id;
    co_return used_before(id);
  }
  // Of one that was over before the answer came.
  const auto made = made_.find({who, key});
  if (made != made_.end() && service_.clock_.steady() - made->second.at < kKeyHolds) {
    if (made->second.name != name) co_return used_before(made->second.day);
    co_return made->second.day;
  }
  // And of an earlier controller.
  const UtcTime since = service_.clock_.utc() - kKeyHolds;
  auto find = [name = std::move(name), is_it, since](Store& store) -> Result<std::string> {
    constexpr std::int64_t kLookedAt = 20;
    // Those of its name first: where there are very many others, these matter more.
    for (const std::string& called : {name, std::string()}) {
      auto refs = store.day_refs(called, kLookedAt);
      if (!refs) return fail(refs.error());
      for (const DayRef& ref : *refs) {
        // One that is not over is in memory, or was made in vain.
        if (ref.summary.createdAt.value < since || !ref.summary.overAt.set()) continue;
        const auto record = store.load_day(ref.summary.day);
        if (!record || !is_it(*record)) continue;
        if (ref.summary.name == name) return ref.summary.day;
        return used_before(ref.summary.day);
      }
    }
    return std::string();
  };
  co_return co_await looks_.read(std::move(find));
}

boost::asio::awaitable<Result<std::string>> Service::GameDays::make(
    api::GameDay document, http::Identity who, bool unattended, std::string key, std::string id) {
  // Those that are being stored count, too: many may be asked for at once.
  std::size_t all = made_now_.size(), theirs = 0;
  for (const auto& [other, person] : made_now_) theirs += person == who.name() ? 1 : 0;
  for (const auto& [other, active] : days_) {
    if (active->day.over() || made_now_.contains(other)) continue;
    ++all;
    theirs += active->day.record().requestedBy == who.name() ? 1 : 0;
  }
  if (all >= kMostDays)
    co_return fail(Errc::kConflict,
                   "there are " + std::to_string(all) + " game days under way already");
  if (theirs >= kMostDaysOfOne)
    co_return fail(Errc::kConflict, who.name() + " has " + std::to_string(theirs) +
                                        " game days under way already; end one of them first");
  const UtcTime now = service_.clock_.utc();
  auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  const bool own_id = id.empty();
  do {
    if (own_id) id = document.metadata.name + "-" + std::to_string(millis++);
  } while (own_id && (days_.contains(id) || made_now_.contains(id)));
  if (days_.contains(id)) co_return fail(Errc::kConflict, "there is a game day " + id + " already");
  if (!made_now_.emplace(id, who.name()).second)
    co_return fail(Errc::kUnavailable, "the game day " + id + " is being made; ask again");
  struct Making {
    std::map<std::string, std::string>& all;
    std::string id;  // its own: ours is moved away when it is returned
    ~Making() { all.erase(id); }
  } making{made_now_, id};
  const std::set<std::string> namespaces = namespaces_of(document);
  api::GameDayRecord record = Day::create(std::move(document), id, who.name(), unattended, now);
  record.entries[0].key = std::move(key);
  record.asker = {.user = who.user, .uid = who.uid, .groups = who.groups, .extra = who.extra};
  // What is stored must be driven, also when whoever asked for it is gone.
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  auto insert = [this, record, namespaces] {
    return service_.store_->insert_day(record, namespaces);
  };
  auto stored = co_await service_.store_worker_.run(std::move(insert));
  if (!stored) co_return fail(stored.error());
  if (service_.day_journal_) {
    api::GameDayRecord copy = record;
    const auto kept = co_await service_.day_journal_->create(std::move(copy));
    if (!kept) {
      // What is only here must not be taken for a day by whoever reads this store.
      auto drop = [this, id] { return service_.store_->remove_day(id); };
      (void)co_await service_.store_worker_.run(std::move(drop));
      if (kept.error().code != Errc::kUnavailable) co_return fail(kept.error());
      // What was sent may have arrived: then the controller that takes over goes on with the day.
      const std::string with_key =
          record.entries[0].key.empty()
              ? "look whether there is a game day " + id + " before you ask again"
              : "ask again with the same key, which finds the game day " + id + " if there is one";
      co_return fail(
          Errc::kUnavailable,
          kept.error().message + ": it is not known whether the game day was stored; " + with_key);
    }
  }
  auto active = std::make_shared<Active>(std::move(record), service_.executor_);
  if (!days_.emplace(id, active).second)
    co_return fail(Errc::kConflict, "there is a game day " + id + " already");
  spdlog::info("game day {}: created", id);
  spawn(drive(active));
  ask();
  ++changes_;
  changed_.notify();
  co_return id;
}

std::shared_ptr<void> Service::GameDays::report_place(const std::string& caller) {
  if (all_reports_ >= kMostReports || reports_of_[caller] >= kMostReportsOfOne) return nullptr;
  ++all_reports_;
  ++reports_of_[caller];
  auto give_back = [this, self = service_.shared_from_this(), caller](void*) {
    --all_reports_;
    if (--reports_of_[caller] == 0) reports_of_.erase(caller);
  };
  return {this, std::move(give_back)};
}

}  // namespace faultline::controller
