// SPDX-License-Identifier: Apache-2.0
// Wakes coroutines of one event loop. Not thread-safe. Must outlive those that wait.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <list>

#include "base/clock.h"

namespace faultline::controller {

class Signal {
 public:
  explicit Signal(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  // True: notify() was called; false: it is late. Look at what you wait for before and after, with
  // no other wait in between, and nothing is missed. A cancelled coroutine gets operation_aborted.
  boost::asio::awaitable<bool> wait(SteadyTime until) {
    const auto self = waiting_.emplace(waiting_.end(), executor_, until);
    struct Leave {
      std::list<Waiter>& all;
      std::list<Waiter>::iterator self;
      ~Leave() { all.erase(self); }
    } leave{waiting_, self};
    boost::system::error_code error;
    co_await self->timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, error));
    if (self->notified) co_return true;
    if (error) throw boost::system::system_error(error);
    co_return false;
  }

  void notify() {
    for (Waiter& waiter : waiting_) {
      waiter.notified = true;
      waiter.timer.cancel();
    }
  }

 private:
  struct Waiter {
    Waiter(const boost::asio::any_io_executor& executor, SteadyTime until)
        : timer(executor, until) {}
    boost::asio::steady_timer timer;
    bool notified = false;
  };
  boost::asio::any_io_executor executor_;
  std::list<Waiter> waiting_;
};

}  // namespace faultline::controller
