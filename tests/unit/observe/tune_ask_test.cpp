// SPDX-License-Identifier: Apache-2.0
// What a tuning asks, of a Prometheus that is made up: one that takes small questions only, that
// refuses, that has no rules, and one whose evaluations lie between milliseconds.
#include "controller/observe/tune_ask.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

#include "tests/unit/http/misbehaving.h"

namespace faultline::controller::observe {
namespace {

using std::chrono::milliseconds;
using testing::Contains;
using testing::HasSubstr;
namespace asio = boost::asio;

constexpr double kNow = 1'795'929'484;

class FakeClock final : public Clock {
 public:
  [[nodiscard]] UtcTime utc() const override {
    return UtcTime(std::chrono::seconds(static_cast<std::int64_t>(kNow)));
  }
  [[nodiscard]] SteadyTime steady() const override { return std::chrono::steady_clock::now(); }
};

// Every expression has one series, with a value at each time that is asked.
class Fake {
 public:
  struct Script {
    int most_points = 11'000;    // of a question about the rule; beyond it is 422
    int refused_from = 1 << 30;  // this question and all after it are answered so:
    int status = 503;
    bool rules = true;
  };
  explicit Fake(Script script)
      : script_(script), server_([this](http::Server& server) {
          server.route("GET", "/api/v1/query", {},
                       [](http::Request) -> asio::awaitable<http::Response> {
                         co_return answer(R"({"resultType":"scalar","result":[1,"1795929484"]})");
                       });
          server.route("GET", "/api/v1/rules", {},
                       [this](http::Request) -> asio::awaitable<http::Response> {
                         co_return script_.rules ? answer(kRules) : http::problem(404, "none");
                       });
          server.route("GET", "/api/v1/query_range", {},
                       [this](http::Request request) -> asio::awaitable<http::Response> {
                         co_return range(request.query);
                       });
        }) {}

  [[nodiscard]] SourceOptions options() const {
    return {
        .name = "main", .url = server_.client_options().base_url, .timeout = milliseconds(5000)};
  }
  [[nodiscard]] int asked() const { return asked_; }

 private:
  static constexpr const char* kRules =
      R"({"groups":[{"name":"g","interval":0.1,"rules":[{"type":"alerting","name":"Slow",)"
      R"("query":"x > 1","duration":1}]}]})";

  static http::Response answer(const std::string& data) {
    http::Response out;
    out.body = R"({"status":"success","data":)" + data + "}";
    return out;
  }
  http::Response range(const std::map<std::string, std::string>& query) {
    if (++asked_ >= script_.refused_from) return http::problem(script_.status, "no more");
    const auto milli = [&](const char* key) {
      return std::llround(std::stod(query.at(key)) * 1000);
    };
    const long long from = milli("start"), to = milli("end"), step = milli("step");
    if (query.at("query").starts_with("x") && (to - from) / step + 1 > script_.most_points) {
      http::Response out;
      out.status = 422;
      out.body = R"({"status":"error","errorType":"execution","error":"too many samples"})";
      return out;
    }
    std::string values;
    for (long long at = from; at <= to; at += step)
      values += (values.empty() ? "" : ",") + std::string("[") + std::to_string(at / 1000) + "." +
                std::to_string(1000 + at % 1000).substr(1) + ",\"1\"]";
    return answer(R"({"resultType":"matrix","result":[{"metric":{"pod":"a"},"values":[)" + values +
                  "]}]}");
  }

  Script script_;
  std::atomic<int> asked_ = 0;
  http::Loopback server_;
};

Result<TuneData> ask(Fake& fake, TuneWish wish, double origin = 0, int turns = 1 << 30,
                     double length = 100) {
  TuneQuestion question{.recorded = {}, .wish = std::move(wish), .runs = {}, .known = {}};
  question.recorded = {.source = "main",
                       .group = "g",
                       .alert = "Slow",
                       .expr = "x > 1",
                       .forSeconds = 2,
                       .evaluationInterval = 0.1};
  TunedRun run{.run = "r"};
  run.first_injected = to_ours(kNow - 100, {});
  run.injected = kNow - 100;
  run.asked = {kNow - 30 - length, kNow - 30};
  run.grid.origin = origin;
  run.rule = question.recorded;
  question.runs = {run};
  asio::io_context io;
  const FakeClock clock;
  Prometheus client(io.get_executor(), fake.options(), clock);
  TuneTurn turn = [&]() -> asio::awaitable<Result<std::shared_ptr<void>>> {
    if (--turns < 0) co_return fail(Errc::kUnavailable, "too many wait");
    co_return std::shared_ptr<void>();
  };
  return http::run(io, ask_tune(client, std::move(question), std::move(turn), clock));
}
const TuneWish kWish{.fors = {1}, .thresholds = {1, 2}, .history = 1'000};

std::size_t spells(const Values& values) {
  std::size_t out = 0;
  for (const auto& [labels, list] : values.series()) out += list.size();
  return out;
}

TEST(AskTune, SmallerQuestionsLeaveNoHole) {
  Fake fake({.most_points = 700});
  const auto data = ask(fake, {.fors = {1}, .thresholds = {1, 2}, .history = 60});
  ASSERT_TRUE(data.has_value()) << data.error().message;
  ASSERT_EQ(data->answers.size(), 2U);
  for (const TuneData::Answers& answers : data->answers) {
    ASSERT_EQ(answers.runs.size(), 1U);
    EXPECT_EQ(spells(answers.runs[0]), 1U);
    EXPECT_EQ(spells(answers.history), 1U);
    const auto& list = answers.history.series().begin()->second;
    EXPECT_NEAR(static_cast<double>(list[0].last - list[0].first), 600, 1);
  }
  EXPECT_GE(data->questions, 8U);
}

TEST(AskTune, AGridBetweenMillisecondsLosesNoEvaluation) {
  Fake fake({});
  const auto data = ask(fake, kWish, kNow - 77.8675004);
  ASSERT_TRUE(data.has_value()) << data.error().message;
  EXPECT_EQ(spells(data->answers[0].runs[0]), 1U);
  EXPECT_EQ(spells(data->answers[0].history), 1U);
  const auto& list = data->answers[0].history.series().begin()->second;
  EXPECT_NEAR(static_cast<double>(list[0].last - list[0].first), 10'000, 1);
}

TEST(AskTune, TheRuleIsThatOfNowElseThatOfTheRun) {
  Fake fake({});
  const auto now = ask(fake, kWish);
  EXPECT_EQ(now->plan.rule.forSeconds, 1);
  EXPECT_THAT(now->runs[0].problem, HasSubstr("another one then: x > 1, for 2s"));
  EXPECT_FALSE(now->runs[0].same_rule);
  Fake none({.rules = false});
  const auto then = ask(none, kWish);
  ASSERT_TRUE(then.has_value()) << then.error().message;
  EXPECT_EQ(then->plan.rule.forSeconds, 2);
  EXPECT_TRUE(then->runs[0].same_rule);
  EXPECT_THAT(then->notes, Contains(HasSubstr("did not tell its rules")));
}

TEST(AskTune, WhatBreaksOffIsAShorterHistoryOrAnError) {
  // Of 3 blocks the newest is whole: 2 for data, 2 of the run, 1 for data, 2 for the block.
  Fake breaks({.refused_from = 8});
  const auto some = ask(breaks, {.fors = {1}, .thresholds = {1, 2}, .history = 1'400});
  ASSERT_TRUE(some.has_value()) << some.error().message;
  EXPECT_THAT(some->notes, Contains(HasSubstr("shorter than was asked: main: HTTP 503")));
  EXPECT_NEAR(some->history.to - some->history.from, 500, 1);
  EXPECT_EQ(spells(some->answers[1].history), 1U);

  Fake denies({.refused_from = 3, .status = 403});
  const auto denied = ask(denies, kWish);
  ASSERT_FALSE(denied.has_value());
  EXPECT_EQ(denied.error().code, Errc::kDenied);
  EXPECT_EQ(denies.asked(), 3) << "it is not asked again";
  Fake calm({});
  const auto full = ask(calm, kWish, 0, 4);
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().message, "too many wait");
}

TEST(AskTune, MoreQuestionsThanThereMayBeAreRefusedBefore) {
  Fake fake({});
  std::vector<double> many{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const auto data = ask(fake, {.fors = {1}, .thresholds = many, .history = kLongestHistory});
  ASSERT_FALSE(data.has_value());
  EXPECT_EQ(data.error().code, Errc::kInvalid);
  EXPECT_THAT(data.error().message, HasSubstr("ask for a shorter history"));
  EXPECT_LT(fake.asked(), 20);
}

TEST(AskTune, ARunOfTooManyEvaluationsIsRefusedBeforeTheFirstQuestion) {
  Fake fake({});
  const std::vector<double> many{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
  const auto data = ask(fake, {.fors = {1}, .thresholds = many, .history = 0}, 0, 1 << 30, 86'400);
  ASSERT_FALSE(data.has_value());
  EXPECT_EQ(data.error().code, Errc::kInvalid);
  EXPECT_THAT(data.error().message,
              HasSubstr("of 13 expressions every 100ms are 2249 questions to Prometheus, more than "
                        "2000; ask for fewer runs, or fewer values of threshold and window"));
  EXPECT_EQ(fake.asked(), 0);
}

}  // namespace
}  // namespace faultline::controller::observe
