// SPDX-License-Identifier: Apache-2.0
// Who asks, found out by a coroutine that may take its time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "http/token.h"
#include "tests/unit/http/misbehaving.h"

namespace faultline::http {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::StartsWith;

// The token says what the authenticator does.
asio::awaitable<Result<Identity>> by_token(const Request& request) {
  const std::string token = bearer(request);
  if (token == "slow") co_await pause(milliseconds(400));
  if (token == "endless") co_await pause(seconds(60));
  if (token == "unavailable") co_return fail(Errc::kUnavailable, "the API server is not there");
  if (token == "denied") co_return fail(Errc::kDenied, "this token is for somebody else");
  if (token == "expired") co_return fail(Errc::kInvalid, "the token has expired");
  if (token == "internal") co_return fail(Errc::kInternal, "a secret of the house");
  if (token == "throws") throw std::runtime_error("a secret of the house");
  // Of a request that waited, everything must still be there.
  if (token.empty() || request.path != "/who") co_return Identity{};
  co_return Identity{.role = "person", .user = "jane", .groups = {"dev", "ops"}, .node = "n1"};
}

struct Asked {
  std::atomic<int> times{0};
  std::function<void(Server&)> routes() {
    return [this](Server& server) {
      server.authenticator([this](const Request& request) {
        ++times;
        return by_token(request);
      });
      server.route("POST", "/who", {"person"}, [](Request request) -> asio::awaitable<Response> {
        const Identity& who = request.who;
        co_return text(who.name() + "|" + who.groups.at(1) + "|" + who.node + "|" + request.body);
      });
      server.route("GET", "/open", {}, [](Request request) -> asio::awaitable<Response> {
        co_return text("open " + request.who.name() + ".");
      });
    };
  }
};

TEST(HttpAuthenticator, TheHandlerKnowsUserGroupsAndNode) {
  Asked asked;
  Loopback server(asked.routes());
  EXPECT_EQ(server.ask("POST", "/who", "body", "good")->body, "jane|ops|n1|body");
}

TEST(HttpAuthenticator, ItsErrorDecidesTheStatus) {
  Asked asked;
  Loopback server(asked.routes());
  const auto says = [&](const std::string& token) {
    const auto answer = server.ask("POST", "/who", "body", token);
    return std::to_string(answer->status) + " " + expect_ok(answer).error().message;
  };
  EXPECT_EQ(says("unavailable"), "503 the API server is not there");
  EXPECT_EQ(says("denied"), "403 this token is for somebody else");
  EXPECT_EQ(says("expired"), "401 the token has expired");
  for (const char* token : {"internal", "throws"})
    EXPECT_EQ(says(token), "500 internal error; the log of the server has more");
  EXPECT_THAT(says(""), StartsWith("401 a token is needed"));
}

TEST(HttpAuthenticator, IsNotAskedForWhatEverybodyMayDo) {
  Asked asked;
  Loopback server(asked.routes());
  EXPECT_EQ(server.ask("GET", "/open", "", "unavailable")->body, "open .");
  EXPECT_EQ(server.ask("GET", "/nowhere", "", "unavailable")->status, 404);
  EXPECT_EQ(asked.times, 0);
}

TEST(HttpAuthenticator, OneThatWaitsHoldsNobodyUpAndLosesNothing) {
  Asked asked;
  Loopback server(asked.routes());
  const std::string body(300'000, 'x');
  auto slow =
      std::async(std::launch::async, [&] { return server.ask("POST", "/who", body, "slow"); });
  while (asked.times == 0) std::this_thread::sleep_for(milliseconds(1));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(server.ask("POST", "/who", "", "good")->status, 200);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(350));
  EXPECT_EQ(slow.get()->body, "jane|ops|n1|" + body);
}

TEST(HttpAuthenticator, OneThatTakesTooLongIs504) {
  Asked asked;
  ServerOptions options;
  options.handler_timeout = seconds(1);
  Loopback server(asked.routes(), options);
  EXPECT_EQ(server.ask("POST", "/who", "", "endless")->status, 504);
}

TEST(HttpAuthenticator, StopAndTheEndOfTheServerDoNotWaitForIt) {
  Asked asked;
  Loopback server(asked.routes());
  auto answer =
      std::async(std::launch::async, [&] { return server.ask("POST", "/who", "", "endless"); });
  while (asked.times == 0) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_LT(server.stop(milliseconds(200)), milliseconds(1500));
  const auto got = answer.get();
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->status, 503);
}

TEST(HttpAuthenticator, TheServerMayGoWhileItWaits) {
  Asked asked;
  Loopback server(asked.routes());
  RawClient client(server.port());
  client.send(
      "POST /who HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer endless\r\nContent-Length: "
      "0\r\n\r\n");
  for (int i = 0; i < 3000 && asked.times == 0; ++i) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(asked.times, 1);
}

}  // namespace
}  // namespace faultline::http
