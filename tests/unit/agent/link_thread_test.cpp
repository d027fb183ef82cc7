// SPDX-License-Identifier: Apache-2.0
// The link on a thread of its own, over a real HTTP server on loopback that has a third one. The
// controller behind it is a double; the test's thread is that of the owner, and is busy at times.
#include "agent/link/link_thread.h"

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <mutex>
#include <thread>

#include "api/codec.h"
#include "http/server.h"
#include "link_doubles.h"
#include "open_door.h"
#include "tests/unit/http/pki.h"

namespace faultline::agent::test {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::Ge;
using testing::IsEmpty;
using testing::Le;
using testing::SizeIs;

// Answers each sync with a higher revision after the wait that it may take, which `hold` bounds.
class Controller {
 public:
  explicit Controller(std::vector<api::DesiredRun> runs, std::chrono::milliseconds hold)
      : runs_(std::move(runs)), hold_(hold) {
    let_everybody_in(server_);
    server_.route("POST", "/api/v1/nodes/{node}/sync", {"agent"},
                  [this](http::Request request) { return sync(std::move(request)); });
    if (auto started = server_.start(); !started) throw std::runtime_error(started.error().message);
    port = server_.port();
    thread_ = std::thread([this] {
      const auto work = asio::make_work_guard(loop_);
      loop_.run();
    });
  }
  ~Controller() {
    loop_.stop();
    thread_.join();
  }
  struct Got {
    std::vector<SteadyTime> at;
    std::vector<std::string> batches;  // the runs of them, as they came
  };
  Got got() {
    const std::scoped_lock lock(mutex_);
    return got_;
  }
  std::uint16_t port = 0;

 private:
  asio::awaitable<http::Response> sync(http::Request request) {
    const auto message = api::from_json_text<api::SyncRequest>(request.body);
    if (!message) co_return http::problem(400, message.error().message);
    api::SyncResponse response;
    response.receivedAt = {clock_.utc()};
    {
      const std::scoped_lock lock(mutex_);
      got_.at.push_back(clock_.steady());
      for (const auto& numbered : message->batches) {
        response.ackedBatch = numbered.number;
        got_.batches.push_back(numbered.batch.run);
      }
    }
    const auto wait = std::min<std::chrono::milliseconds>(
        hold_, std::chrono::milliseconds(static_cast<int>(message->waitSeconds * 1000)));
    if (wait.count() > 0) {
      asio::steady_timer timer(loop_, wait);
      co_await timer.async_wait(asio::use_awaitable);
    }
    response.revision = ++revision_;
    response.runs = runs_;
    response.answeredAt = {clock_.utc()};
    http::Response out;
    out.body = api::to_json_text(response);
    co_return out;
  }

  SystemClock clock_;
  asio::io_context loop_{1};
  http::Server server_{loop_.get_executor(), {}};
  std::vector<api::DesiredRun> runs_;
  std::chrono::milliseconds hold_;
  std::uint64_t revision_ = 0;
  std::mutex mutex_;
  Got got_;
  std::thread thread_;
};

api::RunBatch batch(std::string run) {
  api::RunBatch b;
  b.run = std::move(run);
  return b;
}

struct OwnerOfALink : testing::Test {
  SystemClock clock;
  asio::io_context loop{1};
  http::Folder folder;
  std::vector<api::RunBatch> to_tell;
  std::optional<std::chrono::nanoseconds> lease;
  bool acting = false;
  std::function<void()> on_news = [] {}, on_answer = [] {};
  std::vector<std::uint64_t> revisions;
  std::vector<AnswerTimes> times;
  std::unique_ptr<LinkThread> thread;

  void start(const Controller& controller) {
    const std::string token = folder.write("token", "one-token-of-sixteen");
    std::filesystem::permissions(token, std::filesystem::perms::owner_read);
    LinkThread::Owner owner;
    owner.news = [this] {
      OwnerNews news{std::exchange(to_tell, {}), {lease, false}, lease, acting};
      on_news();
      return news;
    };
    owner.answered = [this](const api::SyncResponse& response, AnswerTimes at) {
      revisions.push_back(response.revision);
      times.push_back(at);
      on_answer();
    };
    thread = std::make_unique<LinkThread>(
        loop, clock,
        LinkOptions{"http://127.0.0.1:" + std::to_string(controller.port), token, "node-1"},
        Conversation("i", {}), std::move(owner));
    ASSERT_TRUE(thread->link().read_files());
    thread->start();
  }
  void run_for(std::chrono::milliseconds time) {
    const auto work = asio::make_work_guard(loop);
    loop.restart();
    loop.run_for(time);
  }
  // Busy for `time`: how many requests came meanwhile, and the longest time without one.
  struct Heard {
    std::size_t requests = 0;
    std::chrono::nanoseconds longest_silence{0};
  };
  Heard heard_in(Controller& controller, SteadyTime from, SteadyTime to) {
    Heard heard;
    SteadyTime last = from;
    for (const SteadyTime at : controller.got().at) {
      if (at < from || at > to) continue;
      ++heard.requests;
      heard.longest_silence = std::max<std::chrono::nanoseconds>(heard.longest_silence, at - last);
      last = at;
    }
    heard.longest_silence = std::max<std::chrono::nanoseconds>(heard.longest_silence, to - last);
    return heard;
  }
};

TEST_F(OwnerOfALink, IsSpokenForWhileItIsBusyAsOftenAsTheLeaseOfItsRunAsks) {
  api::DesiredRun run = Node::run(api::RunPhase::baseline);
  run.leaseSeconds = 1;
  Controller controller({run}, 30s);
  SteadyTime from, to;
  on_answer = [&] {
    if (revisions.size() != 1) return;
    from = clock.steady();
    std::this_thread::sleep_for(2s);
    to = clock.steady();
  };
  start(controller);
  run_for(2500ms);
  const Heard heard = heard_in(controller, from, to);
  EXPECT_THAT(heard.requests, Ge(4U));
  EXPECT_THAT(heard.longest_silence, Le(1s)) << "else the controller gives the node up";
  // Of what came meanwhile only the newest was given to it, with its own times.
  ASSERT_THAT(revisions, SizeIs(Ge(2U)));
  EXPECT_THAT(revisions[1], Ge(4U));
  EXPECT_THAT(times[1].sent, Ge(to - 1s));
  EXPECT_THAT(times[1].arrived, Le(to));
}

TEST_F(OwnerOfALink, IsNotSpokenForWhileItsFaultsAct) {
  api::DesiredRun run = Node::run(api::RunPhase::fault);
  run.leaseSeconds = 1;
  Controller controller({run}, 30s);
  acting = true;
  lease = 1s;
  start(controller);
  run_for(700ms);
  const SteadyTime from = clock.steady();
  std::this_thread::sleep_for(1500ms);
  EXPECT_THAT(heard_in(controller, from, clock.steady()).requests, Le(1U));
  run_for(700ms);
  EXPECT_THAT(heard_in(controller, clock.steady() - 600ms, clock.steady()).requests, Ge(1U));
}

TEST_F(OwnerOfALink, TellsWhatItSaidTooLateOnceAndInOrder) {
  api::DesiredRun run = Node::run(api::RunPhase::baseline);
  run.leaseSeconds = 1;
  Controller controller({run}, 30s);
  lease = 1s;
  int told = 0;
  on_news = [&] {
    to_tell.push_back(batch(std::to_string(++told)));
    if (told % 3 == 0) std::this_thread::sleep_for(500ms);
  };
  start(controller);
  run_for(2500ms);
  on_news = [] {};
  run_for(500ms);
  std::vector<std::string> all;
  for (int i = 1; i <= told; ++i) all.push_back(std::to_string(i));
  EXPECT_EQ(controller.got().batches, all);
  EXPECT_GE(told, 6);
}

// What happens between the question and its answer's arrival is told at once as well.
TEST_F(OwnerOfALink, IsHeardWhereItWakesTheLinkWhileThatAsks) {
  Controller controller({}, 30s);
  int asked = 0;
  on_news = [&] {
    if (++asked != 3) return;
    to_tell.push_back(batch("late"));
    thread->wake();
  };
  start(controller);
  run_for(300ms);
  thread->wake();
  run_for(500ms);
  EXPECT_THAT(controller.got().batches, ElementsAre("late"));
}

TEST_F(OwnerOfALink, SendsItsLastWordsAtTheEnd) {
  Controller controller({}, 30s);
  start(controller);
  run_for(300ms);
  to_tell.push_back(batch("last"));
  std::optional<bool> told;
  auto end = [this]() -> asio::awaitable<bool> {
    auto ended = asio::co_spawn(thread->executor(), thread->end(1s), asio::use_awaitable);
    const bool all = co_await std::move(ended);
    co_return all;
  };
  asio::co_spawn(loop, end, [&](const std::exception_ptr&, bool all) { told = all; });
  for (int i = 0; i < 20 && !told; ++i) run_for(100ms);
  EXPECT_EQ(told, true);
  EXPECT_THAT(controller.got().batches, ElementsAre("last"));
}

TEST_F(OwnerOfALink, MayGoInTheMiddleOfALongPoll) {
  Controller controller({}, 30s);
  start(controller);
  run_for(300ms);
  const SteadyTime begin = clock.steady();
  thread.reset();
  EXPECT_LT(clock.steady() - begin, 1s);
  EXPECT_THAT(controller.got().batches, IsEmpty());
}

}  // namespace
}  // namespace faultline::agent::test
