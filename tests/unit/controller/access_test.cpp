// SPDX-License-Identifier: Apache-2.0
// Who somebody is by a client certificate and by a token, and what the API server is asked of them.
// It is a fake one here; tests/cluster has a real one.
#include "controller/kubernetes/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json.hpp>
#include <thread>

#include "tests/unit/kube/fake_api.h"
#include "tests/unit/kube/loop.h"

namespace faultline::controller {
namespace {

using testing::ElementsAre;

const UtcTime kNow = UtcTime(std::chrono::seconds(1'800'000'000));
const auto kLater = std::chrono::sys_seconds(std::chrono::seconds(1'800'000'001));

TEST(Certified, TheCommonNameIsTheUserAndTheOrganizationsAreTheGroups) {
  const auto who = Access::certified({"jane", {"shop", "on-call"}, kLater}, kNow);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->role, "person");
  EXPECT_EQ(who->user, "jane");
  EXPECT_THAT(who->groups, ElementsAre("shop", "on-call", "system:authenticated"));
}

TEST(Certified, IsNeverAnAgent) {
  const auto who =
      Access::certified({"system:serviceaccount:faultline:faultline-agent", {}, kLater}, kNow);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->role, "person");
  EXPECT_EQ(who->node, "");
}

TEST(Certified, WithoutACertificateOrWithOneThatHasExpiredItIsNobody) {
  const auto without = Access::certified({}, kNow);
  ASSERT_TRUE(without);
  EXPECT_EQ(without->role, "");
  const auto expired = Access::certified({"jane", {}, kLater - std::chrono::seconds(1)}, kNow);
  ASSERT_FALSE(expired);
  EXPECT_EQ(expired.error().code, Errc::kInvalid);
}

TEST(Tokens, AreTakenForOurAudienceOnlyAndAllThatIsKnownOfThePersonIsAsked) {
  namespace json = boost::json;
  std::vector<json::value> asked;
  kube::FakeApi api([&](const std::string& request, int) {
    json::value review = json::parse(request.substr(request.find("\r\n\r\n") + 4));
    asked.push_back(review);
    const bool token = request.find("tokenreviews") != request.npos;
    const bool good = token && review.at_pointer("/spec/token") == "for-us";
    review.as_object()["status"] = {{"allowed", true}, {"authenticated", good}};
    if (good)
      review.as_object()["status"] = {{"authenticated", true},
                                      {"audiences", {"faultline-controller"}},
                                      {"user",
                                       {{"username", "jane"},
                                        {"uid", "jane-1"},
                                        {"groups", {"shop"}},
                                        {"extra", {{"a", {"b"}}}}}}};
    return kube::FakeApi::answer(201, json::serialize(review));
  });
  boost::asio::io_context io{1};
  const SystemClock clock;
  kube::Client client(io.get_executor(), api.config());
  Access access(client, clock);
  const auto who = kube::run(io, access.identify("for-us"));
  ASSERT_TRUE(who);
  EXPECT_EQ(asked[0].at_pointer("/spec/audiences"),
            json::value(json::array{"faultline-controller"}));
  EXPECT_EQ(who->role, "person");
  EXPECT_TRUE(kube::run(io, access.may(*who, "create", {"shop"})));
  EXPECT_EQ(asked[1].at_pointer("/spec/uid"), "jane-1");
  EXPECT_EQ(asked[1].at_pointer("/spec/extra"), (json::value{{"a", {"b"}}}));
  const auto other = kube::run(io, access.identify("for-the-api-server"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::kInvalid);
  EXPECT_THAT(other.error().message, testing::HasSubstr("--audience faultline-controller"));
}

// Real time, some seconds ago until it is moved.
class EarlierClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady() const override {
    return std::chrono::steady_clock::now() - behind.load();
  }
  [[nodiscard]] UtcTime utc() const override { return std::chrono::system_clock::now(); }
  std::atomic<std::chrono::seconds> behind{std::chrono::seconds(20)};
};

TEST(Tokens, WhoIsKnownStaysKnownWhileTheApiServerHangsAndNobodyElseIs) {
  namespace json = boost::json;
  std::atomic<bool> hangs = false;
  kube::FakeApi api([&](const std::string& request, int) {
    while (hangs) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    json::value review = json::parse(request.substr(request.find("\r\n\r\n") + 4));
    review.as_object()["status"] = {{"authenticated", true},
                                    {"audiences", {"faultline-controller"}},
                                    {"user", {{"username", "jane"}}}};
    return kube::FakeApi::answer(201, json::serialize(review));
  });
  boost::asio::io_context io{1};
  EarlierClock clock;
  kube::Client client(io.get_executor(), api.config());
  Access access(client, clock);
  ASSERT_TRUE(kube::run(io, access.identify("jane's")));
  // What a review said is not remembered any more.
  clock.behind = std::chrono::seconds(0);
  hangs = true;
  const auto who = kube::run(io, access.identify("jane's"));
  ASSERT_TRUE(who) << who.error().message;
  EXPECT_EQ(who->user, "jane");
  bool answered = false;
  boost::asio::co_spawn(
      io,
      [&]() -> boost::asio::awaitable<void> {
        (void)co_await access.identify("somebody else's");
        answered = true;
      },
      boost::asio::detached);
  io.restart();
  io.run_for(std::chrono::milliseconds(1500));
  EXPECT_FALSE(answered);
  hangs = false;
  io.restart();
  io.run_for(std::chrono::milliseconds(500));
  EXPECT_TRUE(answered);
}

TEST(Secrets, AreReadByWhoMayAndNothingOfThemIsInAnError) {
  namespace json = boost::json;
  bool allowed = false;
  int status = 200;
  std::vector<std::string> asked;
  kube::FakeApi api([&](const std::string& request, int) {
    asked.push_back(request.substr(0, request.find(" HTTP")));
    if (request.find("subjectaccessreviews") != request.npos) {
      json::value review = json::parse(request.substr(request.find("\r\n\r\n") + 4));
      asked.back() += json::serialize(review.at_pointer("/spec/resourceAttributes"));
      review.as_object()["status"] = {{"allowed", allowed}};
      return kube::FakeApi::answer(201, json::serialize(review));
    }
    if (status == 403)
      return kube::FakeApi::answer(
          403, R"({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"})");
    // {"slow.yaml": "payroll", "broken": "payroll", not encoded}
    return kube::FakeApi::answer(200, R"({"kind": "Secret", "data": {
        "slow.yaml": "cGF5cm9sbA==", "broken": "payroll!"}})");
  });
  boost::asio::io_context io{1};
  const SystemClock clock;
  kube::Client client(io.get_executor(), api.config());
  Access access(client, clock);
  const auto read = [&](const std::string& user, const std::string& key) {
    return kube::run(io, access.secret({.user = user}, "shop", "pay-surprise", key));
  };
  const auto denied = read("mallory", "slow.yaml");
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code, Errc::kDenied);
  EXPECT_EQ(denied.error().message,
            "mallory may not get the Secret shop/pay-surprise: needs a Role for that");
  ASSERT_THAT(asked, testing::SizeIs(1)) << "it is not even looked for";
  for (const char* word : {R"("verb":"get")", R"("resource":"secrets")", R"("namespace":"shop")",
                           R"("name":"pay-surprise")"})
    EXPECT_THAT(asked[0], testing::HasSubstr(word));
  allowed = true;
  const auto good = read("jane", "slow.yaml");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(*good, "payroll");
  for (const char* key : {"broken", "slow.yml"}) {
    const auto wrong = read("jane", key);
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, Errc::kInvalid);
    EXPECT_THAT(wrong.error().message, testing::Not(testing::HasSubstr("payroll")));
    EXPECT_THAT(wrong.error().message, testing::Not(testing::HasSubstr("did you mean")))
        << "no name of another key either";
  }
  status = 403;
  const auto ours = read("jane", "slow.yaml");
  ASSERT_FALSE(ours);
  EXPECT_THAT(ours.error().message,
              testing::HasSubstr("the controller may not read the Secret shop/pay-surprise: bind a "
                                 "Role to it that may get this Secret in the namespace shop"));
}

}  // namespace
}  // namespace faultline::controller
