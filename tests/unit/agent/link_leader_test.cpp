// SPDX-License-Identifier: Apache-2.0
// Of several controllers the agent's link finds the one that leads. Real servers on loopback, with
// certificates of an authority made for the test; what they answer is the test's.
#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/link/link.h"
#include "api/codec.h"
#include "http/server.h"
#include "http/token.h"
#include "open_door.h"
#include "tests/unit/http/pki.h"

namespace faultline::agent {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr const char* kToken = "one-token-of-sixteen";

// Answers syncs, or says who leads in its place; remembers the tokens that it was shown.
class Controller {
 public:
  Controller(asio::io_context& loop, const http::Authority* authority)
      : loop_(loop), server_(loop.get_executor(), options(authority)) {
    let_everybody_in(
        server_, [this](const http::Request& request) { shown.push_back(http::bearer(request)); });
    server_.route("POST", "/api/v1/nodes/{node}/sync", {"agent"},
                  [this](http::Request request) { return sync(std::move(request)); });
    if (auto started = server_.start(); !started) throw std::runtime_error(started.error().message);
  }
  [[nodiscard]] std::string address() const {
    return "127.0.0.1:" + std::to_string(server_.port());
  }

  std::string leader;              // not empty: this one does not lead
  std::vector<std::string> shown;  // of each request
  int synced = 0;

 private:
  http::ServerOptions options(const http::Authority* authority) {
    http::ServerOptions options;
    if (authority == nullptr) return options;
    const http::Pem pem = authority->issue({});
    options.tls =
        http::ServerTls{folder_.write("crt", pem.certificate), folder_.write("key", pem.key), ""};
    return options;
  }
  asio::awaitable<http::Response> sync(http::Request request) {
    if (!leader.empty()) {
      http::Response elsewhere = http::problem(421, "another controller leads");
      elsewhere.body = R"({"detail":"another controller leads","leaderAddress":")" + leader + "\"}";
      co_return elsewhere;
    }
    const auto message = api::from_json_text<api::SyncRequest>(request.body);
    ++synced;
    api::SyncResponse response;
    response.receivedAt = response.answeredAt = {SystemClock().utc()};
    if (message && message->waitSeconds > 0) {
      asio::steady_timer timer(loop_, 100ms);
      co_await timer.async_wait(asio::use_awaitable);
    }
    http::Response out;
    out.body = api::to_json_text(response);
    co_return out;
  }

  asio::io_context& loop_;
  http::Folder folder_;
  http::Server server_;
};

struct LinkToTheLeader : testing::Test {
  asio::io_context loop{1};
  SystemClock clock;
  http::Folder folder;
  http::Authority authority{"the cluster's"};
  std::unique_ptr<ControllerLink> link;

  void follow_from(const std::string& url, std::chrono::milliseconds time = 800ms) {
    LinkOwner owner;
    owner.news = []() -> asio::awaitable<OwnerNews> { co_return OwnerNews{}; };
    owner.answered = [](const api::SyncResponse&, AnswerTimes) {};
    const std::string token = folder.write("token", kToken);
    std::filesystem::permissions(token, std::filesystem::perms::owner_read);
    link = std::make_unique<ControllerLink>(
        loop.get_executor(), clock,
        LinkOptions{url, token, "n1", folder.write("ca", authority.pem())}, Conversation("i", {}),
        std::move(owner));
    ASSERT_TRUE(link->read_files());
    asio::co_spawn(loop, link->run(), [](const std::exception_ptr&) {});
    loop.run_for(time);
  }
};

TEST_F(LinkToTheLeader, GoesToTheAddressThatItIsSentTo) {
  Controller leads(loop, &authority), waits(loop, &authority);
  waits.leader = leads.address();
  follow_from("https://" + waits.address());
  EXPECT_EQ(waits.shown.size(), 1U) << "and stays there";
  EXPECT_GE(leads.synced, 2);
  EXPECT_EQ(leads.shown.front(), kToken);
}

TEST_F(LinkToTheLeader, GivesItsTokenToNobodyOfAnotherAuthority) {
  const http::Authority foreign("somebody else's");
  Controller impostor(loop, &foreign), waits(loop, &authority);
  waits.leader = impostor.address();
  follow_from("https://" + waits.address());
  EXPECT_GE(waits.shown.size(), 1U);
  EXPECT_TRUE(impostor.shown.empty());
}

TEST_F(LinkToTheLeader, WithoutTlsIsSentNowhere) {
  Controller anybody(loop, nullptr), waits(loop, nullptr);
  waits.leader = anybody.address();
  follow_from("http://" + waits.address());
  EXPECT_GE(waits.shown.size(), 1U);
  EXPECT_TRUE(anybody.shown.empty());
}

// Two that each take the other for the leader.
TEST_F(LinkToTheLeader, IsNotSentBackAndForthWithoutEnd) {
  Controller one(loop, &authority), other(loop, &authority);
  one.leader = other.address();
  other.leader = one.address();
  follow_from("https://" + one.address(), 1500ms);
  EXPECT_LE(one.shown.size() + other.shown.size(), 40U) << "with pauses, as after any failure";
  EXPECT_GE(one.shown.size() + other.shown.size(), 2U);
}

}  // namespace
}  // namespace faultline::agent
