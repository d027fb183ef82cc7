// SPDX-License-Identifier: Apache-2.0
// Where runs are kept beside the store of one controller, so that another one can go on with them.
// The store is then a copy, from which everything is read; what is in the journal is what a change
// of controller does not lose. On the event loop's thread.
//
// Nothing waits for the journal but acknowledgements: while it cannot be reached, runs go on, and
// agents keep what is not in it yet. Only a run that begins must be written first.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/run_log.h"
#include "base/clock.h"
#include "base/result.h"

namespace faultline::controller {

struct JournalState {
  std::string error;                    // of the last request; empty: in order
  std::chrono::nanoseconds waiting{0};  // how long the oldest write has waited
  std::size_t waiting_bytes = 0;        // of batches that are not written yet
  std::uint64_t left_out = 0;           // batches and heads since the start: refused for good
};

class Journal {
 public:
  virtual ~Journal() = default;
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  // Takes one entry of a run; entries of a run come in their order. An error ends the reading.
  using Give = std::function<awaitable<Result<>>(api::RunLogEntry)>;
  // The next entry of a run; nothing after the last one.
  using Next = std::function<awaitable<Result<std::optional<api::RunLogEntry>>>()>;

  // The runs that no controller finished. Before the first entry is given, whoever wrote to them
  // before cannot any more. kUnavailable: it cannot be reached; try again.
  virtual awaitable<Result<>> take_over(Give give) = 0;
  // The runs that are over. Until it has returned once without an error, finish() is kUnavailable.
  virtual awaitable<Result<>> finished(Give give) = 0;

  // Returns when it is written; kConflict: the run exists.
  virtual awaitable<Result<>> create(api::RunRecord head) = 0;
  // False: there was no time any more (close()). Else it is written, or can never be (left_out).
  virtual awaitable<bool> update(api::RunRecord head, std::optional<api::RunState> ending) = 0;
  // Written soon. What is too large for the journal, or for the room that is left while it cannot
  // be reached, is left out of it, which a gap of the run in the journal says; other runs go on.
  virtual void append(const std::string& node, const std::string& instance,
                      const std::vector<api::NumberedBatch>& batches, UtcTime now) = 0;
  // Up to which number everything that was appended for the instance is written, at most `highest`.
  // Waits for more until `until`.
  virtual awaitable<std::uint64_t> acked(std::string node, std::string instance,
                                         std::uint64_t highest, SteadyTime until) = 0;
  // The run is over: what `next` gives is all of it, and takes the place of what was written so
  // far.
  virtual awaitable<Result<>> finish(std::string run, Next next) = 0;
  virtual awaitable<Result<>> remove(std::string run) = 0;
  [[nodiscard]] virtual JournalState state() const = 0;
  // Whoever waits goes on.
  virtual void close() = 0;
};

}  // namespace faultline::controller
