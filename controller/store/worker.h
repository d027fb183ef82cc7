// SPDX-License-Identifier: Apache-2.0
// One named thread for what blocks. run() may be called from the event loop's thread only; what it
// runs must not touch what belongs to the loop.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>

namespace faultline::controller {

class Worker {
 public:
  explicit Worker(const std::string& name);  // at most 15 characters: `top -H` shows it
  ~Worker();                                 // waits for what is under way
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // The result of `work()`, which must not throw. Jobs run in the order of the calls. The wait is
  // never cancelled: who stores something learns whether it is stored, even when the client that
  // sent it is gone.
  //
  // After join() nothing is run: whoever asks is not resumed, and does not keep the loop from
  // ending.
  //
  // Pass a named lambda: g++ 12 destroys a temporary with captures twice when it is written inside
  // a co_await expression (GCC bug 99576).
  template <class Work>
  boost::asio::awaitable<std::invoke_result_t<Work>> run(Work work) {
    using Out = std::invoke_result_t<Work>;
    namespace asio = boost::asio;
    const auto loop = co_await asio::this_coro::executor;
    auto initiate = [this, loop, work = std::move(work)](auto handler) mutable {
      // The pool would keep the job, and with it the work guard of the loop.
      if (joined_) return;
      auto done = std::make_shared<decltype(handler)>(std::move(handler));
      auto job = [done, work = std::move(work), guard = asio::make_work_guard(loop)]() mutable {
        auto out = std::make_shared<Out>(work());
        asio::post(guard.get_executor(),
                   [done = std::move(done), out] { (*done)(std::move(*out)); });
      };
      asio::post(pool_, std::move(job));
    };
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Out)>(
        std::move(initiate), asio::use_awaitable);
  }

  // Waits for what was asked before. From the event loop's thread, too.
  void join() {
    joined_ = true;
    pool_.join();
  }

 private:
  bool joined_ = false;
  boost::asio::thread_pool pool_{1};
};

}  // namespace faultline::controller
