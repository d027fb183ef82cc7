// SPDX-License-Identifier: Apache-2.0
#include "http/client.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include "http/client_impl.h"

namespace faultline::http {
namespace asio = boost::asio;
namespace bhttp = boost::beast::http;
using asio::awaitable;
using std::chrono::milliseconds;
namespace {

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

awaitable<Result<ClientResponse>> run_request(ClientImplPtr self, std::string method,
                                              std::string target, std::string body,
                                              milliseconds timeout, RequestExtras extras) {
  if (auto good = self->check(method, target, extras); !good) co_return fail(good.error());
  Turn turn(self);
  const auto request = self->message(method, target, std::move(body), extras);
  if (!request) co_return fail(request.error());
  const auto end = std::chrono::steady_clock::now() + timeout;
  for (bool again = false;; again = true) {
    const bool kept = self->stream.socket().is_open() && !self->stale();
    if (!kept)
      if (auto connected = co_await self->connect(); !connected) co_return fail(connected.error());
    const auto left = std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now());
    self->deadline.start(std::max(left, milliseconds(0)));

    bhttp::response_parser<bhttp::string_body> parser;
    parser.body_limit(self->options.max_body);
    parser.skip(method == "HEAD");
    const auto [write_error, written] = co_await bhttp::async_write(self->stream, *request, kTuple);
    boost::system::error_code error = write_error;
    // After a failed write there may still be an answer: 413, 401 ...
    const auto [read_error, n] =
        co_await bhttp::async_read(self->stream, self->buffer, parser, kTuple);
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
    Error lost = self->lost(error, timeout);
    if (error == bhttp::error::body_limit)
      lost.http_status = static_cast<int>(parser.get().result_int());
    co_return fail(std::move(lost));
  }
}

}  // namespace

Client::Client(asio::any_io_executor executor, ClientOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(options))) {}

Client::~Client() { close(); }

awaitable<Result<ClientResponse>> Client::request(std::string method, std::string target,
                                                  std::string body, milliseconds timeout,
                                                  RequestExtras extras) {
  return run_request(impl_, std::move(method), std::move(target), std::move(body), timeout,
                     std::move(extras));
}

awaitable<Result<ClientResponse>> Client::request(std::string method, std::string target,
                                                  std::string body, milliseconds timeout) {
  RequestExtras none;
  return request(std::move(method), std::move(target), std::move(body), timeout, std::move(none));
}

awaitable<Result<>> Client::events(std::string target,
                                   std::function<bool(const ServerEvent&)> on_event,
                                   milliseconds idle_timeout) {
  return run_events(impl_, std::move(target), std::move(on_event), idle_timeout);
}

awaitable<Result<int>> Client::lines(std::string target,
                                     std::function<bool(std::string_view)> on_line,
                                     milliseconds idle_timeout, std::function<void()> on_open) {
  return run_lines(impl_, std::move(target), std::move(on_line), idle_timeout, std::move(on_open));
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
