// SPDX-License-Identifier: Apache-2.0
// The thread for what blocks, at the end of the loop that it works for.
#include "controller/store/worker.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

namespace faultline::controller {
namespace {

TEST(Worker, WhatWasAskedBeforeItIsJoinedIsDoneAndWhatIsAskedAfterwardsHoldsNobodyUp) {
  boost::asio::io_context loop;
  Worker worker("fl-test");
  int done = 0;
  bool left = false;
  struct Leave {
    bool& left;
    ~Leave() { left = true; }
  };
  const auto ask = [&]() -> boost::asio::awaitable<void> {
    const Leave leave{left};
    const auto one = [] { return 1; };
    done += co_await worker.run(one);
    done += co_await worker.run(one);  // the worker was joined meanwhile
    ADD_FAILURE() << "nothing runs any more";
  };
  const auto join = [&]() -> boost::asio::awaitable<void> {
    worker.join();
    co_return;
  };
  boost::asio::co_spawn(loop, ask, boost::asio::detached);
  boost::asio::co_spawn(loop, join, boost::asio::detached);
  loop.run_for(std::chrono::seconds(20));
  EXPECT_TRUE(loop.stopped()) << "the loop still waits for the worker";
  EXPECT_EQ(done, 1);
  EXPECT_TRUE(left) << "what the coroutine had is given back";
}

}  // namespace
}  // namespace faultline::controller
