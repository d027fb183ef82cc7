// SPDX-License-Identifier: Apache-2.0
// Many experiments that ask the monitoring at once. The Prometheus is a real HTTP server that takes
// its time and knows nothing.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controller/routes/monitoring.h"
#include "tests/unit/http/misbehaving.h"

namespace faultline::controller::test {
namespace {

namespace asio = boost::asio;

TEST(MonitoringTurns, OnlyAFewAskAtATimeAndAllComeToTheirTurn) {
  std::atomic<int> now{0}, most{0};
  http::Loopback prometheus([&](http::Server& server) {
    server.route("GET", "/api/v1/status/buildinfo", {},
                 [&](http::Request) -> asio::awaitable<http::Response> {
                   most = std::max(most.load(), ++now);
                   asio::steady_timer timer(co_await asio::this_coro::executor,
                                            std::chrono::milliseconds(50));
                   co_await timer.async_wait(asio::use_awaitable);
                   --now;
                   co_return http::problem(500, "no");
                 });
  });
  asio::io_context io;
  const SystemClock clock;
  Worker reader("fl-answer");
  Monitoring monitoring(io.get_executor(), clock, &reader);
  api::MonitoringEndpoint endpoint;
  endpoint.name = "main";
  endpoint.kind = api::SourceKind::prometheus;
  endpoint.url = prometheus.client_options().base_url;
  monitoring.configure({endpoint});
  int answered = 0;
  for (int i = 0; i < 12; ++i)
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
          api::Experiment nothing;
          const auto watcher = co_await monitoring.begin(std::move(nothing), "jane");
          EXPECT_TRUE(watcher) << watcher.error().message;
          if (watcher) ++answered;
        },
        asio::detached);
  io.run();
  EXPECT_EQ(answered, 12);
  EXPECT_EQ(most, 2);
}

}  // namespace
}  // namespace faultline::controller::test
