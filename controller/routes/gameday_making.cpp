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
  if (made && made->empty())
    made = co_await make(std::move(document), std::move(who), unattended, std::move(key),
                         std::move(id));
  co_return made;
}

boost::asio::awaitable<Result<std::string>> Service::GameDays::made_before(std::string name,
                                                                           std::string who,
                                                                           std::string key) {
  const auto is_it = [who, key](const api::GameDayRecord& record) {
    return record.requestedBy == who && !record.entries.empty() && record.entries[0].key == key;
  };
  for (const auto& [id, active] : days_)
    if (is_it(active->day.record())) co_return id;
  // Of one that was over before the answer came.
  const UtcTime since = service_.clock_.utc() - std::chrono::hours(1);
  auto find = [this, name = std::move(name), is_it, since]() -> Result<std::string> {
    constexpr std::int64_t kLookedAt = 20;
    auto refs = service_.reader_->day_refs(name, kLookedAt);
    if (!refs) return fail(refs.error());
    for (const DayRef& ref : *refs) {
      if (ref.summary.createdAt.value < since) continue;
      if (const auto record = service_.reader_->load_day(ref.summary.day); record && is_it(*record))
        return ref.summary.day;
    }
    return std::string();
  };
  co_return co_await service_.report_worker_.run(std::move(find));
}

boost::asio::awaitable<Result<std::string>> Service::GameDays::make(
    api::GameDay document, http::Identity who, bool unattended, std::string key, std::string id) {
  const auto under_way =
      std::ranges::count_if(days_, [](const auto& day) { return !day.second->day.over(); });
  if (static_cast<std::size_t>(under_way) >= kMostDays)
    co_return fail(Errc::kConflict,
                   "there are " + std::to_string(under_way) + " game days under way already");
  const auto theirs = std::ranges::count_if(days_, [&](const auto& day) {
    return !day.second->day.over() && day.second->day.record().requestedBy == who.name();
  });
  if (static_cast<std::size_t>(theirs) >= kMostDaysOfOne)
    co_return fail(Errc::kConflict, who.name() + " has " + std::to_string(theirs) +
                                        " game days under way already; end one of them first");
  const UtcTime now = service_.clock_.utc();
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  if (id.empty()) id = document.metadata.name + "-" + std::to_string(millis);
  Scope scope = scope_of(document);
  std::set<std::string> namespaces = std::move(scope.hit);
  namespaces.merge(scope.seen);
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
      co_return fail(kept.error());
    }
  }
  auto active = std::make_shared<Active>(std::move(record), service_.executor_);
  days_[id] = active;
  spdlog::info("game day {}: created", id);
  spawn(drive(active));
  ask();
  ++changes_;
  changed_.notify();
  co_return id;
}

std::shared_ptr<void> Service::GameDays::report_place(const std::string& caller) {
  if (all_reports_ >= kMostReports || reports_[caller] >= kMostReportsOfOne) return nullptr;
  ++all_reports_;
  ++reports_[caller];
  auto give_back = [this, self = service_.shared_from_this(), caller](void*) {
    --all_reports_;
    if (--reports_[caller] == 0) reports_.erase(caller);
  };
  return {this, std::move(give_back)};
}

Result<Store*> Service::GameDays::report_store() {
  if (!report_store_) {
    auto opened = Store::open({.path = service_.options_.store_path, .read_only = true});
    if (!opened) return fail(std::move(opened.error()));
    report_store_ = std::move(*opened);
  }
  return report_store_.get();
}

}  // namespace faultline::controller
