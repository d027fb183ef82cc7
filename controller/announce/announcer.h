// SPDX-License-Identifier: Apache-2.0
// Tells people's tools of runs, as the configuration asks: a webhook of a chat, annotations of
// Grafana. Each is told when the faults of a run begin and when the run is over. It is best effort:
// no run waits for it, what fails is tried three times and then counted, and a message may arrive
// twice. A run that ends while no controller leads is not told. Not thread-safe: one event loop,
// one thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/monitoring_config.h"
#include "base/clock.h"
#include "controller/kubernetes/run_control.h"

namespace faultline::controller::announce {

// What became of the messages to one destination since the controller started.
struct DestinationState {
  std::string name;
  api::DestinationKind kind = api::DestinationKind::webhook;
  std::uint64_t told = 0, failed = 0;
  std::size_t waiting = 0;
  std::string problem;  // why the newest message did not arrive; empty: it did, or there is none
};

class Announcer {
 public:
  // References outlive it.
  Announcer(boost::asio::any_io_executor executor, const Clock& clock, RunControl& runs);
  ~Announcer();
  Announcer(const Announcer&) = delete;
  Announcer& operator=(const Announcer&) = delete;

  // From now on. What waits for a destination that is there no more is dropped.
  void configure(std::vector<api::EventDestination> destinations);
  // `owner` of the runs is kept until the loop has ended.
  void start(std::shared_ptr<void> owner);
  void stop();
  // Nothing waits to be told.
  [[nodiscard]] bool idle() const;
  [[nodiscard]] std::vector<DestinationState> states() const;

  // Messages that wait for one destination; the oldest are dropped, and counted as failed.
  static constexpr std::size_t kMostWaiting = 100;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace faultline::controller::announce
