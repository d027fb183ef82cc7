// SPDX-License-Identifier: Apache-2.0
// One handler, stream function or authenticator under way, raced against time, the client and the
// end of the server. Internal to http/.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <exception>
#include <memory>
#include <optional>

#include "http/server_impl.h"
#include "http/stream.h"

namespace faultline::http {

// The handler's coroutine shares it with the connection that waits; either may go first.
struct Call {
  explicit Call(const boost::asio::any_io_executor& executor) : wake(executor) {}

  boost::asio::cancellation_signal cancel;        // of the handler
  boost::asio::cancellation_signal watch_cancel;  // of the look-out for the client
  boost::asio::steady_timer wake;                 // of the connection
  bool done = false;
  bool client_gone = false;
  bool cancelled = false;  // we asked the handler to end
  bool force = false;      // the server ends and waits no longer
  bool watching = false;
  std::exception_ptr error;
  std::optional<Response> response;  // of a handler
  Request request;                   // of an authenticator, which may outlive the connection
  Result<Identity> who;              // of an authenticator
  std::optional<Response> refused;   // by the route, before the body is read

  void abandon() {
    if (done || cancelled) return;
    cancelled = true;
    cancel.emit(boost::asio::cancellation_type::terminal);
  }
  // The look-out reads, so nobody else may until `watching` is false. A signal must not reach an
  // operation that has ended: it would touch a socket that may be gone.
  void stop_watching() {
    if (watching) watch_cancel.emit(boost::asio::cancellation_type::terminal);
  }
  [[nodiscard]] bool aborted() const;  // `error` is the answer to abandon()
};

// Starts it as a coroutine of its own; `call->wake` is cancelled when it is done.
void start_handler(const std::shared_ptr<Server::Impl>& server, const std::shared_ptr<Call>& call,
                   const Route& route, Request request);
// `owner` is kept alive as long as the stream function runs: it owns the sink.
void start_stream(const std::shared_ptr<Server::Impl>& server, const std::shared_ptr<Call>& call,
                  std::function<boost::asio::awaitable<void>(EventSink&)> stream, EventSink& sink,
                  std::shared_ptr<void> owner);

// Asks who `call->request` is from, if the route is not for everybody, and then the route whether
// it refuses the request without its body.
void start_authenticator(const std::shared_ptr<Server::Impl>& server,
                         const std::shared_ptr<Call>& call, const Route& route);

// Notices that the client closed the connection while the call is under way. What the client sends
// meanwhile is kept in `buffer`, which ends the watch (a pipelined request follows), or thrown
// away. Through TLS only a read can tell the end from the other records, so that is what it is.
// `call->wake` is cancelled when the watch ends.
void watch_client(const std::shared_ptr<void>& owner, Stream& stream,
                  boost::beast::flat_buffer& buffer, const std::shared_ptr<Call>& call,
                  bool throw_away);

// "what()" of any exception.
[[nodiscard]] std::string exception_words(const std::exception_ptr& error);

}  // namespace faultline::http
