// SPDX-License-Identifier: Apache-2.0
// A time limit for operations on a socket. Internal to http/. Not thread-safe.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace faultline::http {

// Calls `on_expiry` once for each start() that is not followed by stop() in time, and never after
// its own end. `on_expiry` must make the pending operation end.
class Deadline {
 public:
  Deadline(const boost::asio::any_io_executor& executor, std::function<void()> on_expiry)
      : state_(std::make_shared<State>(executor, std::move(on_expiry))) {}
  ~Deadline() { stop(); }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  void start(std::chrono::milliseconds limit) {
    const std::uint64_t round = ++state_->round;
    state_->expired = false;
    state_->timer.expires_after(limit);
    state_->timer.async_wait([state = state_, round](const boost::system::error_code& ec) {
      if (ec || state->round != round) return;
      state->expired = true;
      state->on_expiry();
    });
  }
  void stop() {
    ++state_->round;
    state_->timer.cancel();
  }
  [[nodiscard]] bool expired() const { return state_->expired; }

 private:
  struct State {
    State(const boost::asio::any_io_executor& executor, std::function<void()> call)
        : timer(executor), on_expiry(std::move(call)) {}
    boost::asio::steady_timer timer;
    std::function<void()> on_expiry;
    std::uint64_t round = 0;
    bool expired = false;
  };
  std::shared_ptr<State> state_;
};

}  // namespace faultline::http
