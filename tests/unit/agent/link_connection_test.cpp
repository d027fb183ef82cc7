// SPDX-License-Identifier: Apache-2.0
// The link over a real HTTP server on loopback. The controller behind it is a double that answers
// as the test tells it.
#include <gmock/gmock.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <filesystem>
#include <fstream>

#include "agent/link/link.h"
#include "api/codec.h"
#include "http/server.h"
#include "http/token.h"

namespace faultline::agent {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::SizeIs;

struct LinkOverLoopback : testing::Test {
  asio::io_context loop{1};
  SystemClock clock;
  http::Server server{loop.get_executor(), {}};
  std::filesystem::path token =
      std::filesystem::temp_directory_path() / ("flt-link-" + std::to_string(getpid()));

  // The controller: what it got, and how it answers.
  std::vector<api::SyncRequest> got;
  std::string good_token = "one-token-of-sixteen";
  std::uint64_t revision = 1;
  std::function<void(api::SyncResponse&)> answer = [](api::SyncResponse&) {};
  std::chrono::milliseconds hold{0};  // at most, when the agent lets it wait
  int fail_next = 0;
  // The agent.
  std::vector<api::RunBatch> to_tell;
  std::optional<std::chrono::nanoseconds> lease, armed;
  std::vector<api::SyncResponse> answers;
  std::vector<SteadyTime> sent;
  std::unique_ptr<ControllerLink> link;
  bool ended = false;

  void SetUp() override {
    write_token("one-token-of-sixteen");
    server.authenticator(
        [this](const http::Request& request) -> boost::asio::awaitable<Result<http::Identity>> {
          http::Identity who;
          if (http::bearer(request) == good_token) who.role = "agent";
          co_return who;
        });
    server.route("POST", "/api/v1/nodes/{node}/sync", {"agent"},
                 [this](http::Request request) { return sync(std::move(request)); });
    ASSERT_TRUE(server.start());
    LinkOwner owner;
    owner.news = [this]() -> asio::awaitable<OwnerNews> {
      co_return OwnerNews{std::exchange(to_tell, {}), {lease, false}, armed, armed.has_value()};
    };
    owner.answered = [this](const api::SyncResponse& response, AnswerTimes times) {
      answers.push_back(response);
      sent.push_back(times.sent);
    };
    link = std::make_unique<ControllerLink>(
        loop.get_executor(), clock,
        LinkOptions{"http://127.0.0.1:" + std::to_string(server.port()), token.string(), "node 1"},
        Conversation("i", {}), std::move(owner));
    ASSERT_TRUE(link->read_files());
  }
  void TearDown() override {
    link.reset();
    std::filesystem::remove(token);
  }
  void write_token(const std::string& text) {
    std::ofstream(token) << text;
    std::filesystem::permissions(
        token, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  asio::awaitable<http::Response> sync(http::Request request) {
    EXPECT_EQ(request.params["node"], "node 1");
    if (fail_next > 0) {
      --fail_next;
      co_return http::problem(503, "the store is full");
    }
    auto message = api::from_json_text<api::SyncRequest>(request.body);
    EXPECT_TRUE(message) << (message ? "" : message.error().message);
    got.push_back(*message);
    api::SyncResponse response;
    response.receivedAt = {clock.utc()};
    const auto wait = std::min<std::chrono::milliseconds>(
        hold, std::chrono::milliseconds(static_cast<int>(message->waitSeconds * 1000)));
    if (wait.count() > 0 && message->knownRevision == revision) {
      asio::steady_timer timer(loop, wait);
      co_await timer.async_wait(asio::use_awaitable);
    }
    response.revision = revision;
    for (const auto& b : message->batches) response.ackedBatch = b.number;
    response.answeredAt = {clock.utc()};
    answer(response);
    http::Response out;
    out.body = api::to_json_text(response);
    co_return out;
  }
  void run_for(std::chrono::milliseconds time) {
    if (!started_) {
      started_ = true;
      asio::co_spawn(loop, link->run(), [this](const std::exception_ptr&) { ended = true; });
    }
    loop.run_for(time);
  }

 private:
  bool started_ = false;
};

api::RunBatch batch(std::string run) {
  api::RunBatch b;
  b.run = std::move(run);
  return b;
}

TEST_F(LinkOverLoopback, TellsItselfThenHoldsALongPoll) {
  hold = 30s;
  run_for(300ms);
  ASSERT_THAT(got, SizeIs(2));
  EXPECT_TRUE(got[0].info);
  EXPECT_EQ(got[0].waitSeconds, 0);
  EXPECT_EQ(got[1].waitSeconds, 20);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_LE(sent[0], clock.steady());
}

TEST_F(LinkOverLoopback, WakingEndsTheLongPollAndIsNoFailure) {
  hold = 30s;
  run_for(200ms);
  to_tell.push_back(batch("r"));
  link->wake();
  run_for(200ms);
  ASSERT_GE(got.size(), 3u);
  EXPECT_THAT(got[2].batches, SizeIs(1));
  EXPECT_EQ(link->counts().failed, 0u);
}

TEST_F(LinkOverLoopback, SpeaksTwiceASecondWhileARunIsUp) {
  hold = 30s;
  lease = 3s;
  run_for(1600ms);
  EXPECT_GE(got.size(), 4u);
  EXPECT_LE(got.size(), 5u);
}

TEST_F(LinkOverLoopback, DoesNotSpinWhenTheControllerNeverWaits) {
  run_for(1000ms);
  EXPECT_LE(got.size(), 14u);
}

TEST_F(LinkOverLoopback, SendsAgainWhatAFailedExchangeDidNotDeliver) {
  to_tell.push_back(batch("r"));
  fail_next = 2;
  hold = 30s;
  run_for(800ms);
  ASSERT_FALSE(got.empty());
  ASSERT_THAT(got[0].batches, SizeIs(1));
  EXPECT_EQ(got[0].batches[0].number, 1u);
  EXPECT_EQ(link->counts().failed, 2u);
  EXPECT_EQ(link->counts().last_error, "");
}

TEST_F(LinkOverLoopback, TriesAtLeastThreeTimesInALeaseWhileAFaultIsArmed) {
  armed = lease = 900ms;
  fail_next = 1000;
  run_for(3000ms);
  EXPECT_GE(link->counts().failed, 10u);
  EXPECT_THAT(link->counts().last_error, testing::HasSubstr("the store is full"));
}

TEST_F(LinkOverLoopback, ReadsTheTokenAgainWhenItIsRefused) {
  good_token = "another-token-of-sixteen";
  run_for(200ms);
  EXPECT_TRUE(answers.empty());
  write_token("another-token-of-sixteen");
  run_for(1000ms);
  EXPECT_FALSE(answers.empty());
}

TEST_F(LinkOverLoopback, SendsItsLastWordsAndEnds) {
  hold = 30s;
  run_for(200ms);
  to_tell.push_back(batch("last"));
  link->stop();
  run_for(100ms);
  EXPECT_TRUE(ended);
  bool told = false, done = false;
  asio::co_spawn(loop, link->flush(1000ms), [&](const std::exception_ptr&, bool all) {
    told = all;
    done = true;
  });
  loop.restart();
  while (!done) loop.run_one();
  EXPECT_TRUE(told);
  EXPECT_EQ(got.back().batches.at(0).batch.run, "last");
}

TEST_F(LinkOverLoopback, LastWordsNobodyTakesAreGivenUpInTime) {
  run_for(100ms);
  to_tell.push_back(batch("last"));
  link->stop();
  run_for(100ms);
  fail_next = 1000;
  bool told = true, done = false;
  asio::co_spawn(loop, link->flush(300ms), [&](const std::exception_ptr&, bool all) {
    told = all;
    done = true;
  });
  const auto begin = std::chrono::steady_clock::now();
  loop.restart();
  while (!done) loop.run_one();
  EXPECT_FALSE(told);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
}

}  // namespace
}  // namespace faultline::agent
