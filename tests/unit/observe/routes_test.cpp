// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/observe/answers.h"

namespace faultline::controller::observe {
namespace {

using test::answer;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const UtcTime kNow{std::chrono::seconds(1795929484)};  // a Sunday, 05:18:04

Routing routing() {
  return parse_routing(parse_status(answer("am_status")).value().config).value();
}
std::vector<std::string> receivers(const std::vector<api::AlertRoute>& routes) {
  std::vector<std::string> out;
  for (const api::AlertRoute& route : routes) out.push_back(route.receiver);
  return out;
}

TEST(Routes, TheTreeOfARealAlertmanager) {
  const Routing found = routing();
  EXPECT_THAT(found.told, IsEmpty());
  const auto page = routes_of(found, {{"alertname", "PaymentsSlow"}, {"severity", "page"}}, kNow);
  EXPECT_THAT(receivers(page), ElementsAre("pager", "tickets"));  // `continue`
  EXPECT_THAT(page[0].integrations, ElementsAre("webhook"));
  EXPECT_EQ(page[0].groupWait, 1);
  EXPECT_EQ(page[1].groupWait, 2);  // its parent's
  EXPECT_EQ(page[1].groupInterval, 10);
  EXPECT_EQ(page[1].repeatInterval, 3600);
  EXPECT_THAT(page[1].integrations, testing::UnorderedElementsAre("email", "webhook"));
  EXPECT_EQ(page[1].muted, "");
  const auto other = routes_of(found, {{"alertname", "BurnRate"}}, kNow);
  EXPECT_THAT(receivers(other), ElementsAre("Default"));
  EXPECT_THAT(other[0].integrations, IsEmpty());
}

TEST(Routes, WhatAlertmanagerHolds) {
  const auto held = parse_held(answer("am_alerts")).value();
  ASSERT_EQ(held.size(), 5U);
  EXPECT_EQ(held[0].alert, "PaymentsSilenced");
  EXPECT_THAT(held[0].silenced_by, ElementsAre("0065b613-e1c3-431a-9aee-bf06c0044fc9"));
  const auto silences = parse_silences(answer("am_silences")).value();
  EXPECT_EQ(silenced_words(silences, {{"severity", "silenced"}}),
            "silenced by anna until 07:17 UTC: maintenance of shop (0065b613)");
  EXPECT_EQ(silenced_words(silences, {{"severity", "page"}}), "");
  const Labels errors{{"alertname", "PaymentsErrors"}, {"pod", "payments-0"}};
  EXPECT_THAT(inhibited_words(routing(), held, errors),
              HasSubstr("inhibited by PaymentsSlow{instance=\"127.0.0.1:39101\""));
  EXPECT_EQ(inhibited_words(routing(), held, {{"alertname", "PaymentsErrors"}, {"pod", "x"}}), "");
}

TEST(Routes, AGroupThatExists) {
  const auto groups = parse_groups(answer("am_groups")).value();
  const Labels labels{{"alertname", "PaymentsSlow"}, {"severity", "page"}, {"pod", "other"}};
  const auto routes = routes_of(routing(), labels, kNow);
  EXPECT_TRUE(std::ranges::any_of(
      groups, [&](const AlertGroup& group) { return joins(group, routes[0], labels); }));
  const Labels fresh{{"alertname", "Fresh"}, {"severity", "page"}};
  EXPECT_FALSE(std::ranges::any_of(
      groups, [&](const AlertGroup& group) { return joins(group, routes[0], fresh); }));
}

TEST(Matchers, SyntaxOfAlertmanager) {
  const auto some = parse_matchers(R"({severity=~"page|ticket", pod!="a\"b", team = x y })");
  ASSERT_TRUE(some.has_value()) << some.error().message;
  ASSERT_EQ(some->size(), 3U);
  EXPECT_TRUE((*some)[0].regex);
  EXPECT_EQ((*some)[1].value, "a\"b");
  EXPECT_FALSE((*some)[1].equal);
  EXPECT_EQ((*some)[2].value, "x y");
  for (const char* text : {"", "{", "severity", "=x", "a=\"b", "a=\"b\" c", "{a=b", "a~b"})
    EXPECT_FALSE(parse_matchers(text).has_value()) << text;
}

TEST(Matchers, WholeValuesAndMissingLabels) {
  const auto holds = [](const char* text, const Labels& labels) {
    return matches(parse_matchers(text).value().front(), labels);
  };
  EXPECT_EQ(holds("a=~\"b|c\"", {{"a", "b"}}), true);
  EXPECT_EQ(holds("a=~\"b|c\"", {{"a", "xb"}}), false);
  EXPECT_EQ(holds("a=~\"b|c\"", {{"a", "cx"}}), false);
  EXPECT_EQ(holds("a=~\"(?:pay|check).+\"", {{"a", "payments"}}), true);
  EXPECT_EQ(holds("a=~\"v\\\\d+\\\\.x\"", {{"a", "v12.x"}}), true);
  EXPECT_EQ(holds("a!=\"b\"", {}), true);
  EXPECT_EQ(holds("a=\"\"", {}), true);
  EXPECT_EQ(holds("a=~\".+\"", {}), false);
  EXPECT_EQ(holds("a!~\".*\"", {}), false);
  // Not understood: it holds for none, and is told.
  for (const char* text : {"a=~\"(?i)b\"", "a=~\"b{1000}{1000}\"", "a=~\"(\"", "a=~\"\\\\pL\"",
                           "a=~\"((((b)+)+)+)+\"", "a=~\"(?:(b*c)d)+\"", "a=~\"b)\""})
    EXPECT_EQ(holds(text, {{"a", "b"}}), std::nullopt) << text;
  EXPECT_EQ(holds("a=~\"(b|c)+(d.*)\"", {{"a", "bcbd1"}}), true);
  EXPECT_EQ(holds("a=~\"[)]+\\\\(b\"", {{"a", "))(b"}}), true);
}

TEST(Routes, OldMatchersDefaultsAndTimes) {
  const auto found = parse_routing(R"(
route:
  receiver: all
  routes:
    - match: {team: shop}
      receiver: shop
      mute_time_intervals: [weekend]
    - match_re: {team: "pay.*"}
      receiver: pay
      active_time_intervals: [weekdays]
    - matchers: [team="zone"]
      receiver: zone
      mute_time_intervals: [elsewhere]
receivers: [{name: all}, {name: shop, slack_configs: [{channel: x}]}, {name: pay}, {name: zone}]
time_intervals:
  - name: weekend
    time_intervals: [{weekdays: ['saturday:sunday', 'sunday']}]
  - name: weekdays
    time_intervals: [{weekdays: ['monday:friday'], times: [{start_time: '09:00', end_time: '17:00'}]}]
  - name: elsewhere
    time_intervals: [{location: Europe/Berlin}]
)");
  ASSERT_TRUE(found.has_value()) << found.error().message;
  const auto shop = routes_of(*found, {{"team", "shop"}}, kNow);
  EXPECT_EQ(shop.at(0).receiver, "shop");
  EXPECT_EQ(shop[0].groupWait, 30);
  EXPECT_EQ(shop[0].groupInterval, 300);
  EXPECT_THAT(shop[0].integrations, ElementsAre("slack"));
  EXPECT_EQ(shop[0].muted, "muted by the time interval weekend");
  EXPECT_EQ(routes_of(*found, {{"team", "payments"}}, kNow).at(0).muted,
            "muted outside of the time interval weekdays");
  const UtcTime monday = kNow + std::chrono::hours(24 + 5);
  EXPECT_EQ(routes_of(*found, {{"team", "shop"}}, monday).at(0).muted, "");
  EXPECT_EQ(routes_of(*found, {{"team", "payments"}}, monday).at(0).muted, "");
  EXPECT_EQ(in_interval(*found, "elsewhere", kNow), std::nullopt);
  EXPECT_EQ(in_interval(*found, "none", kNow), std::nullopt);
}

TEST(Routes, WhatIsNoConfiguration) {
  for (const char* text : {"", "[]", "a: 1", "route: 7", ": :", "receivers: []"})
    EXPECT_FALSE(parse_routing(text).has_value()) << text;
  const auto odd = parse_routing("route: {receiver: a, group_wait: soon, matchers: ['(']}");
  ASSERT_TRUE(odd.has_value());
  EXPECT_EQ(odd->told.size(), 2U);
}

TEST(Alertmanager, NonsenseIsAnError) {
  const auto json = [](const char* text) { return boost::json::parse(text); };
  EXPECT_FALSE(parse_status(json("{}")).has_value());
  EXPECT_FALSE(parse_status(json("{\"config\":{}}")).has_value());
  EXPECT_FALSE(parse_held(json("{}")).has_value());
  EXPECT_FALSE(parse_held(json("[1]")).has_value());
  EXPECT_FALSE(parse_groups(json("null")).has_value());
  EXPECT_FALSE(parse_silences(json("[[]]")).has_value());
  EXPECT_TRUE(parse_held(json("[{\"labels\":7,\"status\":[],\"startsAt\":3}]")).has_value());
}

}  // namespace
}  // namespace faultline::controller::observe
