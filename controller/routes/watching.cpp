// SPDX-License-Identifier: Apache-2.0
// The monitoring beside the runs: asked before one, followed during it, its notifications received.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/describe/enum_to_string.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <set>

#include "api/codec.h"
#include "api/gap_words.h"
#include "controller/engine/abort.h"
#include "controller/engine/planned_alerts.h"
#include "controller/observe/others.h"
#include "controller/routes/notification.h"
#include "controller/routes/service.h"
#include "http/address_key.h"

namespace faultline::controller {
namespace {

using http::Response;

constexpr std::chrono::seconds kLook{1};  // whether a run is over; its changes wake, too
constexpr std::chrono::seconds kTryAgain{1};
constexpr std::size_t kMostParsing = 2;  // notifications at a time

// Of all pods of the run: when the first event was injected, and when the last.
std::pair<api::Timestamp, api::Timestamp> injected(const api::RunRecord& record) {
  api::Timestamp first, last;
  for (const api::NodeRecord& node : record.nodes)
    for (const api::InjectionStatus& status : node.injections) {
      if (status.firstInjectedAt.set() && (!first.set() || status.firstInjectedAt < first))
        first = status.firstInjectedAt;
      if (status.lastInjectedAt.set() && status.lastInjectedAt > last) last = status.lastInjectedAt;
    }
  return {first, last};
}

// Of the gaps of a run that was taken over, the last of each source in which nobody followed it
// goes on until now.
void go_on_until(std::vector<api::MonitoringGap>& gaps, UtcTime now) {
  std::set<std::string> done;
  for (auto gap = gaps.rbegin(); gap != gaps.rend(); ++gap)
    if (api::is_unfollowed(*gap) && done.insert(gap->source).second)
      gap->to = std::max(gap->to, {now});
}

// Sources of a run that this controller does not have stay, since what they saw is not known any
// more.
void keep_gone(const std::vector<api::MonitoringSource>& before, api::MonitoringRecord& now) {
  for (const api::MonitoringSource& source : before) {
    if (std::ranges::any_of(now.sources, [&](const api::MonitoringSource& one) {
          return one.kind == source.kind && one.name == source.name && one.url == source.url;
        }))
      continue;
    now.sources.push_back(source);
    now.sources.back().problem = "the controller that went on with the run does not have it";
  }
}

// In the order of the roles.
std::vector<api::PodRef> pods_of(const api::RunRecord& record,
                                 std::initializer_list<api::PodRole> roles) {
  std::vector<api::PodRef> pods;
  for (const auto role : roles)
    for (const api::RunPod& pod : record.pods)
      if (pod.role == role) pods.push_back(pod.pod);
  return pods;
}

}  // namespace

void Service::monitoring(std::vector<api::MonitoringEndpoint> endpoints) {
  monitoring_.configure(std::move(endpoints));
}

boost::asio::awaitable<Result<std::shared_ptr<observe::Watcher>>> Service::look_before(
    api::Experiment experiment, std::string who) {
  if (monitoring_field(experiment.spec).empty()) co_return nullptr;
  // What the engine would refuse is refused before the monitoring is asked.
  if (auto plan = engine_.plan(experiment, now()); !plan) co_return fail(std::move(plan.error()));
  api::Experiment asked = experiment;
  auto watcher = co_await monitoring_.begin(std::move(asked), std::move(who));
  if (!watcher) co_return fail(std::move(watcher.error()));
  if (auto fine = require_possible(experiment, planned_alerts(experiment, (*watcher)->record()));
      !fine)
    co_return fail(std::move(fine.error()));
  co_return std::move(*watcher);
}

void Service::follow_monitoring(const std::string& run, std::shared_ptr<observe::Watcher> watcher,
                                bool begun) {
  Watched& watched = watched_[run];
  watched.watcher = std::move(watcher);
  watched.begun = begun;
  boost::asio::co_spawn(
      executor_, watch(run, watched.watcher, begun),
      boost::asio::bind_cancellation_slot(
          watched.cancel.slot(), [self = shared_from_this(), run](const std::exception_ptr& error) {
            self->watched_ended(run, error);
          }));
}

void Service::watch_again() {
  std::vector<std::string> runs;
  for (const auto& [run, since] : unwatched_) runs.push_back(run);
  for (const std::string& run : runs) watch_again(run);
}

// At once: a condition of abortWhen must not wait for rules and routes, which may take longer than
// a fault goes on without an answer to it.
void Service::watch_again(const std::string& run) {
  Unwatched& unwatched = unwatched_.at(run);
  const Run* found = in_memory(run);
  if (found == nullptr || found->over() || found->step() == RunStep::kClosing ||
      !found->head().monitoring) {
    unwatched_.erase(run);
    return;
  }
  if (unwatched.tried && clock_.steady() - *unwatched.tried < kTryAgain) return;
  auto watcher = monitoring_.watcher(found->head().experiment);
  if (!watcher) {
    if (!unwatched.tried)
      spdlog::warn("run {}: its monitoring cannot be watched again: {}", run,
                   watcher.error().message);
    unwatched.tried = clock_.steady();
    return;
  }
  std::vector<api::MonitoringGap> before = found->head().monitoring->gaps;
  go_on_until(before, clock_.utc());
  api::MonitoringRecord known = (*watcher)->record();
  known.gaps = before;
  keep_gone(found->head().monitoring->sources, known);
  unwatched_.erase(run);
  engine_.follow_again(run, std::move(known));
  follow_monitoring(run, std::move(*watcher), false);
  watched_[run].before = std::move(before);
  publish();
}

boost::asio::awaitable<void> Service::begin_again(std::string run,
                                                  std::shared_ptr<observe::Watcher> watcher) {
  for (;;) {
    const Run* found = in_memory(run);
    if (closed_ || found == nullptr || found->over()) co_return;
    std::string who = found->head().requestedBy;
    const auto begun = co_await monitoring_.begin(watcher, std::move(who));
    if (begun) break;
    co_await event_signal_.wait(clock_.steady() + kTryAgain);
  }
  const Run* found = in_memory(run);
  const auto watched = watched_.find(run);
  if (closed_ || watched == watched_.end() || found == nullptr || found->over()) co_return;
  watched->second.begun = true;
  std::vector<api::MonitoringGap>& before = watched->second.before;
  go_on_until(before, clock_.utc());
  api::MonitoringRecord known = watcher->record();
  observe::leave_out_others(known, found->head().experiment.spec.expect,
                            observe::own_namespaces(found->head().experiment));
  known.gaps.insert(known.gaps.begin(), before.begin(), before.end());
  keep_gone(found->head().monitoring->sources, known);
  engine_.follow_again(run, std::move(known));
  publish();
}

boost::asio::awaitable<void> Service::watch(std::string run,
                                            std::shared_ptr<observe::Watcher> watcher, bool begun) {
  // The questions go on beside this, each source's in a beat of its own.
  std::function<boost::asio::awaitable<void>()> until_closing =
      [this, run]() -> boost::asio::awaitable<void> {
    for (;;) {
      const Run* found = in_memory(run);
      if (found == nullptr || found->over() || found->step() == RunStep::kClosing) co_return;
      co_await event_signal_.wait(clock_.steady() + kLook);
    }
  };
  std::function<boost::asio::awaitable<void>()> begins;
  if (!begun) begins = [this, run, watcher] { return begin_again(run, watcher); };
  co_await watcher->follow(std::move(until_closing), std::move(begins));
  const Run* found = in_memory(run);
  if (found == nullptr || found->over()) co_return;
  if (const auto watched = watched_.find(run); watched != watched_.end() && !watched->second.begun)
    go_on_until(watched->second.before, clock_.utc());
  const api::RunRecord recent = found->recent();
  const auto [first, last] = injected(recent);
  // As the report does: report::measured_until().
  const api::Timestamp closed = recent.history.back().until;
  const UtcTime end = closed.set() ? std::min(closed.value, clock_.utc()) : clock_.utc();
  const observe::WatchTimes times{.begin = recent.history.front().at.value,
                                  .first_injected = first,
                                  .last_injected = last,
                                  .end = end};
  using enum api::PodRole;
  watcher->own_pods(pods_of(recent, {target, observed}));
  // Where not all can be asked about, targets come first.
  std::vector<api::PodRef> pods = pods_of(recent, {target, observed, connected, control});
  // All of them; of an Experiment's namespace the record keeps only those that it needs.
  if (!watcher->record().ruleNames.empty()) metrics_.rules(watcher->record().ruleNames);
  co_await watcher->finish(times, std::move(pods));
  for (const api::AlertOutcome& outcome : watcher->record().outcomes) {
    if (!outcome.seconds) continue;
    const bool expected = outcome.verdict != api::DetectionVerdict::false_alarm;
    metrics_.fired(outcome.alert, expected ? outcome.firingAt : api::Timestamp{});
    if (expected) metrics_.detection(outcome.alert, *outcome.seconds);
  }
}

// In whatever way the watching ended: what was seen is handed over, and the run need not wait.
void Service::watched_ended(const std::string& run, const std::exception_ptr& error) {
  const auto watched = watched_.find(run);
  if (watched == watched_.end()) return;
  const std::shared_ptr<observe::Watcher> watcher = watched->second.watcher;
  const std::vector<api::MonitoringGap> before = std::move(watched->second.before);
  watched_.erase(watched);
  if (closed_) return;
  api::MonitoringRecord seen = watcher->take();
  seen.gaps.insert(seen.gaps.begin(), before.begin(), before.end());
  if (const Run* found = in_memory(run); found != nullptr && found->head().monitoring)
    keep_gone(found->head().monitoring->sources, seen);
  if (error) {
    std::string why = "the controller was told to end";
    if (!ending_) {
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& e) {
        why = std::string("an internal error: ") + e.what();
        spdlog::error("run {}: the monitoring is not followed any more: {}", run, e.what());
      }
    }
    for (api::MonitoringSource& source : seen.sources)
      if (source.problem.empty()) source.problem = "it was not asked to the end: " + why;
  }
  engine_.followed(run, std::move(seen), now());
  publish();
}

void Service::stop_watching() {
  std::vector<std::string> runs;
  for (const auto& [run, watched] : watched_) runs.push_back(run);
  for (const std::string& run : runs)
    if (const auto watched = watched_.find(run); watched != watched_.end())
      watched->second.cancel.emit(boost::asio::cancellation_type::terminal);
}

// Beside the questions, which may hang: a condition that nobody can look at ends the fault, too.
void Service::check_queries() {
  watch_again();
  for (auto& [id, unwatched] : unwatched_) {
    const Run* run = in_memory(id);
    if (run == nullptr || run->step() != RunStep::kFault) continue;
    if (!unwatched.fault_since) unwatched.fault_since = clock_.steady();
    if (clock_.steady() - *unwatched.fault_since < kUnasked) continue;
    const auto& conditions = run->head().experiment.spec.abortWhen;
    const auto query = std::ranges::find_if(
        conditions, [](const api::AbortCondition& one) { return !one.promql.empty(); });
    if (query != conditions.end())
      (void)engine_.stop(id,
                         "abortWhen " + query->promql +
                             ": nobody could ask the monitoring since the controller was restarted",
                         Recovery::kShort, now());
  }
  for (auto& [id, watched] : watched_) {
    const Run* run = in_memory(id);
    if (run == nullptr || run->step() != RunStep::kFault) continue;
    const SteadyTime steady = clock_.steady();
    if (!watched.fault_since) watched.fault_since = steady;
    if (auto reason =
            query_abort_reason(run->head().experiment.spec.abortWhen,
                               watched.watcher->abort_answers(), *watched.fault_since, steady))
      (void)engine_.stop(id, *reason, Recovery::kShort, now());
  }
}

boost::asio::awaitable<Result<std::vector<api::PlannedAlert>>> Service::plan_alerts(
    api::Experiment experiment, std::string who) {
  if (experiment.spec.expect.alerts.empty() || !monitoring_.has_prometheus())
    co_return std::vector<api::PlannedAlert>{};
  api::Experiment asked = experiment;
  const auto watcher = co_await monitoring_.begin(std::move(asked), std::move(who));
  if (!watcher) co_return fail(watcher.error());
  co_return planned_alerts(experiment, (*watcher)->record());
}

// ---- routes

boost::asio::awaitable<Response> Service::get_monitoring(http::Request request) {
  std::set<std::string> everywhere{""};
  const auto allowed = co_await allow(request.who, "get", std::move(everywhere));
  if (!allowed) co_return http::problem(allowed.error());
  boost::json::object answer{{"sources", boost::json::array()},
                             {"rules", boost::json::array()},
                             {"receivers", boost::json::value_from(monitoring_.receivers())},
                             {"notifications", options_.notifications_token_file},
                             {"events", boost::json::array()}};
  for (const announce::DestinationState& one : announcer_.states())
    answer["events"].as_array().push_back(
        boost::json::object{{"name", one.name},
                            {"kind", boost::describe::enum_to_string(one.kind, "?")},
                            {"told", one.told},
                            {"failed", one.failed},
                            {"waiting", one.waiting},
                            {"problem", one.problem}});
  if (!monitoring_.endpoints().empty()) {
    api::Experiment nothing;
    const auto watcher = co_await monitoring_.begin(std::move(nothing), request.who.name());
    if (!watcher) co_return http::problem(watcher.error());
    const boost::json::value record = api::to_json((*watcher)->record());
    answer["sources"] = record.at("sources");
    answer["rules"] = record.at("ruleNames");
  }
  co_return Response{.body = boost::json::serialize(answer)};
}

boost::asio::awaitable<Response> Service::take_notification(http::Request request) {
  const UtcTime at = clock_.utc();
  // Alertmanager repeats what was answered by 5xx, and gives up on 4xx: no 421 or 429 here. It
  // tries on another connection, which may be one to the leader.
  const auto later = [](std::string why) {
    Response again = http::problem(503, std::move(why));
    again.headers["Retry-After"] = "1";
    return again;
  };
  const auto not_here = [&]() -> std::optional<Response> {
    if (!ending_ && !elsewhere(0)) return std::nullopt;
    Response again = later(ending_ ? "this controller is ending" : "another controller leads");
    again.headers["Connection"] = "close";
    return again;
  };
  if (auto again = not_here()) co_return std::move(*again);
  if (!notifiers_.take(http::address_key(request.peer), clock_.steady()).allowed)
    co_return later("too many notifications a second of this address");
  if (notifications_parsing_ >= kMostParsing) co_return later("other notifications are being read");
  struct Count {
    std::size_t& n;
    explicit Count(std::size_t& count) : n(count) { ++n; }
    ~Count() { --n; }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
  } const count{notifications_parsing_};
  const auto held = std::move(request.held);  // given back on this thread
  auto parse = [body = std::move(request.body), at]() -> Result<Notification> {
    try {
      return parse_notification(body, at);
    } catch (const std::exception& e) {  // of the worker's thread: nobody else would catch it
      return fail(Errc::kInvalid, std::string("a notification cannot be read: ") + e.what());
    }
  };
  auto told = co_await parse_worker_.run(std::move(parse));
  if (!told) co_return http::problem(told.error());
  if (auto again = not_here()) co_return std::move(*again);  // meanwhile
  monitoring_.heard_of(told->receiver);
  // Of a flood a run keeps what it expects.
  for (const auto& [id, watched] : watched_) {
    const Run* run = in_memory(id);
    if (run == nullptr) continue;
    std::set<std::string> expected;
    for (const api::ExpectAlert& expect : run->head().experiment.spec.expect.alerts)
      expected.insert(expect.name);
    for (const api::AlertNotification& alert : told->alerts)
      if (expected.contains(alert.alert)) watched.watcher->notified(alert);
    if (told->alert.empty() || expected.contains(told->alert))
      watched.watcher->left_off(told->receiver, at, told->left_off);
    watched.watcher->not_taken(told->receiver, at, told->not_taken);
  }
  co_return Response{.body = "{}"};
}

}  // namespace faultline::controller
