// SPDX-License-Identifier: Apache-2.0
#include "controller/routes/gameday_rights.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/printable.h"
#include "controller/routes/gamedays.h"

namespace faultline::controller {

std::string DayRights::key(const http::Identity& who, const std::string& day) {
  // With its length before it, no text can be taken for two.
  std::string all;
  const auto add = [&all](const std::string& text) {
    all += std::to_string(text.size()) + ":" + text;
  };
  add(day);
  add(who.user);
  add(who.uid);
  std::vector<std::string> groups = who.groups;
  std::ranges::sort(groups);  // they have no order
  all += std::to_string(groups.size()) + "g";
  for (const std::string& group : groups) add(group);
  for (const auto& [name, values] : who.extra) {
    add(name);
    all += std::to_string(values.size()) + "v";
    for (const std::string& value : values) add(value);
  }
  return all;
}

bool DayRights::is_old(const Known& known, SteadyTime now) {
  return now - known.asked >= kAhead && (!known.proven || now - *known.proven >= kProven);
}

DayRights::Known* DayRights::of(const std::string& key, SteadyTime now) {
  if (const auto found = known_.find(key); found != known_.end()) return &found->second;
  if (known_.size() >= kMost)
    std::erase_if(known_, [now](const auto& one) { return is_old(one.second, now); });
  if (known_.size() >= kMost) return nullptr;
  return &known_[key];
}

bool DayRights::is_due(const std::string& key, SteadyTime now) const {
  const auto found = known_.find(key);
  if (found != known_.end()) return now - found->second.asked >= kAhead;
  return known_.size() < kMost ||
         std::ranges::any_of(known_, [now](const auto& one) { return is_old(one.second, now); });
}

void DayRights::asked(const std::string& key, SteadyTime now) {
  if (Known* known = of(key, now)) known->asked = now;
}

void DayRights::said(const std::string& key, bool may, SteadyTime now) {
  Known* known = of(key, now);
  if (known == nullptr) return;
  known->asked = now;
  known->proven.reset();
  if (may) known->proven = now;
}

bool DayRights::proven(const std::string& key, SteadyTime now) const {
  const auto found = known_.find(key);
  return found != known_.end() && found->second.proven && now - *found->second.proven < kProven;
}

// ---- asking

// Not a part of the request that wants to know: it goes on when that one waits no longer.
boost::asio::awaitable<void> Service::GameDays::ask_rights(std::shared_ptr<AskedRights> asked,
                                                           std::string key, http::Identity who,
                                                           std::set<std::string> namespaces) {
  http::Identity same = who;
  std::set<std::string> there = namespaces;
  std::string see = "get", end = "delete";
  DayVerdict verdict;
  verdict.see = co_await service_.allow_day(std::move(same), std::move(see), std::move(there));
  if (verdict.see)
    verdict.act =
        co_await service_.allow_day(std::move(who), std::move(end), std::move(namespaces));
  const Result<>& last = verdict.see ? verdict.act : verdict.see;
  if (last || last.error().code != Errc::kUnavailable)
    rights_.said(key, last.has_value(), service_.clock_.steady());
  rights_asked_.erase(key);
  asked->verdict = std::move(verdict);
  asked->answered.notify();
}

std::shared_ptr<Service::GameDays::AskedRights> Service::GameDays::rights_of(
    const http::Identity& who, const std::string& key, const std::set<std::string>& namespaces) {
  if (const auto under_way = rights_asked_.find(key); under_way != rights_asked_.end())
    return under_way->second;
  auto asked = std::make_shared<AskedRights>(service_.executor_);
  rights_asked_[key] = asked;
  rights_.asked(key, service_.clock_.steady());
  spawn(ask_rights(asked, key, who, namespaces));
  return asked;
}

boost::asio::awaitable<Service::DayVerdict> Service::GameDays::may_end(
    http::Identity who, std::string day, std::set<std::string> namespaces) {
  if (!service_.may_) co_return DayVerdict{};
  const std::string key = DayRights::key(who, day);
  const auto asked = rights_of(who, key, namespaces);
  const SteadyTime patient = service_.clock_.steady() + DayRights::kPatience;
  const auto proven = [this, &key] { return rights_.proven(key, service_.clock_.steady()); };
  while (!asked->verdict && !stopped_) {
    const SteadyTime now = service_.clock_.steady();
    if (now >= patient && proven()) break;
    co_await asked->answered.wait(now < patient ? patient : now + DayRights::kPatience);
  }
  if (asked->verdict) {
    const Result<>& last = asked->verdict->see ? asked->verdict->act : asked->verdict->see;
    if (last || last.error().code != Errc::kUnavailable || !proven()) co_return *asked->verdict;
  } else if (stopped_) {
    const Result<> ending = fail(Errc::kUnavailable, "the controller is ending");
    co_return DayVerdict{.see = ending, .act = ending};
  }
  spdlog::warn(
      "game day {}: the API server does not say whether {} may end it; it did within the last {} "
      "minutes",
      day, printable(who.name()), DayRights::kProven.count());
  co_return DayVerdict{};
}

void Service::GameDays::ask_ahead(const http::Identity& who, const std::string& day) {
  constexpr std::size_t kMostAsked = 32;  // at a time
  const auto found = days_.find(day);
  if (!service_.may_ || stopped_ || found == days_.end() || found->second->day.over()) return;
  const std::string key = DayRights::key(who, day);
  if (rights_asked_.size() >= kMostAsked || !rights_.is_due(key, service_.clock_.steady())) return;
  (void)rights_of(who, key, found->second->namespaces);
}

}  // namespace faultline::controller
