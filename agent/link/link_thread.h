// SPDX-License-Identifier: Apache-2.0
// The link to the controller, and what answers probes, on a thread of their own. Their owner's loop
// may be in the kernel's verifier for seconds, longer where the agent has little CPU: meanwhile the
// controller goes on hearing this node and probes are answered, but nobody's lease is renewed. A
// lease says that the agent can end its faults, so only the owner's loop renews one.
//
// The link speaks for a silent owner with what that said last: while no fault acts, and for
// kMostSilence at most. Otherwise it says nothing until the owner speaks again, so that the
// controller misses an agent that hangs.
//
// Construct, start and destroy it on the owner's thread; what else may be called from where is
// written there. The owner's loop outlives it and does not run while it is destroyed.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "agent/link/link.h"

namespace faultline::agent {

class LinkThread {
 public:
  // What is asked of the owner, on its loop.
  struct Owner {
    std::function<OwnerNews()> news;
    // The whole desired state. Of answers that came while the owner was busy only the newest is
    // given to it.
    std::function<void(const api::SyncResponse& response, AnswerTimes times)> answered;
  };

  // `clock` and `owner_loop` outlive it.
  LinkThread(boost::asio::io_context& owner_loop, const Clock& clock, LinkOptions options,
             Conversation conversation, Owner owner);
  LinkThread(const LinkThread&) = delete;
  LinkThread& operator=(const LinkThread&) = delete;
  ~LinkThread();

  // Before start(), on the owner's thread; afterwards on this thread only.
  [[nodiscard]] ControllerLink& link() { return link_; }
  [[nodiscard]] const ControllerLink& link() const { return link_; }
  [[nodiscard]] boost::asio::io_context::executor_type executor() { return loop_.get_executor(); }
  // Starts the thread and talks until end().
  void start();
  // Ends the thread wherever it is; nothing runs there afterwards. What has a part in executor() is
  // destroyed after that, and before this.
  void stop_thread();

  // On the owner's loop.
  void wake();                               // as ControllerLink::wake()
  void pods(std::vector<api::PodRef> pods);  // tells the controller when they are others

  // On this thread. For how long the owner has not answered a question; 0: it has.
  [[nodiscard]] std::chrono::nanoseconds silence() const;
  // Ends the conversation: what is left to tell is sent within `limit`. False: not all of it. The
  // owner answers meanwhile.
  boost::asio::awaitable<bool> end(std::chrono::milliseconds limit);

  static constexpr std::chrono::milliseconds kPatience{200};  // for what the owner has to say
  static constexpr std::chrono::minutes kMostSilence{5};

 private:
  boost::asio::awaitable<OwnerNews> news();
  void ask();
  void answered(api::SyncResponse response, AnswerTimes times);

  boost::asio::io_context& owner_loop_;
  const Clock& clock_;
  Owner owner_;
  boost::asio::io_context loop_{1};
  boost::asio::steady_timer came_timer_, done_timer_;
  ControllerLink link_;
  std::optional<OwnerNews> came_;       // and nobody has taken it yet
  std::optional<SteadyTime> asked_at_;  // the owner has not answered yet
  OwnerNews last_;                      // without batches: as it told it, or as answers say since
  bool started_ = false, ending_ = false, ended_ = false;

  struct Answer {
    api::SyncResponse response;
    AnswerTimes times;
  };
  std::mutex mutex_;  // of answer_
  std::optional<Answer> answer_;

  std::thread thread_;
};

}  // namespace faultline::agent
