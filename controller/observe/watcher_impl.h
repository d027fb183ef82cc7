// SPDX-License-Identifier: Apache-2.0
// What Watcher keeps. Internal to controller/observe.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <tuple>

#include "controller/observe/alertmanager.h"
#include "controller/observe/prometheus.h"
#include "controller/observe/routes.h"
#include "controller/observe/rules.h"
#include "controller/observe/samples.h"
#include "controller/observe/watcher.h"

namespace faultline::controller::observe {

struct Watcher::Impl {
  template <class T>
  using Task = boost::asio::awaitable<T>;

  // One of record.sources, and since when it could not be asked.
  struct Reached {
    std::size_t index = 0;
    Offset offset;
    std::optional<UtcTime> away_since;
  };
  struct PrometheusSide : Reached {
    explicit PrometheusSide(boost::asio::any_io_executor executor, SourceOptions options,
                            const Clock& clock)
        : client(std::move(executor), std::move(options), clock) {}
    Prometheus client;
    Rules rules;
    std::set<std::string> jobs;  // of the targets behind the expected alerts
  };
  struct AlertmanagerSide : Reached {
    explicit AlertmanagerSide(boost::asio::any_io_executor executor, SourceOptions options,
                              const Clock& clock)
        : client(std::move(executor), std::move(options), clock) {}
    Alertmanager client;
    std::optional<Routing> routing;
    std::vector<Silence> silences;
    std::vector<HeldAlert> held;  // at the last look
    // The groups that existed, from each time on that they changed.
    std::deque<std::pair<UtcTime, std::vector<AlertGroup>>> groups;
    std::map<std::string, api::AlertHeld> told;  // by fingerprint, as the record has it last
  };

  Impl(boost::asio::any_io_executor executor, MonitoringSources from, api::Experiment of,
       const Clock& its_clock);

  // The source answered, or not: its problem, and the gap that ends.
  void reached(Reached& source);
  void missed(Reached& source, const Error& error);
  void tell(const std::vector<std::string>& words);
  [[nodiscard]] api::MonitoringSource& source_of(const Reached& side) {
    return record.sources[side.index];
  }
  [[nodiscard]] bool expected(const std::string& alert) const;

  // watcher.cpp
  Task<void> begin(PrometheusSide& side);
  Task<void> begin(AlertmanagerSide& side);
  Task<void> poll(AlertmanagerSide& side);
  // `queries`: this is the one that is asked the experiment's own queries.
  Task<void> poll(PrometheusSide& side, bool queries);
  Task<bool> poll_query(PrometheusSide& side, std::string promql, std::int64_t index, bool abort);
  void note_held(AlertmanagerSide& side, const std::vector<HeldAlert>& held);
  // The routes of each rule of the record, for the labels that are known of its alerts.
  void find_routes(AlertmanagerSide& side, api::AlertRule& rule, const Labels& labels, UtcTime at);

  // watcher_finish.cpp
  Task<void> finish(PrometheusSide& side, WatchTimes times, std::vector<api::PodRef> pods);
  Task<void> finish_rule(PrometheusSide& side, api::AlertRule rule, std::optional<double> grid,
                         WatchTimes times);
  Task<void> finish_scrapes(PrometheusSide& side, const WatchTimes& times,
                            std::vector<api::PodRef> pods);
  Task<void> finish_signals(PrometheusSide& side, const WatchTimes& times);
  void route_instances(const WatchTimes& times);
  void keep_changes(const PrometheusSide& side, std::vector<api::AlertChange> changes,
                    const WatchTimes& times);
  void leave_out_others();
  void close_gaps(UtcTime end);

  // watcher_candidates.cpp
  // What became of each alert, and for those that did not notice: the rules that would have.
  Task<void> conclude(const WatchTimes& times, std::vector<api::PodRef> pods);
  Task<void> find_candidates(PrometheusSide& side, const WatchTimes& times,
                             std::vector<api::PodRef> pods, SteadyTime until);
  class CandidateSearch;

  const Clock& clock;
  api::Experiment experiment;
  // Of what the run may tell: its own and those of its pods, as far as they are known. Empty: of
  // everything, as the experiment is of no namespace.
  std::set<std::string> namespaces;
  std::set<std::string> observed;
  std::vector<std::unique_ptr<PrometheusSide>> prometheus;
  std::vector<std::unique_ptr<AlertmanagerSide>> alertmanager;
  api::MonitoringRecord record;
  std::vector<std::string> told;
  std::vector<api::SignalSample> abort_answers;
  std::set<std::tuple<std::string, std::string, Labels, UtcTime, bool>> notified;
};

}  // namespace faultline::controller::observe
