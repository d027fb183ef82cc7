// SPDX-License-Identifier: Apache-2.0
#include "http/client_impl.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "http/tls.h"

namespace faultline::http {
namespace asio = boost::asio;
namespace bhttp = boost::beast::http;
using asio::awaitable;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;
namespace {

std::string seconds_words(milliseconds time) {
  std::string text = std::to_string(static_cast<double>(time.count()) / 1000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text + " s";
}

bool printable(std::string_view text, char first = '!') {
  return std::all_of(text.begin(), text.end(), [=](char c) { return c >= first && c <= '~'; });
}

}  // namespace

Client::Impl::Impl(asio::any_io_executor executor, ClientOptions opts)
    : options(std::move(opts)),
      resolver(executor),
      stream(tcp::socket(executor)),
      deadline(executor, [this] { drop(); }) {
  if (auto read = read_url(); !read) options_problem = read.error().message;
}

Result<> Client::Impl::read_url() {
  const auto bad = [](std::string words) { return fail(Errc::kInvalid, std::move(words)); };
  const auto url = boost::urls::parse_uri(options.base_url);
  const bool https = url && url->scheme_id() == boost::urls::scheme::https;
  if (!url || (!https && url->scheme_id() != boost::urls::scheme::http) || url->host().empty())
    return bad("'" + options.base_url +
               "' is not an address like http://127.0.0.1:7878 or https://127.0.0.1:6443");
  host = url->host_address();
  port = url->has_port() ? std::string(url->port()) : https ? "443" : "80";
  authority = std::string(url->encoded_host_and_port());
  prefix = std::string(url->encoded_path());
  while (prefix.ends_with('/')) prefix.pop_back();
  if (!printable(options.bearer_token)) return bad("the bearer token is not printable text");
  if (!https && options.tls)
    return bad("certificates are given, but '" + options.base_url + "' is not https");
  if (!https) return {};
  auto made = client_context(options.tls);
  if (!made) return fail(made.error());
  context = std::move(*made);
  return {};
}

void Client::Impl::drop() {
  resolver.cancel();
  stream.close();
  buffer.clear();
}

bool Client::Impl::stale() {
  if (Stream::Tls* tls = stream.tls()) {
    // Bytes alone do not tell: session tickets come when the server likes.
    pollfd state{stream.socket().native_handle(), POLLRDHUP, 0};
    return SSL_pending(tls->native_handle()) > 0 || ::poll(&state, 1, 0) != 0;
  }
  char byte;
  const ssize_t n = recv(stream.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n >= 0 || errno != EAGAIN;
}

Error Client::Impl::lost(const error_code& ec, milliseconds limit) const {
  if (closed) return {Errc::kUnavailable, "the connection to " + peer() + " was closed", 0};
  if (deadline.expired())
    return {Errc::kUnavailable, "no answer from " + peer() + " within " + seconds_words(limit), 0};
  const bool hung_up = ec == asio::error::eof || ec == bhttp::error::end_of_stream ||
                       ec == bhttp::error::partial_message || ec == asio::error::broken_pipe ||
                       ec == asio::ssl::error::stream_truncated;
  if (hung_up)
    return {Errc::kUnavailable, peer() + " closed the connection before its answer was whole", 0};
  if (ec == bhttp::error::body_limit)
    return {Errc::kUnavailable,
            "the answer of " + peer() + " is longer than " + std::to_string(options.max_body) +
                " bytes",
            EMSGSIZE};  // so that a caller knows it from other failures
  const bool broken =
      ec.category() == bhttp::make_error_code(bhttp::error::bad_line_ending).category();
  const bool system = ec.category() == boost::system::system_category();
  return {Errc::kUnavailable,
          (broken ? "no HTTP answer from " : "the connection to ") + peer() + ": " + tls_words(ec),
          system ? ec.value() : 0};
}

awaitable<Result<>> Client::Impl::connect() {
  drop();
  stream.plain();
  deadline.start(options.connect_timeout);
  error_code ec = co_await connect_tcp();
  if (!ec && !closed && !deadline.expired() && context) ec = co_await connect_tls();
  if (ec || closed || deadline.expired()) {
    const std::string why = closed ? "the connection was closed"
                            : deadline.expired()
                                ? "no answer within " + seconds_words(options.connect_timeout)
                            : !certificate_problem.empty() ? certificate_problem
                            : ec == asio::ssl::error::stream_truncated
                                ? "the other side closed the connection during the TLS handshake"
                                : tls_words(ec);
    const bool system = ec.category() == boost::system::system_category();
    drop();
    co_return fail(Error{Errc::kUnavailable, "cannot connect to " + peer() + ": " + why,
                         deadline.expired() ? ETIMEDOUT
                         : system           ? ec.value()
                                            : 0});
  }
  deadline.stop();
  co_return Result<>{};
}

awaitable<error_code> Client::Impl::connect_tcp() {
  tcp::socket& socket = stream.socket();
  error_code ec;
  const auto address = asio::ip::make_address(host, ec);
  if (!ec) {
    const tcp::endpoint endpoint(address, static_cast<std::uint16_t>(std::stoul(port)));
    const auto [error] = co_await socket.async_connect(endpoint, kTuple);
    ec = error;
  } else {
    const auto [resolve_error, endpoints] = co_await resolver.async_resolve(host, port, kTuple);
    if (resolve_error || deadline.expired()) co_return resolve_error;
    const auto [error, endpoint] = co_await asio::async_connect(socket, endpoints, kTuple);
    ec = error;
  }
  error_code ignored;
  if (!ec) socket.set_option(tcp::no_delay(true), ignored);
  co_return ec;
}

awaitable<error_code> Client::Impl::connect_tls() {
  certificate_problem.clear();
  Stream::Tls& tls = stream.secure(context);
  const bool named = options.tls && !options.tls->server_name.empty();
  if (!expect_name(tls, named ? options.tls->server_name : host, certificate_problem))
    co_return asio::error::make_error_code(asio::error::invalid_argument);
  const auto [ec] = co_await tls.async_handshake(asio::ssl::stream_base::client, kTuple);
  co_return ec;
}

Result<RequestMessage> Client::Impl::message(const std::string& method, const std::string& target,
                                             std::string body, const RequestExtras& extras) const {
  RequestMessage request;
  request.version(11);
  request.method_string(method);
  request.target(prefix + target);
  request.set(bhttp::field::host, authority);
  request.set(bhttp::field::user_agent, "faultline");
  const std::string token = options.token ? options.token() : options.bearer_token;
  if (!printable(token)) return fail(Errc::kInvalid, "the bearer token is not printable text");
  if (!token.empty()) request.set(bhttp::field::authorization, "Bearer " + token);
  if (!body.empty() || method == "POST" || method == "PUT" || method == "PATCH") {
    const std::size_t first = body.find_first_not_of(" \t\r\n");
    const bool json = first != body.npos && (body[first] == '{' || body[first] == '[');
    request.set(bhttp::field::content_type, !extras.content_type.empty() ? extras.content_type
                                            : json                       ? "application/json"
                                                                         : "application/yaml");
    request.body() = std::move(body);
    request.content_length(request.body().size());
  }
  for (const auto& [name, value] : extras.headers) request.set(name, value);
  return request;
}

Result<> Client::Impl::check(const std::string& method, const std::string& target,
                             const RequestExtras& extras) const {
  if (!options_problem.empty()) return fail(Errc::kInvalid, options_problem);
  if (method.empty() || !printable(method) || !printable(target))
    return fail(Errc::kInvalid, "not a request target: " + target);
  if (!printable(extras.content_type, ' '))
    return fail(Errc::kInvalid, "the content type is not printable text");
  for (const auto& [name, value] : extras.headers)
    if (name.empty() || !printable(name) || name.find(':') != name.npos || !printable(value, ' '))
      return fail(Errc::kInvalid, "not a header: " + name);
  if (busy) return fail(Errc::kInternal, "a Client makes one request at a time");
  return {};
}

}  // namespace faultline::http
