// SPDX-License-Identifier: Apache-2.0
// The client, also against servers that misbehave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <fstream>
#include <set>

#include "tests/unit/http/misbehaving.h"

namespace faultline::http {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

void routes(Server& server) {
  server.route("GET", "/peer", {},
               [](Request request) -> asio::awaitable<Response> { co_return text(request.peer); });
  server.route("POST", "/echo", {}, [](Request request) -> asio::awaitable<Response> {
    co_return text(std::move(request.body));
  });
  server.route("GET", "/slow", {}, [](Request) -> asio::awaitable<Response> {
    co_await pause(milliseconds(1500));
    co_return text("late");
  });
}

constexpr std::string_view kKept = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST(HttpClient, TwoHundredRequestsUseOneConnection) {
  Loopback server(routes);
  asio::io_context io(1);
  Client client(io.get_executor(), server.client_options());
  std::set<std::string> peers;
  for (int i = 0; i < 200; ++i) {
    const auto answer = run(io, client.request("GET", "/peer", "", seconds(5)));
    ASSERT_TRUE(answer) << answer.error().message;
    peers.insert(answer->body);
  }
  EXPECT_EQ(peers.size(), 1u);
}

TEST(HttpClient, CarriesALargeBodyBothWays) {
  Loopback server(routes);
  std::string body(3'000'000, 'x');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
  EXPECT_EQ(server.ask("POST", "/echo", body)->body, body);
}

TEST(HttpClient, ATimeOutIsUnavailableAndTheNextRequestIsNotConfused) {
  Loopback server(routes);
  asio::io_context io(1);
  Client client(io.get_executor(), server.client_options());
  const auto begin = std::chrono::steady_clock::now();
  const auto late = run(io, client.request("GET", "/slow", "", milliseconds(200)));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::kUnavailable);
  EXPECT_THAT(late.error().message, HasSubstr("within 0.2 s"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(1));
  const auto next = run(io, client.request("GET", "/peer", "", seconds(5)));
  EXPECT_THAT(next->body, HasSubstr("127.0.0.1:"));
}

TEST(HttpClient, ACancelledRequestLeavesNoLateAnswerBehind) {
  using namespace boost::asio::experimental::awaitable_operators;
  Loopback server(routes);
  asio::io_context io(1);
  Client client(io.get_executor(), server.client_options());
  const auto begin = std::chrono::steady_clock::now();
  const auto race =
      run(io, client.request("GET", "/slow", "", seconds(20)) || pause(milliseconds(100)));
  EXPECT_EQ(race.index(), 1u);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(1));
  EXPECT_THAT(run(io, client.request("GET", "/peer", "", seconds(5)))->body,
              HasSubstr("127.0.0.1:"));
}

TEST(HttpClient, TriesOnceMoreWhenTheServerClosedTheKeptConnection) {
  Script server([](int fd, int) {
    Script::read_request(fd);
    Script::write(fd, kKept);  // and close, which the answer did not announce
  });
  asio::io_context io(1);
  Client client(io.get_executor(), server.options());
  for (int i = 0; i < 5; ++i) {
    const auto answer = run(io, client.request("GET", "/", "", seconds(5)));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->body, "ok");
  }
  EXPECT_EQ(server.connections(), 5);
}

TEST(HttpClient, TriesOnceMoreWhenTheServerClosesJustAsTheRequestArrives) {
  Script server([](int fd, int number) {
    Script::read_request(fd);
    Script::write(fd, kKept);
    if (number == 1) Script::read_request(fd);  // and closes instead of an answer
  });
  asio::io_context io(1);
  Client client(io.get_executor(), server.options());
  EXPECT_TRUE(run(io, client.request("GET", "/", "", seconds(5))));
  const auto second = run(io, client.request("GET", "/", "", seconds(5)));
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(server.connections(), 2);
}

TEST(HttpClient, DoesNotTryAgainOnANewConnection) {
  Script server([](int fd, int) { Script::read_request(fd); });
  const auto answer = request_blocking(server.options(), "GET", "/", "", seconds(5));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::kUnavailable);
  EXPECT_THAT(answer.error().message, HasSubstr("closed the connection"));
  EXPECT_EQ(server.connections(), 1);
}

TEST(HttpClient, AServerThatDiesInMidAnswerIsUnavailable) {
  Script server([](int fd, int) {
    Script::read_request(fd);
    Script::write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf an ans");
  });
  const auto answer = request_blocking(server.options(), "GET", "/", "", seconds(5));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::kUnavailable);
}

TEST(HttpClient, AnAnswerThatIsNotHttpIsUnavailable) {
  Script server([](int fd, int) {
    Script::read_request(fd);
    Script::write(fd, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
  });
  const auto answer = request_blocking(server.options(), "GET", "/", "", seconds(5));
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("no HTTP answer"));
}

TEST(HttpClient, AnEventStreamThatBreaksOffIsAnError) {
  Script server([](int fd, int) {
    Script::read_request(fd);
    Script::write(fd,
                  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: x\n\n\r\n");
  });
  asio::io_context io(1);
  Client client(io.get_executor(), server.options());
  int events = 0;
  const auto done = run(io, client.events(
                                "/", [&](const ServerEvent&) { return ++events > 0; }, seconds(5)));
  EXPECT_EQ(events, 1);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::kUnavailable);
}

TEST(HttpClient, NobodyListeningIsSaidWithTheAddress) {
  ClientOptions options;
  options.base_url = "http://127.0.0.1:1";
  const auto answer = request_blocking(options, "GET", "/", "", seconds(5));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::kUnavailable);
  EXPECT_EQ(answer.error().message, "cannot connect to 127.0.0.1:1: Connection refused");
}

TEST(HttpClient, ResolvesNames) {
  FAULTLINE_NEEDS_LOCALHOST;
  Loopback server(routes);
  ClientOptions options;
  options.base_url = "http://localhost:" + std::to_string(server.port()) + "/";
  EXPECT_TRUE(request_blocking(options, "GET", "/peer", "", seconds(5)));
}

TEST(HttpClient, AWrongAddressIsInvalid) {
  for (const char* url :
       {"", "127.0.0.1:7878", "ftp://127.0.0.1:1", "http://", "https://", "http://a b/"}) {
    ClientOptions options;
    options.base_url = url;
    const auto answer = request_blocking(options, "GET", "/", "", seconds(5));
    ASSERT_FALSE(answer) << url;
    EXPECT_EQ(answer.error().code, Errc::kInvalid) << url;
  }
}

TEST(HttpClient, CloseEndsTheRequestUnderWay) {
  Loopback server(routes);
  asio::io_context io(1);
  Client client(io.get_executor(), server.client_options());
  asio::steady_timer timer(io, milliseconds(100));
  timer.async_wait([&](const boost::system::error_code&) { client.close(); });
  const auto begin = std::chrono::steady_clock::now();
  const auto answer = run(io, client.request("GET", "/slow", "", seconds(20)));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(1));
}

TEST(HttpClient, MayGoDuringARequest) {
  Loopback server(routes);
  asio::io_context io(1);
  std::optional<Client> client(std::in_place, io.get_executor(), server.client_options());
  auto future =
      asio::co_spawn(io, client->request("GET", "/slow", "", seconds(20)), asio::use_future);
  io.run_for(milliseconds(50));
  client.reset();
  io.restart();
  io.run();
  EXPECT_FALSE(future.get());
}

TEST(HttpClient, TooLongAnAnswerIsRefused) {
  Loopback server(routes);
  ClientOptions options = server.client_options();
  options.max_body = 1000;
  const auto answer =
      request_blocking(options, "POST", "/echo", std::string(5000, 'x'), seconds(5));
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("longer than 1000 bytes"));
}

TEST(ExpectOk, SpeaksWithoutAProblemToo) {
  ClientResponse response;
  response.status = 502;
  response.body = "<html>";
  const auto result = expect_ok(response);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kUnavailable);
  EXPECT_THAT(result.error().message, HasSubstr("502"));
  response.status = 302;
  EXPECT_FALSE(expect_ok(response));
  response.status = 201;
  EXPECT_TRUE(expect_ok(response));
}

TEST(Problem, StatusAndErrcAreInverse) {
  for (const Errc code : {Errc::kInvalid, Errc::kNotFound, Errc::kUnsupported, Errc::kConflict,
                          Errc::kDenied, Errc::kUnavailable, Errc::kInternal}) {
    const Response response = problem(Error{code, "the \"detail\"\nhas two lines", 0});
    ClientResponse answer;
    answer.status = response.status;
    answer.body = response.body;
    const auto back = expect_ok(answer);
    ASSERT_FALSE(back);
    EXPECT_EQ(back.error().code, code);
    EXPECT_EQ(back.error().message, "the \"detail\"\nhas two lines");
  }
}

}  // namespace
}  // namespace faultline::http
