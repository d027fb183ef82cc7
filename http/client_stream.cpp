// SPDX-License-Identifier: Apache-2.0
// Answers that are read while they come: event streams, and bodies by lines.
#include <array>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include "http/client_impl.h"
#include "http/event_parser.h"

namespace faultline::http {
namespace asio = boost::asio;
namespace bhttp = boost::beast::http;
using asio::awaitable;
using std::chrono::milliseconds;
namespace {

constexpr std::string_view kEvents = "text/event-stream";

struct Wanted {
  std::string_view accept;  // a media type, which the answer must then have; empty: any
  // False: enough. An error ends the reading too.
  std::function<Result<bool>(std::string_view)> take;
  std::function<void()> on_open;  // may be empty
};

// Returns the status, below 300. Every other answer is read to its end and is an error.
awaitable<Result<int>> read_stream(ClientImplPtr self, std::string target, Wanted wanted,
                                   milliseconds idle_timeout) {
  RequestExtras extras;
  if (!wanted.accept.empty()) extras.headers["Accept"] = wanted.accept;
  if (auto good = self->check("GET", target, extras); !good) co_return fail(good.error());
  Turn turn(self);
  const auto request = self->message("GET", target, "", extras);
  if (!request) co_return fail(request.error());
  // Always a connection of its own: it is closed at the end anyway.
  if (auto connected = co_await self->connect(); !connected) co_return fail(connected.error());
  self->deadline.start(idle_timeout);
  const auto [write_error, written] = co_await bhttp::async_write(self->stream, *request, kTuple);
  if (write_error) co_return fail(self->lost(write_error, idle_timeout));

  bhttp::response_parser<bhttp::buffer_body> parser;
  parser.body_limit(boost::none);
  const auto [header_error, header_size] =
      co_await bhttp::async_read_header(self->stream, self->buffer, parser, kTuple);
  if (header_error) co_return fail(self->lost(header_error, idle_timeout));
  const int status = static_cast<int>(parser.get().result_int());
  const bool fits =
      status < 300 &&
      std::string_view(parser.get()[bhttp::field::content_type]).starts_with(wanted.accept);

  if (fits && wanted.on_open) wanted.on_open();
  std::string body;  // of an answer that is not the one wanted
  std::array<char, 16384> bytes;
  while (!parser.is_done()) {
    parser.get().body().data = bytes.data();
    parser.get().body().size = bytes.size();
    self->deadline.start(idle_timeout);
    const auto [ec, n] =
        co_await bhttp::async_read_some(self->stream, self->buffer, parser, kTuple);
    if (ec && ec != bhttp::error::need_buffer) co_return fail(self->lost(ec, idle_timeout));
    const std::string_view got(bytes.data(), bytes.size() - parser.get().body().size);
    if (!fits) {
      body += got;
      if (body.size() > self->options.max_body) break;
      continue;
    }
    auto more = wanted.take(got);
    if (!more) co_return fail(more.error());
    if (!*more) co_return status;
    if (self->closed) co_return fail(self->lost({}, idle_timeout));
  }
  if (fits) co_return status;
  ClientResponse response;
  response.status = status;
  response.body = std::move(body);
  auto answer = expect_ok(std::move(response));
  if (!answer) co_return fail(answer.error());
  co_return fail(Errc::kUnavailable, self->peer() + " did not answer with an event stream");
}

// Takes bytes apart into lines. A line that is whole in what arrived is not copied.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t max_line) : max_line_(max_line) {}

  enum class Fed { kMore, kStopped, kTooLong };
  Fed feed(std::string_view bytes, const std::function<bool(std::string_view)>& on_line) {
    while (true) {
      const std::size_t end = bytes.find('\n');
      const std::string_view piece = bytes.substr(0, end);
      if (begun_.size() + piece.size() > max_line_) return Fed::kTooLong;
      if (end == bytes.npos) {
        begun_ += piece;
        return Fed::kMore;
      }
      bytes.remove_prefix(end + 1);
      if (!(begun_.empty() ? on_line(piece) : on_line(begun_ += piece))) return Fed::kStopped;
      begun_.clear();
    }
  }
  // Without a LF at its end.
  [[nodiscard]] const std::string& rest() const { return begun_; }

 private:
  std::size_t max_line_;
  std::string begun_;
};

}  // namespace

awaitable<Result<>> run_events(ClientImplPtr self, std::string target,
                               std::function<bool(const ServerEvent&)> on_event,
                               milliseconds idle_timeout) {
  EventParser events(self->options.max_body);
  Wanted wanted;
  wanted.accept = kEvents;
  wanted.take = [&](std::string_view bytes) -> Result<bool> {
    const auto fed = events.feed(bytes, on_event);
    if (fed == EventParser::Fed::kTooLong)
      return fail(Errc::kUnavailable, "an event of " + self->peer() + " is too long");
    return fed == EventParser::Fed::kMore;
  };
  const auto done = co_await read_stream(self, std::move(target), std::move(wanted), idle_timeout);
  if (!done) co_return fail(done.error());
  co_return Result<>{};
}

awaitable<Result<int>> run_lines(ClientImplPtr self, std::string target,
                                 std::function<bool(std::string_view)> on_line,
                                 milliseconds idle_timeout, std::function<void()> on_open) {
  LineSplitter splitter(self->options.max_line);
  bool stopped = false;
  Wanted wanted;
  wanted.on_open = std::move(on_open);
  wanted.take = [&](std::string_view bytes) -> Result<bool> {
    const auto fed = splitter.feed(bytes, on_line);
    if (fed == LineSplitter::Fed::kTooLong)
      return fail(Errc::kUnavailable, "a line of " + self->peer() + " is longer than " +
                                          std::to_string(self->options.max_line) + " bytes");
    stopped = fed == LineSplitter::Fed::kStopped;
    return !stopped;
  };
  auto done = co_await read_stream(self, std::move(target), std::move(wanted), idle_timeout);
  if (done && !stopped && !splitter.rest().empty()) on_line(splitter.rest());
  co_return done;
}

}  // namespace faultline::http
