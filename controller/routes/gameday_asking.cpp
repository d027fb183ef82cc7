// SPDX-License-Identifier: Apache-2.0
// What game days ask of the monitoring. The alerts are asked for all days at once. Queries take
// turns by day, those of abortWhen apart from what steps wait for: whoever asks much, or what takes
// long, makes nobody else wait for longer than a question or two.
#include <algorithm>
#include <cmath>

#include "controller/engine/abort.h"
#include "controller/routes/gamedays.h"

namespace faultline::controller {

void Service::GameDays::ask() {
  if (asking_) return;
  asking_ = true;
  spawn(ask_alerts());
}

boost::asio::awaitable<void> Service::GameDays::ask_alerts() {
  while (!stopped_ && !service_.closed_) {
    const bool wanted =
        std::ranges::any_of(days_, [](const auto& day) { return day.second->day.asked().alerts; });
    if (wanted) {
      std::string caller = "game days";
      auto firing = co_await service_.monitoring_.firing(std::move(caller));
      alerts_.reset();
      if (firing) {
        alerts_.emplace();
        for (observe::ActiveAlert& alert : *firing)
          alerts_->push_back({std::move(alert.alert), std::move(alert.labels)});
      }
    } else {
      alerts_.reset();
    }
    Signal& any = service_.event_signal_;
    const SteadyTime until = service_.clock_.steady() + kAsk;
    while (!stopped_ && !service_.closed_ && service_.clock_.steady() < until)
      co_await any.wait(until);
  }
  asking_ = false;
}

boost::asio::awaitable<void> Service::GameDays::ask_queries(Shared active) {
  while (!stopped_ && !service_.closed_) {
    const gameday::Asked asked = active->day.asked();
    const SteadyTime now = service_.clock_.steady();
    std::erase_if(active->queries, [&](const auto& known) {
      return !known.second.asking && !asked.queries.contains(known.first);
    });
    if (asked.queries.empty()) break;
    for (const std::string& query : asked.queries)
      active->queries.try_emplace(query, Active::Value{.at = now});
    // Of each kind some at a time, those first that were not asked for longest.
    std::map<std::pair<bool, bool>, std::size_t> under_way;
    std::vector<std::pair<SteadyTime, std::string>> due;
    for (const auto& [query, value] : active->queries) {
      if (value.asking)
        ++under_way[{asked.ending.contains(query), value.slow}];
      else if (now >= value.next)
        due.emplace_back(value.next, query);
    }
    std::ranges::sort(due);
    for (const auto& [next, query] : due) {
      Active::Value& value = active->queries.at(query);
      const bool ends = asked.ending.contains(query);
      if (under_way[{ends, value.slow}] >= kMostAskedAtOnce) continue;
      ++under_way[{ends, value.slow}];
      value.asking = true;
      spawn(ask_query(active, query, ends));
    }
    co_await active->signal.wait(now + kTurn);
  }
  active->asking = false;
}

boost::asio::awaitable<void> Service::GameDays::ask_query(Shared active, std::string query,
                                                          bool ends) {
  constexpr std::chrono::milliseconds kSlow{700};
  Active::Value& value = active->queries.at(query);  // it is kept while it is asked
  Monitoring::Standing asked{.promql = query, .slow = value.slow};
  asked.sending = [this, &value] { value.sent = service_.clock_.steady(); };
  std::string caller = (ends ? "abortWhen of " : "waitFor of ") + active->day.record().day;
  const Monitoring::Answered answer =
      co_await service_.monitoring_.value(std::move(asked), std::move(caller));
  const SteadyTime now = service_.clock_.steady();
  const bool has_value = answer.value && std::isfinite(*answer.value);
  if (answer.sent) {
    const bool spoke = answer.value || answer.value.error().http_status != 0 ||
                       answer.value.error().code == Errc::kNotFound ||
                       answer.value.error().code == Errc::kInvalid;
    if (spoke) {
      spoke_at_ = now;
      silent_since_.reset();
    } else if (!silent_since_ && (!spoke_at_ || *spoke_at_ < *answer.sent)) {
      silent_since_ = *answer.sent;
    }
  }
  value.asking = false;
  value.sent.reset();
  value.next = now + kAsk;
  if (!answer.sent) co_return;  // it waited in our own queue, which says nothing
  value.slow = now - *answer.sent > kSlow;
  value.known = has_value;
  if (has_value) {
    value.value = *answer.value;
    value.at = now;
  } else {
    value.failed = now;
  }
}

// Whether nobody has been able to say for kUnasked what a query is. One that waited for its turn
// does not count by itself: only when it was sent and had no value, or when its source answers
// none.
bool Service::GameDays::unasked(const Active& active, const std::string& query) const {
  const auto found = active.queries.find(query);
  if (found == active.queries.end()) return false;
  const Active::Value& value = found->second;
  const SteadyTime now = service_.clock_.steady();
  if (now - value.at < kUnasked) return false;
  // Towards the end of that time it was tried in vain.
  if (value.failed && *value.failed >= value.at + kUnasked - 2 * kAsk) return true;
  if (value.sent && now - *value.sent >= kAsk) return true;
  return silent_since_ && now - *silent_since_ >= kUnasked;
}

}  // namespace faultline::controller
