// SPDX-License-Identifier: Apache-2.0
// Who is told of runs. The chat and the Grafana are doubles: neither is in Debian.
#include <gmock/gmock.h>

#include <fstream>

#include "controller/announce/words.h"
#include "house.h"

namespace faultline::controller::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Keeps what it is sent, and answers as it was told.
class Receiver {
 public:
  Receiver() : server_(loop_.get_executor(), http::ServerOptions{}) {
    const auto take = [this](http::Request request) -> boost::asio::awaitable<http::Response> {
      co_return answer(request);
    };
    server_.route("POST", "/services/T0/secret", {}, take);
    server_.route("POST", "/api/annotations", {}, take);
    server_.route("PATCH", "/api/annotations/{id}", {}, take);
    const auto started = server_.start();
    EXPECT_TRUE(started);
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~Receiver() {
    loop_.stop();
    thread_.join();
  }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  [[nodiscard]] std::string url(const std::string& path = "") const {
    return "http://127.0.0.1:" + std::to_string(server_.port()) + path;
  }
  void refuse(int times, int status) {
    const std::lock_guard lock(mutex_);
    refusals_ = times;
    status_ = status;
  }
  // All later answers have a body so long.
  void answer_with(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    long_ = bytes;
  }
  [[nodiscard]] int refused() const {
    const std::lock_guard lock(mutex_);
    return refused_;
  }
  // The requests that were taken, once there are so many: "POST /path" and the body.
  std::vector<std::pair<std::string, boost::json::value>> wait_for(std::size_t n) const {
    for (int i = 0; i < 1000; ++i) {
      {
        const std::lock_guard lock(mutex_);
        if (taken_.size() >= n) return taken_;
      }
      std::this_thread::sleep_for(milliseconds(10));
    }
    ADD_FAILURE() << "fewer than " << n << " requests came";
    return {};
  }

 private:
  http::Response answer(const http::Request& request) {
    const std::lock_guard lock(mutex_);
    if (refusals_ > 0) {
      --refusals_;
      ++refused_;
      return http::problem(status_, "no: " + url(request.path));
    }
    std::string target = request.path;
    for (const auto& [key, value] : request.query) target += "&" + key + "=" + value;
    taken_.emplace_back(request.method + " " + target, boost::json::parse(request.body));
    if (long_ > 0) return {.body = std::string(long_, ' ')};
    return {.body = R"({"message":"Annotation added","id":17})"};
  }

  boost::asio::io_context loop_{1};
  http::Server server_;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::vector<std::pair<std::string, boost::json::value>> taken_;
  std::size_t long_ = 0;
  int refusals_ = 0, refused_ = 0, status_ = 0;
};

class Announced : public testing::Test {
 protected:
  void open() {
    const std::string secret = dir_.file("chat.url");
    std::ofstream(secret) << chat_.url("/services/T0/secret?sig=a%2Fb") << "\n";
    events_ = {
        {.name = "chat", .kind = api::DestinationKind::webhook, .url = {}, .urlFile = secret},
        {.name = "boards", .kind = api::DestinationKind::grafana, .url = grafana_.url()}};
    house_ = std::make_unique<House>(
        HouseOptions{.store_path = dir_.file("store.db"), .events = events_});
    agent_ = std::make_unique<AgentDouble>(house_->client("agent-token"), "n1");
    for (int i = 0; i < 500 && house_->get("/api/v1/nodes").as_array().empty(); ++i)
      std::this_thread::sleep_for(milliseconds(10));
  }
  std::string start() {
    const auto response =
        house_->call("POST", "/api/v1/experiments",
                     api::to_yaml(experiment("  phases: {baseline: 0s, fault: 500ms, recovery: "
                                             "0s}\n")));
    EXPECT_EQ(response.status, 201) << response.body;
    return std::string(boost::json::parse(response.body).at("run").as_string());
  }
  // Of the destination `name`, once it has told and failed so much.
  boost::json::object state(const std::string& name, int told, int failed) {
    boost::json::object last;
    for (int i = 0; i < 1500; ++i) {
      const boost::json::value answer = house_->get("/api/v1/monitoring");
      for (const auto& one : answer.at("events").as_array())
        if (one.at("name").as_string() == name) last = one.as_object();
      if (last.at("told").to_number<int>() == told && last.at("failed").to_number<int>() == failed)
        return last;
      std::this_thread::sleep_for(milliseconds(10));
    }
    ADD_FAILURE() << boost::json::value(last);
    return last;
  }

  TempDir dir_;
  std::vector<api::EventDestination> events_;
  Receiver chat_, grafana_;
  std::unique_ptr<House> house_;
  std::unique_ptr<AgentDouble> agent_;
};

TEST_F(Announced, AChatAndGrafanaHearOfTheBeginAndTheEnd) {
  open();
  const std::string run = start();
  const auto said = chat_.wait_for(2);
  ASSERT_EQ(said.size(), 2U);
  EXPECT_EQ(said[0].first, "POST /services/T0/secret&sig=a/b");
  EXPECT_THAT(std::string(said[0].second.at("text").as_string()),
              AllOf(HasSubstr("injects faults since 20"), HasSubstr(run), HasSubstr("asked for by"),
                    HasSubstr("networkLatency on shop/payments-n1")));
  EXPECT_THAT(std::string(said[1].second.at("text").as_string()),
              AllOf(HasSubstr(": met (run " + run), HasSubstr("confirmed")));

  const auto marks = grafana_.wait_for(2);
  ASSERT_EQ(marks.size(), 2U);
  EXPECT_EQ(marks[0].first, "POST /api/annotations");
  EXPECT_FALSE(marks[0].second.as_object().contains("timeEnd"));
  EXPECT_EQ(marks[1].first, "PATCH /api/annotations/17") << "one annotation, which gets an end";
  const auto from = marks[1].second.at("time").to_number<std::int64_t>();
  const auto to = marks[1].second.at("timeEnd").to_number<std::int64_t>();
  EXPECT_GE(to, from);
  EXPECT_EQ(marks[1].second.at("tags").at(1).as_string(), "run:" + run);
  const api::RunRecord record = house_->record(run);
  EXPECT_GE(from, std::chrono::duration_cast<milliseconds>(
                      record.history.front().at.value.time_since_epoch())
                      .count());
  EXPECT_EQ(state("chat", 2, 0).at("problem"), "");
  EXPECT_THAT(house_->call("GET", "/metrics", "", "").body,
              HasSubstr("faultline_events_total{destination=\"boards\",result=\"told\"} 2"));
}

TEST_F(Announced, WhatFailsIsTriedAgainCountedAndShownWithoutTheAddress) {
  open();
  chat_.refuse(1, 503);      // for a moment
  grafana_.refuse(99, 403);  // for good
  start();
  EXPECT_EQ(chat_.wait_for(2).size(), 2U) << "in their order";
  state("chat", 2, 0);
  const auto refused = state("boards", 0, 2);
  EXPECT_THAT(std::string(refused.at("problem").as_string()),
              AllOf(HasSubstr("HTTP 403"), HasSubstr("may not do this"), Not(HasSubstr("127"))));
  chat_.refuse(99, 404);
  start();
  const auto gone = state("chat", 2, 2);
  EXPECT_THAT(std::string(gone.at("problem").as_string()),
              AllOf(HasSubstr("404"), Not(HasSubstr("secret"))));
}

TEST_F(Announced, AnAnswerThatIsTooLongToReadIsAnAnswer) {
  open();
  chat_.answer_with(1 << 20);
  start();
  state("chat", 2, 0);
  EXPECT_EQ(chat_.wait_for(2).size(), 2U) << "each message once";
}

TEST_F(Announced, ARedirectionIsNotTriedAgainAndSaysWhatToSet) {
  open();
  chat_.refuse(99, 302);
  start();
  const auto moved = state("chat", 0, 2);
  EXPECT_EQ(chat_.refused(), 2) << "each message once";
  EXPECT_THAT(std::string(moved.at("problem").as_string()),
              AllOf(HasSubstr("HTTP 302"), HasSubstr("redirections are not followed")));
}

TEST_F(Announced, WhatWaitsForAnotherTryIsToldByTheNewSettings) {
  open();
  chat_.refuse(99, 503);
  start();
  for (int i = 0; i < 500 && chat_.refused() == 0; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  std::this_thread::sleep_for(milliseconds(100));  // it waits a second before it tries again
  chat_.refuse(0, 0);
  house_->destinations(events_);
  EXPECT_EQ(chat_.wait_for(2).size(), 2U);
  state("chat", 2, 0);
}

TEST_F(Announced, AControllerThatEndsTellsOfItsRuns) {
  open();
  house_->call("POST", "/api/v1/experiments",
               api::to_yaml(experiment("  phases: {baseline: 0s, fault: 30s, recovery: 0s}\n")));
  EXPECT_EQ(chat_.wait_for(1).size(), 1U);
  house_->end();
  const auto said = chat_.wait_for(2);
  ASSERT_EQ(said.size(), 2U);
  EXPECT_THAT(std::string(said[1].second.at("text").as_string()), HasSubstr("aborted"));
  house_.reset();
}

TEST(AnnounceWords, WordsOfOthersMentionNobodyLinkNowhereAndAreNoMarkup) {
  const announce::Announcement what{.run = "r",
                                    .over = true,
                                    .lines = {"<!channel> @all <https://evil|click> &amp;",
                                              "a\nb\x1b[2Jc\u202e", std::string(5000, 'x')},
                                    .from = UtcTime(seconds(1'000)),
                                    .to = UtcTime(seconds(1'030)),
                                    .tags = {"run:<b>\n"}};
  const auto chat = boost::json::parse(announce::webhook_body(what));
  const std::string text(chat.at("text").as_string());
  EXPECT_THAT(
      text,
      HasSubstr("&lt;!\u200bchannel&gt; @\u200ball &lt;https:\u200b//evil|click&gt; &amp;amp;"));
  EXPECT_THAT(text, HasSubstr("a\\nb\\x1b[\u200b"
                              "2Jc\\u202e"));
  EXPECT_LT(text.size(), 1'200U);
  const auto mark = boost::json::parse(announce::annotation_body(what));
  EXPECT_EQ(mark.at("time").to_number<int>(), 1'000'000);
  EXPECT_EQ(mark.at("timeEnd").to_number<int>(), 1'030'000);
  EXPECT_THAT(std::string(mark.at("text").as_string()),
              AllOf(HasSubstr("&lt;!channel&gt;"), HasSubstr("<br>"), Not(HasSubstr("<https"))));
  EXPECT_EQ(mark.at("tags").at(0), "run:<b>\\n");
}

TEST(AnnounceWords, ALongListIsCut) {
  announce::Announcement what{.run = "r", .lines = {}, .tags = {}};
  what.lines.assign(1'000, std::string(1'000, 'y'));
  EXPECT_LT(announce::webhook_body(what).size(), 20'000U);
  EXPECT_THAT(announce::webhook_body(what), HasSubstr("and 970 lines more in the report"));
}

}  // namespace
}  // namespace faultline::controller::test
