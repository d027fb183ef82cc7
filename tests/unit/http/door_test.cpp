// SPDX-License-Identifier: Apache-2.0
// What the server refuses callers that take too much, and that it goes on for the others.
#include "http/door.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <deque>
#include <future>

#include "http/token.h"
#include "tests/unit/http/loopback.h"

namespace faultline::http {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::StartsWith;

// A token "NAME" is of the user NAME, "node:NAME" of an agent; "nobody" and none are of nobody.
void routes(Server& server) {
  server.authenticator([](const Request& request) -> asio::awaitable<Result<Identity>> {
    const std::string token = bearer(request);
    Identity who;
    if (token.empty() || token == "nobody") co_return who;
    who.role = "person";
    who.user = token;
    if (token.starts_with("node:")) who.node = token.substr(5);
    co_return who;
  });
  server.route("GET", "/healthz", {},
               [](Request) -> asio::awaitable<Response> { co_return text("ok"); },
               {.always = true});
  server.route("GET", "/open", {},
               [](Request) -> asio::awaitable<Response> { co_return text("open"); });
  server.route("POST", "/open", {}, [](Request request) -> asio::awaitable<Response> {
    co_return text(std::to_string(request.body.size()));
  });
  server.route("POST", "/short", {"person"},
               [](Request request) -> asio::awaitable<Response> { co_return text(request.body); },
               {.max_body = 10});
  server.route("POST", "/long", {"person"}, [](Request request) -> asio::awaitable<Response> {
    co_return text(std::to_string(request.body.size()));
  });
  server.route("GET", "/poll", {"person"}, [](Request) -> asio::awaitable<Response> {
    co_await pause(milliseconds(1500));
    co_return text("news");
  });
  server.route("POST", "/hook", {"person"},
               [](Request request) -> asio::awaitable<Response> {
                 co_await pause(milliseconds(300));
                 co_return text(request.body);
               },
               {.never_429 = true});
  RouteOptions guarded;
  guarded.before = [](const Request& request) -> asio::awaitable<std::optional<Response>> {
    if (request.who.user == "jane") co_return std::nullopt;
    co_return problem(403, "only jane");
  };
  server.route(
      "POST", "/guarded", {"person"},
      [](Request request) -> asio::awaitable<Response> { co_return text(request.body); },
      std::move(guarded));
}

std::string head(const std::string& request, const std::string& token = "",
                 const std::string& more = "") {
  return request + " HTTP/1.1\r\nHost: x\r\n" +
         (token.empty() ? "" : "Authorization: Bearer " + token + "\r\n") + more + "\r\n";
}
std::string length(std::size_t bytes) {
  return "Content-Length: " + std::to_string(bytes) + "\r\n";
}

std::string status_of(Loopback& server, const std::string& bytes) {
  RawClient client(server.port());
  client.send(bytes);
  return client.receive("\r\n").substr(0, 12);
}

TEST(HttpDoor, AMethodThatTakesNoBodyGetsNone) {
  Loopback server(routes);
  EXPECT_EQ(status_of(server, head("GET /healthz", "", length(31 << 20))), "HTTP/1.1 413");
  EXPECT_EQ(status_of(server, head("GET /healthz", "", length(1)) + "x"), "HTTP/1.1 413");
  EXPECT_EQ(status_of(server, head("GET /healthz", "", "Transfer-Encoding: chunked\r\n")),
            "HTTP/1.1 413");
  EXPECT_EQ(status_of(server, head("GET /healthz", "", length(0))), "HTTP/1.1 200");
}

TEST(HttpDoor, ARouteHasALimitOfItsOwnWhichIsSaidBeforeTheBodyIsSent) {
  Loopback server(routes);
  EXPECT_EQ(server.ask("POST", "/short", "0123456789", "jane")->body, "0123456789");
  EXPECT_EQ(status_of(server, head("POST /short", "jane", length(11))), "HTTP/1.1 413");
  RawClient chunks(server.port());
  chunks.send(head("POST /short", "jane", "Transfer-Encoding: chunked\r\n"));
  chunks.send("8\r\n01234567\r\n8\r\n01234567\r\n");
  EXPECT_THAT(chunks.receive("}"), StartsWith("HTTP/1.1 413"));
}

TEST(HttpDoor, WhoAsksIsFoundOutAndMayBeRefusedBeforeTheBodyIsSent) {
  Loopback server(routes);
  EXPECT_EQ(status_of(server, head("POST /long", "nobody", length(1 << 20))), "HTTP/1.1 401");
  EXPECT_EQ(status_of(server, head("POST /guarded", "joe", length(1 << 20))), "HTTP/1.1 403");
  EXPECT_EQ(server.ask("POST", "/guarded", "mine", "jane")->body, "mine");
}

TEST(HttpDoor, ABodyWhoseLengthIsInDoubtEndsTheConnection) {
  Loopback server(routes);
  for (const char* coding :
       {"xchunked", "chunked, identity", "identity", "gzip", "gzip, chunked"}) {
    RawClient client(server.port());
    client.send(head("POST /open", "", "Transfer-Encoding: " + std::string(coding) + "\r\n") +
                "0\r\n\r\n" + head("GET /open"));
    const std::string got = client.receive_all();
    EXPECT_THAT(got, StartsWith("HTTP/1.1 501")) << coding;
    EXPECT_EQ(got.find("HTTP/1.1", 1), got.npos) << coding;
    EXPECT_TRUE(client.closed_by_server());
  }
  EXPECT_EQ(status_of(server, head("POST /open", "", length(5) + "Transfer-Encoding: chunked\r\n") +
                                  "0\r\n\r\n"),
            "HTTP/1.1 400");
}

TEST(HttpDoor, AHeaderHasAtMostSoManyFields) {
  Loopback server(routes);
  std::string many;
  for (int i = 0; i < 101; ++i) many += "a" + std::to_string(i) + ": b\r\n";
  EXPECT_EQ(status_of(server, head("GET /healthz", "", many)), "HTTP/1.1 431");
}

TEST(HttpDoor, ANewConnectionTakesThePlaceOfTheLongestIdleOneOfItsAddress) {
  ServerOptions options;
  options.max_unnamed_of_address = 8;
  Loopback server(routes, options);
  std::deque<RawClient> idle;
  for (int i = 0; i < 64; ++i) {
    idle.emplace_back(server.port());
    idle.back().send(head("GET /healthz"));
    EXPECT_THAT(idle.back().receive("ok"), StartsWith("HTTP/1.1 200")) << i;
  }
  EXPECT_EQ(server.ask("GET", "/healthz")->status, 200);
  idle.front().receive_all(milliseconds(2000));
  EXPECT_TRUE(idle.front().closed_by_server());
  idle.back().send(head("GET /healthz"));
  EXPECT_THAT(idle.back().receive("ok"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpDoor, ConnectionsThatSendNothingMakeRoomAsWell) {
  ServerOptions options;
  options.max_unnamed = 8;
  Loopback server(routes, options);
  std::deque<RawClient> silent;
  for (int i = 0; i < 50; ++i) silent.emplace_back(server.port());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(server.ask("GET", "/healthz")->status, 200);
}

TEST(HttpDoor, ANamedConnectionIsNotClosedForUnnamedOnes) {
  ServerOptions options;
  options.max_unnamed = 4;
  options.max_connections = 5;
  Loopback server(routes, options);
  RawClient jane(server.port());
  jane.send(head("POST /short", "jane", length(2)) + "hi");
  ASSERT_THAT(jane.receive("hi"), StartsWith("HTTP/1.1 200"));
  std::deque<RawClient> others;
  for (int i = 0; i < 30; ++i) others.emplace_back(server.port());
  EXPECT_EQ(server.ask("GET", "/healthz")->status, 200);
  jane.send(head("POST /short", "jane", length(5)) + "still");
  EXPECT_THAT(jane.receive("still"), StartsWith("HTTP/1.1 200"));
}

TEST(HttpDoor, OneCallerHasSoManyConnectionsAndAnotherHasItsOwn) {
  ServerOptions options;
  options.max_of_caller = 2;
  Loopback server(routes, options);
  const auto say_hi = [](RawClient& client, const std::string& who) {
    client.send(head("POST /short", who, length(2)) + "hi");
    return client.receive("\r\n\r\n").substr(0, 12);
  };
  RawClient a(server.port()), b(server.port()), c(server.port()), d(server.port());
  EXPECT_EQ(say_hi(a, "joe"), "HTTP/1.1 200");
  EXPECT_EQ(say_hi(b, "joe"), "HTTP/1.1 200");
  EXPECT_EQ(say_hi(c, "joe"), "HTTP/1.1 429");
  EXPECT_EQ(say_hi(d, "jane"), "HTTP/1.1 200");
}

TEST(HttpDoor, UsersLeaveThreeQuartersOfAllConnectionsToNodes) {
  ServerOptions options;
  options.max_connections = 8;
  Loopback server(routes, options);
  std::deque<RawClient> all;
  const auto say_hi = [&](const std::string& who) {
    all.emplace_back(server.port());
    all.back().send(head("POST /short", who, length(2)) + "hi");
    return all.back().receive("\r\n\r\n").substr(0, 12);
  };
  EXPECT_EQ(say_hi("a"), "HTTP/1.1 200");
  EXPECT_EQ(say_hi("b"), "HTTP/1.1 200");
  EXPECT_EQ(say_hi("c"), "HTTP/1.1 429");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(say_hi("node:n" + std::to_string(i)), "HTTP/1.1 200") << i;
}

TEST(HttpDoor, TooManyRequestsASecondAre429ForOneCallerAndOneAddressButNotForProbes) {
  ServerOptions options;
  options.unnamed_per_second = 5;
  options.caller_per_second = 3;
  Loopback server(routes, options);
  const auto statuses = [&](const std::string& path, const std::string& token) {
    std::map<int, int> count;
    for (int i = 0; i < 40; ++i)
      ++count[server.ask(path == "/short" ? "POST" : "GET", path, "", token)->status];
    return count;
  };
  EXPECT_GT(statuses("/open", "")[429], 10);
  EXPECT_GT(statuses("/short", "joe")[429], 10);
  EXPECT_EQ(server.ask("POST", "/short", "hi", "jane")->body, "hi");
  EXPECT_EQ(statuses("/healthz", "")[200], 40);
}

// For callers that give up on 4xx: each reason for a 429 is a 503 on such a route, and on no other.
class HttpDoorNever429 : public testing::Test {
 protected:
  static constexpr int kAsked = 40;
  // How often it was refused: with the status asked, and to be tried again later.
  static int refused(Loopback& server, const std::string& path, const std::string& token,
                     int status) {
    std::vector<std::future<Result<ClientResponse>>> asked;
    for (int i = 0; i < kAsked; ++i)
      asked.push_back(
          std::async(std::launch::async, [&] { return server.ask("POST", path, "hi", token); }));
    int count = 0;
    for (auto& one : asked) {
      const Result<ClientResponse> answer = one.get();
      if (!answer || answer->status == 200 || answer->status == 401) continue;
      EXPECT_EQ(answer->status, status) << path;
      EXPECT_EQ(answer->headers.at("retry-after"), "1") << path;
      ++count;
    }
    return count;
  }
  static void expect_refusals(const ServerOptions& options, const std::string& token) {
    Loopback server(routes, options);
    EXPECT_GT(refused(server, "/hook", token, 503), 0);
    EXPECT_GT(refused(server, "/short", token, 429), 0);
  }
};

TEST_F(HttpDoorNever429, RequestsOfACallerASecond) {
  ServerOptions options;
  options.caller_per_second = 2;
  options.max_of_caller = 1'000;
  expect_refusals(options, "joe");
}

TEST_F(HttpDoorNever429, ConnectionsOfACallerAndRequestsUnderWay) {
  ServerOptions options;
  options.max_of_caller = 2;
  options.caller_per_second = 10'000;
  Loopback server(routes, options);
  EXPECT_GT(refused(server, "/hook", "joe", 503), 0);
  RawClient a(server.port()), b(server.port());
  for (RawClient* held : {&a, &b}) {
    held->send(head("POST /short", "jane", length(2)) + "hi");
    ASSERT_THAT(held->receive("hi"), StartsWith("HTTP/1.1 200"));
  }
  EXPECT_EQ(server.ask("POST", "/short", "hi", "jane")->status, 429);
  EXPECT_EQ(server.ask("POST", "/hook", "hi", "jane")->status, 503);
}

TEST_F(HttpDoorNever429, WrongTokensOfAnAddress) {
  ServerOptions options;
  options.wrong_tokens_per_second = 1;
  expect_refusals(options, "nobody");
}

TEST(HttpDoor, WrongTokensAreNotLookedAtWithoutEnd) {
  std::atomic<int> asked = 0;
  ServerOptions options;
  options.wrong_tokens_per_second = 2;
  Loopback server(
      [&](Server& s) {
        routes(s);
        s.authenticator([&](const Request& request) -> asio::awaitable<Result<Identity>> {
          ++asked;
          co_return Identity{.role = bearer(request) == "jane" ? "person" : ""};
        });
      },
      options);
  EXPECT_EQ(server.ask("POST", "/short", "hi", "jane")->status, 200);
  for (int i = 0; i < 100; ++i) (void)server.ask("POST", "/short", "", "guess");
  EXPECT_GE(asked, 10);
  EXPECT_LT(asked, 60);
  EXPECT_EQ(server.ask("POST", "/short", "", "guess")->status, 429);
  EXPECT_EQ(server.ask("POST", "/short", "hi", "jane")->status, 200) << "whom it knows";
}

#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
#define FAULTLINE_CHECKS_NEED_DESCRIPTORS
#endif
#endif

TEST(HttpDoor, WhereDescriptorsAreShortIdleConnectionsGo) {
#ifdef FAULTLINE_CHECKS_NEED_DESCRIPTORS
  GTEST_SKIP()
      << "the sanitizer's check of an object's type opens a pipe, and says that the object is "
         "broken where it cannot; the release build runs this";
#endif
  Loopback server(routes);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  std::deque<RawClient> idle;
  for (int i = 0; i < 20; ++i) {
    idle.emplace_back(server.port());
    idle.back().send(head("GET /healthz"));
    idle.back().receive("ok");
  }
  const int free = dup(0);
  close(free);
  rlimit few = before;
  few.rlim_cur = static_cast<rlim_t>(free) + 1;  // for the client's end, and not for the server's
  setrlimit(RLIMIT_NOFILE, &few);
  RawClient waiting(server.port());
  waiting.send(head("GET /healthz"));
  EXPECT_THAT(waiting.receive("ok"), StartsWith("HTTP/1.1 200"));
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST(HttpDoor, BodiesBeyondTheBudgetAre503AndShortOnesOfOthersGoOn) {
  ServerOptions options;
  options.max_bodies = 1 << 20;
  Loopback server(routes, options);
  // Each sends a part of its body and then waits, as far as it is let.
  std::deque<RawClient> slow;
  std::string got;
  for (int i = 0; i < 30; ++i) {
    slow.emplace_back(server.port());
    slow.back().send(head("POST /long", "user" + std::to_string(i), length(300'000)));
    slow.back().send(std::string(200'000, 'x'));
    got += slow.back().receive("\r\n", milliseconds(50));
  }
  EXPECT_THAT(got, HasSubstr("HTTP/1.1 503"));
  EXPECT_EQ(server.ask("POST", "/long", std::string(1000, 'y'), "node:n1")->body, "1000");
  slow.clear();
  Result<ClientResponse> later;
  for (int i = 0; i < 100; ++i) {
    later = server.ask("POST", "/long", std::string(200'000, 'y'), "node:n1");
    if (later && later->status == 200) break;
    std::this_thread::sleep_for(milliseconds(20));
  }
  EXPECT_EQ(later->body, "200000") << "what they held is given back";
}

TEST(HttpDoor, WithoutANameThereIsAnEighthOfTheBudgetForBodies) {
  ServerOptions options;
  options.max_bodies = 1 << 20;
  Loopback server(routes, options);
  EXPECT_EQ(server.ask("POST", "/open", std::string(100'000, 'x'))->body, "100000");
  RawClient client(server.port());
  client.send(head("POST /open", "", length(300'000)));
  client.send(std::string(290'000, 'x'));
  EXPECT_THAT(client.receive("}"), StartsWith("HTTP/1.1 503"));
  EXPECT_EQ(server.ask("POST", "/long", std::string(200'000, 'x'), "jane")->body, "200000");
}

TEST(HttpDoor, OneCallerHasSoManyRequestsUnderWay) {
  ServerOptions options;
  options.max_of_caller = 3;
  Loopback server(routes, options);
  std::vector<std::future<int>> polls;
  for (int i = 0; i < 6; ++i)
    polls.push_back(std::async(std::launch::async,
                               [&] { return server.ask("GET", "/poll", "", "joe")->status; }));
  std::map<int, int> count;
  for (auto& poll : polls) ++count[poll.get()];
  EXPECT_EQ(count[200], 3);
  EXPECT_EQ(count[429], 3);
  EXPECT_EQ(server.ask("POST", "/short", "hi", "joe")->body, "hi");
}

TEST(HttpDoor, WhatIsRefusedIsCounted) {
  ServerOptions options;
  options.max_unnamed_of_address = 1;
  std::shared_ptr<const Refusals> refusals;
  Loopback server(
      [&](Server& s) {
        routes(s);
        refusals = s.refusals();
      },
      options);
  RawClient first(server.port()), second(server.port());
  EXPECT_EQ(server.ask("GET", "/healthz")->status, 200);
  std::uint64_t idle = 0;
  server.on_thread([&] { idle = refusals->idle; });
  EXPECT_EQ(idle, 2u);
}

TEST(HttpDoorAddress, OfIPv6OneNetworkOfAMachineIsOneCaller) {
  const auto key = [](const char* text) { return address_key(asio::ip::make_address(text)); };
  EXPECT_EQ(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
  EXPECT_NE(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
  EXPECT_EQ(key("::ffff:10.0.0.1"), key("10.0.0.1"));
  EXPECT_NE(key("10.0.0.1"), key("10.0.0.2"));
}

TEST(RatesTest, NamesWithoutEndShareOneBudget) {
  Rates rates({.burst = 2, .per_second = 1, .most = 10});
  SteadyTime now{seconds(1000)};
  int allowed = 0;
  for (int i = 0; i < 1000; ++i) allowed += rates.take(std::to_string(i), now).allowed ? 1 : 0;
  EXPECT_EQ(allowed, 12);
  EXPECT_EQ(rates.size(), 10u);
  now += seconds(60);
  EXPECT_TRUE(rates.take("a newcomer", now).allowed);
  EXPECT_EQ(rates.size(), 1u) << "who asked for nothing is forgotten";
}

TEST(RatesTest, WhatWasRefusedIsToldOnce) {
  Rates rates({.burst = 1, .per_second = 1});
  SteadyTime now{seconds(1000)};
  EXPECT_TRUE(rates.take("a", now).allowed);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(rates.take("a", now).allowed);
  EXPECT_TRUE(rates.take("b", now).allowed);
  now += seconds(2);
  EXPECT_EQ(rates.take("a", now).refused, 5u);
  now += seconds(2);
  EXPECT_EQ(rates.take("a", now).refused, 0u);
}

}  // namespace
}  // namespace faultline::http
