// SPDX-License-Identifier: Apache-2.0
// What the server and its connections share. Internal to http/.
//
// Lifetimes: everything here lives on one thread, in coroutines that may outlast the call that
// started them. So each coroutine holds shared_ptrs to all it uses: a connection to its Session,
// the Session to Impl, a handler's coroutine to Impl (which owns the closure that the coroutine
// runs in). Impl knows its sessions by plain pointers, and a Session strikes itself off in its
// destructor: no cycle, and when the io_context is destroyed the frames go first and take the rest
// with them. The io_context must outlive the Server.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <unordered_set>

#include "http/certificates.h"
#include "http/door.h"
#include "http/router.h"
#include "http/server.h"

namespace faultline::http {

// One connection. Not thread-safe.
class Session {
 public:
  virtual ~Session() = default;
  // No further request: closes at once when none is under way, and ends a stream.
  virtual void wind_down() = 0;
  // Cancels the handler under way; the client gets 503.
  virtual void cancel() = 0;
  virtual void close() = 0;
  // Nothing is being done for it now: it is in its handshake, sends a request, or is silent.
  [[nodiscard]] virtual bool dispensable() const = 0;

  Seat seat;  // of the door
};

struct Server::Impl : std::enable_shared_from_this<Server::Impl> {
  Impl(boost::asio::any_io_executor ex, ServerOptions opts)
      : executor(ex), options(std::move(opts)), acceptor(ex), gone(ex), door(options) {}

  boost::asio::any_io_executor executor;
  ServerOptions options;
  Router router;
  Authenticator authenticator;
  std::function<void(const Request&, const Response&)> denied;
  std::optional<Certificates> certificates;  // without them the server is plain
  boost::asio::ip::tcp::acceptor acceptor;
  std::uint16_t port = 0;
  bool stopping = false;
  std::unordered_set<Session*> sessions;
  std::size_t handlers = 0;        // under way, also those that nobody waits for any more
  boost::asio::steady_timer gone;  // woken when a session or handler has ended
  Door door;

  [[nodiscard]] bool idle() const { return sessions.empty() && handlers == 0; }
};

// Serves the connection until it ends, or refuses it when the door has no room.
void start_session(std::shared_ptr<Server::Impl> server, boost::asio::ip::tcp::socket socket);
// Answers 503, without reading anything, and closes. With TLS there is no answer: a handshake is
// what the server has no room for.
void refuse_connection(const Server::Impl& server, boost::asio::ip::tcp::socket socket);

}  // namespace faultline::http
