// SPDX-License-Identifier: Apache-2.0
// Async HTTP/1.1 server, plain or through TLS (docs/decisions/0014-tls.md). The only folder that
// includes Boost.Beast. Handlers are coroutines on the server's executor; a handler that blocks
// must move to a worker itself. Not thread-safe: one io_context, one thread runs it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace faultline::http {

// Who is asking.
struct Identity {
  std::string role;  // what routes allow: "agent", "person"; empty: nobody that is known
  std::string user;  // of a person, e.g. "jane@example.com"; may be empty
  std::vector<std::string> groups;
  std::string node;  // of an agent: the only one it may act for; empty: any
  // Of a person, where an authority beyond us said who it is; asked with `user` and `groups` when
  // that authority is asked what they may.
  std::string uid;
  std::map<std::string, std::vector<std::string>> extra;

  // For logs and records: the user, else the role.
  [[nodiscard]] const std::string& name() const { return user.empty() ? role : user; }
};

// Of a client's certificate, which was verified when the connection began.
struct ClientCertificate {
  std::string common_name;  // of several the last, as Go and so Kubernetes takes it; empty: none
  std::vector<std::string> organizations;
  std::chrono::sys_seconds expires;  // a connection may outlive it
};

// Where a handler or a stream function waits, the wait is cancelled (boost::system::system_error
// with operation_aborted is thrown into it) when nobody needs its answer any more: the client
// closed the connection, the handler time-out is over, or stop() lost its patience. Let it pass
// through, and let destructors clean up.
struct Request {
  std::string method;                          // GET, POST, DELETE ...
  std::string path;                            // decoded, without the query
  std::map<std::string, std::string> params;   // {name} parts of the route's pattern
  std::map<std::string, std::string> query;    // decoded
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::shared_ptr<void> held;  // what the body takes of the server's budget: a handler that goes on
                               // for long without the body frees the body, and then resets this
  std::string peer;            // "127.0.0.1:4711"
  ClientCertificate client;
  Identity who;  // set by the authenticator; empty on routes that everybody may call
};

// Writes one server-sent event. Returns an error when the client is gone: the stream function
// should then return.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual boost::asio::awaitable<Result<>> send(std::string event, std::string data,
                                                std::string id) = 0;
  // Sends a comment so that proxies keep the connection.
  virtual boost::asio::awaitable<Result<>> keep_alive() = 0;
};

// Writes the next bytes of an answer whose length is not known when it begins. Returns an error
// when the client is gone: the function should then return.
class BodySink {
 public:
  virtual ~BodySink() = default;
  virtual boost::asio::awaitable<Result<>> write(std::string bytes) = 0;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::map<std::string, std::string> headers;
  // When set, the body is ignored and the function writes a text/event-stream until it returns.
  std::function<boost::asio::awaitable<void>(EventSink&)> stream;
  // When set, the body is ignored and the function writes it piece by piece (chunked), so that it
  // is never whole in memory. A function that throws breaks the connection, which tells the client
  // that the answer is not whole.
  std::function<boost::asio::awaitable<void>(BodySink&)> body_stream;
};

// application/problem+json (RFC 9457) of an error: status by Errc, `title` by status, `detail` =
// message.
[[nodiscard]] Response problem(const Error& error);
[[nodiscard]] Response problem(int status, std::string detail);

using Handler = std::function<boost::asio::awaitable<Response>(Request)>;

struct RouteOptions {
  // Bytes of a body; 413 beyond, before anything of it is read. Nothing: ServerOptions::max_body
  // for POST, PUT and PATCH, none at all for other methods.
  std::optional<std::size_t> max_body;
  // Is answered however often one address asks: for probes, which cost nothing.
  bool always = false;
  // What is refused because there is too much of it gets 503, not 429: for callers that take 429
  // for final.
  bool never_429 = false;
  // Asked before the body is read, when it is known who asks and that they may call the route. An
  // answer refuses the request. May wait; is cancelled like a handler.
  std::function<boost::asio::awaitable<std::optional<Response>>(const Request&)> before;
};
// Who is asking? The request has no body yet. Not asked for routes that everybody may call. May
// wait; is cancelled like a handler. kUnavailable becomes 503 (nobody can tell now), kDenied 403,
// kInternal 500, every other error 401, with the error's message. Compare tokens in constant time.
using Authenticator = std::function<boost::asio::awaitable<Result<Identity>>(const Request&)>;

// Files in PEM form, which may change while the server runs: each new connection uses what is there
// then. A file that is broken leaves the old ones in use, and the log says so once.
struct ServerTls {
  std::string certificate_file;  // the server's, and what is between it and its CA
  std::string key_file;
  std::string client_ca_file;  // not empty: clients are asked for a certificate of these CAs. One
                               // without goes on, one with another is refused.
  bool client_ca_optional = false;  // while that file is not there nobody is asked
};

struct ServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;                    // 0: any free port, see Server::port()
  std::optional<ServerTls> tls;              // else plain
  std::size_t max_body = 4 << 20;            // bytes; 413 beyond
  std::size_t max_header = 16 << 10;         // bytes; 431 beyond
  std::size_t max_fields = 100;              // of a header; 431 beyond
  std::chrono::seconds header_timeout{10};   // for a TLS handshake, for a request to arrive; 408
  std::chrono::seconds idle_timeout{75};     // between requests on a kept connection
  std::chrono::seconds handler_timeout{90};  // not for streams; 504

  // Budgets: docs/decisions/0021-door-budgets.md has the reasons. A connection has a name as soon
  // as the authenticator has said who it is. Beyond a number of connections the longest idle one
  // without a name is closed for a new one; where none is idle the new one gets 503.
  std::size_t max_connections = 4096;        // in all
  std::size_t max_unnamed = 1024;            // connections without a name
  std::size_t max_unnamed_of_address = 256;  // of them, of one address (of IPv6: one /64)
  std::size_t max_handshakes = 128;          // of TLS, under way; the oldest is closed beyond
  // Of a user or node: connections, and requests under way; 429 beyond. All users together, nodes
  // not among them, have a quarter of max_connections.
  std::size_t max_of_caller = 32;
  // Bytes of bodies that are received or handled; 503 beyond. Callers without a name have an eighth
  // of it, one with a name a quarter; the last quarter is for bodies that are told beforehand to be
  // at most 64 KiB long.
  std::size_t max_bodies = 64 << 20;
  std::size_t max_answers = 64 << 20;  // bytes of answers that are being sent; 503 beyond
  // Requests a second, 429 beyond: of an address without a name (twice that at once), of a caller
  // with one (four times), and wrong tokens of an address (five times;
  // what was good before is always looked at).
  double unnamed_per_second = 200, caller_per_second = 100, wrong_tokens_per_second = 20;
};

// What a server refused since it started, by reason: see ServerOptions.
struct Refusals {
  std::uint64_t connections = 0;  // nobody could be closed for it
  std::uint64_t idle = 0;         // closed for another one
  std::uint64_t handshakes = 0;   // closed for another one
  std::uint64_t callers = 0;      // too many of one caller
  std::uint64_t rates = 0;        // too often
  std::uint64_t bodies = 0;
  std::uint64_t answers = 0;
};

class Server {
 public:
  // Does not listen yet.
  Server(boost::asio::any_io_executor executor, ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // `pattern` like "/api/v1/nodes/{node}/sync". `allowed` are the roles that may call it;
  // empty: everybody. An unknown path is 404, a known path with another method 405 with Allow, a
  // missing or wrong identity 401 or 403.
  void route(std::string method, std::string pattern, std::vector<std::string> allowed,
             Handler handler, RouteOptions options = {});
  void authenticator(Authenticator authenticator);
  // Told of each request that is refused before its route is asked, as nobody knows who asks or as
  // they may not (401, 403), with the response's problem. Must not wait.
  void denied(std::function<void(const Request&, const Response&)> told);
  // All routes and functions must be set before start(). The io_context must outlive the
  // Server; handlers under way may outlive it and keep what they share with it alive.

  // Binds and accepts. Errors: address in use, no permission, a certificate that is not good ...
  Result<> start();
  [[nodiscard]] std::uint16_t port() const;
  // Goes on counting; may outlive the server. To be read on its thread.
  [[nodiscard]] std::shared_ptr<const Refusals> refusals() const;
  // Stops accepting, ends streams and idle connections at once, and lets running handlers finish
  // for at most `grace`. Then cancels them (a long poll gets 503) and closes. Completes when all
  // are gone, or 2 s after `grace` with an error in the log if a handler ignores its cancellation.
  // Not to be awaited by a handler.
  boost::asio::awaitable<void> stop(std::chrono::milliseconds grace);

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace faultline::http
