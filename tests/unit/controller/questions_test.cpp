// SPDX-License-Identifier: Apache-2.0
// What a question to the webhooks may cost.
#include "controller/kubernetes/questions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include "tests/unit/kube/loop.h"

namespace faultline::controller {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

std::string review(const std::string& object = "{}") {
  return R"({"kind": "AdmissionReview", "request": {"uid": "1", "operation": "CREATE", "object": )" +
         object + "}}";
}
std::string about(int namespaces) {
  json::array names;
  for (int i = 0; i < namespaces; ++i) names.emplace_back("n" + std::to_string(i));
  return review(json::serialize(
      json::object{{"spec", {{"target", {{"selector", {{"namespaces", names}}}}}}}}));
}

class QuestionsTest : public testing::Test {
 protected:
  Result<Questions::Question> open(const std::string& text,
                                   const std::string& from = "10.0.0.1:1") {
    return kube::run(io_, questions_.open(text, from));
  }
  SystemClock clock_;
  boost::asio::io_context io_{1};
  Worker worker_{"test"};
  Questions questions_{clock_, {.worker = &worker_}};
};

TEST_F(QuestionsTest, AnAdmissionReviewIsReadOnAWorker) {
  const auto question = open(review(R"({"metadata": {"name": "x"}})"));
  ASSERT_TRUE(question) << question.error().message;
  EXPECT_EQ(question->request.at("uid"), "1");
  EXPECT_EQ(question->request.at("object").at("metadata").at("name"), "x");
  for (const char* bad : {"", "[]", "{}", R"({"kind": "AdmissionReview"})",
                          R"({"kind": "AdmissionReview", "request": {"uid": ""}})"})
    EXPECT_EQ(open(bad).error().code, Errc::kInvalid) << bad;
}

TEST_F(QuestionsTest, AShortTextThatTakesMuchMemoryIsRefused) {
  std::string many = "[";
  for (int i = 0; i < 250'000; ++i) many += "[0],";
  const std::string bomb = review(R"({"spec": )" + many + "[]]}");
  ASSERT_LT(bomb.size(), Questions::kMostBytes);
  const auto question = open(bomb);
  ASSERT_FALSE(question);
  EXPECT_EQ(question.error().code, Errc::kInvalid);
}

TEST_F(QuestionsTest, OneAddressHasSoManyReviewsAndAnotherHasItsOwn) {
  int allowed = 0;
  for (int i = 0; i < 100; ++i) allowed += open(about(63), "10.0.0.1:" + std::to_string(i)) ? 1 : 0;
  EXPECT_GE(allowed, 10);
  EXPECT_LT(allowed, 30);
  EXPECT_THAT(open(about(63)).error().message, HasSubstr("from this address"));
  EXPECT_TRUE(open(about(63), "10.0.0.2:1"));
}

TEST_F(QuestionsTest, SoManyAreUnderWayAndTheOthersWaitForTheirTurn) {
  std::vector<Questions::Question> under_way;
  for (std::size_t i = 0; i < Questions::kMostUnderWay; ++i)
    under_way.push_back(std::move(*open(review())));
  int done = 0, refused = 0;
  const auto ask = [&](std::string from) -> boost::asio::awaitable<void> {
    const auto question = co_await questions_.open(review(), std::move(from));
    ++(question ? done : refused);
  };
  io_.restart();
  for (std::size_t i = 0; i < Questions::kMostWaiting + 6; ++i)
    boost::asio::co_spawn(io_, ask("10.1." + std::to_string(i / 8) + ".1:1"),
                          boost::asio::detached);
  io_.run_for(std::chrono::milliseconds(100));
  EXPECT_EQ(done, 0);
  EXPECT_EQ(refused, 6) << "beyond those that may wait";
  under_way.clear();
  io_.run_for(std::chrono::seconds(5));
  EXPECT_EQ(done, static_cast<int>(Questions::kMostWaiting));
}

TEST_F(QuestionsTest, OneAddressFillsItsOwnShareAndNotTheApiServers) {
  std::vector<Questions::Question> under_way;
  for (std::size_t i = 0; i < Questions::kMostUnderWay; ++i)
    under_way.push_back(std::move(*open(review(), "10.0.0.9:1")));
  int done = 0, refused = 0;
  const auto ask = [&](std::string from) -> boost::asio::awaitable<void> {
    const auto question = co_await questions_.open(review(), std::move(from));
    ++(question ? done : refused);
  };
  io_.restart();
  for (std::size_t i = 0; i < 100; ++i)
    boost::asio::co_spawn(io_, ask("10.0.0.9:" + std::to_string(i)), boost::asio::detached);
  io_.run_for(std::chrono::milliseconds(100));
  EXPECT_EQ(refused, static_cast<int>(104 - Questions::kMostOfAddress));
  boost::asio::co_spawn(io_, ask("10.0.0.1:1"), boost::asio::detached);
  io_.run_for(std::chrono::milliseconds(100));
  EXPECT_EQ(refused, static_cast<int>(104 - Questions::kMostOfAddress)) << "it waits its turn";
  under_way.clear();
  io_.run_for(std::chrono::seconds(5));
  EXPECT_EQ(done, static_cast<int>(Questions::kMostOfAddress - Questions::kMostUnderWay + 1));
}

// November's queue was full of 11 addresses, and the API server was refused.
TEST_F(QuestionsTest, OfManyAddressesThatFillTheQueueEachHasItsTurn) {
  std::vector<Questions::Question> under_way;
  for (std::size_t i = 0; i < Questions::kMostUnderWay; ++i)
    under_way.push_back(std::move(*open(review(), "10.0.1.9:1")));
  std::vector<std::string> answered;
  int refused = 0;
  const auto ask = [&](std::string from) -> boost::asio::awaitable<void> {
    std::string asked_from = from;
    const auto question = co_await questions_.open(review(), std::move(asked_from));
    if (question)
      answered.push_back(std::move(from));
    else
      ++refused;
  };
  io_.restart();
  for (std::size_t host = 0; host < 12; ++host)
    for (std::size_t i = 0; i < Questions::kMostOfAddress; ++i)
      boost::asio::co_spawn(io_, ask("10.2.0." + std::to_string(host) + ":1"),
                            boost::asio::detached);
  io_.run_for(std::chrono::milliseconds(100));
  const int before = refused;
  EXPECT_EQ(before, static_cast<int>(12 * Questions::kMostOfAddress - Questions::kMostWaiting));
  boost::asio::co_spawn(io_, ask("10.0.0.1:1"), boost::asio::detached);
  io_.run_for(std::chrono::milliseconds(100));
  EXPECT_EQ(refused, before + 1) << "the newest of the address with the most made room";
  under_way.clear();
  io_.run_for(std::chrono::seconds(5));
  EXPECT_EQ(answered.size(), Questions::kMostWaiting);
  const auto server = std::ranges::find(answered, "10.0.0.1:1");
  ASSERT_NE(server, answered.end());
  EXPECT_LE(server - answered.begin(), 12 + static_cast<long>(Questions::kMostUnderWay))
      << "it waits for one question of each other address";
}

TEST_F(QuestionsTest, TheRouteHasALimitAndAsksForTheCertificateThatIsNamed) {
  EXPECT_EQ(questions_.route().max_body, Questions::kMostBytes);
  EXPECT_FALSE(questions_.route().before);
  Questions strict(clock_, {.client_name = "apiserver", .worker = &worker_});
  const auto refused = [&](const std::string& name, std::chrono::seconds left) {
    http::Request request;
    request.client.common_name = name;
    request.client.expires = std::chrono::floor<std::chrono::seconds>(clock_.utc()) + left;
    return kube::run(io_, strict.route().before(request)).has_value();
  };
  EXPECT_FALSE(refused("apiserver", std::chrono::seconds(60)));
  EXPECT_TRUE(refused("apiserver", std::chrono::seconds(-1)));
  EXPECT_TRUE(refused("jane", std::chrono::seconds(60)));
  EXPECT_TRUE(refused("", std::chrono::seconds(60)));
}

}  // namespace
}  // namespace faultline::controller
