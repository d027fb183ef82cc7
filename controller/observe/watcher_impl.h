// SPDX-License-Identifier: Apache-2.0
// What Watcher keeps. Internal to controller/observe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include "controller/observe/alertmanager.h"
#include "controller/observe/group_times.h"
#include "controller/observe/prometheus.h"
#include "controller/observe/room.h"
#include "controller/observe/routes.h"
#include "controller/observe/rules.h"
#include "controller/observe/samples.h"
#include "controller/observe/watcher.h"
#include "report/judge_alerts.h"

namespace faultline::controller::observe {

// Bytes of a run that its lists may take, each a share of its own: a flood of one takes nothing
// from another.
struct Rooms {
  explicit Rooms(const std::shared_ptr<Room>& of_all)
      : rules(6 << 20, of_all),
        changes(8 << 20, of_all),
        evaluations(8 << 20, of_all),
        held(2 << 20, of_all),
        notifications(2 << 20, of_all),
        scrapes(4 << 20, of_all),
        signals(8 << 20, of_all) {}
  Room rules, changes, evaluations, held, notifications, scrapes, signals;
};

inline constexpr std::size_t kMostRules = 2'000;  // of a run
inline constexpr std::chrono::seconds kBeat{1};   // from one look at a source to the next

// Rules that an expected alert could be of: those whose own labels do not say otherwise.
[[nodiscard]] WantedRules expected_rules(std::vector<api::ExpectAlert> alerts);

// Rules of one group are evaluated at the same times.
[[nodiscard]] std::string group_key(const api::AlertRule& rule);
// Of one alert and group; several may be.
[[nodiscard]] bool is_rule(const api::AlertRule& one, const api::AlertRule& other);

// Takes what a list has room for, by number and bytes, and copies nothing else. It refers to both.
template <class T>
Take<T> into(std::vector<T>& to, std::size_t most, Room& room) {
  return [&to, most, &room](const T& one) {
    if (to.size() >= most || !room.take(bytes_of(one))) return false;
    to.push_back(one);
    return true;
  };
}

// What a list did not take, because of its number or bytes: how many.
template <class T>
std::size_t append(std::vector<T>& to, std::vector<T> from, std::size_t most, Room& room) {
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (to.size() >= most || !room.take(bytes_of(from[i]))) return from.size() - i;
    to.push_back(std::move(from[i]));
  }
  return 0;
}

struct Watcher::Impl {
  template <class T>
  using Task = boost::asio::awaitable<T>;
  using Beat = std::function<Task<void>()>;

  // One of record.sources, and since when it could not be asked.
  struct Reached {
    std::size_t index = 0;
    Offset offset;
    std::optional<UtcTime> away_since;
    struct Part {
      UtcTime from;
      std::string missing;
    };
    std::optional<Part> part;           // since when its answers are not whole
    std::optional<UtcTime> answered;    // last; nothing is known of what it did since
    std::optional<SteadyTime> looking;  // since when the look is under way that is not done yet
    bool finished = false;  // all was asked at the end of the run, whatever was answered
  };
  struct PrometheusSide : Reached {
    explicit PrometheusSide(boost::asio::any_io_executor executor, SourceOptions options,
                            const Clock& clock)
        : client(std::move(executor), std::move(options), clock) {}
    Prometheus client;
    bool began = false;
    bool rules_taken = false;           // into the record
    std::vector<api::AlertRule> rules;  // of the expected alerts, when the run began
    std::vector<std::string> names;     // of all alerts
    std::set<std::string> jobs;         // of the targets behind the expected alerts
    std::vector<std::vector<std::string>> behind_signals;  // metrics, by spec.expect.signals
    std::set<std::string> doubtful;  // alerts whose rules may be others than in the record
  };
  // Has a connection of its own, so that no other question is waited for.
  struct AbortQuery {
    AbortQuery(std::int64_t at, boost::asio::any_io_executor executor, SourceOptions options,
               const Clock& clock)
        : index(at), client(std::move(executor), std::move(options), clock) {}
    std::int64_t index = 0;  // of spec.abortWhen
    Prometheus client;
  };
  struct AlertmanagerSide : Reached {
    AlertmanagerSide(boost::asio::any_io_executor executor, SourceOptions options,
                     const Clock& clock, const std::shared_ptr<Room>& of_all)
        : client(std::move(executor), std::move(options), clock),
          groups(1 << 20, of_all),
          other_groups(256 << 10, of_all) {}
    Alertmanager client;
    bool asked = false;              // for its configuration, and it answered
    std::size_t config = 0;          // a hash of that
    std::optional<Routing> routing;  // of that; nothing: it could not be read
    UtcTime routed_since;            // the routes are known from then on
    std::string unrouted;            // why they are not, or were not before
    std::vector<Silence> silences;
    std::vector<HeldAlert> held;  // at the look before the run
    GroupTimes groups;            // that an expected alert could join
    GroupTimes other_groups;
    std::map<std::string, std::size_t> told;  // by fingerprint: the newest in record.held
  };

  Impl(boost::asio::any_io_executor executor, MonitoringSources from, api::Experiment of,
       const Clock& its_clock);

  // The source answered, or not: its problem, and the gap that ends. A gap begins with the last
  // answer, not when the question after it failed. An answer that is not whole, `missing` says why,
  // ends the gap of one that was away, and begins another that ends with the first whole answer.
  void reached(Reached& source, const std::string& missing = {});
  void end_part(Reached& source, UtcTime at);
  void missed(Reached& source, const Error& error);
  void tell(const std::vector<std::string>& words);
  void away(Reached& source) const;
  // A look that has no answer for longer than a beat when no more looks are made: a gap begins.
  void note_waiting(Reached& source);
  void add_gap(api::MonitoringGap gap);
  // Of one source and kind there is one gap, which grows: its end and words are the newest.
  void grow_gap(const std::string& source, const std::string& kind, UtcTime from, UtcTime to,
                std::string reason);
  [[nodiscard]] api::MonitoringSource& source_of(const Reached& side) {
    return record.sources[side.index];
  }
  [[nodiscard]] bool expected(const std::string& alert) const;
  // Alerts that were not taken: told, and a gap of `source` where an expected one may be of them.
  void note_not_taken(const std::string& source, const NotTaken& left_out, UtcTime from,
                      UtcTime to);

  // watcher_begin.cpp
  Task<void> begin(PrometheusSide& side);
  Task<void> find_intervals(PrometheusSide& side, const Rules& rules);
  // Into the record, once.
  void take_rules(PrometheusSide& side);

  // watcher_routes.cpp
  using Routes = std::vector<api::AlertRoute>;
  Task<void> begin(AlertmanagerSide& side);
  // What could not be asked when the run began is asked as soon as it answers.
  Task<void> route_late(AlertmanagerSide& side);
  // At the end: routes that are others now explain nothing.
  Task<void> compare_routing(AlertmanagerSide& side);
  void gap_of_routes(const AlertmanagerSide& side, UtcTime to, const std::string& why);
  void note_unrouted(UtcTime end);
  // Of an alert with these labels, which have its name. `before`: it does not fire yet, and
  // silences and inhibitions that hold now are told.
  [[nodiscard]] Routes routes(const AlertmanagerSide& side, const Labels& labels, UtcTime at,
                              bool before) const;
  // The routes of each rule of the record, for the labels that are asked of its alerts.
  void route_expected();
  // The same for the alerts that fired and are judged, by the labels that they have.
  void route_instances(const WatchTimes& times);
  [[nodiscard]] Routes routes_of_instance(const report::AlertJudge& judge,
                                          const report::Instance& instance,
                                          const report::Episode& episode, UtcTime end);
  // Alerts of the rule that have these labels have these routes. Where they lead elsewhere than
  // the rule's other alerts, the rule is in the record once more, as its last, without its
  // expression: with those labels and routes.
  struct Ways {
    Labels labels;
    Routes routes;
  };
  void set_ways(std::size_t rule, std::vector<Ways> ways);
  // Takes such rules out of the record again.
  void forget_ways();

  // watcher_beats.cpp
  // One question for each query of abortWhen, and one look at each source; they do not wait for
  // each other.
  std::vector<Beat> abort_looks();
  std::vector<Beat> looks();
  Task<void> again(Beat look);
  Task<void> poll(PrometheusSide& side);
  Task<void> poll_abort(AbortQuery& query);
  void keep_signal(const api::SignalSample& sample);

  // watcher_held.cpp
  Task<void> poll(AlertmanagerSide& side);
  void note_groups(AlertmanagerSide& side, const std::vector<AlertGroup>& groups, UtcTime at);
  void note_held(AlertmanagerSide& side, const std::vector<HeldAlert>& held);

  // watcher_notified.cpp
  struct Lost;
  void index_notifications();
  // Whether an expected alert may lead to this receiver.
  [[nodiscard]] bool may_tell(const std::string& receiver) const;
  // What was left off becomes gaps of the receivers that an expected alert may lead to. By the
  // routes of the record, so that it is of use when those of the alerts that fired are known.
  void tell_left_off();
  // A gap of the receiver, whose words `count` gives.
  void lose(const std::string& receiver, UtcTime at, const std::string& kind,
            const std::function<std::string(Lost&)>& count);

  // watcher_finish.cpp
  Task<void> finish(PrometheusSide& side, WatchTimes times, std::vector<api::PodRef> pods);
  // False: it could not be asked.
  Task<bool> finish_alerts(PrometheusSide& side, const WatchTimes& times);
  Task<void> finish_scrapes(PrometheusSide& side, const WatchTimes& times,
                            std::vector<api::PodRef> pods);
  Task<void> finish_signals(PrometheusSide& side, const WatchTimes& times);
  void keep_changes(const PrometheusSide& side, const std::vector<Series>& alerts,
                    const std::vector<api::AlertRule>& rules, const WatchTimes& times);
  void leave_out_others();
  void sort_by_source();
  void close_gaps(UtcTime end);

  // watcher_rules.cpp
  // Marks the rules of the record that are others now.
  void compare_rules(PrometheusSide& side, const Rules& now, const WatchTimes& times);
  // Whether the rules of this alert changed is not known: a gap, and no floor is made of them.
  void doubt_rules(PrometheusSide& side, const std::string& alert, const std::string& why,
                   const WatchTimes& times);
  Task<void> finish_rules(PrometheusSide& side, const WatchTimes& times);
  Task<void> finish_rule(PrometheusSide& side, api::AlertRule rule, WatchTimes times);
  void keep_evaluations(const PrometheusSide& side, std::vector<api::AlertEvaluation> some,
                        const WatchTimes& times);
  void not_asked(const PrometheusSide& side, const api::AlertRule& rule, const WatchTimes& times);

  // watcher_candidates.cpp
  // What became of each alert, and for those that did not notice: the rules that would have.
  Task<void> conclude(const WatchTimes& times, std::vector<api::PodRef> pods, SteadyTime until);
  Task<void> find_candidates(PrometheusSide& side, const WatchTimes& times,
                             std::vector<api::PodRef> pods, SteadyTime until);
  class CandidateSearch;

  const Clock& clock;
  api::Experiment experiment;
  // Of what the run may tell: its own and those of its pods, as far as they are known. Empty: of
  // everything, as the experiment is of no namespace.
  std::set<std::string> namespaces;
  std::set<std::string> observed;
  std::vector<api::PodRef> own_pods;  // see Watcher::own_pods()
  std::vector<std::unique_ptr<PrometheusSide>> prometheus;
  std::vector<std::unique_ptr<AlertmanagerSide>> alertmanager;
  std::vector<std::unique_ptr<AbortQuery>> abort_queries;
  Rooms rooms;
  const UtcTime made;    // this was
  bool closing = false;  // finish() was called
  api::MonitoringRecord record;
  std::vector<AbortAnswer> abort_answers;
  std::map<std::pair<std::string, std::string>, std::size_t> growing;  // in record.gaps
  std::map<std::string, double> grids;  // by group_key(): a time of the group's evaluations

  // What of a receiver's notifications is not in the record.
  struct Lost {
    std::uint64_t beyond = 0;
    NotTaken not_taken;
  };
  // Notifications of a receiver that were not whole: from the first to the last, and how many
  // alerts they did not have.
  struct LeftOff {
    UtcTime from, to;
    std::uint64_t alerts = 0, notifications = 0;
    void add(const LeftOff& other);
  };
  std::map<std::string, LeftOff> left_off;  // by receiver; the empty one is of all others
  std::map<std::string, Lost> lost;         // by receiver
  std::unordered_multimap<std::size_t, std::size_t> notifications;  // by hash, in the record
};

// Runs all at once and is done when all are; or, `first`, when one is, and the others were
// cancelled. What one throws is thrown when all have ended, and the others are cancelled for it.
[[nodiscard]] boost::asio::awaitable<void> together(std::vector<Watcher::Impl::Beat> all,
                                                    bool first);
// Runs all at once until all are done or that time has come; then the others were cancelled.
[[nodiscard]] boost::asio::awaitable<void> together_until(std::vector<Watcher::Impl::Beat> all,
                                                          SteadyTime until);

}  // namespace faultline::controller::observe
