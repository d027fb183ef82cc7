// SPDX-License-Identifier: Apache-2.0
// What the Kubernetes side of the controller asks of the runs. All on the event loop's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>

#include "api/report.h"
#include "api/run_record.h"
#include "base/clock.h"
#include "base/result.h"

namespace faultline::controller {

// A run as it is now.
struct RunNow {
  api::RunRecord head;                // with the newest injections; without windows while it runs
  std::optional<api::Report> report;  // when it is over
};

class RunControl {
 public:
  virtual ~RunControl() = default;
  // Call when this controller leads, before anything else: what the one before left is taken up.
  // kUnavailable: try again.
  virtual boost::asio::awaitable<Result<>> take_over() = 0;
  // The run's id. `who` is written into its record. Errors: as POST /api/v1/experiments.
  virtual boost::asio::awaitable<Result<std::string>> start_run(api::Experiment experiment,
                                                                std::string who) = 0;
  // A run that is over, or unknown, is no error.
  virtual void stop_run(const std::string& run, const std::string& reason) = 0;
  // kNotFound: no such run, also not in the store.
  virtual boost::asio::awaitable<Result<RunNow>> run_now(std::string run) = 0;
  // Raised by each change of any run.
  [[nodiscard]] virtual std::uint64_t changes() const = 0;
  // Until changes() is no longer `seen`, or `until`.
  virtual boost::asio::awaitable<void> wait_for_change(std::uint64_t seen, SteadyTime until) = 0;
};

}  // namespace faultline::controller
