// SPDX-License-Identifier: Apache-2.0
// Looks at the monitoring during one run and fills the record that report/ judges
// (docs/decisions/0030-did-anyone-notice.md). Only asks, never writes. A source that is away, slow,
// or answers nonsense is a gap of the record; no call fails for it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <vector>

#include "api/experiment.h"
#include "api/monitoring_record.h"
#include "api/sync.h"
#include "base/clock.h"
#include "controller/observe/source.h"

namespace faultline::controller::observe {

struct MonitoringSources {
  std::vector<SourceOptions> prometheus, alertmanager;
  // Receivers of Alertmanager whose notifications reach the controller's own receiver.
  std::vector<std::string> observed_receivers;
};

// Of the controller's clock.
struct WatchTimes {
  UtcTime begin;                  // of the baseline
  api::Timestamp first_injected;  // t2; not set: nothing was
  api::Timestamp last_injected;   // t9
  UtcTime end;
};

// One run. Not thread-safe: runs on its executor, one call at a time. To stop it, cancel the
// coroutine; it may be destroyed between calls.
class Watcher {
 public:
  // `clock` must outlive this.
  Watcher(boost::asio::any_io_executor executor, MonitoringSources sources,
          api::Experiment experiment, const Clock& clock);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // Asks each source for its version and clock, for the rules of the expected alerts and the routes
  // that they lead to. Once, before the baseline; also all that a plan needs.
  [[nodiscard]] boost::asio::awaitable<void> begin();
  // Asks what Alertmanager holds, the first Prometheus the queries of expect.signals and abortWhen,
  // and each other one whether it is there. Once a second. A source that gave no answer is asked
  // nothing more in this poll, so that it takes at most the sum of the sources' time-outs.
  [[nodiscard]] boost::asio::awaitable<void> poll();
  // Asks for what Prometheus stored meanwhile: the ALERTS series, the rules' expressions on their
  // own evaluation times, the scrapes of `pods`. Once, at the end.
  [[nodiscard]] boost::asio::awaitable<void> finish(WatchTimes times,
                                                    std::vector<api::PodRef> pods);
  // A notification that arrived; of the same again, and of more than kMostNotifications, nothing
  // is kept.
  void notified(api::AlertNotification notification);

  // What was not understood of answers that can be used all the same, each once: unknown fields,
  // parts of Alertmanager's configuration.
  [[nodiscard]] const std::vector<std::string>& told() const;
  // Of each query of abortWhen the newest answer that is a number, however many came before it.
  [[nodiscard]] const std::vector<api::SignalSample>& abort_answers() const;
  // As far as it is known.
  [[nodiscard]] const api::MonitoringRecord& record() const;
  [[nodiscard]] api::MonitoringRecord take();

  static constexpr std::size_t kMostNotifications = 2'000;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace faultline::controller::observe
