// SPDX-License-Identifier: Apache-2.0
// What /metrics tells. Labels have few values: states, the faults of the language, names of the
// configuration. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/report.h"
#include "controller/engine/run.h"
#include "controller/store/journal.h"
#include "http/server.h"

namespace faultline::controller {

class Metrics {
 public:
  Metrics();
  ~Metrics();

  void run_ended(api::RunState state);
  void sync(double seconds);  // without the time it was held open on purpose
  void batches(std::size_t stored, std::size_t duplicate, std::size_t unknown);
  void refused(std::size_t entries);  // what agents may not write
  void store_error();
  void detection(const std::string& alert, double seconds);  // the newest of an expected alert
  // A run showed that the alert fires.
  void fired(const std::string& alert, api::Timestamp at);
  // The names of all rules of the monitoring, as it was asked last.
  void rules(const std::vector<std::string>& names);
  void fault(const FaultDelta& delta);
  void http_refused(const http::Refusals& totals);  // since the start
  void journal(const JournalState& state);
  // Messages to a destination of events since the start.
  void events(const std::string& destination, std::uint64_t told, std::uint64_t failed);
  // Text exposition format 0.0.4.
  [[nodiscard]] std::string text(const std::map<api::RunState, std::size_t>& runs,
                                 std::size_t connected, bool store_works, bool audit_works);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace faultline::controller
