// SPDX-License-Identifier: Apache-2.0
// One connection: request, answer, and again.
#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include "http/authorize.h"
#include "http/call.h"
#include "http/deadline.h"
#include "http/event_parser.h"
#include "http/farewell.h"
#include "http/problem.h"
#include "http/request_head.h"
#include "http/target.h"
#include "http/tls.h"
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
constexpr std::uint64_t kReadAnyway = 4 << 10;
// An answer up to this is sent whatever else is being sent.
constexpr std::size_t kShortAnswer = 64 << 10;
// A client that does not take what we send is dropped after this.
constexpr std::chrono::seconds kWriteTimeout{30};
// How long a cancelled handler may take to give its answer when the server ends.
constexpr milliseconds kCancelGrace{250};
constexpr const char* kInternal = "internal error; the log of the server has more";

class TcpSession final : public Session,
                         public EventSink,
                         public BodySink,
                         public std::enable_shared_from_this<TcpSession> {
 public:
  TcpSession(std::shared_ptr<Server::Impl> server, asio::ip::tcp::socket socket)
      : server_(std::move(server)),
        stream_(std::move(socket)),
        deadline_(server_->executor, [this] { stop_waiting(); }),
        buffer_(server_->options.max_header + (64 << 10)),
        peer_(endpoint_words(stream_.socket())) {
    error_code ignored;  // without it answers are only later
    stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    server_->sessions.insert(this);
  }
  ~TcpSession() override {
    server_->door.leave(*this);
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
    stream_.close();
    if (call_) call_->client_gone = true;
    if (call_) call_->wake.cancel();
  }
  [[nodiscard]] bool dispensable() const override {
    return !answering_ && (!call_ || authenticating_);
  }

  awaitable<void> serve() {
    if (server_->certificates && !co_await shake_hands()) co_return stream_.close();
    while (!server_->stopping && co_await wait_for_request()) {
      Parser parser;
      parser.header_limit(static_cast<std::uint32_t>(server_->options.max_header));
      parser.body_limit(boost::none);  // the route's, as soon as it is known
      deadline_.start(server_->options.header_timeout);
      const auto [ec, n] = co_await bhttp::async_read_header(stream_, buffer_, parser, kTuple);
      if (ec) co_return co_await refuse(ec);
      to_.head = parser.get().method() == bhttp::verb::head;
      to_.version = parser.get().version();
      to_.keep = parser.keep_alive();
      const bool goes_on = co_await answer(parser);
      body_.reset();
      request_.reset();
      answering_ = false;
      if (!goes_on || !to_.keep) break;
      server_->door.used(*this);
    }
    co_await say_goodbye(stream_, deadline_);
    stream_.close();  // a stream function that does not end keeps this object
  }

  // Of a session that is not served.
  asio::ip::tcp::socket release() { return std::move(stream_.socket()); }

  // EventSink, for the stream function of this connection's answer.
  awaitable<Result<>> send(std::string event, std::string data, std::string id) override {
    return write_events(format_event(event, data, id));
  }
  awaitable<Result<>> keep_alive() override { return write_events(":\n\n"); }

  // BodySink, likewise. No bytes would be the last chunk.
  awaitable<Result<>> write(std::string bytes) override {
    if (bytes.empty()) co_return Result<>{};
    co_return co_await write_events(std::move(bytes));
  }

 private:
  // The pending operation ends with operation_aborted.
  void stop_waiting() {
    error_code ignored;
    stream_.socket().cancel(ignored);
  }

  awaitable<bool> shake_hands() {
    Stream::Tls& tls = stream_.secure(server_->certificates->current());
    deadline_.start(server_->options.header_timeout);
    waiting_ = true;
    server_->door.begin_handshake(*this);
    const auto [ec] = co_await tls.async_handshake(asio::ssl::stream_base::server, kTuple);
    server_->door.end_handshake(*this);
    waiting_ = false;
    if (!ec) {
      client_ = client_certificate(tls);
      co_return true;
    }
    spdlog::debug("no TLS handshake with {}: {}", peer_,
                  deadline_.expired() ? "it took too long" : ec.message());
    if (ERR_GET_REASON(static_cast<unsigned>(ec.value())) == SSL_R_HTTP_REQUEST &&
        ec.category() == asio::error::get_ssl_category()) {
      stream_.plain();
      to_.keep = false;
      co_await respond(problem(400, "this port speaks https, not http"));
    }
    if (stream_.socket().is_open() && !deadline_.expired()) co_await linger(stream_, deadline_);
    co_return false;
  }

  // The first byte of a request. A client that never sends one is closed without a word.
  awaitable<bool> wait_for_request() {
    if (buffer_.size() > 0) co_return true;  // pipelined
    deadline_.start(fresh_ ? server_->options.header_timeout : server_->options.idle_timeout);
    fresh_ = false;
    waiting_ = true;
    const auto [ec, n] = co_await stream_.async_read_some(buffer_.prepare(4096), kTuple);
    waiting_ = false;
    buffer_.commit(ec ? 0 : n);
    co_return !ec;
  }

  // Returns whether the connection can go on, as do all below that return a bool.
  awaitable<bool> answer(Parser& parser) {
    Request request;
    request.peer = peer_;
    request.client = client_;
    if (auto bad = read_head(parser.get(), server_->options, request)) {
      to_.keep = false;
      co_return co_await refuse_request(parser, std::move(*bad));
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
    const std::size_t most = match.route->max_body;
    if (const auto length = parser.content_length();
        (length && *length > most) || (parser.chunked() && most == 0)) {
      to_.keep = false;
      co_return co_await refuse_request(parser, too_long(request, most));
    }
    if (!match.route->always && request_rate_is_up(*match.route, request))
      co_return co_await refuse_request(parser, too_often(match.route->never_429));
    if (auto denied = co_await authorize(*match.route, request)) {
      if (server_->denied && (denied->status == 401 || denied->status == 403))
        server_->denied(request, *denied);
      co_return co_await refuse_request(parser, std::move(*denied));
    }

    request_ = server_->door.begin_request(request.who);
    if (!request_) co_return co_await refuse_request(parser, too_many(match.route->never_429));
    if (!co_await read_body(parser, request, most)) co_return false;
    deadline_.stop();
    request.body = std::move(parser.get().body());
    request.held = std::move(body_);
    if (buffer_.size() == 0) buffer_.shrink_to_fit();  // a connection may wait for long
    answering_ = true;
    co_return co_await handle(*match.route, std::move(request));
  }

  // Into the parser. False: it was refused, and the connection ends.
  awaitable<bool> read_body(Parser& parser, const Request& request, std::size_t most) {
    if (parser.is_done()) co_return true;
    if (lower(parser.get()[bhttp::field::expect]) == "100-continue") {
      const std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      co_await asio::async_write(stream_, asio::buffer(go_on), kTuple);
    }
    std::optional<std::uint64_t> length;
    if (const auto told = parser.content_length()) length = *told;
    body_ = server_->door.hold_body(request.who, length);
    parser.body_limit(most);
    parser.eager(true);
    while (!parser.is_done()) {
      const auto [ec, n] = co_await bhttp::async_read_some(stream_, buffer_, parser, kTuple);
      const std::size_t size = parser.get().body().size();
      if (size > most || ec == bhttp::error::body_limit) {
        to_.keep = false;
        co_await refuse_request(parser, too_long(request, most));
        co_return false;
      }
      if (ec) {
        co_await refuse(ec);
        co_return false;
      }
      if (body_->grow(size)) continue;
      server_->door.refused(&Refusals::bodies);
      parser.get().body() = {};
      body_.reset();
      to_.keep = false;
      co_await refuse_request(parser, busy("too many bytes of requests are under way; try again"));
      co_return false;
    }
    co_return true;
  }

  // Of somebody without a name, or one whose token is still to be looked at.
  bool request_rate_is_up(const Route& route, const Request& request) {
    if (route.allowed.empty()) return !server_->door.may_ask(*this, Identity{});
    return !server_->door.may_authenticate(*this, authorization_of(request));
  }

  // What the request is refused with, if it is.
  awaitable<std::optional<Response>> authorize(const Route& route, Request& request) {
    const bool everybody = route.allowed.empty();
    std::optional<Response> refused;
    if ((!everybody && server_->authenticator) || route.before)
      refused = co_await authenticate(route, request);
    if (everybody) co_return refused;
    if (request.who.role.empty()) {
      server_->door.wrong_token(*this);
    } else {
      server_->door.good_token(authorization_of(request));
      if (!server_->door.name(*this, request.who)) co_return too_many(route.never_429);
      if (!server_->door.may_ask(*this, request.who)) co_return too_often(route.never_429);
    }
    if (refused) co_return refused;
    co_return refusal(route, request);
  }

  awaitable<std::optional<Response>> authenticate(const Route& route, Request& request) {
    const auto call = std::make_shared<Call>(server_->executor);
    call->request = std::move(request);
    call_ = call;
    deadline_.stop();
    authenticating_ = true;
    start_authenticator(server_, call, route);
    const bool in_time = co_await ended(*call, server_->options.handler_timeout);
    authenticating_ = false;
    call_.reset();
    request = call->done ? std::move(call->request) : call->request;
    deadline_.start(server_->options.header_timeout);  // for the body
    if (call->force) co_return problem(503, "the server is stopping");
    if (!in_time || !call->done) co_return problem(504, "who asks was not found out in time");
    if (call->error) call->who = fail(Errc::kInternal, exception_words(call->error));
    if (!call->who && call->who.error().code == Errc::kInternal) {
      spdlog::error("authenticator failed: {}", call->who.error().message);
      co_return problem(500, kInternal);
    }
    if (!call->who) co_return refusal(call->who.error());
    co_return std::move(call->refused);
  }

  awaitable<bool> handle(const Route& route, Request request) {
    const std::string what = request.method + " " + request.path + " from " + peer_;
    const auto limit = server_->options.handler_timeout;
    const auto call = std::make_shared<Call>(server_->executor);
    call_ = call;
    start_handler(server_, call, route, std::move(request));
    if (!call->done) watch_client(shared_from_this(), stream_, buffer_, call, false);
    const bool timed_out = !co_await ended(*call, limit);
    call_.reset();
    if (call->client_gone && !call->done) co_return false;

    if (call->response) {
      if (call->response->body_stream && !to_.head) {
        // A stream like any other, but for what is written.
        call->response->stream = [pieces = std::move(call->response->body_stream),
                                  this](EventSink&) { return pieces(*this); };
        co_return co_await stream(std::move(*call->response), what);
      }
      if (call->response->stream) call->response->content_type = "text/event-stream";
      if (call->response->stream && !to_.head)
        co_return co_await stream(std::move(*call->response), what);
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
    if (!call.done) {
      call.wake.expires_after(kCancelGrace);  // a handler may still have an answer of its own
      call.abandon();
      while (!call.done && !call.client_gone) {
        const auto [ec] = co_await call.wake.async_wait(kTuple);
        if (!ec) break;
      }
    } else {
      in_time = true;
    }
    while (call.watching) {  // it was told to end
      call.wake.expires_after(kCancelGrace);
      co_await call.wake.async_wait(kTuple);
    }
    co_return in_time;
  }

  awaitable<bool> stream(Response response, const std::string& what) {
    deadline_.start(kWriteTimeout);
    if (!co_await write_stream_header(stream_, response, to_)) co_return false;
    deadline_.stop();
    const auto call = std::make_shared<Call>(server_->executor);
    call_ = call;
    streaming_ = true;
    start_stream(server_, call, std::move(response.stream), *this, shared_from_this());
    if (!call->done) watch_client(shared_from_this(), stream_, buffer_, call, true);
    if (server_->stopping) call->force = true;
    co_await ended(*call, std::chrono::hours(24 * 365));
    streaming_ = false;
    call_.reset();
    if (call->error && !call->aborted())
      spdlog::error("stream of {} failed: {}", what, exception_words(call->error));
    // Without the last chunk the client knows that the stream did not end by itself.
    if (call->client_gone || !call->done || call->error) co_return false;
    deadline_.start(kWriteTimeout);
    co_return to_.version >= 11 && co_await write_chunk(stream_, "", to_);
  }

  awaitable<Result<>> write_events(std::string bytes) {
    const std::shared_ptr<TcpSession> self = shared_from_this();
    if (!streaming_ || !call_ || call_->client_gone)
      co_return fail(Errc::kUnavailable, "the client is gone");
    if (call_->force) co_return fail(Errc::kUnavailable, "the server is stopping");
    deadline_.start(kWriteTimeout);
    const bool written = co_await write_chunk(stream_, std::move(bytes), to_);
    deadline_.stop();
    if (written) co_return Result<>{};
    if (call_) call_->client_gone = true;
    if (call_) call_->wake.cancel();
    co_return fail(Errc::kUnavailable, "the client is gone");
  }

  awaitable<bool> respond(Response response) {
    // "Connection: close" of a handler: whoever asks again is to come by another connection.
    to_.keep = to_.keep && !server_->stopping && !response.headers.contains("Connection");
    deadline_.start(kWriteTimeout);
    std::shared_ptr<void> sent;
    if (response.body.size() > kShortAnswer && !to_.head) {
      sent = server_->door.hold_answer(response.body.size());
      if (!sent) response = busy("too many long answers are being sent; try again");
    }
    co_return co_await write_response(stream_, std::move(response), to_);
  }

  // Answers a request whose body was not read.
  awaitable<bool> refuse_request(Parser& parser, Response response) {
    if (!parser.is_done()) {
      const auto length = parser.content_length();
      const bool waits = !parser.get()[bhttp::field::expect].empty();
      if (length && *length <= kReadAnyway && !waits && to_.keep) {
        const auto [ec, n] = co_await bhttp::async_read(stream_, buffer_, parser, kTuple);
        to_.keep = to_.keep && !ec;
      } else {
        to_.keep = false;
      }
    }
    const bool written = co_await respond(std::move(response));
    if (written && !parser.is_done()) co_await linger(stream_, deadline_);
    co_return written;
  }

  // Answers a request that could not be read.
  awaitable<void> refuse(error_code ec) {
    const ServerOptions& options = server_->options;
    to_ = {11, false, false};
    if (ec == bhttp::error::header_limit || ec == bhttp::error::buffer_overflow) {
      co_await respond(problem(
          431, "the header is longer than " + std::to_string(options.max_header) + " bytes"));
    } else if (deadline_.expired()) {
      co_await respond(problem(408, "the request did not arrive within " +
                                        std::to_string(options.header_timeout.count()) + " s"));
    } else if (ec.category() == bhttp::make_error_code(bhttp::error::bad_method).category() &&
               ec != bhttp::error::end_of_stream && ec != bhttp::error::partial_message) {
      co_await respond(problem(400, "not a request of HTTP/1: " + ec.message()));
    } else {
      co_return;  // the client is gone
    }
    co_await linger(stream_, deadline_);
  }

  std::shared_ptr<Server::Impl> server_;
  Stream stream_;
  Deadline deadline_;
  boost::beast::flat_buffer buffer_;
  std::string peer_;
  ClientCertificate client_;
  ReplyTo to_;                             // of the request under way
  std::shared_ptr<Call> call_;             // under way, or null
  std::shared_ptr<BodyBytes::Held> body_;  // while it is received
  std::shared_ptr<void> request_;          // counts it as one of its caller
  bool fresh_ = true;                      // no request yet
  bool waiting_ = false;                   // between requests
  bool streaming_ = false;
  bool authenticating_ = false;
  bool answering_ = false;  // the request is there and is handled, or its answer is sent
};

awaitable<void> run(std::shared_ptr<TcpSession> session) { co_await session->serve(); }

}  // namespace

void start_session(std::shared_ptr<Server::Impl> server, asio::ip::tcp::socket socket) {
  const auto executor = server->executor;
  error_code ec;
  const auto peer = socket.remote_endpoint(ec);
  if (ec) return;  // it is gone
  auto session = std::make_shared<TcpSession>(server, std::move(socket));
  if (!server->door.let_in(*session, peer.address()))
    return refuse_connection(*server, session->release());
  asio::co_spawn(executor, run(std::move(session)), [](const std::exception_ptr& error) {
    if (error) spdlog::error("connection failed: {}", exception_words(error));
  });
}

}  // namespace faultline::http
