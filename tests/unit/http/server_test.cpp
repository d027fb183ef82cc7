// SPDX-License-Identifier: Apache-2.0
// What the server answers to whom.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "http/token.h"
#include "tests/unit/http/loopback.h"

namespace faultline::http {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

void routes(Server& server) {
  server.authenticator([](const Request& request) -> asio::awaitable<Result<Identity>> {
    const std::string token = bearer(request);
    Identity who;
    if (same_token(token, "person-token")) who.role = "person";
    if (same_token(token, "agent-token")) who.role = "agent";
    co_return who;
  });
  server.route("GET", "/hello", {}, [](Request request) -> asio::awaitable<Response> {
    co_return text("hello " + request.query["name"]);
  });
  server.route("POST", "/echo", {}, [](Request request) -> asio::awaitable<Response> {
    co_return text(std::move(request.body));
  });
  server.route("GET", "/pods/{ns}/{name}", {}, [](Request request) -> asio::awaitable<Response> {
    co_return text(request.params["ns"] + "|" + request.params["name"]);
  });
  server.route("GET", "/pods/{ns}/all", {}, [](Request request) -> asio::awaitable<Response> {
    co_return text("all of " + request.params["ns"]);
  });
  server.route("DELETE", "/pods/{ns}/all", {},
               [](Request) -> asio::awaitable<Response> { co_return Response{.status = 204}; });
  server.route("GET", "/who", {"person"}, [](Request request) -> asio::awaitable<Response> {
    co_return text(request.who.name());
  });
  server.route("POST", "/who", {"person"},
               [](Request request) -> asio::awaitable<Response> { co_return text(request.body); });
  server.route("GET", "/throws", {}, [](Request) -> asio::awaitable<Response> {
    throw std::runtime_error("a secret of the house");
    co_return Response{};
  });
  server.route("GET", "/throws-an-int", {}, [](Request) -> asio::awaitable<Response> {
    throw 7;
    co_return Response{};
  });
  server.route("GET", "/slow", {}, [](Request) -> asio::awaitable<Response> {
    co_await pause(milliseconds(3000));
    co_return text("late");
  });
  server.route("GET", "/split", {}, [](Request) -> asio::awaitable<Response> {
    Response response = text("x");
    response.headers["X-A"] = "1\r\nX-B: 2";
    co_return response;
  });
}

boost::json::object problem_of(const ClientResponse& response) {
  return boost::json::parse(response.body).as_object();
}

TEST(HttpServer, DecodesTheQuery) {
  Loopback server(routes);
  ASSERT_TRUE(server.started());
  EXPECT_EQ(server.ask("GET", "/hello?name=a+b%26c&x")->body, "hello a b&c");
}

TEST(HttpServer, ParamsAreDecodedAfterTheSlashesAreFound) {
  Loopback server(routes);
  EXPECT_EQ(server.ask("GET", "/pods/shop/a%2Fb")->body, "shop|a/b");
  EXPECT_EQ(server.ask("GET", "/pods//x")->status, 404);
}

TEST(HttpServer, ALiteralGoesBeforeAParam) {
  Loopback server(routes);
  EXPECT_EQ(server.ask("GET", "/pods/shop/all")->body, "all of shop");
}

TEST(HttpServer, UnknownPathIs404WithAProblem) {
  Loopback server(routes);
  const auto answer = server.ask("GET", "/nowhere");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 404);
  EXPECT_EQ(answer->headers.at("content-type"), "application/problem+json");
  const auto problem = problem_of(*answer);
  EXPECT_EQ(problem.at("status"), 404);
  EXPECT_EQ(problem.at("title"), "Not Found");
  EXPECT_EQ(problem.at("detail"), "there is no /nowhere");
  const auto error = expect_ok(answer);
  ASSERT_FALSE(error);
  EXPECT_EQ(error.error().code, Errc::kNotFound);
  EXPECT_EQ(error.error().message, "there is no /nowhere");
}

TEST(HttpServer, KnownPathWithAnotherMethodIs405AndSaysWhichItHas) {
  Loopback server(routes);
  const auto answer = server.ask("PUT", "/pods/shop/all");
  EXPECT_EQ(answer->status, 405);
  EXPECT_EQ(answer->headers.at("allow"), "DELETE, GET, HEAD");
}

TEST(HttpServer, WithoutATokenIs401WithAWrongOneToo) {
  Loopback server(routes);
  const auto none = server.ask("GET", "/who");
  EXPECT_EQ(none->status, 401);
  EXPECT_THAT(none->headers.at("www-authenticate"), StartsWith("Bearer"));
  EXPECT_EQ(server.ask("GET", "/who", "", "person-tokem")->status, 401);
  EXPECT_EQ(server.ask("GET", "/who", "", "person-token")->body, "person");
  EXPECT_EQ(expect_ok(none).error().code, Errc::kDenied);
}

TEST(HttpServer, AnotherIdentityIs403) {
  Loopback server(routes);
  const auto answer = server.ask("GET", "/who", "", "agent-token");
  EXPECT_EQ(answer->status, 403);
  EXPECT_EQ(problem_of(*answer).at("detail"), "the token of agent may not do this");
}

TEST(HttpServer, AStrangersBigBodyIsNotReadToItsEnd) {
  Loopback server(routes);
  RawClient client(server.port());
  client.send("POST /who HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc");
  EXPECT_THAT(client.receive("}"), StartsWith("HTTP/1.1 401"));
}

TEST(HttpServer, AStrangersSmallBodyKeepsTheConnection) {
  Loopback server(routes);
  RawClient client(server.port());
  client.send("POST /who HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_THAT(client.receive("}"), StartsWith("HTTP/1.1 401"));
  client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.receive("hello "), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, AHandlerThatThrowsIs500AndTheServerLivesOn) {
  Loopback server(routes);
  for (const char* path : {"/throws", "/throws-an-int"}) {
    const auto answer = server.ask("GET", path);
    EXPECT_EQ(answer->status, 500);
    EXPECT_THAT(answer->body, Not(HasSubstr("secret")));
  }
  EXPECT_EQ(server.ask("GET", "/hello")->status, 200);
}

TEST(HttpServer, AHandlerThatTakesTooLongIs504) {
  ServerOptions options;
  options.handler_timeout = seconds(1);
  Loopback server(routes, options);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(server.ask("GET", "/slow")->status, 504);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(2000));
}

TEST(HttpServer, HeadIsGetWithoutTheBody) {
  Loopback server(routes);
  RawClient client(server.port());
  client.send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string answer = client.receive("\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_THAT(answer, testing::EndsWith("\r\n\r\n"));
  client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.receive("hello "), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, NoContentHasNoBody) {
  Loopback server(routes);
  const auto answer = server.ask("DELETE", "/pods/shop/all");
  EXPECT_EQ(answer->status, 204);
  EXPECT_FALSE(answer->headers.contains("content-length"));
}

TEST(HttpServer, AHeaderValueCannotBeginAHeader) {
  Loopback server(routes);
  const auto answer = server.ask("GET", "/split");
  EXPECT_EQ(answer->headers.at("x-a"), "1  X-B: 2");
  EXPECT_FALSE(answer->headers.contains("x-b"));
}

TEST(HttpServer, ALongHeaderIs431) {
  Loopback server(routes);
  RawClient client(server.port());
  client.send("GET /hello HTTP/1.1\r\nHost: x\r\nX-Long: " + std::string(20'000, 'a') + "\r\n\r\n");
  EXPECT_THAT(client.receive_all(), StartsWith("HTTP/1.1 431"));
  EXPECT_TRUE(client.closed_by_server());
}

TEST(HttpServer, ALongBodyIs413WhetherDeclaredOrNot) {
  ServerOptions options;
  options.max_body = 100'000;
  Loopback server(routes, options);
  EXPECT_EQ(server.ask("POST", "/echo", std::string(100'000, 'b'))->body.size(), 100'000u);
  const auto declared = server.ask("POST", "/echo", std::string(5 << 20, 'b'));
  ASSERT_TRUE(declared) << declared.error().message;
  EXPECT_EQ(declared->status, 413);

  RawClient client(server.port());
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20; ++i) client.send("2710\r\n" + std::string(10'000, 'c') + "\r\n");
  EXPECT_THAT(client.receive("}"), StartsWith("HTTP/1.1 413"));
}

TEST(HttpServer, ASlowHeaderIs408EvenWhenBytesTrickleIn) {
  ServerOptions options;
  options.header_timeout = seconds(1);
  Loopback server(routes, options);
  RawClient client(server.port());
  const auto begin = std::chrono::steady_clock::now();
  client.send("GET /hello HTTP/1.1\r\n");
  std::string got;
  for (int i = 0; i < 30 && got.empty(); ++i) {
    client.send("X-" + std::to_string(i) + ": y\r\n");
    got = client.receive("}", milliseconds(100));
  }
  EXPECT_THAT(got, StartsWith("HTTP/1.1 408"));
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GT(took, milliseconds(900));
  EXPECT_LT(took, milliseconds(2000));
}

TEST(HttpServer, AClientThatSaysNothingIsClosed) {
  ServerOptions options;
  options.header_timeout = seconds(1);
  Loopback server(routes, options);
  RawClient client(server.port());
  EXPECT_EQ(client.receive_all(milliseconds(3000)), "");
  EXPECT_TRUE(client.closed_by_server());
}

TEST(HttpServer, AnIdleKeptConnectionIsClosed) {
  ServerOptions options;
  options.idle_timeout = seconds(1);
  Loopback server(routes, options);
  RawClient client(server.port());
  client.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  client.receive("hello ");
  EXPECT_EQ(client.receive_all(milliseconds(3000)), "");
  EXPECT_TRUE(client.closed_by_server());
}

TEST(HttpServer, TooManyConnectionsThatAreBusyAre503) {
  ServerOptions options;
  options.max_connections = 2;
  Loopback server(routes, options);
  RawClient first(server.port());
  RawClient second(server.port());
  for (RawClient* client : {&first, &second}) {
    client->send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    client->receive("late", milliseconds(100));
  }
  EXPECT_EQ(server.ask("GET", "/hello")->status, 503);
  first.hang_up();
  Result<ClientResponse> answer;
  for (int i = 0; i < 100; ++i) {
    answer = server.ask("GET", "/hello");
    if (answer && answer->status == 200) break;
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_EQ(answer->status, 200);
}

TEST(HttpServer, NotHttpIs400) {
  Loopback server(routes);
  for (const char* bytes :
       {"\x16\x03\x01 hello\r\n\r\n", "GET /hello\r\n\r\n", "GET hello HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /a?namespace=shop%ff HTTP/1.1\r\nHost: x\r\n\r\n"}) {
    RawClient client(server.port());
    client.send(bytes);
    EXPECT_THAT(client.receive("}"), StartsWith("HTTP/1.1 400")) << bytes;
  }
}

TEST(HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  Loopback server(routes);
  RawClient client(server.port());
  std::string all;
  for (int i = 0; i < 50; ++i)
    all += "GET /hello?name=" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  client.send(all);
  const std::string got = client.receive("hello 49");
  std::size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    const std::size_t next = got.find("hello " + std::to_string(i), at);
    ASSERT_NE(next, got.npos) << i;
    at = next;
  }
}

TEST(HttpServer, AsksForTheBodyWhenTheClientWaitsForThat) {
  Loopback server(routes);
  RawClient client(server.port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(client.receive("\r\n\r\n"), StartsWith("HTTP/1.1 100"));
  client.send("abc");
  EXPECT_THAT(client.receive("abc"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, AnOldClientGetsItsConnectionClosed) {
  Loopback server(routes);
  RawClient client(server.port());
  client.send("GET /hello HTTP/1.0\r\n\r\n");
  const std::string got = client.receive_all();
  EXPECT_THAT(got, StartsWith("HTTP/1.0 200"));
  EXPECT_THAT(got, testing::EndsWith("hello "));
  EXPECT_TRUE(client.closed_by_server());
}

TEST(HttpServer, SaysWhyItCannotListen) {
  Loopback server(routes);
  ServerOptions options;
  options.port = server.port();
  asio::io_context io;
  Server second(io.get_executor(), options);
  const auto started = second.start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("Address already in use"));
  options.address = "localhost";
  Server third(io.get_executor(), options);
  EXPECT_EQ(third.start().error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace faultline::http
