// SPDX-License-Identifier: Apache-2.0
// The bytes that go to an API server and what is made of its answers, with a fake one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>

#include "kube/events.h"
#include "kube/informer.h"
#include "kube/json.h"
#include "kube/reviews.h"
#include "tests/unit/kube/fake_api.h"
#include "tests/unit/kube/loop.h"

namespace faultline::kube {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string item(const std::string& name, const std::string& version) {
  return R"({"metadata":{"namespace":"s","name":")" + name + R"(","uid":"u-)" + name +
         R"(","resourceVersion":")" + version + R"("}})";
}
std::string list(const std::string& version, const std::string& items,
                 const std::string& more = "") {
  return FakeApi::answer(200, R"({"kind":"PodList","metadata":{"resourceVersion":")" + version +
                                  R"(","continue":")" + more + R"("},"items":[)" + items + "]}");
}
std::string event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}\n";
}
const std::string kGone =
    R"({"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"})";

TEST(KubeClient, WaitsAsLongAsTheServerAsks) {
  FakeApi api([](const std::string&, int number) {
    return number == 1 ? FakeApi::answer(429, "", "Retry-After: 1\r\n")
                       : FakeApi::answer(200, "{\"kind\":\"Pod\"}");
  });
  asio::io_context io(1);
  Client client(io.get_executor(), api.config());
  const auto begin = std::chrono::steady_clock::now();
  const auto got = run(io, client.get(pods().in("s").named("a")));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_GE(std::chrono::steady_clock::now() - begin, seconds(1));
  EXPECT_EQ(api.requests().size(), 2u);
}

TEST(KubeClient, HandsBackAWaitThatIsTooLongAndTriesThatAreTooMany) {
  FakeApi slow(
      [](const std::string&, int) { return FakeApi::answer(429, "", "Retry-After: 3600\r\n"); });
  asio::io_context io(1);
  Client client(io.get_executor(), slow.config());
  const auto got = run(io, client.get(nodes().named("n")));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().reason, Reason::kTooManyRequests);
  EXPECT_EQ(got.error().retry_after, seconds(3600));
  EXPECT_EQ(slow.requests().size(), 1u);

  FakeApi busy(
      [](const std::string&, int) { return FakeApi::answer(503, "", "Retry-After: 0\r\n"); });
  Client other(io.get_executor(), busy.config());
  EXPECT_EQ(run(io, other.get(nodes().named("n"))).error().status, 503);
  EXPECT_EQ(busy.requests().size(), 5u);
}

TEST(KubeClient, AFreshTokenIsTriedOnceWhenTheOldOneIsRefused) {
  const Folder folder;
  folder.write("token", "old");
  FakeApi api([&](const std::string& request, int) {
    if (request.find("Bearer new\r\n") != request.npos) return FakeApi::answer(200, "{}");
    folder.write("token", "new");
    return FakeApi::answer(401, "");
  });
  CredentialSources sources;
  sources.token_file = folder.path("token");
  asio::io_context io(1);
  Client client(io.get_executor(), api.config(sources));
  EXPECT_TRUE(run(io, client.get(nodes().named("n"))));
  EXPECT_EQ(api.requests().size(), 2u);

  FakeApi never([](const std::string&, int) { return FakeApi::answer(401, ""); });
  Client other(io.get_executor(), never.config(sources));
  EXPECT_EQ(run(io, other.get(nodes().named("n"))).error().reason, Reason::kUnauthorized);
  EXPECT_EQ(never.requests().size(), 1u) << "the same token again";
}

TEST(KubeClient, SaysWhatKindOfPatchItSends) {
  FakeApi api([](const std::string&, int) { return FakeApi::answer(200, "{}"); });
  asio::io_context io(1);
  Client client(io.get_executor(), api.config());
  const auto ref = pods().in("s").named("a");
  EXPECT_TRUE(run(io, client.merge_patch(ref.status(), {{"a", 1}})));
  EXPECT_TRUE(run(io, client.apply(ref, {{"a", 1}}, "faultline", true)));
  EXPECT_TRUE(run(io, client.remove(ref, {"uid-1", "Background", 0})));
  EXPECT_THAT(api.targets(),
              ElementsAre("PATCH /api/v1/namespaces/s/pods/a/status",
                          "PATCH /api/v1/namespaces/s/pods/a?fieldManager=faultline&force=true",
                          "DELETE /api/v1/namespaces/s/pods/a"));
  EXPECT_THAT(api.requests()[0], HasSubstr("Content-Type: application/merge-patch+json\r\n"));
  EXPECT_THAT(api.requests()[1], HasSubstr("Content-Type: application/apply-patch+yaml\r\n"));
  EXPECT_THAT(api.requests()[2], HasSubstr(R"("preconditions":{"uid":"uid-1"})"));
}

TEST(KubeClient, AListStartsAnewWithoutPagesWhenAPageIsTooLate) {
  FakeApi api([](const std::string& request, int) {
    if (request.find("continue=") != request.npos) return FakeApi::answer(410, kGone);
    if (request.find("limit=2") != request.npos)
      return list("5", item("a", "1") + "," + item("b", "2"), "next");
    return list("9", item("b", "2") + "," + item("c", "3"));
  });
  asio::io_context io(1);
  Client client(io.get_executor(), api.config());
  const auto got = run(io, client.list(pods(), {{"spec.nodeName=n1", "app in (a)"}, 2, ""}));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->items.size(), 2u);
  EXPECT_EQ(got->resource_version, "9");
  EXPECT_EQ(api.targets()[0],
            "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dn1&labelSelector=app%20in%20%28a%29&"
            "limit=2");
}

TEST(KubeClient, ABrokenAnswerIsAnErrorAndNoObject) {
  asio::io_context io(1);
  for (const char* body : {"", "[]", "{\"a\":", "null"}) {
    FakeApi api([&](const std::string&, int) { return FakeApi::answer(200, body); });
    Client client(io.get_executor(), api.config());
    EXPECT_FALSE(run(io, client.get(nodes().named("n")))) << body;
    EXPECT_FALSE(run(io, client.list(nodes()))) << body;
  }
}

// What an informer told, in words.
struct Watcher {
  explicit Watcher(const Config& config, InformerOptions options = {})
      : client(io.get_executor(), config) {
    options.collection = pods();
    options.backoff = {milliseconds(10), milliseconds(50)};
    InformerHandlers handlers;
    handlers.added = [this](const boost::json::object& o) { told.push_back("+" + word(o)); };
    handlers.modified = [this](const boost::json::object&, const boost::json::object& o) {
      told.push_back("~" + word(o));
    };
    handlers.deleted = [this](const boost::json::object& o) { told.push_back("-" + word(o)); };
    handlers.synced = [this] { told.push_back("synced"); };
    informer.emplace(io.get_executor(), client, clock, std::move(options), std::move(handlers));
    informer->start();
  }
  static std::string word(const boost::json::object& o) {
    return std::string(meta(o, "name")) + "@" + std::string(meta(o, "resourceVersion"));
  }
  bool until(std::size_t count) {
    return run_until(
        io, [&] { return told.size() >= count; }, seconds(20));
  }

  asio::io_context io{1};
  SystemClock clock;
  Client client;
  std::vector<std::string> told;
  std::optional<Informer> informer;
};

std::string silence() { return FakeApi::stream("", true); }

TEST(KubeInformer, ResumesBehindTheLastEventOfABrokenConnection) {
  FakeApi api([](const std::string& request, int number) {
    if (number == 1) return list("10", item("a", "5"));
    if (number == 2)  // breaks off in the middle of an event
      return FakeApi::stream(event("ADDED", item("b", "11")) + R"({"type":"MODIFIED","obj)", false);
    if (number == 3) {
      EXPECT_THAT(request, HasSubstr("resourceVersion=11&"));
      return FakeApi::stream(event("MODIFIED", item("b", "12")) +
                             event("BOOKMARK", item("", "40")));
    }
    if (number > 4) return silence();
    EXPECT_THAT(request, HasSubstr("resourceVersion=40&"));
    return FakeApi::stream(event("DELETED", item("b", "41")));
  });
  Watcher watcher(api.config());
  ASSERT_TRUE(watcher.until(5));
  EXPECT_THAT(watcher.told, ElementsAre("+a@5", "synced", "+b@11", "~b@12", "-b@41"));
  EXPECT_THAT(api.targets()[1], HasSubstr("allowWatchBookmarks=true"));
  EXPECT_EQ(watcher.informer->objects().size(), 1u);
  EXPECT_EQ(watcher.informer->state().lists, 1u);
}

TEST(KubeInformer, ListsAgainWhenHistoryIsGoneHoweverThatIsSaid) {
  for (const bool by_event : {true, false}) {
    FakeApi api([&](const std::string&, int number) {
      if (number == 1) return list("10", item("a", "5") + "," + item("b", "6"));
      if (number == 2)
        return by_event ? FakeApi::stream(event("ERROR", kGone)) : FakeApi::answer(410, kGone);
      if (number == 3) return list("90", item("b", "50") + "," + item("c", "51"));
      return silence();
    });
    Watcher watcher(api.config());
    ASSERT_TRUE(watcher.until(6));
    EXPECT_THAT(watcher.told, ElementsAre("+a@5", "+b@6", "synced", "-a@5", "~b@50", "+c@51"));
    EXPECT_TRUE(run_until(
        watcher.io, [&] { return api.targets().size() >= 4; }, seconds(10)));
    EXPECT_THAT(api.targets()[3], HasSubstr("resourceVersion=90&"));
  }
}

TEST(KubeInformer, FromMemoryItNeverGoesBackInTime) {
  FakeApi api([](const std::string&, int number) {
    if (number == 1) return list("10", item("a", "5"));
    if (number == 2) return FakeApi::stream(event("ERROR", kGone));
    // Another API server behind the same address, whose memory is older than what we have seen.
    if (number == 3)
      return FakeApi::answer(504,
                             R"({"kind":"Status","reason":"Timeout","details":{"causes":[
                             {"reason":"ResourceVersionTooLarge"}]}})");
    if (number == 4) return list("20", item("a", "15"));
    return silence();
  });
  InformerOptions options;
  options.from_cache = true;
  Watcher watcher(api.config(), std::move(options));
  ASSERT_TRUE(watcher.until(3));
  EXPECT_THAT(watcher.told, ElementsAre("+a@5", "synced", "~a@15"));
  const auto targets = api.targets();
  EXPECT_EQ(targets[0], "GET /api/v1/pods?resourceVersion=0");
  EXPECT_EQ(targets[2], "GET /api/v1/pods?resourceVersion=10");
  EXPECT_EQ(targets[3], "GET /api/v1/pods?limit=500");
}

TEST(KubeInformer, KnownObjectsStayKnownWhileTheServerFails) {
  std::atomic<bool> healthy{true};
  FakeApi api([&](const std::string& request, int) {
    if (!healthy) return FakeApi::answer(500, "");
    if (request.find("watch=") == request.npos) return list("10", item("a", "5"));
    return silence();
  });
  Watcher watcher(api.config());
  ASSERT_TRUE(watcher.until(2));
  healthy = false;
  const auto& state = watcher.informer->state();
  ASSERT_TRUE(run_until(
      watcher.io, [&] { return state.failures >= 3; }, seconds(20)));
  EXPECT_TRUE(state.synced);
  ASSERT_TRUE(state.out_of_touch_since);
  EXPECT_LE(*state.out_of_touch_since, watcher.clock.steady());
  EXPECT_THAT(state.last_error, HasSubstr("500"));
  EXPECT_NE(watcher.informer->find("s", "a"), nullptr);
  healthy = true;
  ASSERT_TRUE(run_until(
      watcher.io, [&] { return !state.out_of_touch_since; }, seconds(20)));
  EXPECT_EQ(state.last_error, "");
  EXPECT_THAT(watcher.told, ElementsAre("+a@5", "synced"));
}

TEST(KubeInformer, AServerThatHangsUpAtOnceIsNotAskedInACircle) {
  FakeApi api([](const std::string& request, int) {
    return request.find("watch=") == request.npos ? list("10", "") : silence();
  });
  Watcher watcher(api.config());
  run_until(
      watcher.io, [] { return false; }, seconds(1));
  // 10 to 50 ms between; without waiting there would be thousands.
  EXPECT_LE(api.requests().size(), 60u);
  EXPECT_GE(api.requests().size(), 4u);
}

TEST(KubeInformer, AHandlerMayDestroyIt) {
  FakeApi api(
      [](const std::string&, int) { return list("10", item("a", "5") + "," + item("b", "6")); });
  asio::io_context io(1);
  const SystemClock clock;
  Client client(io.get_executor(), api.config());
  std::optional<Informer> informer;
  int added = 0;
  InformerHandlers handlers;
  handlers.added = [&](const boost::json::object&) {
    ++added;
    informer.reset();
  };
  InformerOptions options;
  options.collection = pods();
  informer.emplace(io.get_executor(), client, clock, options, handlers);
  informer->start();
  io.run();  // ends: nothing is left to wait for
  EXPECT_EQ(added, 1);
}

TEST(KubeReviews, AYesIsRememberedLongerThanANoAndAFailureNotAtAll) {
  struct Moved final : Clock {
    SteadyTime now{seconds(1000)};
    [[nodiscard]] SteadyTime steady() const override { return now; }
    [[nodiscard]] UtcTime utc() const override { return {}; }
  } clock;
  FakeApi api([](const std::string& request, int number) {
    if (number == 1) return FakeApi::answer(500, "");
    if (request.find("\"good\"") != request.npos)
      return FakeApi::answer(
          201, R"({"status":{"authenticated":true,"audiences":["f"],"user":{"username":"jane"}}})");
    return FakeApi::answer(201, R"({"status":{"authenticated":false}})");
  });
  asio::io_context io(1);
  Client client(io.get_executor(), api.config());
  Reviews reviews(client, clock, {seconds(10), seconds(2), 2});
  const auto ask = [&](const std::string& token) {
    const auto answer = run(io, reviews.authenticate(token, {"f"}));
    return answer ? answer->user : "failed";
  };
  EXPECT_EQ(ask("good"), "failed");
  EXPECT_EQ(ask("good"), "jane");
  EXPECT_EQ(ask("bad"), "");
  EXPECT_EQ(api.requests().size(), 3u);
  clock.now += milliseconds(1999);
  EXPECT_EQ(ask("good"), "jane");
  EXPECT_EQ(ask("bad"), "");
  EXPECT_EQ(api.requests().size(), 3u);
  clock.now += milliseconds(1);
  EXPECT_EQ(ask("bad"), "");
  EXPECT_EQ(ask("good"), "jane");
  EXPECT_EQ(api.requests().size(), 4u);
  clock.now += seconds(8);
  EXPECT_EQ(ask("good"), "jane");
  EXPECT_EQ(api.requests().size(), 5u);
  EXPECT_EQ(ask(""), "");
  EXPECT_FALSE(run(io, reviews.authenticate("good", {}))) << "for any audience";
  EXPECT_EQ(api.requests().size(), 5u);
}

TEST(KubeEvents, TheSameTextCountsUpUntilTheEventIsGone) {
  FakeApi api([](const std::string& request, int number) {
    if (request.starts_with("PATCH") && number == 3)
      return FakeApi::answer(404, R"({"kind":"Status","reason":"NotFound"})");
    return FakeApi::answer(200, "{}");
  });
  asio::io_context io(1);
  const SystemClock clock;
  Client client(io.get_executor(), api.config());
  EventRecorder kept(client, clock, {"faultline-controller", "node-1"});
  const ObjectReference pod{"v1", "Pod", "shop", "a", "uid", "7"};
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(run(io, kept.record(pod, {true, "FaultArmed", std::string(2000, 'x')})));
  const auto requests = api.requests();
  ASSERT_EQ(requests.size(), 4u) << "create, count 2, count 3 not found, create";
  EXPECT_THAT(requests[0], HasSubstr("POST /api/v1/namespaces/shop/events "));
  EXPECT_THAT(requests[0], HasSubstr(R"("type":"Warning","reason":"FaultArmed")"));
  EXPECT_THAT(requests[0], HasSubstr("x...\""));
  EXPECT_THAT(requests[0], Not(HasSubstr(std::string(1024, 'x'))));
  EXPECT_THAT(requests[1], HasSubstr(R"("count":2)"));
  EXPECT_THAT(requests[3], HasSubstr("POST /api/v1/namespaces/shop/events "));
}

TEST(KubeEvents, AMessageIsPrintable) {
  FakeApi api([](const std::string&, int) { return FakeApi::answer(200, "{}"); });
  asio::io_context io(1);
  const SystemClock clock;
  Client client(io.get_executor(), api.config());
  EventRecorder kept(client, clock, {"faultline-controller", "node-1"});
  EXPECT_TRUE(run(io, kept.record({"v1", "Pod", "shop", "a", "uid", "7"},
                                  {true, "FaultArmed", "because\n\x1b[2J\u202e\x9b"})));
  const auto requests = api.requests();
  ASSERT_EQ(requests.size(), 1u);
  // Escapes of ours, in JSON: a backslash is written twice.
  EXPECT_THAT(requests[0], HasSubstr(R"(because\\n\\x1b[2J\\u202e\\x9b)"));
}

}  // namespace
}  // namespace faultline::kube
