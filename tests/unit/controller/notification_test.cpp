// SPDX-License-Identifier: Apache-2.0
#include "controller/routes/notification.h"

#include <gmock/gmock.h>

#include "fixtures.h"

namespace faultline::controller::test {
namespace {

using testing::HasSubstr;

const UtcTime kNow = UtcTime(seconds(1795428900));

// As Alertmanager 0.25 posted it.
constexpr const char* kPosted = R"({"receiver":"pager","status":"firing","alerts":[
  {"status":"firing","labels":{"alertname":"PaymentsSlow","job":"payments"},
   "annotations":{"summary":"slow"},"startsAt":"2026-11-23T10:15:03.5Z",
   "endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p:9090/graph","fingerprint":"1c93"},
  {"status":"resolved","labels":{"alertname":"Other"},"annotations":{},
   "startsAt":"2026-11-23T10:15:00Z","endsAt":"2026-11-23T10:15:09Z"},
  {"status":"firing","labels":{"job":"without a name"}}],
  "groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://a:9093",
  "version":"4","groupKey":"{}:{}","truncatedAlerts":0})";

TEST(Notification, TellsReceiverAlertsAndArrival) {
  const auto told = parse_notification(kPosted, kNow);
  ASSERT_TRUE(told) << told.error().message;
  EXPECT_EQ(told->receiver, "pager");
  ASSERT_EQ(told->alerts.size(), 2U);
  EXPECT_EQ(told->alerts[0].alert, "PaymentsSlow");
  EXPECT_EQ(told->alerts[0].labels.at("job"), "payments");
  EXPECT_FALSE(told->alerts[0].resolved);
  EXPECT_EQ(told->alerts[0].at.value, kNow);
  EXPECT_EQ(told->alerts[0].startsAt.value, UtcTime(milliseconds(1795428903500)));
  EXPECT_TRUE(told->alerts[1].resolved);
}

TEST(Notification, WhatIsNoneIsRefusedWithTheField) {
  for (const auto& [body, words] :
       std::map<std::string, std::string>{{"", "notification"},
                                          {"[]", "object"},
                                          {R"({"alerts":[]})", "receiver"},
                                          {R"({"receiver":7,"alerts":[]})", "receiver"},
                                          {R"({"receiver":"a"})", "alerts"},
                                          {R"({"receiver":"a","alerts":[1]})", "alerts"},
                                          {std::string(100, '['), "notification"}}) {
    const auto told = parse_notification(body, kNow);
    ASSERT_FALSE(told) << body;
    EXPECT_EQ(told.error().code, Errc::kInvalid);
    EXPECT_THAT(told.error().message, HasSubstr(words)) << body;
  }
}

TEST(Notification, TenThousandAlertsAndStrangeLabelsAreRead) {
  std::string body = R"({"receiver":"a","alerts":[)";
  for (int i = 0; i < 10'000; ++i)
    body += std::string(i == 0 ? "" : ",") +
            R"({"status":"firing","startsAt":7,"labels":{"alertname":"A)" + std::to_string(i) +
            R"(","x":null,"long":")" + std::string(i == 0 ? 5000 : 5, 'x') + R"("}})";
  body += "]}";
  const auto told = parse_notification(body, kNow);
  ASSERT_TRUE(told) << told.error().message;
  ASSERT_EQ(told->alerts.size(), 9'999U) << "one has a label that is too long";
  EXPECT_EQ(told->alerts[0].labels.size(), 2U) << "null is no label";
  EXPECT_FALSE(told->alerts[0].startsAt.set());
  EXPECT_EQ(told->not_taken.words(), "an alert with a label of 5 kB was not taken");
  EXPECT_TRUE(told->not_taken.may_be("A0"));
  EXPECT_FALSE(told->not_taken.may_be("A1"));
}

TEST(Notification, WhatAlertmanagerLeftOffIsCounted) {
  const auto left_off = [](const std::string& fields) {
    return parse_notification(R"({"receiver":"a","alerts":[])" + fields + "}", kNow).value();
  };
  EXPECT_EQ(left_off("").left_off, 0U);
  EXPECT_EQ(left_off(R"(,"truncatedAlerts":0)").left_off, 0U);
  EXPECT_EQ(left_off(R"(,"truncatedAlerts":null)").left_off, 0U);
  EXPECT_EQ(left_off(R"(,"truncatedAlerts":12)").left_off, 12U);
  EXPECT_EQ(left_off(R"(,"truncatedAlerts":18446744073709551615)").left_off, UINT64_MAX);
  EXPECT_EQ(left_off(R"(,"truncatedAlerts":"many")").left_off, 1U) << "it may be any number";
  EXPECT_EQ(left_off("").alert, "");
  EXPECT_EQ(left_off(R"(,"groupLabels":{"alertname":"Slow","job":"a"})").alert, "Slow");
}

}  // namespace
}  // namespace faultline::controller::test
