// SPDX-License-Identifier: Apache-2.0
// What the Kubernetes side of the controller asks of the runs. All on the event loop's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <vector>

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
  // The run's id. `who` and the Experiment's `uid` are written into its record. Errors: as POST
  // /api/v1/experiments.
  virtual boost::asio::awaitable<Result<std::string>> start_run(api::Experiment experiment,
                                                                std::string who,
                                                                std::string uid) = 0;
  // The id of the run of the Experiment with this uid, whether it is under way or over. `name`: the
  // Experiment's. kNotFound: it has none; kUnavailable: not known now, ask again.
  virtual boost::asio::awaitable<Result<std::string>> run_of(std::string name, std::string uid) = 0;
  // The same of runs that are under way; empty: it has none.
  [[nodiscard]] virtual std::string active_run_of(const std::string& uid) const = 0;
  // Of all runs that are under way. Good until the caller waits for something.
  [[nodiscard]] virtual std::vector<const api::RunRecord*> active_runs() const = 0;
  // `run` is an id. A run that is over, or unknown, is no error.
  virtual void stop_run(const std::string& run, const std::string& reason) = 0;
  // `run` is an id. kNotFound: no such run, also not in the store.
  virtual boost::asio::awaitable<Result<RunNow>> run_now(std::string run) = 0;
  // Raised by each change of any run.
  [[nodiscard]] virtual std::uint64_t changes() const = 0;
  // Until changes() is no longer `seen`, or `until`.
  virtual boost::asio::awaitable<void> wait_for_change(std::uint64_t seen, SteadyTime until) = 0;
};

}  // namespace faultline::controller
