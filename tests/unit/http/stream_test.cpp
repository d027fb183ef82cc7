// SPDX-License-Identifier: Apache-2.0
// Event streams, long polls, and how they end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "http/event_parser.h"
#include "tests/unit/http/loopback.h"

namespace faultline::http {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

bool eventually(const std::function<bool()>& holds, milliseconds limit = milliseconds(3000)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

// Says that the coroutine it lives in has ended, however that came about.
struct OnEnd {
  std::atomic<int>& count;
  ~OnEnd() { ++count; }
};

struct Streams {
  std::atomic<int> sent{0}, ended{0}, polls{0}, polls_ended{0};

  std::function<void(Server&)> routes() {
    return [this](Server& server) {
      server.route("GET", "/three", {}, [](Request) -> asio::awaitable<Response> {
        Response response;
        response.stream = [](EventSink& sink) -> asio::awaitable<void> {
          for (int i = 0; i < 3; ++i) {
            std::string data = "line " + std::to_string(i) + "\nnext";
            co_await sink.send("state", std::move(data), std::to_string(i));
          }
        };
        co_return response;
      });
      server.route("GET", "/endless", {}, [this](Request) -> asio::awaitable<Response> {
        Response response;
        response.stream = [this](EventSink& sink) -> asio::awaitable<void> {
          const OnEnd on_end{ended};
          while (true) {
            auto done = co_await sink.send("state", "x", "");
            if (!done) co_return;
            ++sent;
            co_await pause(milliseconds(20));
          }
        };
        co_return response;
      });
      server.route("GET", "/silent", {}, [this](Request) -> asio::awaitable<Response> {
        Response response;
        response.stream = [this](EventSink& sink) -> asio::awaitable<void> {
          const OnEnd on_end{ended};
          co_await sink.keep_alive();
          ++sent;
          co_await pause(seconds(60));
        };
        co_return response;
      });
      server.route("GET", "/throws", {}, [](Request) -> asio::awaitable<Response> {
        Response response;
        response.stream = [](EventSink& sink) -> asio::awaitable<void> {
          co_await sink.send("state", "x", "");
          throw std::runtime_error("broken");
        };
        co_return response;
      });
      server.route("GET", "/poll", {}, [this](Request) -> asio::awaitable<Response> {
        const OnEnd on_end{polls_ended};
        ++polls;
        co_await pause(seconds(20));
        co_return text("nothing new");
      });
      server.route("GET", "/quick", {}, [this](Request) -> asio::awaitable<Response> {
        ++polls;
        co_await pause(milliseconds(200));
        co_return text("in time");
      });
      server.route("GET", "/hello", {},
                   [](Request) -> asio::awaitable<Response> { co_return text("hello"); });
    };
  }
};

Result<> read_events(const ClientOptions& options, const std::string& target,
                     std::function<bool(const ServerEvent&)> on_event,
                     milliseconds idle = milliseconds(5000)) {
  asio::io_context io(1);
  Client client(io.get_executor(), options);
  auto done =
      asio::co_spawn(io, client.events(target, std::move(on_event), idle), asio::use_future);
  io.run();
  return done.get();
}

TEST(EventStream, ArrivesWholeAndInOrder) {
  Streams streams;
  Loopback server(streams.routes());
  std::vector<std::string> got;
  const auto done = read_events(server.client_options(), "/three", [&](const ServerEvent& e) {
    got.push_back(e.event + "|" + e.data + "|" + e.id);
    return true;
  });
  EXPECT_TRUE(done);
  EXPECT_THAT(got,
              ElementsAre("state|line 0\nnext|0", "state|line 1\nnext|1", "state|line 2\nnext|2"));
}

TEST(EventStream, TheReaderMayStop) {
  Streams streams;
  Loopback server(streams.routes());
  int got = 0;
  EXPECT_TRUE(read_events(server.client_options(), "/endless",
                          [&](const ServerEvent&) { return ++got < 5; }));
  EXPECT_EQ(got, 5);
  EXPECT_TRUE(eventually([&] { return streams.ended == 1; }));
}

TEST(EventStream, EndsWhenTheClientIsGoneEvenIfNothingIsSent) {
  Streams streams;
  Loopback server(streams.routes());
  RawClient client(server.port());
  client.send("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n");
  client.receive(":\n\n");
  ASSERT_TRUE(eventually([&] { return streams.sent == 1; }));
  EXPECT_EQ(streams.ended, 0);
  client.hang_up();
  EXPECT_TRUE(eventually([&] { return streams.ended == 1; }, milliseconds(500)));
}

TEST(EventStream, AFunctionThatThrowsBreaksTheStreamOff) {
  Streams streams;
  Loopback server(streams.routes());
  const auto done =
      read_events(server.client_options(), "/throws", [](const ServerEvent&) { return true; });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::kUnavailable);
  EXPECT_EQ(server.ask("GET", "/hello")->body, "hello");
}

TEST(EventStream, SilenceIsAnErrorAfterTheIdleTime) {
  Streams streams;
  Loopback server(streams.routes());
  const auto done = read_events(
      server.client_options(), "/silent", [](const ServerEvent&) { return true; },
      milliseconds(200));
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("within 0.2 s"));
}

TEST(EventStream, AnErrorStatusIsTheProblemsDetail) {
  Streams streams;
  Loopback server(streams.routes());
  const auto done =
      read_events(server.client_options(), "/nowhere", [](const ServerEvent&) { return true; });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::kNotFound);
  EXPECT_EQ(done.error().message, "there is no /nowhere");
  const auto plain =
      read_events(server.client_options(), "/hello", [](const ServerEvent&) { return true; });
  EXPECT_THAT(plain.error().message, HasSubstr("did not answer with an event stream"));
}

TEST(EventStream, AnOldClientGetsItUnchunked) {
  Streams streams;
  Loopback server(streams.routes());
  RawClient client(server.port());
  client.send("GET /three HTTP/1.0\r\n\r\n");
  const std::string got = client.receive_all();
  EXPECT_THAT(got, HasSubstr("text/event-stream"));
  EXPECT_THAT(got, HasSubstr("\r\n\r\nevent: state\nid: 0\ndata: line 0\ndata: next\n\n"));
  EXPECT_TRUE(client.closed_by_server());
}

TEST(HttpServer, ALongPollEndsWhenItsClientIsGone) {
  Streams streams;
  Loopback server(streams.routes());
  RawClient client(server.port());
  client.send("GET /poll HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return streams.polls == 1; }));
  client.hang_up();
  EXPECT_TRUE(eventually([&] { return streams.polls_ended == 1; }, milliseconds(500)));
}

TEST(HttpServer, APipelinedRequestDoesNotLookLikeAnEnd) {
  Streams streams;
  Loopback server(streams.routes());
  RawClient client(server.port());
  client.send("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return streams.polls == 1; }));
  client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string got = client.receive("hello");
  EXPECT_THAT(got, HasSubstr("in time"));
  EXPECT_THAT(got, HasSubstr("hello"));
}

TEST(HttpServer, StopLetsAHandlerFinish) {
  Streams streams;
  Loopback server(streams.routes());
  auto answer = std::async(std::launch::async, [&] { return server.ask("GET", "/quick"); });
  ASSERT_TRUE(eventually([&] { return streams.polls == 1; }));
  const milliseconds took = server.stop(seconds(5));
  EXPECT_EQ(answer.get()->body, "in time");
  EXPECT_LT(took, milliseconds(1000));
}

TEST(HttpServer, StopEndsALongPollWith503) {
  Streams streams;
  Loopback server(streams.routes());
  auto answer = std::async(std::launch::async, [&] { return server.ask("GET", "/poll"); });
  ASSERT_TRUE(eventually([&] { return streams.polls == 1; }));
  const milliseconds took = server.stop(milliseconds(300));
  EXPECT_GE(took, milliseconds(290));
  EXPECT_LT(took, milliseconds(1000));
  const auto got = answer.get();
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->status, 503);
  EXPECT_EQ(streams.polls_ended, 1);
}

TEST(HttpServer, StopEndsStreamsAndIdleConnectionsAtOnce) {
  Streams streams;
  Loopback server(streams.routes());
  RawClient idle(server.port());
  idle.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  idle.receive("hello");
  RawClient endless(server.port());
  endless.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
  RawClient silent(server.port());
  silent.send("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return streams.sent > 3; }));
  EXPECT_LT(server.stop(seconds(10)), milliseconds(1000));
  EXPECT_EQ(streams.ended, 2);
  idle.receive_all();
  EXPECT_TRUE(idle.closed_by_server());
  endless.receive_all();
  EXPECT_TRUE(endless.closed_by_server());
  EXPECT_FALSE(server.ask("GET", "/hello"));
}

TEST(HttpServer, MayGoWhileHandlersAndStreamsRun) {
  Streams streams;
  {
    Loopback server(streams.routes());
    RawClient poll(server.port());
    poll.send("GET /poll HTTP/1.1\r\nHost: x\r\n\r\n");
    RawClient silent(server.port());
    silent.send("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n");
    ASSERT_TRUE(eventually([&] { return streams.polls == 1 && streams.sent == 1; }));
  }
  EXPECT_EQ(streams.polls_ended, 1);
  EXPECT_EQ(streams.ended, 1);
}

TEST(EventParser, GivesTheSameEventsHoweverTheBytesAreCut) {
  const std::string bytes =
      "\xEF\xBB\xBF: hello\r\nevent: state\r\ndata: a\r\ndata:b\r\nid: 7\r\n\r\n"
      "data: x\n\n"
      "event: nothing\n\n"
      "event:lone\rdata\r\r"
      "retry: 10\ndata: half";
  const auto parse = [&](std::size_t piece) {
    EventParser parser(1000);
    std::vector<std::string> got;
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      parser.feed(std::string_view(bytes).substr(at, piece), [&](const ServerEvent& e) {
        got.push_back(e.event + "|" + e.data + "|" + e.id);
        return true;
      });
    return got;
  };
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece)
    EXPECT_THAT(parse(piece), ElementsAre("state|a\nb|7", "message|x|7", "lone||7")) << piece;
}

TEST(EventParser, RefusesAnEventWithoutEnd) {
  EventParser parser(100);
  EXPECT_EQ(parser.feed("data: " + std::string(200, 'x'), [](const ServerEvent&) { return true; }),
            EventParser::Fed::kTooLong);
}

TEST(EventParser, ReadsWhatTheServerWrites) {
  EventParser parser(1000);
  ServerEvent got;
  parser.feed(format_event("sta\nte", "a\nb\n\nc", "1\r\n2"), [&](const ServerEvent& e) {
    got = e;
    return true;
  });
  EXPECT_EQ(got.event, "state");
  EXPECT_EQ(got.data, "a\nb\n\nc");
  EXPECT_EQ(got.id, "12");
}

}  // namespace
}  // namespace faultline::http
