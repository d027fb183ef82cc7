// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/prometheus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "controller/observe/rules.h"
#include "controller/observe/samples.h"
#include "tests/unit/observe/answers.h"

namespace faultline::controller::observe {
namespace {

using api::AlertState;
using test::answer;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace json = boost::json;

std::vector<Series> series(const std::string& name) {
  return parse_series(data_of(answer(name)).value()).value();
}
Rules rules() { return parse_rules(data_of(answer("rules")).value(), "main", {}).value(); }

TEST(Prometheus, RulesAsTheyAre) {
  const Rules found = rules();
  EXPECT_THAT(found.told, IsEmpty());
  ASSERT_EQ(found.alerts.size(), 6U);
  const api::AlertRule& slow = found.alerts[0];
  EXPECT_EQ(slow.alert, "PaymentsSlow");
  EXPECT_EQ(slow.group, "shop");
  EXPECT_EQ(slow.expr, "app_slow{job=\"payments\"} > 0");
  EXPECT_EQ(slow.forSeconds, 3);
  EXPECT_EQ(slow.evaluationInterval, 1);
  EXPECT_EQ(slow.labels, (Labels{{"severity", "page"}}));
  EXPECT_EQ(found.alerts[1].keepFiringForSeconds, 4);
  // The grid is that of activeAt, not lastEvaluation, which is some milliseconds later.
  EXPECT_EQ(slow.lastEvaluation.format(), "2026-11-29T05:18:04.189084Z");
  EXPECT_EQ(found.alerts[0].lastEvaluation, found.alerts[2].lastEvaluation);
  EXPECT_EQ(found.alerts[3].longestWindow, 300);  // BurnRate: [1m] and [5m]
  EXPECT_EQ(found.alerts[1].longestWindow, 30);   // by the recording rule behind it
  EXPECT_THAT(metrics_behind(found.alerts[1].expr, found), ElementsAre("http_requests_total"));
  EXPECT_THAT(metrics_behind("absent(no_such_metric{job=\"x\"})", found),
              ElementsAre("no_such_metric"));
}

TEST(Prometheus, TheIntervalOfTheTargetsBehindAnExpression) {
  const auto targets = parse_targets(data_of(answer("targets")).value()).value();
  ASSERT_EQ(targets.size(), 2U);
  EXPECT_EQ(scrape_interval({"payments"}, targets), 1);
  EXPECT_EQ(scrape_interval({"payments", "gone"}, targets), 5);
  EXPECT_EQ(scrape_interval({"other"}, targets), std::nullopt);
  EXPECT_THAT(targets[0].last_error, HasSubstr("connection refused"));
}

TEST(Prometheus, UnknownFieldsAndSenselessRulesAreToldNotFatal) {
  const json::value data = json::parse(R"({"groups":[7,{"name":"g","interval":"1m","new":1,"rules":[
      {"name":"A","query":"up","type":"alerting","duration":-5,"colour":"red"},{"name":"B"},null,
      {"name":"R","query":"R + R2","type":"recording"},{"name":"R2","query":"R[1h]","type":"recording"},
      {"name":"C","query":"R","type":"alerting","health":"err","lastError":"many-to-many"}]}]})");
  const auto found = parse_rules(data, "main", {});
  ASSERT_TRUE(found.has_value());
  ASSERT_EQ(found->alerts.size(), 2U);
  EXPECT_EQ(found->alerts[0].forSeconds, 0);
  EXPECT_EQ(found->alerts[1].problem, "its last evaluation failed: many-to-many");
  EXPECT_EQ(found->alerts[1].longestWindow, 3600);
  EXPECT_THAT(found->told, testing::Contains("unknown field \"colour\" of a rule"));
  EXPECT_THAT(found->told, testing::Contains("group \"g\" tells no interval"));
  EXPECT_FALSE(parse_rules(json::parse("[]"), "main", {}).has_value());
}

TEST(Prometheus, RulesThatAreNotWantedOrTooLongAreNamesAtMost) {
  std::string rules;
  for (int i = 0; i < 60'000; ++i)
    rules += R"({"name":")" + std::string(i % 100 == 0 ? "Slow" : "Other" + std::to_string(i)) +
             R"(","query":"up == 0","type":"alerting","labels":{"n":")" + std::to_string(i) +
             R"("}},)";
  rules += R"({"name":"Slow","query":"up","type":"alerting","labels":{"long":")" +
           std::string(5'000, 'x') + R"("}},{"name":"Last","query":")" + std::string(100'000, 'x') +
           R"(","type":"alerting"})";
  const json::value data =
      json::parse(R"({"groups":[{"name":"g","interval":1,"rules":[)" + rules + "]}]}");
  const auto found =
      parse_rules(data, "main", {}, [](const std::string& alert, const Labels& labels) {
        const auto n = labels.find("n");
        return alert == "Last" || (alert == "Slow" && (n == labels.end() || n->second != "0"));
      });
  ASSERT_TRUE(found.has_value()) << found.error().message;
  EXPECT_EQ(found->alerts.size(), kMostRulesOfAlert);
  EXPECT_EQ(found->alerts[0].labels.at("n"), "100");
  EXPECT_EQ(found->names.size(), kMostRuleNames + 1);
  EXPECT_EQ(found->names.back(), "Last") << "it was asked for";
  EXPECT_THAT(found->left_out,
              testing::UnorderedElementsAre(
                  HasSubstr("more than 200 rules of the alert \"Slow\""),
                  "a rule of the alert \"Slow\" with a label of 5 kB was not taken",
                  "a rule of the alert \"Last\" with an expression of 100 kB was not taken"));
}

TEST(Prometheus, ActiveAlerts) {
  const auto alerts = parse_alerts(data_of(answer("alerts")).value()).value();
  ASSERT_EQ(alerts.size(), 6U);
  EXPECT_EQ(alerts[0].alert, "PaymentsSlow");
  EXPECT_FALSE(alerts[0].firing);
  EXPECT_NEAR(alerts[0].active_at, 1795929484.189, 0.001);
  EXPECT_FALSE(alerts[0].labels.contains("alertname"));
  EXPECT_TRUE(alerts[2].firing);
}

TEST(Prometheus, TheAlertsSeriesTellEveryChangeOnTheRulesOwnGrid) {
  const Rules known = rules();
  std::vector<api::AlertChange> changes;
  const auto slow = [](const Labels& labels) { return labels.at("alertname") == "PaymentsSlow"; };
  const auto keep = [&](const api::AlertChange& one) {
    changes.push_back(one);
    return true;
  };
  EXPECT_TRUE(
      changes_of(series("alerts_range"), known.alerts, "main", {}, test::kAsked, slow, keep));
  ASSERT_EQ(changes.size(), 3U);
  EXPECT_EQ(changes[0].state, AlertState::pending);
  EXPECT_EQ(changes[1].state, AlertState::firing);
  EXPECT_EQ(changes[2].state, AlertState::inactive);
  const auto since = [&](std::size_t i) {
    return std::chrono::duration<double>(changes[i].at.value.time_since_epoch()).count() -
           test::kBroken;
  };
  EXPECT_NEAR(since(0), 1.737, 0.002);  // the first evaluation after the first scrape
  EXPECT_NEAR(since(1), 4.737, 0.002);  // `for` 3 s later
  EXPECT_GT(since(2), test::kHealed - test::kBroken);
  EXPECT_LT(since(2), test::kHealed - test::kBroken + 2.1);
  EXPECT_EQ(changes[0].labels.at("pod"), "payments-0");
  const auto grid = grid_of(series("alerts_range"), known.alerts, known.alerts[0]);
  ASSERT_TRUE(grid.has_value());
  EXPECT_NEAR(*grid - std::floor(*grid), 0.189, 0.001);
}

TEST(Prometheus, ScrapesHaveTheirOwnTimes) {
  std::vector<api::ScrapeSample> scrapes;
  EXPECT_TRUE(scrapes_of(series("up_range"), "main", {}, [&](const api::ScrapeSample& one) {
    scrapes.push_back(one);
    return true;
  }));
  ASSERT_GE(scrapes.size(), 55U);
  EXPECT_EQ(scrapes[0].job, "payments");
  EXPECT_EQ(scrapes[0].pod, "shop/payments-0");
  EXPECT_TRUE(scrapes[0].up);
}

TEST(Prometheus, EvaluationsCountTheSeriesThatAreMeant) {
  const auto found = series("query_range");  // each second, of `app_slow > 0`
  api::AlertRule rule{.source = "main", .group = "shop", .alert = "PaymentsSlow"};
  rule.labels = {{"severity", "page"}, {"who", "{{ $labels.pod }}"}};
  const double from = found[0].points[0].at - 2;
  const auto held = [&](const Labels& wanted) {
    const auto all = evaluations_of(found, rule, wanted, 0, from, from + 60, 1, true, {});
    EXPECT_EQ(all.size(), 61U);
    EXPECT_EQ(all[0].series, 0U);
    return std::ranges::count_if(all, [](const auto& one) { return one.series == 1U; });
  };
  EXPECT_EQ(held({}), static_cast<long>(found[0].points.size()));
  EXPECT_GT(held({{"pod", "payments-0"}, {"severity", "page"}, {"who", "x"}}), 20);
  EXPECT_EQ(held({{"pod", "payments-1"}}), 0);
  EXPECT_EQ(held({{"severity", "ticket"}}), 0);
  auto all = evaluations_of(found, rule, {}, 0, from, from + 60, 1, true, {});
  only_changes(all);
  EXPECT_EQ(all.size(), 3U);
}

TEST(Prometheus, NoDataIsNoNumber) {
  const auto number = [](const std::string& name) {
    const json::value data = data_of(answer(name)).value();
    const auto found = parse_series(data).value();
    return parse_number(data, found.empty() ? 0 : found[0].points[0].at).value();
  };
  EXPECT_EQ(number("query_empty"), std::nullopt);
  EXPECT_EQ(number("query_nan"), std::nullopt);
  EXPECT_EQ(number("query_quantile"), 0.5);
  const auto refused = data_of(answer("query_bad"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("parse error"));
}

TEST(Prometheus, AValueOfAnotherTimeAndARangeAreNoValue) {
  const auto number = [](const std::string& type, const std::string& result) {
    return parse_number(json::parse(R"({"resultType":")" + type + R"(","result":)" + result + "}"),
                        1'000);
  };
  EXPECT_EQ(number("vector", R"([{"metric":{},"value":[1000.9,"7"]}])").value(), 7);
  EXPECT_EQ(number("scalar", R"([999.5,"7"])").value(), 7);
  for (const char* at : {"998", "1002", "-1e300", "1e300", "0"}) {
    const auto old =
        number("vector", R"([{"metric":{},"value":[)" + std::string(at) + R"(,"7"]}])");
    ASSERT_FALSE(old.has_value()) << at;
    EXPECT_EQ(old.error().code, Errc::kInvalid);
    EXPECT_THAT(old.error().message, HasSubstr("another time"));
    EXPECT_FALSE(number("scalar", "[" + std::string(at) + R"(,"7"])").has_value()) << at;
  }
  const auto range = number("matrix", R"([{"metric":{},"values":[[999,"1"],[1000,"7"]]}])");
  ASSERT_FALSE(range.has_value());
  EXPECT_THAT(range.error().message, HasSubstr("a range of samples"));
  EXPECT_EQ(number("vector", R"([{"metric":{},"value":[1000,"7"]},{"metric":{"a":"b"},
                                 "value":[1000,"7"]}])")
                .value(),
            std::nullopt)
      << "several";
}

TEST(Prometheus, LabelsThatAreTooMuchAreNotTakenAndTold) {
  const auto answer = [](const std::string& labels) {
    return json::parse(R"({"resultType":"vector","result":[{"metric":{"alertname":"Slow",)" +
                       labels +
                       R"(},"value":[1,"1"]},{"metric":{"alertname":"Fine"},)"
                       R"("value":[1,"1"]}]})");
  };
  std::string many;
  for (int i = 0; i < 64; ++i) many += (i ? "," : "") + ("\"l" + std::to_string(i)) + "\":\"x\"";
  for (const auto& [labels, words] : std::map<std::string, std::string>{
           {R"("long":")" + std::string(28'000'000, 'x') + "\"", "a label of 28 MB"},
           {"\"" + std::string(5'000, 'n') + "\":\"x\"", "a label of 5 kB"},
           {many, "65 labels"}}) {
    NotTaken left_out;
    const auto found = parse_series(answer(labels), &left_out);
    ASSERT_TRUE(found.has_value());
    ASSERT_EQ(found->size(), 1U);
    EXPECT_EQ((*found)[0].labels.at("alertname"), "Fine");
    EXPECT_EQ(left_out.words(), "an alert with " + words + " was not taken");
    EXPECT_TRUE(left_out.may_be("Slow"));
    EXPECT_FALSE(left_out.may_be("Fine"));
    const auto refused = parse_series(answer(labels));
    ASSERT_FALSE(refused.has_value()) << "of another query it is no answer";
    EXPECT_EQ(refused.error().code, Errc::kInvalid);
  }
  NotTaken nameless;
  nameless.add(json::object{{"alertname", std::string(5'000, 'x')}}, "a label of 5 kB");
  EXPECT_TRUE(nameless.may_be("Slow")) << "its name cannot be read";
}

TEST(Prometheus, NonsenseIsAnErrorAndNeverANumber) {
  for (const char* text :
       {R"({"resultType":"vector","result":{}})", R"({"resultType":"vector","result":[1]})",
        R"({"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]})",
        R"({"resultType":"vector","result":[{"metric":{},"value":["1","2"]}]})",
        R"({"resultType":"vector","result":[{"metric":{},"value":[1,2]}]})",
        R"({"resultType":"matrix","result":[{"metric":{},"values":[[1]]}]})",
        R"({"resultType":"scalar","result":[1,null]})", R"({"resultType":"string","result":[]})",
        R"([])", R"(null)"})
    EXPECT_FALSE(parse_series(json::parse(text)).has_value()) << text;
  for (const char* text : {"[]", "null", R"({"status":"success"})", R"({"data":[]})"})
    EXPECT_FALSE(data_of(json::parse(text)).has_value()) << text;
  for (const char* text : {"{}", R"({"alerts":{}})", R"({"alerts":[3]})"})
    EXPECT_FALSE(parse_alerts(json::parse(text)).has_value()) << text;
}

TEST(Prometheus, TheBucketThatAQuantileLiesIn) {
  const auto query =
      quantile_query(" histogram_quantile(0.99, sum by (le) (rate(x_bucket{job=\"a\"}[1m]))) ");
  ASSERT_TRUE(query.has_value());
  EXPECT_EQ(query->quantile, 0.99);
  EXPECT_EQ(query->buckets, "sum by (le) (rate(x_bucket{job=\"a\"}[1m]))");
  EXPECT_FALSE(quantile_query("histogram_quantile(0.9, a) > histogram_quantile(0.5, b)"));
  EXPECT_FALSE(quantile_query("rate(x[1m])"));
  EXPECT_FALSE(quantile_query("histogram_quantile(2, x)"));
  const std::vector<Series> buckets = {
      {{{"le", "0.5"}}, {{0, 95}}}, {{{"le", "+Inf"}}, {{0, 100}}}, {{{"le", "0.1"}}, {{0, 80}}}};
  EXPECT_EQ(bucket_of(buckets, 0.9)->low, 0.1);
  EXPECT_EQ(bucket_of(buckets, 0.9)->high, 0.5);
  EXPECT_EQ(bucket_of(buckets, 0.99)->low, 0.5);
  EXPECT_EQ(bucket_of(buckets, 0.99)->high, std::nullopt);
  EXPECT_FALSE(bucket_of({}, 0.9));
  EXPECT_FALSE(bucket_of(series("query_quantile"), 0.9));
}

TEST(Prometheus, WordsForAMatcher) {
  EXPECT_EQ(any_of({"payments-0", "10.0.0.5"}), "\"payments-0|10\\\\.0\\\\.0\\\\.5\"");
  EXPECT_EQ(any_of({"a\"b\\"}), "\"a\\\"b\\\\\\\\\"");
}

TEST(Source, TimesAndOffsets) {
  EXPECT_NEAR(*parse_time("2026-11-29T05:18:04.18908375Z"), 1795929484.189, 0.001);
  EXPECT_NEAR(*parse_time("2026-11-29T06:18:04+01:00"), 1795929484, 0.001);
  EXPECT_FALSE(parse_time("0001-01-01T00:00:00Z"));
  EXPECT_FALSE(parse_time("2026-13-29T05:18:04Z"));
  EXPECT_FALSE(parse_time("yesterday, at about noon"));
  const UtcTime asked{std::chrono::seconds(1000)}, answered{std::chrono::milliseconds(1000'200)};
  const Offset same = offset_of(asked, answered, 1000.1, 0.001);
  EXPECT_NEAR(same.offset, 0, 0.001);
  EXPECT_NEAR(same.uncertainty, 0.1, 0.002);
  const Offset ahead = offset_of(asked, answered, 1005.1, 0.001);
  EXPECT_NEAR(ahead.offset, 5, 0.001);
  EXPECT_NEAR(std::chrono::duration<double>(to_ours(1005, ahead).value.time_since_epoch()).count(),
              1000, 0.001);
  EXPECT_NEAR(to_theirs(asked, ahead), 1005, 0.001);
  EXPECT_EQ(to_ours(1005, same).value.time_since_epoch() / std::chrono::seconds(1), 1005);
  EXPECT_FALSE(to_ours(std::nan(""), {}).set());
  EXPECT_FALSE(to_ours(1e300, {}).set());
  EXPECT_FALSE(to_ours(-3, {}).set());
}

TEST(Source, WrongOptionsNameTheField) {
  const auto problem = [](SourceOptions options) {
    options.name = "main";
    const auto checked = check(options);
    return checked ? std::string() : checked.error().message;
  };
  EXPECT_EQ(problem({.url = "http://127.0.0.1:9090"}), "");
  EXPECT_EQ(problem({.url = "https://host/prometheus", .user = "a", .password = "b"}), "");
  EXPECT_THAT(problem({.url = "prometheus:9090"}),
              HasSubstr("main: url: \"prometheus:9090\" is not"));
  EXPECT_THAT(problem({.url = "http://a:b@host"}), HasSubstr("holds a user or password"));
  EXPECT_THAT(problem({.url = "http://host", .bearer_token = "x", .user = "y"}),
              HasSubstr("only one of both"));
  EXPECT_THAT(problem({.url = "http://host", .tls = http::ClientTls{}}), HasSubstr("not https"));
  EXPECT_THAT(problem({.url = "http://host", .timeout = std::chrono::hours(1)}),
              HasSubstr("timeout: must be between"));
}

}  // namespace
}  // namespace faultline::controller::observe
