// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/candidates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace faultline::controller::observe {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> names_of(const std::vector<Family>& families, std::string_view effect) {
  std::vector<std::string> out;
  for (const Family& one : families)
    if (one.effect == effect) out.push_back(one.name);
  return out;
}

TEST(Candidates, TheFamiliesOfEachEffectThoseThatFitBestFirst) {
  const auto found = families_of(
      {"go_gc_duration_seconds", "go_gc_duration_seconds_sum", "process_cpu_seconds_total",
       "process_start_time_seconds", "up", "scrape_duration_seconds", "queue_wait_seconds_bucket",
       "http_server_request_duration_seconds_bucket", "http_server_request_duration_seconds_sum",
       "http_server_request_duration_seconds_count", "rpc_latency_milliseconds_sum",
       "rpc_latency_milliseconds_count", "http_requests_total", "payment_errors_total",
       "container_network_receive_bytes_total", "payments_database_newest_seconds",
       "cache_size_bytes", "prometheus_http_requests_total"});
  EXPECT_THAT(names_of(found, "request.latency"),
              ElementsAre("http_server_request_duration_seconds_bucket",
                          "queue_wait_seconds_bucket", "rpc_latency_milliseconds"));
  EXPECT_THAT(names_of(found, "request.errors"),
              ElementsAre("http_server_request_duration_seconds_count", "http_requests_total",
                          "rpc_latency_milliseconds_count"));
  EXPECT_THAT(names_of(found, "cpu.usage"), ElementsAre("process_cpu_seconds_total"));
  EXPECT_THAT(names_of(found, "connect.errors"), ElementsAre("up"));
  EXPECT_THAT(names_of(found, "net.bytes"), ElementsAre("container_network_receive_bytes_total"));
  EXPECT_THAT(names_of(families_of({"payments_database_newest_seconds"}), "request.latency"),
              ElementsAre("payments_database_newest_seconds"));
}

TEST(Candidates, NamesThatAreNoneAreNotPutIntoARule) {
  EXPECT_THAT(
      families_of({"http_request_seconds{x=\"1\"}_bucket", "request latency_seconds_bucket", "",
                   std::string(300, 'a') + "_request_seconds_bucket", "request_seconds_\n_bucket"}),
      IsEmpty());
}

TEST(Candidates, TheLabelThatTellsFailures) {
  EXPECT_EQ(failures_of({{{"code", "200"}}, {{"code", "503"}}}), "code=~\"5..\"");
  EXPECT_EQ(failures_of({{{"status", "2xx"}}}), "status=~\"5..\"");
  EXPECT_EQ(failures_of({{{"grpc_code", "OK"}}}), "grpc_code!~\"OK|0\"");
  EXPECT_EQ(failures_of({{{"method", "GET"}}, {{"code", "ok"}}}), "");
  EXPECT_EQ(failures_of({}), "");
}

TEST(Candidates, ExpressionsAndRules) {
  const PodMatch pods{"namespace=\"shop\",pod=~\"a|b\"", {"namespace", "pod"}};
  const Family histogram{"request.latency", Shape::quantile, "http_seconds_bucket"};
  const std::string latency = expression(histogram, pods, 60);
  EXPECT_EQ(latency,
            "histogram_quantile(0.95, sum by (namespace, pod, le) "
            "(rate(http_seconds_bucket{namespace=\"shop\",pod=~\"a|b\"}[1m])))");
  EXPECT_EQ(rule_of(histogram, latency, false, 0.25), latency + " > 0.25");
  const Family share{"request.errors", Shape::share, "http_requests_total", 1, false,
                     "code=~\"5..\""};
  EXPECT_THAT(expression(share, pods, 4),
              HasSubstr("http_requests_total{namespace=\"shop\",pod=~\"a|b\",code=~\"5..\"}[4s]"));
  const Family rate{"request.rate", Shape::rate, "http_requests_total", 1, true};
  EXPECT_THAT(rule_of(rate, expression(rate, pods, 4), true, 12), testing::EndsWith(" < 12"));
  const Family up{"connect.errors", Shape::zero, "up"};
  EXPECT_THAT(rule_of(up, expression(up, pods, 4), false, 0), testing::EndsWith("}) == 0"));
}

TEST(Candidates, ThresholdsFromTheBaseline) {
  const Family latency{"request.latency", Shape::quantile, "x_seconds_bucket"};
  const Family rate{"request.rate", Shape::rate, "x_total", 1, true};
  std::string why;
  // Half above the highest.
  EXPECT_DOUBLE_EQ(threshold_of(latency, false, {0.1, 0.12, 0.11}, why)->value, 0.18);
  EXPECT_DOUBLE_EQ(threshold_of(latency, false, {0.1, 0.12, 0.11}, why)->baseline, 0.12);
  // The least step, of one that is next to nothing.
  EXPECT_DOUBLE_EQ(threshold_of(latency, false, {0.0001, 0.0001}, why)->value, 0.0051);
  // Three times the spread, of one that varies much: the middle is 2, its distances 1, 0, 1.
  EXPECT_DOUBLE_EQ(threshold_of(latency, false, {1, 2, 3}, why)->value, 7.5);
  EXPECT_DOUBLE_EQ(threshold_of(rate, true, {100, 98, 101}, why)->value, 49);
  EXPECT_EQ(threshold_of(rate, true, {0, 0, 0}, why), std::nullopt);
  EXPECT_THAT(why, HasSubstr("0 in the baseline"));
  EXPECT_EQ(threshold_of(latency, false, {0.1}, why), std::nullopt);
  EXPECT_THAT(why, HasSubstr("too few"));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(threshold_of(latency, false, {nan, nan, nan, HUGE_VAL}, why), std::nullopt);
  EXPECT_THAT(why, HasSubstr("no value"));
  const Family up{"connect.errors", Shape::zero, "up"};
  EXPECT_EQ(threshold_of(up, false, {1, 0, 1}, why), std::nullopt);
}

}  // namespace
}  // namespace faultline::controller::observe
