// SPDX-License-Identifier: Apache-2.0
// Where runs are kept beside the store of one controller, so that another one can go on with them.
// The store is then a copy, from which everything is read; what is in the journal is what a change
// of controller does not lose. On the event loop's thread.
//
// Nothing waits for the journal but acknowledgements: while it cannot be reached, runs go on, and
// agents keep what is not in it yet. Only a run that begins must be written first.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/run_log.h"
#include "base/clock.h"
#include "base/result.h"

namespace faultline::controller {

class Journal {
 public:
  virtual ~Journal() = default;
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  // The runs that no controller finished, entry by entry. From when it returns on, whoever wrote to
  // them before cannot any more. kUnavailable: it cannot be reached; try again.
  virtual awaitable<Result<std::vector<api::RunLogEntry>>> take_over() = 0;
  // Gives the entries of runs that are over to `entry`.
  virtual awaitable<Result<>> finished(std::function<void(api::RunLogEntry)> entry) = 0;

  // Returns when it is written; kConflict: the run exists.
  virtual awaitable<Result<>> create(api::RunRecord head) = 0;
  // False: there was no time any more (close()). Else it is written.
  virtual awaitable<bool> update(api::RunRecord head, std::optional<api::RunState> ending) = 0;
  // Written soon.
  virtual void append(const std::string& node, const std::string& instance,
                      const std::vector<api::NumberedBatch>& batches, UtcTime now) = 0;
  // Up to which number everything that was appended for the instance is written, at most `highest`.
  // Waits for more until `until`.
  virtual awaitable<std::uint64_t> acked(std::string node, std::string instance,
                                         std::uint64_t highest, SteadyTime until) = 0;
  // The run is over: `entries` are all of it, and take the place of what was written so far.
  virtual awaitable<Result<>> finish(std::string run, std::vector<api::RunLogEntry> entries) = 0;
  virtual awaitable<Result<>> remove(std::string run) = 0;
  // Empty: in order; else why nothing can be written.
  [[nodiscard]] virtual const std::string& error() const = 0;
  // Whoever waits goes on.
  virtual void close() = 0;
};

}  // namespace faultline::controller
