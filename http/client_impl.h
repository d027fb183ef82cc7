// SPDX-License-Identifier: Apache-2.0
// The connection of a Client, and a request's turn on it. Internal to http/. Not thread-safe.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "http/client.h"
#include "http/deadline.h"
#include "http/stream.h"

namespace faultline::http {

inline constexpr auto kTuple = boost::asio::as_tuple(boost::asio::use_awaitable);

using RequestMessage = boost::beast::http::request<boost::beast::http::string_body>;

// All coroutines are given a shared_ptr to this, so that a Client may be destroyed while a request
// is under way.
struct Client::Impl : std::enable_shared_from_this<Client::Impl> {
  Impl(boost::asio::any_io_executor executor, ClientOptions opts);

  boost::asio::awaitable<Result<>> connect();
  // Ends what is pending with operation_aborted.
  void drop();
  // A kept connection on which the server has hung up, or has something to say unasked.
  [[nodiscard]] bool stale();

  // kInvalid: not to be sent.
  [[nodiscard]] Result<> check(const std::string& method, const std::string& target,
                               const RequestExtras& extras) const;
  // Asks for the token.
  [[nodiscard]] Result<RequestMessage> message(const std::string& method, const std::string& target,
                                               std::string body, const RequestExtras& extras) const;
  // Why there is no answer.
  [[nodiscard]] Error lost(const boost::system::error_code& ec,
                           std::chrono::milliseconds limit) const;
  [[nodiscard]] std::string peer() const { return host + ":" + port; }

  ClientOptions options;
  std::string options_problem;  // not empty: nothing can be requested
  std::string host, port, authority, prefix;
  std::shared_ptr<Stream::Context> context;  // null: plain
  std::string certificate_problem;           // of the server, found during the handshake
  boost::asio::ip::tcp::resolver resolver;
  Stream stream;
  boost::beast::flat_buffer buffer;
  Deadline deadline;
  bool busy = false;
  bool closed = false;  // close() was called during the request under way

 private:
  [[nodiscard]] Result<> read_url();
  boost::asio::awaitable<boost::system::error_code> connect_tcp();
  boost::asio::awaitable<boost::system::error_code> connect_tls();
};

using ClientImplPtr = std::shared_ptr<Client::Impl>;

// A request that ends in any other way than an answer (an error, its coroutine cancelled or
// destroyed) leaves no connection behind on which a late answer could meet the next request.
class Turn {
 public:
  explicit Turn(ClientImplPtr impl) : impl_(std::move(impl)) {
    impl_->busy = true;
    impl_->closed = false;
  }
  ~Turn() {
    impl_->busy = false;
    impl_->deadline.stop();
    if (!keep_) impl_->drop();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  void keep() { keep_ = true; }

 private:
  ClientImplPtr impl_;
  bool keep_ = false;
};

// Client::events() and Client::lines().
boost::asio::awaitable<Result<>> run_events(ClientImplPtr self, std::string target,
                                            std::function<bool(const ServerEvent&)> on_event,
                                            std::chrono::milliseconds idle_timeout);
boost::asio::awaitable<Result<int>> run_lines(ClientImplPtr self, std::string target,
                                              std::function<bool(std::string_view)> on_line,
                                              std::chrono::milliseconds idle_timeout,
                                              std::function<void()> on_open);

}  // namespace faultline::http
