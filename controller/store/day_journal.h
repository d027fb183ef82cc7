// SPDX-License-Identifier: Apache-2.0
// Where game days are kept beside the store of one controller, so that another one can go on with
// them (journal.h is the same of runs). What is written here has happened: the store is a copy. On
// the event loop's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>
#include <vector>

#include "api/gameday_record.h"
#include "base/result.h"

namespace faultline::controller {

class DayJournal {
 public:
  virtual ~DayJournal() = default;
  template <class T>
  using awaitable = boost::asio::awaitable<T>;
  // A day with its timeline.
  using Give = std::function<awaitable<Result<>>(api::GameDayRecord)>;

  // All days, oldest first; one of which not all can be read is over, as failed. Before the first
  // is given, whoever wrote to those under way before cannot any more. kUnavailable: it cannot be
  // reached; try again.
  virtual awaitable<Result<>> take_over(Give give) = 0;
  // Returns when it is written. kConflict: the day exists; kInvalid: it is too large; kUnavailable:
  // the controller is ending, and it may have been written all the same.
  virtual awaitable<Result<>> create(api::GameDayRecord record) = 0;
  // Returns when the entries are written, however long that takes: what was tried may have arrived,
  // and nothing else can take its place. kUnavailable: the controller is ending, or another one
  // leads; kInvalid: they can never be written; kInternal: the day is over and cannot be read.
  virtual awaitable<Result<>> append(std::string day, std::vector<api::DayEntry> entries) = 0;
  // Whoever waits goes on.
  virtual void close() = 0;
};

}  // namespace faultline::controller
