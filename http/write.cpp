// SPDX-License-Identifier: Apache-2.0
#include "http/write.h"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "http/problem.h"

namespace faultline::http {
namespace asio = boost::asio;
namespace bhttp = boost::beast::http;
namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

template <class Message>
void set_header(Message& message, const Response& response, ReplyTo to) {
  message.version(to.version);
  message.result(static_cast<unsigned>(std::clamp(response.status, 100, 599)));
  message.reason(status_words(response.status));
  message.set(bhttp::field::cache_control, "no-store");
  message.set("X-Content-Type-Options", "nosniff");
  if (!response.content_type.empty())
    message.set(bhttp::field::content_type, response.content_type);
  for (const auto& [name, value] : response.headers) {
    std::string clean = value;  // a line break would begin a header of its own
    std::replace_if(
        clean.begin(), clean.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
    message.set(name, clean);
  }
}

}  // namespace

asio::awaitable<bool> write_response(Stream& stream, Response response, ReplyTo to) {
  if (to.head || response.status == 204 || response.status == 304) {
    bhttp::response<bhttp::empty_body> message;
    set_header(message, response, to);
    if (to.head) message.content_length(response.body.size());
    message.keep_alive(to.keep);
    const auto [ec, n] = co_await bhttp::async_write(stream, message, kTuple);
    co_return !ec;
  }
  bhttp::response<bhttp::string_body> message;
  set_header(message, response, to);
  message.body() = std::move(response.body);
  message.content_length(message.body().size());
  message.keep_alive(to.keep);
  const auto [ec, n] = co_await bhttp::async_write(stream, message, kTuple);
  co_return !ec;
}

asio::awaitable<bool> write_stream_header(Stream& stream, const Response& response, ReplyTo to) {
  bhttp::response<bhttp::empty_body> message;
  set_header(message, response, to);
  if (response.content_type == "text/event-stream")
    message.set("X-Accel-Buffering", "no");  // nginx would hold events back
  if (to.version >= 11) message.chunked(true);
  message.keep_alive(to.version >= 11 && to.keep);
  bhttp::response_serializer<bhttp::empty_body> serializer(message);
  const auto [ec, n] = co_await bhttp::async_write_header(stream, serializer, kTuple);
  co_return !ec;
}

asio::awaitable<bool> write_chunk(Stream& stream, std::string bytes, ReplyTo to) {
  boost::system::error_code error;
  if (to.version < 11) {
    const auto [ec, n] = co_await asio::async_write(stream, asio::buffer(bytes), kTuple);
    error = ec;
  } else if (bytes.empty()) {
    const auto last = bhttp::make_chunk_last();
    const auto [ec, n] = co_await asio::async_write(stream, last, kTuple);
    error = ec;
  } else {
    const auto chunk = bhttp::make_chunk(asio::buffer(bytes));
    const auto [ec, n] = co_await asio::async_write(stream, chunk, kTuple);
    error = ec;
  }
  co_return !error;
}

}  // namespace faultline::http
