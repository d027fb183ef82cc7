// SPDX-License-Identifier: Apache-2.0
// Looks at the monitoring during one run and fills the record that report/ judges
// (docs/decisions/0030-did-anyone-notice.md). Only asks, never writes. A source that is away, slow,
// or answers nonsense is a gap of the record; no call fails for it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/experiment.h"
#include "api/monitoring_record.h"
#include "api/sync.h"
#include "base/clock.h"
#include "controller/observe/abort_answer.h"
#include "controller/observe/labels.h"
#include "controller/observe/room.h"
#include "controller/observe/source.h"

namespace faultline::controller::observe {

struct MonitoringSources {
  std::vector<SourceOptions> prometheus, alertmanager;
  // Receivers of Alertmanager whose notifications reach the controller's own receiver.
  std::vector<std::string> observed_receivers;
  // What the watchers of all runs may keep together. Null: each has its own bounds only.
  std::shared_ptr<Room> room{};
};

// Of the controller's clock.
struct WatchTimes {
  UtcTime begin;                  // of the baseline
  api::Timestamp first_injected;  // t2; not set: nothing was
  api::Timestamp last_injected;   // t9
  UtcTime end;
  std::chrono::milliseconds patience{8'000};  // how long finish() may take
};

// One run. Not thread-safe: runs on its executor, one call at a time, but for notified(),
// left_off() and not_taken(), which may come during any other. To stop it, cancel the coroutine:
// all that it started has ended when it has. It may be destroyed between calls.
class Watcher {
 public:
  // `clock` must outlive this.
  Watcher(boost::asio::any_io_executor executor, MonitoringSources sources,
          api::Experiment experiment, const Clock& clock);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // Asks each source for its version and clock, for the rules of the expected alerts and the routes
  // that they lead to. Once, before the baseline; also all that a plan needs. Sources are asked at
  // the same time, here and below, so that it takes as long as the slowest.
  [[nodiscard]] boost::asio::awaitable<void> begin();
  // Asks what Alertmanager holds, the first Prometheus the queries of expect.signals and abortWhen,
  // and each other one whether it is there.
  [[nodiscard]] boost::asio::awaitable<void> poll();
  // The same again and again, each source and each query of abortWhen once a second in a beat of
  // its own, so that none waits for another that is slow; until `until()` is done, which is called
  // once. `first`, if it is given, is what calls begin() of a run that goes on already: the queries
  // of abortWhen are asked beside it, the sources when it is done. One that is cancelled before is
  // begun by finish().
  [[nodiscard]] boost::asio::awaitable<void> follow(
      std::function<boost::asio::awaitable<void>()> until,
      std::function<boost::asio::awaitable<void>()> first = {});
  // The targets and observed pods of the run: of whom an alert has to speak. Before finish();
  // unless it is told, any alert may be of the run.
  void own_pods(std::vector<api::PodRef> pods);
  // Asks for what Prometheus stored meanwhile: the ALERTS series, the rules' expressions on their
  // own evaluation times, the scrapes of `pods`. Once, at the end. A source that has not answered
  // all of it within WatchTimes::patience has a problem and a gap; what the others told is kept.
  [[nodiscard]] boost::asio::awaitable<void> finish(WatchTimes times,
                                                    std::vector<api::PodRef> pods);
  // A notification of an expected alert that arrived. Of the same again nothing is kept. What goes
  // beyond kMostNotifications, or the bytes for them, is a gap of "receiver NAME".
  void notified(api::AlertNotification notification);
  // Alertmanager left `alerts` off a notification that arrived at `at`: when the run is over, and
  // it is known where its alerts led, a gap of "receiver NAME" if an expected one leads to it.
  void left_off(const std::string& receiver, UtcTime at, std::uint64_t alerts);
  // Alerts of a notification that were not taken: the same, where an expected one may be of them.
  void not_taken(const std::string& receiver, UtcTime at, const NotTaken& alerts);

  // Of each query of abortWhen the newest answer, however many came before it.
  [[nodiscard]] const std::vector<AbortAnswer>& abort_answers() const;
  // As far as it is known.
  [[nodiscard]] const api::MonitoringRecord& record() const;
  [[nodiscard]] api::MonitoringRecord take();

  static constexpr std::size_t kMostNotifications = 2'000;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace faultline::controller::observe
