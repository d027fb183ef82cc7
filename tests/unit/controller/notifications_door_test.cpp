// SPDX-License-Identifier: Apache-2.0
// The door of Alertmanager's webhook, over loopback.
#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <map>

#include "house.h"

namespace faultline::controller::test {
namespace {

using testing::HasSubstr;

constexpr const char* kDoor = "/api/v1/alerts/notifications";

std::string notification(int alerts) {
  std::string body = R"({"receiver":"pager","alerts":[)";
  for (int i = 0; i < alerts; ++i)
    body += std::string(i == 0 ? "" : ",") + R"({"status":"firing","labels":{"alertname":"A)" +
            std::to_string(i) + R"(","service":"checkout"},"annotations":{"summary":")" +
            std::string(200, 'x') + R"("},"startsAt":"2026-11-23T10:15:03Z"})";
  return body + "]}";
}

class NotificationsDoor : public testing::Test {
 protected:
  NotificationsDoor() : house_(HouseOptions{.store_path = dir_.file("store.db")}) {}
  int post(const std::string& body, const std::string& token = "notifier-token") {
    return house_.call("POST", kDoor, body, token).status;
  }
  TempDir dir_;
  House house_;
};

TEST_F(NotificationsDoor, TakesNotificationsOfItsOwnTokenOnly) {
  EXPECT_EQ(post(notification(1), ""), 401);
  EXPECT_EQ(post(notification(1), "person-token"), 403);
  EXPECT_EQ(post(notification(1), "agent-token"), 403);
  EXPECT_EQ(post(notification(1)), 200);
  EXPECT_EQ(house_.call("GET", "/api/v1/nodes", "", "notifier-token").status, 403);
  const auto monitoring = house_.get("/api/v1/monitoring");
  EXPECT_EQ(monitoring.at("receivers").at(0), "pager") << "it has heard of the receiver";
  EXPECT_TRUE(monitoring.at("sources").as_array().empty());
}

TEST_F(NotificationsDoor, WhatIsNoNotificationIsRefusedWithTheField) {
  const auto answer = house_.call("POST", kDoor, R"({"alerts":[]})", "notifier-token");
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("receiver"));
}

TEST_F(NotificationsDoor, AFloodIsTakenOrRefusedAndTheControllerGoesOn) {
  EXPECT_EQ(post(notification(10'000)), 200) << "one of ten thousand alerts";
  EXPECT_EQ(post(std::string(9 << 20, 'x')), 413);
  int refused = 0;
  for (int i = 0; i < 80; ++i) refused += post(notification(1)) == 503 ? 1 : 0;
  EXPECT_GT(refused, 0) << "of one address 40 at once";
  EXPECT_EQ(house_.call("GET", "/healthz", "", "").status, 200);
}

// Alertmanager gives up on 4xx.
TEST_F(NotificationsDoor, NoFloodIsAnsweredByWhatIsFinal) {
  std::map<int, int> answers;
  for (int i = 0; i < 900; ++i) {
    const auto answer = house_.call("POST", kDoor, notification(1), "notifier-token");
    ++answers[answer.status];
    if (answer.status == 503) {
      EXPECT_EQ(answer.headers.at("retry-after"), "1");
    }
  }
  EXPECT_EQ(answers[200] + answers[503], 900) << "others than these two";
  EXPECT_GT(answers[503], 0);
}

TEST(NotificationsOfFollowers, AreRefusedSoThatAlertmanagerTriesTheLeader) {
  const TempDir dir;
  std::atomic<bool> leads = false;
  HouseOptions options{.store_path = dir.file("store.db")};
  options.leadership = [&leads] { return Leadership{.leads = leads, .term = 1, .leader = "c2"}; };
  House house(options);
  const auto refused = house.call("POST", kDoor, notification(1), "notifier-token");
  EXPECT_EQ(refused.status, 503) << "421 is final for Alertmanager";
  EXPECT_EQ(refused.headers.at("connection"), "close") << "the next try is on another connection";
  EXPECT_EQ(house.call("GET", "/api/v1/nodes").status, 421) << "others are told where to go";
  leads = true;
  EXPECT_TRUE(house.get("/api/v1/monitoring").at("receivers").as_array().empty());
  EXPECT_EQ(house.call("POST", kDoor, notification(1), "notifier-token").status, 200);
  EXPECT_EQ(house.get("/api/v1/monitoring").at("receivers").as_array().size(), 1U);
  boost::asio::co_spawn(house.loop(), house.service().hand_over(milliseconds(1)),
                        boost::asio::use_future)
      .get();
  EXPECT_EQ(house.call("POST", kDoor, notification(1), "notifier-token").status, 503)
      << "what one that ends is told nobody keeps";
}

}  // namespace
}  // namespace faultline::controller::test
