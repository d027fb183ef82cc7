// SPDX-License-Identifier: Apache-2.0
// Many experiments that ask the monitoring at once, of a Prometheus that is a real HTTP server,
// takes its time and knows nothing; and the receivers that it was heard of.
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

struct MovedClock final : Clock {
  [[nodiscard]] UtcTime utc() const override { return UtcTime(steady().time_since_epoch()); }
  [[nodiscard]] SteadyTime steady() const override { return SteadyTime(since); }
  std::chrono::hours since{100};
};

TEST(MonitoringReceivers, OneThatWasNotHeardOfForADayIsNotObservedAnyMore) {
  MovedClock clock;
  asio::io_context io;
  Monitoring monitoring(io.get_executor(), clock, nullptr);
  monitoring.heard_of("pager");
  monitoring.heard_of("chat");
  EXPECT_EQ(monitoring.receivers(), (std::set<std::string>{"chat", "pager"}));
  clock.since += std::chrono::hours(23);
  monitoring.heard_of("chat");
  EXPECT_EQ(monitoring.receivers().size(), 2U);
  clock.since += std::chrono::hours(1);
  EXPECT_EQ(monitoring.receivers(), std::set<std::string>{"chat"});
  for (int i = 0; i < 1'000; ++i) monitoring.heard_of("r" + std::to_string(i));
  EXPECT_EQ(monitoring.receivers().size(), 200U) << "of a flood the first";
  EXPECT_TRUE(monitoring.receivers().contains("chat"));
  clock.since += std::chrono::hours(24);
  monitoring.heard_of("pager");
  EXPECT_EQ(monitoring.receivers(), std::set<std::string>{"pager"}) << "there is room again";
}

}  // namespace
}  // namespace faultline::controller::test
