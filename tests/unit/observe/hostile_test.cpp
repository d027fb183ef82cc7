// SPDX-License-Identifier: Apache-2.0
// Sources that are away, slow, refuse or answer nonsense. A real HTTP server over loopback says
// what the test says; the programs themselves are asked in tests/monitoring.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/observe/prometheus.h"
#include "controller/observe/watcher.h"
#include "report/detections.h"
#include "tests/unit/http/misbehaving.h"
#include "tests/unit/observe/answers.h"
#include "tests/unit/observe/monitor.h"

namespace faultline::controller::observe {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;
namespace asio = boost::asio;

// Answers every question with the same.
class Same {
 public:
  explicit Same(http::Response response)
      : server_([response](http::Server& server) {
          for (const char* path :
               {"/api/v1/query", "/api/v1/rules", "/api/v1/status/buildinfo", "/api/v2/status"})
            server.route("GET", path, {},
                         [response](http::Request) -> asio::awaitable<http::Response> {
                           co_return response;
                         });
        }) {}
  [[nodiscard]] SourceOptions options() const {
    return {
        .name = "main", .url = server_.client_options().base_url, .timeout = milliseconds(2000)};
  }

 private:
  http::Loopback server_;
};

Result<std::vector<Series>> ask(const SourceOptions& options) {
  asio::io_context io;
  const SystemClock clock;
  Prometheus client(io.get_executor(), options, clock);
  return http::run(io, client.query("up", 1795929484));
}

http::Response response(int status, std::string body, std::string type = "application/json") {
  http::Response out;
  out.status = status;
  out.body = std::move(body);
  out.content_type = std::move(type);
  return out;
}

TEST(HostileSource, EveryBrokenAnswerIsAnErrorInWords) {
  struct Case {
    http::Response response;
    Errc code;
    const char* words;
  };
  std::string deep(100'000, '[');
  const std::vector<Case> cases = {
      {response(401, "Unauthorized", "text/plain"), Errc::kDenied, "is not accepted"},
      {response(403, "{}"), Errc::kDenied, "may not do"},
      {response(404, "404 page not found", "text/plain"), Errc::kNotFound, "path of the URL"},
      {response(500, "<html><body>oops</body></html>", "text/html"), Errc::kUnavailable,
       "HTTP 500: an HTML page"},
      {response(503, R"({"status":"error","error":"starting\u001b[2J up"})"), Errc::kUnavailable,
       "HTTP 503: starting\\x1b[2J up"},
      {response(422, R"({"status":"error","errorType":"execution","error":"many-to-many"})"),
       Errc::kInvalid, "main: many-to-many"},
      {response(302, ""), Errc::kUnavailable, "HTTP 302"},
      {response(200, "<!DOCTYPE html><html>login</html>", "text/html"), Errc::kUnavailable,
       "an HTML page, not JSON"},
      {response(200, ""), Errc::kUnavailable, "not JSON"},
      {response(200, deep), Errc::kUnavailable, "not JSON"},
      {response(200, "{\"status\":\"success\",\"status\":\"success\"}"), Errc::kUnavailable,
       "not JSON"},
      {response(200, R"({"status":"success","data":{"resultType":"vector","result":7}})"),
       Errc::kUnavailable, "none of Prometheus'"},
  };
  for (const Case& one : cases) {
    const Same server(one.response);
    const auto found = ask(server.options());
    ASSERT_FALSE(found.has_value()) << one.words;
    EXPECT_EQ(found.error().code, one.code) << found.error().message;
    EXPECT_THAT(found.error().message, StartsWith("main: "));
    EXPECT_THAT(found.error().message, HasSubstr(one.words));
    EXPECT_EQ(found.error().message.find('\n'), std::string::npos);
  }
}

TEST(HostileSource, AnAnswerBeyondTheBudgetAndOneThatNeverComes) {
  const Same big(response(200, std::string(100'000, ' ')));
  SourceOptions options = big.options();
  options.max_body = 10'000;
  EXPECT_THAT(ask(options).error().message, HasSubstr("longer than 10000 bytes"));

  const http::Script silent([](int fd, int) {
    char bytes[1024];
    while (recv(fd, bytes, sizeof bytes, 0) > 0) {
    }
  });
  options.url = silent.options().base_url;
  options.timeout = milliseconds(150);
  EXPECT_THAT(ask(options).error().message, HasSubstr("no answer from"));
  options.url = "http://127.0.0.1:1";
  EXPECT_EQ(ask(options).error().code, Errc::kUnavailable);
}

TEST(HostileSource, UserAndTokenGoAlong) {
  std::string seen;
  const http::Loopback server([&](http::Server& to) {
    to.route("GET", "/prefix/api/v1/query", {},
             [&](http::Request request) -> asio::awaitable<http::Response> {
               seen = request.headers["authorization"];
               co_return response(200, test::answer_text("query_quantile"));
             });
  });
  SourceOptions options{.name = "main", .url = server.client_options().base_url + "/prefix/"};
  options.user = "anna";
  options.password = "secret";
  ASSERT_TRUE(ask(options).has_value()) << ask(options).error().message;
  EXPECT_EQ(seen, "Basic YW5uYTpzZWNyZXQ=");
  options.user = options.password = "";
  options.bearer_token = "token";
  EXPECT_TRUE(ask(options).has_value());
  EXPECT_EQ(seen, "Bearer token");
}

TEST(HostileSource, ARunWithoutItsMonitoringHasAGapAndNoVerdictThatPasses) {
  const Same broken(response(500, "no"));
  asio::io_context io;
  const SystemClock clock;
  api::Experiment experiment;
  experiment.spec.expect.alerts.push_back({.name = "Slow"});
  experiment.spec.abortWhen.push_back({.promql = "up", .above = "1"});
  SourceOptions manager = broken.options();
  manager.name = "am";
  Watcher watcher(io.get_executor(), {{broken.options()}, {manager}, {}}, experiment, clock);
  const UtcTime begin = clock.utc();
  http::run(io, [&]() -> asio::awaitable<int> {
    co_await watcher.begin();
    co_await watcher.poll();
    co_await watcher.finish({begin, {begin}, {begin + milliseconds(1)}, clock.utc()}, {});
    co_return 0;
  }());
  const api::MonitoringRecord& record = watcher.record();
  ASSERT_EQ(record.sources.size(), 2U);
  EXPECT_THAT(record.sources[0].problem, StartsWith("HTTP 500"));
  std::vector<std::string> gaps;
  for (const api::MonitoringGap& gap : record.gaps) gaps.push_back(gap.source);
  EXPECT_THAT(gaps, testing::UnorderedElementsAre("main", "am", "routes of am"));
  ASSERT_EQ(record.signals.size(), 1U);
  EXPECT_FALSE(record.signals[0].value.has_value());
  const auto found =
      report::detections_of(record, experiment.spec.expect, {{begin}, {begin}, {clock.utc()}});
  EXPECT_EQ(found.at(0).verdict, api::DetectionVerdict::unknown);
  EXPECT_THAT(found[0].reason, HasSubstr("main: HTTP 500"));
}

TEST(HostileSource, ARangeWithTimesThatWereNotAskedForIsNoAnswer) {
  for (const auto& [points, good] : std::map<std::string, bool>{
           {"[100,\"1\"],[101,\"1\"],[102,\"1\"]", true},
           {"[1e300,\"1\"]", false},
           {"[-1e300,\"1\"]", false},
           {"[90,\"1\"],[101,\"1\"]", false},
           {"[100,\"1\"],[100.1,\"1\"],[100.2,\"1\"],[100.3,\"1\"],[100.4,\"1\"]", false}}) {
    const test::Monitor main({{"/api/v1/query_range", [points = points](const auto&) {
                                 return test::matrix_of(R"({"metric":{},"values":[)" + points +
                                                        "]}");
                               }}});
    asio::io_context io;
    const SystemClock clock;
    Prometheus client(io.get_executor(), main.options("main"), clock);
    const auto found = http::run(io, client.query_range("x", 100, 102, 1));
    EXPECT_EQ(found.has_value(), good) << points;
    if (!good) {
      EXPECT_THAT(found.error().message, HasSubstr("times that were not asked for"));
    }
  }
}

TEST(HostileSource, OnlyALongAnswerWaitsForATurn) {
  std::size_t length = 100;
  const test::Monitor main({{"/api/v1/status/config", [&](const auto&) {
                               return test::success(R"({"yaml":")" + std::string(length, 'x') +
                                                    "\"}");
                             }}});
  int turns = 0, held = 0;
  bool refused = false;
  SourceOptions options = main.options("main");
  options.long_turn = [&]() -> asio::awaitable<Result<std::shared_ptr<void>>> {
    ++turns;
    if (refused) co_return fail(Errc::kUnavailable, "too many wait");
    ++held;
    co_return std::shared_ptr<void>(&held, [](int* one) { --*one; });
  };
  asio::io_context io;
  const SystemClock clock;
  Prometheus client(io.get_executor(), options, clock);
  const auto config = [&] { return http::run(io, client.config()); };
  EXPECT_EQ(config()->size(), length);
  EXPECT_EQ(turns, 0);
  length = 3'000'000;
  EXPECT_EQ(config()->size(), length);
  EXPECT_EQ(turns, 1);
  EXPECT_EQ(held, 0) << "it is given back";
  const std::size_t asked = main.asked("/api/v1/status/config");
  EXPECT_EQ(config()->size(), length);
  EXPECT_EQ(main.asked("/api/v1/status/config"), asked + 1) << "it is known to be long";
  EXPECT_EQ(turns, 2);
  refused = true;
  EXPECT_EQ(config().error().message, "main: too many wait");
}

}  // namespace
}  // namespace faultline::controller::observe
