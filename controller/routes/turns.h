// SPDX-License-Identifier: Apache-2.0
// Only so many do something dear at a time; the others wait for their turn. Callers take turns: who
// asks a hundred times waits behind who asks once. When too many wait, the newest of the caller
// with the most of them is refused. Not thread-safe.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace faultline::controller {

class Turns {
 public:
  struct Limits {
    std::size_t under_way = 1;   // at once
    std::size_t waiting = 256;   // of all callers
    std::size_t of_caller = 24;  // under way or waiting
    std::chrono::seconds patience{8};
  };
  // `clock` must outlive this.
  Turns(const Clock& clock, Limits limits);

  // Whoever gets one holds a turn until it lets go of it; it may outlive this. Errors:
  // kUnavailable, it did not come in time or too many wait, with a sentence about `what`
  // ("questions"). A coroutine that is cancelled while it waits gets operation_aborted.
  [[nodiscard]] boost::asio::awaitable<Result<std::shared_ptr<void>>> take(std::string caller,
                                                                           std::string what);

 private:
  struct Waiter;
  struct State;

  const Clock& clock_;
  Limits limits_;
  std::shared_ptr<State> state_;
};

}  // namespace faultline::controller
