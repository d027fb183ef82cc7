// SPDX-License-Identifier: Apache-2.0
// One connection: request, answer, and again.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include "http/call.h"
#include "http/deadline.h"
#include "http/event_parser.h"
#include "http/problem.h"
#include "http/target.h"
#include "http/write.h"

namespace faultline::http {
namespace {

namespace asio = boost::asio;
namespace bhttp = boost::beast::http;
using asio::awaitable;
using boost::system::error_code;
using Parser = bhttp::request_parser<bhttp::string_body>;
using std::chrono::milliseconds;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

// A refused request with a longer body ends the connection instead of being read to its end.
constexpr std::uint64_t kReadAnyway = 64 << 10;
// A client that does not take what we send is dropped after this.
constexpr std::chrono::seconds kWriteTimeout{30};
// How long a cancelled handler may take to give its answer when the server ends.
constexpr milliseconds kCancelGrace{250};
constexpr const char* kInternal = "internal error; the log of the server has more";

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

std::string endpoint_words(const asio::ip::tcp::socket& socket) {
  error_code ec;
  const auto peer = socket.remote_endpoint(ec);
  if (ec) return "?";
  const std::string address = peer.address().to_string();
  return (peer.address().is_v6() ? "[" + address + "]" : address) + ":" +
         std::to_string(peer.port());
}

class TcpSession final : public Session,
                         public EventSink,
                         public std::enable_shared_from_this<TcpSession> {
 public:
  TcpSession(std::shared_ptr<Server::Impl> server, asio::ip::tcp::socket socket)
      : server_(std::move(server)),
        socket_(std::move(socket)),
        deadline_(server_->executor, [this] { stop_waiting(); }),
        buffer_(server_->options.max_header + (64 << 10)),
        peer_(endpoint_words(socket_)) {
    error_code ignored;  // without it answers are only later
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    server_->sessions.insert(this);
  }
  ~TcpSession() override {
    server_->sessions.erase(this);
    server_->gone.cancel();
  }

  void wind_down() override {
    if (waiting_) return close();
    if (streaming_) cancel();
  }
  void cancel() override {
    if (!call_) return close();
    call_->force = true;
    call_->wake.cancel();
  }
  void close() override {
    error_code ignored;
    socket_.close(ignored);
    if (call_) call_->client_gone = true;
    if (call_) call_->wake.cancel();
  }

  awaitable<void> serve() {
    while (!server_->stopping && co_await wait_for_request()) {
      Parser parser;
      parser.header_limit(static_cast<std::uint32_t>(server_->options.max_header));
      parser.body_limit(server_->options.max_body);
      deadline_.start(server_->options.header_timeout);
      const auto [ec, n] = co_await bhttp::async_read_header(socket_, buffer_, parser, kTuple);
      if (ec) co_return co_await refuse(ec);
      to_.head = parser.get().method() == bhttp::verb::head;
      to_.version = parser.get().version();
      to_.keep = parser.keep_alive();
      if (!co_await answer(parser) || !to_.keep) break;
    }
    error_code ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    socket_.close(ignored);  // a stream function that does not end keeps this object
  }

  // EventSink, for the stream function of this connection's answer.
  awaitable<Result<>> send(std::string event, std::string data, std::string id) override {
    return write_events(format_event(event, data, id));
  }
  awaitable<Result<>> keep_alive() override { return write_events(":\n\n"); }

 private:
  // The pending operation ends with operation_aborted.
  void stop_waiting() {
    error_code ignored;
    socket_.cancel(ignored);
  }

  // The first byte of a request. A client that never sends one is closed without a word.
  awaitable<bool> wait_for_request() {
    if (buffer_.size() > 0) co_return true;  // pipelined
    deadline_.start(fresh_ ? server_->options.header_timeout : server_->options.idle_timeout);
    fresh_ = false;
    waiting_ = true;
    const auto [ec, n] = co_await socket_.async_read_some(buffer_.prepare(4096), kTuple);
    waiting_ = false;
    buffer_.commit(ec ? 0 : n);
    co_return !ec;
  }

  // Returns whether the connection can go on, as do all below that return a bool.
  awaitable<bool> answer(Parser& parser) {
    Request request;
    request.peer = peer_;
    request.method = std::string(parser.get().method_string());
    for (const auto& field : parser.get()) {
      std::string& value = request.headers[lower(field.name_string())];
      if (!value.empty()) value += ", ";
      value += field.value();
    }
    auto target = parse_target(parser.get().target());
    if (!target) co_return co_await refuse_request(parser, problem(target.error()));
    request.path = std::move(target->path);
    request.query = std::move(target->query);

    Router::Match match = server_->router.find(request.method, target->segments);
    if (!match.route && match.allow.empty())
      co_return co_await refuse_request(parser, problem(404, "there is no " + request.path));
    if (!match.route) {
      Response response =
          problem(405, request.path + " has no " + request.method + ", only " + match.allow);
      response.headers["Allow"] = match.allow;
      co_return co_await refuse_request(parser, std::move(response));
    }
    request.params = std::move(match.params);
    if (auto denied = authorize(*match.route, request))
      co_return co_await refuse_request(parser, std::move(*denied));

    if (!parser.is_done()) {
      if (lower(parser.get()[bhttp::field::expect]) == "100-continue") {
        const std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        co_await asio::async_write(socket_, asio::buffer(go_on), kTuple);
      }
      const auto [ec, n] = co_await bhttp::async_read(socket_, buffer_, parser, kTuple);
      if (ec) {
        co_await refuse(ec);
        co_return false;
      }
    }
    deadline_.stop();
    request.body = std::move(parser.get().body());
    co_return co_await handle(*match.route, std::move(request));
  }

  std::optional<Response> authorize(const Route& route, Request& request) {
    try {
      if (server_->authenticator) request.identity = server_->authenticator(request);
    } catch (...) {
      spdlog::error("authenticator failed: {}", exception_words(std::current_exception()));
      return problem(500, kInternal);
    }
    if (route.allowed.empty()) return std::nullopt;
    if (request.identity.empty()) {
      Response response = problem(401, request.headers.contains("authorization")
                                           ? "the token is not known here"
                                           : "a token is needed: Authorization: Bearer TOKEN");
      response.headers["WWW-Authenticate"] = "Bearer realm=\"faultline\"";
      return response;
    }
    if (std::find(route.allowed.begin(), route.allowed.end(), request.identity) ==
        route.allowed.end())
      return problem(403, "the token of " + request.identity + " may not do this");
    return std::nullopt;
  }

  awaitable<bool> handle(const Route& route, Request request) {
    const std::string what = request.method + " " + request.path + " from " + peer_;
    const auto limit = server_->options.handler_timeout;
    const auto call = std::make_shared<Call>(server_->executor);
    call_ = call;
    start_handler(server_, call, route, std::move(request));
    if (!call->done) watch_client(shared_from_this(), socket_, call, false);
    const bool timed_out = !co_await ended(*call, limit);
    call_.reset();
    if (call->client_gone && !call->done) co_return false;

    if (call->response) {
      if (call->response->stream && !to_.head)
        co_return co_await stream(std::move(*call->response), what);
      if (call->response->stream) call->response->content_type = "text/event-stream";
      co_return co_await respond(std::move(*call->response));
    }
    if (call->force && (!call->done || call->aborted()))
      co_return co_await respond(problem(503, "the server is stopping"));
    if (timed_out && (!call->done || call->aborted())) {
      spdlog::warn("{} took longer than {} s", what, limit.count());
      co_return co_await respond(
          problem(504, "no answer within " + std::to_string(limit.count()) + " s"));
    }
    spdlog::error("{} failed: {}", what, exception_words(call->error));
    co_return co_await respond(problem(500, kInternal));
  }

  // Waits for the end of the call, however it comes. After it nobody waits for the call any more,
  // and it was told so. False: `limit` is over.
  awaitable<bool> ended(Call& call, std::chrono::seconds limit) {
    bool in_time = true;
    call.wake.expires_after(limit);
    while (!call.done && !call.client_gone && !call.force && in_time) {
      const auto [ec] = co_await call.wake.async_wait(kTuple);
      in_time = static_cast<bool>(ec);
    }
    call.stop_watching();
    if (call.done) co_return true;
    call.wake.expires_after(kCancelGrace);  // a handler may still have an answer of its own
    call.abandon();
    while (!call.done && !call.client_gone) {
      const auto [ec] = co_await call.wake.async_wait(kTuple);
      if (!ec) break;
    }
    co_return in_time;
  }

  awaitable<bool> stream(Response response, const std::string& what) {
    deadline_.start(kWriteTimeout);
    if (!co_await write_stream_header(socket_, response, to_)) co_return false;
    deadline_.stop();
    const auto call = std::make_shared<Call>(server_->executor);
    call_ = call;
    streaming_ = true;
    start_stream(server_, call, std::move(response.stream), *this, shared_from_this());
    if (!call->done) watch_client(shared_from_this(), socket_, call, true);
    if (server_->stopping) call->force = true;
    co_await ended(*call, std::chrono::hours(24 * 365));
    streaming_ = false;
    call_.reset();
    if (call->error && !call->aborted())
      spdlog::error("stream of {} failed: {}", what, exception_words(call->error));
    // Without the last chunk the client knows that the stream did not end by itself.
    if (call->client_gone || !call->done || call->error) co_return false;
    deadline_.start(kWriteTimeout);
    co_return to_.version >= 11 && co_await write_chunk(socket_, "", to_);
  }

  awaitable<Result<>> write_events(std::string bytes) {
    const std::shared_ptr<TcpSession> self = shared_from_this();
    if (!streaming_ || !call_ || call_->client_gone)
      co_return fail(Errc::kUnavailable, "the client is gone");
    if (call_->force) co_return fail(Errc::kUnavailable, "the server is stopping");
    deadline_.start(kWriteTimeout);
    const bool written = co_await write_chunk(socket_, std::move(bytes), to_);
    deadline_.stop();
    if (written) co_return Result<>{};
    if (call_) call_->client_gone = true;
    if (call_) call_->wake.cancel();
    co_return fail(Errc::kUnavailable, "the client is gone");
  }

  awaitable<bool> respond(Response response) {
    to_.keep = to_.keep && !server_->stopping;
    deadline_.start(kWriteTimeout);
    co_return co_await write_response(socket_, std::move(response), to_);
  }

  // Answers a request whose body was not read.
  awaitable<bool> refuse_request(Parser& parser, Response response) {
    if (!parser.is_done()) {
      const auto length = parser.content_length();
      const bool waits = !parser.get()[bhttp::field::expect].empty();
      if (length && *length <= kReadAnyway && !waits) {
        const auto [ec, n] = co_await bhttp::async_read(socket_, buffer_, parser, kTuple);
        to_.keep = to_.keep && !ec;
      } else {
        to_.keep = false;
      }
    }
    const bool written = co_await respond(std::move(response));
    if (written && !parser.is_done()) co_await linger();
    co_return written;
  }

  // Answers a request that could not be read.
  awaitable<void> refuse(error_code ec) {
    const ServerOptions& options = server_->options;
    to_ = {11, false, false};
    if (ec == bhttp::error::header_limit || ec == bhttp::error::buffer_overflow) {
      co_await respond(problem(
          431, "the header is longer than " + std::to_string(options.max_header) + " bytes"));
    } else if (ec == bhttp::error::body_limit) {
      co_await respond(
          problem(413, "the body is longer than " + std::to_string(options.max_body) + " bytes"));
    } else if (deadline_.expired()) {
      co_await respond(problem(408, "the request did not arrive within " +
                                        std::to_string(options.header_timeout.count()) + " s"));
    } else if (ec.category() == bhttp::make_error_code(bhttp::error::bad_method).category() &&
               ec != bhttp::error::end_of_stream && ec != bhttp::error::partial_message) {
      co_await respond(problem(400, "not a request of HTTP/1: " + ec.message()));
    } else {
      co_return;  // the client is gone
    }
    co_await linger();
  }

  // Reads on for a moment: closing with unread bytes resets the connection, which could destroy the
  // answer before the client has read it.
  awaitable<void> linger() {
    error_code ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    deadline_.start(std::chrono::seconds(2));
    std::array<char, 16384> bytes;
    for (int i = 0; i < 4096 && !deadline_.expired(); ++i) {  // at most 64 MB
      const auto [ec, n] = co_await socket_.async_read_some(asio::buffer(bytes), kTuple);
      if (ec) break;
    }
  }

  std::shared_ptr<Server::Impl> server_;
  asio::ip::tcp::socket socket_;
  Deadline deadline_;
  boost::beast::flat_buffer buffer_;
  std::string peer_;
  ReplyTo to_;                  // of the request under way
  std::shared_ptr<Call> call_;  // under way, or null
  bool fresh_ = true;           // no request yet
  bool waiting_ = false;        // between requests
  bool streaming_ = false;
};

awaitable<void> run(std::shared_ptr<TcpSession> session) { co_await session->serve(); }

awaitable<void> refuse_one(std::shared_ptr<asio::ip::tcp::socket> shared) {
  asio::ip::tcp::socket& socket = *shared;
  Deadline deadline(socket.get_executor(), [shared] {
    error_code ignored;
    shared->close(ignored);
  });
  deadline.start(std::chrono::seconds(1));
  Response response = problem(503, "too many connections");
  response.headers["Retry-After"] = "1";
  co_await write_response(socket, std::move(response), {11, false, false});
  error_code ignored;
  socket.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  std::array<char, 4096> bytes;  // its request, see linger()
  co_await socket.async_read_some(asio::buffer(bytes), kTuple);
}

}  // namespace

void start_session(std::shared_ptr<Server::Impl> server, asio::ip::tcp::socket socket) {
  const auto executor = server->executor;
  auto session = std::make_shared<TcpSession>(std::move(server), std::move(socket));
  asio::co_spawn(executor, run(std::move(session)), [](const std::exception_ptr& error) {
    if (error) spdlog::error("connection failed: {}", exception_words(error));
  });
}

void refuse_connection(asio::ip::tcp::socket socket) {
  const auto executor = socket.get_executor();
  asio::co_spawn(executor, refuse_one(std::make_shared<asio::ip::tcp::socket>(std::move(socket))),
                 asio::detached);
}

}  // namespace faultline::http
