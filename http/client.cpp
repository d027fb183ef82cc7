// SPDX-License-Identifier: Apache-2.0
#include "http/client.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "http/deadline.h"
#include "http/event_parser.h"

namespace faultline::http {
namespace asio = boost::asio;
namespace bhttp = boost::beast::http;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;
namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

std::string seconds_words(milliseconds time) {
  std::string text = std::to_string(static_cast<double>(time.count()) / 1000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text + " s";
}

template <class Fields>
std::map<std::string, std::string> headers_of(const Fields& fields) {
  std::map<std::string, std::string> headers;
  for (const auto& field : fields) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    std::string& value = headers[name];
    if (!value.empty()) value += ", ";
    value += field.value();
  }
  return headers;
}

}  // namespace

// All coroutines below are given a shared_ptr to this, so that a Client may be destroyed while a
// request is under way.
struct Client::Impl : std::enable_shared_from_this<Client::Impl> {
  Impl(asio::any_io_executor ex, ClientOptions opts)
      : executor(ex), options(std::move(opts)), resolver(ex), socket(ex), deadline(ex, [this] {
          drop();
        }) {
    const auto url = boost::urls::parse_uri(options.base_url);
    if (!url || url->scheme_id() != boost::urls::scheme::http || url->host().empty()) {
      url_problem = "'" + options.base_url + "' is not an address like http://127.0.0.1:7878";
      return;
    }
    host = url->host_address();
    port = url->has_port() ? std::string(url->port()) : "80";
    authority = std::string(url->encoded_host_and_port());
    prefix = std::string(url->encoded_path());
    while (prefix.ends_with('/')) prefix.pop_back();
    for (const char c : options.bearer_token)
      if (c <= ' ' || c > '~') url_problem = "the bearer token is not printable text";
  }

  // Ends what is pending with operation_aborted.
  void drop() {
    error_code ignored;
    resolver.cancel();
    socket.close(ignored);
    buffer.clear();
  }
  [[nodiscard]] std::string peer() const { return host + ":" + port; }

  // A kept connection on which the server has hung up, or has something to say unasked.
  [[nodiscard]] bool stale() {
    char byte;
    const ssize_t n = recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || errno != EAGAIN;
  }

  Error lost(const error_code& ec, milliseconds limit) const {
    if (closed) return {Errc::kUnavailable, "the connection to " + peer() + " was closed", 0};
    if (deadline.expired())
      return {Errc::kUnavailable, "no answer from " + peer() + " within " + seconds_words(limit),
              0};
    const bool hung_up = ec == asio::error::eof || ec == bhttp::error::end_of_stream ||
                         ec == bhttp::error::partial_message || ec == asio::error::broken_pipe;
    if (hung_up)
      return {Errc::kUnavailable, peer() + " closed the connection before its answer was whole", 0};
    if (ec == bhttp::error::body_limit)
      return {Errc::kUnavailable,
              "the answer of " + peer() + " is longer than " + std::to_string(options.max_body) +
                  " bytes",
              0};
    const bool broken =
        ec.category() == bhttp::make_error_code(bhttp::error::bad_line_ending).category();
    return {Errc::kUnavailable,
            (broken ? "no HTTP answer from " : "the connection to ") + peer() + ": " + ec.message(),
            broken ? 0 : ec.value()};
  }

  awaitable<Result<>> connect() {
    drop();
    deadline.start(options.connect_timeout);
    const auto failed = [this](const error_code& ec) {
      const std::string why = closed ? "the connection was closed"
                              : deadline.expired()
                                  ? "no answer within " + seconds_words(options.connect_timeout)
                                  : ec.message();
      drop();
      return fail(Error{Errc::kUnavailable, "cannot connect to " + peer() + ": " + why,
                        deadline.expired() ? ETIMEDOUT : ec.value()});
    };
    error_code ec;
    const auto address = asio::ip::make_address(host, ec);
    if (!ec) {
      const tcp::endpoint endpoint(address, static_cast<std::uint16_t>(std::stoul(port)));
      const auto [error] = co_await socket.async_connect(endpoint, kTuple);
      if (error || deadline.expired()) co_return failed(error);
    } else {
      const auto [resolve_error, endpoints] = co_await resolver.async_resolve(host, port, kTuple);
      if (resolve_error || deadline.expired()) co_return failed(resolve_error);
      const auto [error, endpoint] = co_await asio::async_connect(socket, endpoints, kTuple);
      if (error || deadline.expired()) co_return failed(error);
    }
    deadline.stop();
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    co_return Result<>{};
  }

  bhttp::request<bhttp::string_body> message(const std::string& method, const std::string& target,
                                             std::string body) const {
    bhttp::request<bhttp::string_body> request;
    request.version(11);
    request.method_string(method);
    request.target(prefix + target);
    request.set(bhttp::field::host, authority);
    request.set(bhttp::field::user_agent, "faultline");
    if (!options.bearer_token.empty())
      request.set(bhttp::field::authorization, "Bearer " + options.bearer_token);
    if (!body.empty() || method == "POST" || method == "PUT") {
      const std::size_t first = body.find_first_not_of(" \t\r\n");
      const bool json = first != body.npos && (body[first] == '{' || body[first] == '[');
      request.set(bhttp::field::content_type, json ? "application/json" : "application/yaml");
      request.body() = std::move(body);
      request.content_length(request.body().size());
    }
    return request;
  }

  Result<> check(const std::string& method, const std::string& target) const {
    if (!url_problem.empty()) return fail(Errc::kInvalid, url_problem);
    for (const std::string& word : {method, target})
      for (const char c : word)
        if (c <= ' ' || c > '~') return fail(Errc::kInvalid, "not a request target: " + target);
    if (busy) return fail(Errc::kInternal, "a Client makes one request at a time");
    return {};
  }

  asio::any_io_executor executor;
  ClientOptions options;
  std::string url_problem, host, port, authority, prefix;
  tcp::resolver resolver;
  tcp::socket socket;
  boost::beast::flat_buffer buffer;
  Deadline deadline;
  bool busy = false;
  bool closed = false;  // close() was called during the request under way
};

namespace {

using ImplPtr = std::shared_ptr<Client::Impl>;

// A request that ends in any other way than an answer (an error, its coroutine cancelled or
// destroyed) leaves no connection behind on which a late answer could meet the next request.
class Turn {
 public:
  explicit Turn(ImplPtr impl) : impl_(std::move(impl)) {
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
  ImplPtr impl_;
  bool keep_ = false;
};

awaitable<Result<ClientResponse>> run_request(ImplPtr self, std::string method, std::string target,
                                              std::string body, milliseconds timeout) {
  if (auto good = self->check(method, target); !good) co_return fail(good.error());
  Turn turn(self);
  const auto request = self->message(method, target, std::move(body));
  const auto end = std::chrono::steady_clock::now() + timeout;
  for (bool again = false;; again = true) {
    const bool kept = self->socket.is_open() && !self->stale();
    if (!kept)
      if (auto connected = co_await self->connect(); !connected) co_return fail(connected.error());
    const auto left = std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now());
    self->deadline.start(std::max(left, milliseconds(0)));

    bhttp::response_parser<bhttp::string_body> parser;
    parser.body_limit(self->options.max_body);
    parser.skip(method == "HEAD");
    const auto [write_error, written] = co_await bhttp::async_write(self->socket, request, kTuple);
    error_code error = write_error;
    // After a failed write there may still be an answer: 413, 401 ...
    const auto [read_error, n] =
        co_await bhttp::async_read(self->socket, self->buffer, parser, kTuple);
    if (!read_error) {
      ClientResponse response;
      response.status = static_cast<int>(parser.get().result_int());
      response.headers = headers_of(parser.get());
      const bool keep = parser.keep_alive() && !error && self->buffer.size() == 0;
      response.body = std::move(parser.get().body());
      if (keep) turn.keep();
      co_return response;
    }
    if (!error) error = read_error;
    // The server closed the kept connection while the request was on its way.
    if (kept && !again && !parser.got_some() && !self->closed && !self->deadline.expired()) {
      self->drop();
      continue;
    }
    co_return fail(self->lost(error, timeout));
  }
}

awaitable<Result<>> run_events(ImplPtr self, std::string target,
                               std::function<bool(const ServerEvent&)> on_event,
                               milliseconds idle_timeout) {
  if (auto good = self->check("GET", target); !good) co_return fail(good.error());
  Turn turn(self);
  auto request = self->message("GET", target, "");
  request.set(bhttp::field::accept, "text/event-stream");
  // Always a connection of its own: it is closed at the end anyway.
  if (auto connected = co_await self->connect(); !connected) co_return fail(connected.error());
  self->deadline.start(idle_timeout);
  const auto [write_error, written] = co_await bhttp::async_write(self->socket, request, kTuple);
  if (write_error) co_return fail(self->lost(write_error, idle_timeout));

  bhttp::response_parser<bhttp::buffer_body> parser;
  parser.body_limit(boost::none);
  const auto [header_error, header_size] =
      co_await bhttp::async_read_header(self->socket, self->buffer, parser, kTuple);
  if (header_error) co_return fail(self->lost(header_error, idle_timeout));
  const int status = static_cast<int>(parser.get().result_int());
  const bool stream =
      status == 200 &&
      std::string_view(parser.get()[bhttp::field::content_type]).starts_with("text/event-stream");

  EventParser events(self->options.max_body);
  std::string body;  // of an answer that is no stream
  std::array<char, 16384> bytes;
  while (!parser.is_done()) {
    parser.get().body().data = bytes.data();
    parser.get().body().size = bytes.size();
    self->deadline.start(idle_timeout);
    const auto [ec, n] =
        co_await bhttp::async_read_some(self->socket, self->buffer, parser, kTuple);
    if (ec && ec != bhttp::error::need_buffer) co_return fail(self->lost(ec, idle_timeout));
    const std::string_view got(bytes.data(), bytes.size() - parser.get().body().size);
    if (!stream) {
      body += got;
      if (body.size() > self->options.max_body) break;
      continue;
    }
    const auto fed = events.feed(got, on_event);
    if (fed == EventParser::Fed::kStopped) co_return Result<>{};
    if (fed == EventParser::Fed::kTooLong)
      co_return fail(Errc::kUnavailable, "an event of " + self->peer() + " is too long");
    if (self->closed) co_return fail(self->lost({}, idle_timeout));
  }
  if (stream) co_return Result<>{};
  ClientResponse response;
  response.status = status;
  response.body = std::move(body);
  auto answer = expect_ok(std::move(response));
  if (!answer) co_return fail(answer.error());
  co_return fail(Errc::kUnavailable, self->peer() + " did not answer with an event stream");
}

}  // namespace

Client::Client(asio::any_io_executor executor, ClientOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(options))) {}

Client::~Client() { close(); }

awaitable<Result<ClientResponse>> Client::request(std::string method, std::string target,
                                                  std::string body, milliseconds timeout) {
  return run_request(impl_, std::move(method), std::move(target), std::move(body), timeout);
}

awaitable<Result<>> Client::events(std::string target,
                                   std::function<bool(const ServerEvent&)> on_event,
                                   milliseconds idle_timeout) {
  return run_events(impl_, std::move(target), std::move(on_event), idle_timeout);
}

void Client::close() {
  impl_->closed = true;
  impl_->drop();
}

Result<ClientResponse> request_blocking(const ClientOptions& options, std::string method,
                                        std::string target, std::string body,
                                        milliseconds timeout) {
  Result<ClientResponse> result = fail(Errc::kInternal, "the request was not run");
  asio::io_context io(1);
  Client client(io.get_executor(), options);
  asio::co_spawn(io, client.request(std::move(method), std::move(target), std::move(body), timeout),
                 [&](const std::exception_ptr& error, Result<ClientResponse> answer) {
                   if (error)
                     result = fail(Errc::kInternal, "the request failed");
                   else
                     result = std::move(answer);
                 });
  io.run();
  return result;
}

}  // namespace faultline::http
