// SPDX-License-Identifier: Apache-2.0
// One watcher, driven by a test.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "controller/observe/watcher.h"
#include "report/detections.h"
#include "tests/unit/observe/monitor.h"

namespace faultline::controller::observe::test {

inline boost::asio::awaitable<void> sleep(std::chrono::milliseconds time) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, time);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

inline api::Experiment expecting(const std::vector<std::string>& alerts) {
  api::Experiment out;
  for (const std::string& one : alerts) out.spec.expect.alerts.push_back({.name = one});
  return out;
}

class Watching {
 public:
  Watching(MonitoringSources sources, api::Experiment experiment)
      : watcher_(std::make_unique<Watcher>(io_.get_executor(), std::move(sources),
                                           std::move(experiment), clock_)) {}

  void begin() {
    begun_ = clock_.utc();
    run([](Watcher& watcher) { return watcher.begin(); });
  }
  void poll() {
    run([](Watcher& watcher) { return watcher.poll(); });
  }
  void follow(std::chrono::milliseconds time) {
    run([time](Watcher& watcher) { return watcher.follow([time] { return sleep(time); }); });
  }
  // As of a run that goes on already: begin() beside the queries that abort.
  void begin_beside(std::chrono::milliseconds time) {
    begun_ = clock_.utc();
    run([time](Watcher& watcher) {
      return watcher.follow([time] { return sleep(time); }, [&watcher] { return watcher.begin(); });
    });
  }
  void finish(std::chrono::milliseconds patience = std::chrono::seconds(8)) {
    const WatchTimes times{begun_,
                           {begun_},
                           {begun_ + std::chrono::milliseconds(1)},
                           clock_.utc() + std::chrono::milliseconds(1),
                           patience};
    run([times](Watcher& watcher) { return watcher.finish(times, {}); });
  }
  // What became of each alert; false alarms come last.
  [[nodiscard]] std::vector<api::DetectionReport> detections(const api::Expect& expect) const {
    return report::detections_of(record(), expect,
                                 {.first_injected = {begun_},
                                  .last_injected = {begun_ + std::chrono::milliseconds(1)},
                                  .end = {clock_.utc()},
                                  .begin = {begun_}});
  }
  [[nodiscard]] Watcher& watcher() { return *watcher_; }
  [[nodiscard]] const api::MonitoringRecord& record() const { return watcher_->record(); }
  [[nodiscard]] std::vector<std::string> gaps() const {
    std::vector<std::string> out;
    for (const api::MonitoringGap& gap : record().gaps)
      out.push_back(gap.source + ": " + gap.reason);
    return out;
  }
  boost::asio::io_context& io() { return io_; }
  void end() { watcher_.reset(); }

 private:
  void run(const std::function<boost::asio::awaitable<void>(Watcher&)>& what) {
    http::run(io_, [](const auto& does, Watcher& watcher) -> boost::asio::awaitable<int> {
      co_await does(watcher);
      co_return 0;
    }(what, *watcher_));
  }
  const SystemClock clock_;
  boost::asio::io_context io_;
  std::unique_ptr<Watcher> watcher_;
  UtcTime begun_;
};

}  // namespace faultline::controller::observe::test
