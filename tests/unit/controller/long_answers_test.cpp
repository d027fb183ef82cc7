// SPDX-License-Identifier: Apache-2.0
// Answers of the monitoring that are read on a worker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/observe/source.h"
#include "controller/store/worker.h"
#include "tests/unit/http/misbehaving.h"

namespace faultline::controller {
namespace {

using testing::StartsWith;

TEST(LongAnswers, AreTheSameAndAsBrokenAsShortOnes) {
  const std::string words(300'000, 'x');
  http::Loopback server([&](http::Server& routes) {
    routes.route("GET", "/good", {}, [&](http::Request) -> boost::asio::awaitable<http::Response> {
      co_return http::Response{.body = "{\"data\":\"" + words + "\"}"};
    });
    routes.route("GET", "/broken", {},
                 [&](http::Request) -> boost::asio::awaitable<http::Response> {
                   co_return http::Response{.body = "{\"data\":\"" + words};
                 });
    routes.route("GET", "/page", {}, [&](http::Request) -> boost::asio::awaitable<http::Response> {
      co_return http::Response{.body = "<html>" + words};
    });
  });
  Worker reader("fl-answer");
  const SystemClock clock;
  const auto ask = [&](std::string target, Worker* worker) {
    boost::asio::io_context io;
    observe::Source source(
        io.get_executor(),
        {.name = "main", .url = server.client_options().base_url, .reader = worker}, clock);
    std::function<Result<observe::Answer>(const observe::Answer&)> all =
        [](const observe::Answer& answer) -> Result<observe::Answer> { return answer; };
    return http::run(io, source.get(std::move(target), std::move(all)));
  };
  for (Worker* worker : {&reader, static_cast<Worker*>(nullptr)}) {
    const auto good = ask("/good", worker);
    ASSERT_TRUE(good) << good.error().message;
    EXPECT_EQ(good->body.at("data").as_string().size(), words.size());
    for (const char* wrong : {"/broken", "/page"}) {
      const auto refused = ask(wrong, worker);
      ASSERT_FALSE(refused) << wrong;
      EXPECT_EQ(refused.error().code, Errc::kUnavailable);
      EXPECT_THAT(refused.error().message, StartsWith("main: the answer is "));
    }
  }
}

}  // namespace
}  // namespace faultline::controller
