// SPDX-License-Identifier: Apache-2.0
// What a controller writes down of a run where other controllers can read it, entry by entry: all
// entries of a run, in order, are the run. controller/store/journal.h.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/run_record.h"

namespace faultline::api {

struct LoggedBatch {
  std::string node, instance;
  std::uint64_t number = 0;  // NumberedBatch::number
  RunBatch batch;            // times already on the controller's clock
};
BOOST_DESCRIBE_STRUCT(LoggedBatch, (), (node, instance, number, batch))

struct RunLogEntry {
  Timestamp at;
  std::optional<RunRecord> head;  // the newest; without what is in batches. The first entry has it.
  std::optional<RunState> ending;  // of the head: decided, but the run was not over yet
  std::vector<LoggedBatch> batches;
};
BOOST_DESCRIBE_STRUCT(RunLogEntry, (), (at, head, ending, batches))

}  // namespace faultline::api
