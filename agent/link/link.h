// SPDX-License-Identifier: Apache-2.0
// The conversation with the controller over HTTP: one request at a time on one kept connection, a
// long poll while idle, twice a second while a run is up. Uses the io_context's thread only; the
// agent has it on a thread of its own (link_thread.h).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/link/backoff.h"
#include "agent/link/conversation.h"
#include "agent/link/lease.h"
#include "base/clock.h"
#include "http/client.h"

namespace faultline::agent {

struct LinkOptions {
  std::string controller;  // http://127.0.0.1:7878, https://faultline-controller.faultline.svc:7878
  std::string token_file;  // read before each request: tokens of Kubernetes change
  std::string node;
  // Whom to believe that it is the controller, PEM; read again after each failure, since
  // authorities change too. Empty: the system's.
  std::string ca_file;
};

// What the next request says for the owner, and how it is sent.
struct OwnerNews {
  std::vector<api::RunBatch> batches;  // new ones
  Conversation::Situation situation;
  // The shortest lease of a run with armed faults.
  std::optional<std::chrono::nanoseconds> armed_lease;
  bool acting = false;  // some of them inject
};

// What the link asks of its owner. All are called on the link's event loop.
struct LinkOwner {
  // Before each request, which waits for it, and until the link is stopped.
  std::function<boost::asio::awaitable<OwnerNews>()> news;
  // The whole desired state. Must not wait.
  std::function<void(api::SyncResponse response, AnswerTimes times)> answered;
};

struct LinkCounts {
  std::uint64_t answered = 0, failed = 0;
  std::optional<SteadyTime> last_answer;
  std::string last_error;  // empty: the newest request was answered
};

class ControllerLink {
 public:
  // `clock` outlives this.
  ControllerLink(boost::asio::any_io_executor executor, const Clock& clock, LinkOptions options,
                 Conversation conversation, LinkOwner owner);

  // Errors: as http::load_token(); the file of authorities cannot be read.
  Result<> read_files();
  // Talks until stop().
  boost::asio::awaitable<void> run();
  // Something is to be told now: ends a long poll, or a pause after a failure.
  void wake();
  // Ends run().
  void stop();
  // After run() has ended: sends what is left, while the controller answers and time is left.
  // False: something was not acknowledged.
  boost::asio::awaitable<bool> flush(std::chrono::milliseconds limit);

  [[nodiscard]] const LinkCounts& counts() const { return counts_; }
  [[nodiscard]] Conversation& conversation() { return conversation_; }

 private:
  enum class Outcome { kAnswered, kFailed, kInterrupted, kSentOn };
  boost::asio::awaitable<void> learn();
  boost::asio::awaitable<Outcome> exchange(double most_wait, std::chrono::milliseconds slack);
  [[nodiscard]] std::string newest_token();
  void connect_to(const std::string& address);
  bool follow(const http::ClientResponse& response);

  const Clock& clock_;
  LinkOptions options_;
  Conversation conversation_;
  LinkOwner owner_;
  Conversation::Situation situation_;  // as the owner told it last
  std::optional<std::chrono::nanoseconds> armed_lease_;
  boost::asio::any_io_executor executor_;
  boost::asio::steady_timer timer_;
  std::string token_, authorities_;  // as read last
  std::unique_ptr<http::Client> client_;
  std::string leader_;  // where it is connected to, if not where the options say
  int sent_on_ = 0;     // times in a row
  Backoff backoff_;
  LinkCounts counts_;
  std::string files_error_;  // said last; empty: they could be read
  bool stopping_ = false;
  bool polling_ = false;  // a long poll is under way that wake() may end
  bool woken_ = false;
  bool progress_ = false;  // the newest answer told or took something
};

}  // namespace faultline::agent
