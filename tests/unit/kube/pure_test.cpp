// SPDX-License-Identifier: Apache-2.0
// What needs no server: errors, addresses, times, the cache of objects, leases, reviews.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "kube/backoff.h"
#include "kube/error.h"
#include "kube/json.h"
#include "kube/leader.h"
#include "kube/object_cache.h"
#include "kube/reviews.h"
#include "kube/times.h"

namespace faultline::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

boost::json::object parsed(std::string_view text) { return parse_object(text).value(); }

TEST(ApiErrors, HaveReasonAndMessageOfTheServer) {
  const ApiError error = error_of(
      409,
      R"({"kind":"Status","status":"Failure","message":"pods \"a\" already\nexists","reason":"AlreadyExists","code":409})",
      {}, "create pods shop/a");
  EXPECT_EQ(error.reason, Reason::kAlreadyExists);
  EXPECT_EQ(error.status, 409);
  EXPECT_EQ(error.code, Errc::kConflict);
  EXPECT_EQ(error.message, "create pods shop/a: pods \"a\" already exists");
}

TEST(ApiErrors, OfAProxyGoByTheStatus) {
  EXPECT_EQ(error_of(409, "<html>", {}, "x").reason, Reason::kConflict);
  EXPECT_EQ(error_of(410, "", {}, "x").reason, Reason::kGone);
  EXPECT_EQ(error_of(403, "{}", {}, "x").code, Errc::kDenied);
  EXPECT_EQ(error_of(503, "no backend", {}, "x").code, Errc::kUnavailable);
  EXPECT_EQ(error_of(500, "", {}, "get pods").message, "get pods: the API server answered 500");
}

TEST(ApiErrors, RetryAfterComesFromHeaderOrDetails) {
  EXPECT_EQ(error_of(429, "", {{"retry-after", "7"}}, "x").retry_after, seconds(7));
  EXPECT_EQ(
      error_of(500, R"({"kind":"Status","details":{"retryAfterSeconds":3}})", {}, "x").retry_after,
      seconds(3));
  EXPECT_FALSE(error_of(429, "", {{"retry-after", "soon"}}, "x").retry_after);
  EXPECT_EQ(error_of(429, "", {}, "x").reason, Reason::kTooManyRequests);
}

TEST(ApiErrors, AVersionAheadOfTheServerIsToldApart) {
  EXPECT_TRUE(
      error_of(
          504,
          R"({"kind":"Status","reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}]}})",
          {}, "x")
          .version_too_large);
  EXPECT_FALSE(error_of(504, R"({"kind":"Status","reason":"Timeout"})", {}, "x").version_too_large);
}

TEST(ApiErrors, SliceToAnError) {
  const Answer<int> answer = api_fail(error_of(404, "", {}, "get x"));
  const Result<int> result = fail(answer.error());
  EXPECT_EQ(result.error().code, Errc::kNotFound);
}

TEST(Resources, HaveThePathsOfTheApi) {
  EXPECT_EQ(pods().path(), "/api/v1/pods");
  EXPECT_EQ(pods().in("shop").named("a").status().path(), "/api/v1/namespaces/shop/pods/a/status");
  EXPECT_EQ(leases().in("x").path(), "/apis/coordination.k8s.io/v1/namespaces/x/leases");
  EXPECT_EQ(leases().in("x").named("y").words(), "leases.coordination.k8s.io x/y");
  EXPECT_EQ(nodes().named("n1").words(), "nodes n1");
  EXPECT_EQ(pods().in("x").words(), "pods x/*");
  EXPECT_EQ((ResourceRef{"rbac.authorization.k8s.io", "v1", "clusterroles", "", "system:node", ""})
                .path(),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode");
}

TEST(Resources, ANameCannotLeadElsewhere) {
  for (const char* name : {"..", "a/b", "a b", "%2e%2e", "a\nb"}) {
    EXPECT_FALSE(pods().in("shop").named(name).check()) << name;
    EXPECT_FALSE(pods().in(name).check()) << name;
  }
  EXPECT_TRUE(pods().in("shop").named("a-1.b").check());
}

TEST(Times, AreWrittenAndReadAsTheApiDoes) {
  const auto time = parse_time("2026-11-23T10:15:02.123456789Z");
  ASSERT_TRUE(time);
  // date -u -d 2026-11-23T10:15:02 +%s
  EXPECT_EQ(time->time_since_epoch().count(), 1795428902'123456789LL);
  EXPECT_EQ(format_time(*time), "2026-11-23T10:15:02Z");
  EXPECT_EQ(format_micro_time(*time), "2026-11-23T10:15:02.123456Z");
  EXPECT_EQ(parse_time("2026-11-23T12:15:02.5+02:00"), parse_time("2026-11-23T10:15:02.5Z"));
  for (const char* wrong : {"", "2026-11-23", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
                            "2026-11-23T10:15:02", "2026-11-23T25:00:00Z", "2026-11-23T10:15:02.Z",
                            "2026-11-23T10:15:02+1", "-026-11-23T10:15:02Z"})
    EXPECT_FALSE(parse_time(wrong)) << wrong;
  // Found by tests/fuzz/watch.cpp: more than 64 bits of nanoseconds, of which the first is what Go
  // writes for none.
  EXPECT_FALSE(parse_time("0001-01-01T00:00:00Z"));
  EXPECT_FALSE(parse_time("9999-12-31T23:59:59Z"));
}

TEST(Json, DeepSchemasAreRead) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "{\"properties\":";
  text += "1" + std::string(200, '}');
  EXPECT_TRUE(parse_object(text));
  EXPECT_FALSE(parse_object("[1]"));
  EXPECT_FALSE(parse_object("{\"a\":1}{"));
}

TEST(BackoffTimes, DoubleUpToACapAndDiffer) {
  Backoff backoff({milliseconds(100), milliseconds(1000)}, 1);
  std::vector<milliseconds> most = {milliseconds(100), milliseconds(200),  milliseconds(400),
                                    milliseconds(800), milliseconds(1000), milliseconds(1000)};
  for (const milliseconds limit : most) {
    const milliseconds wait = backoff.next();
    EXPECT_GE(wait, limit / 2);
    EXPECT_LE(wait, limit);
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), milliseconds(100));
  Backoff a({}, 1), b({}, 2);
  bool differ = false;
  for (int i = 0; i < 10; ++i) differ |= a.next() != b.next();
  EXPECT_TRUE(differ);
}

boost::json::object thing(const std::string& name, const std::string& uid,
                          const std::string& version) {
  return {{"metadata",
           {{"namespace", "shop"}, {"name", name}, {"uid", uid}, {"resourceVersion", version}}}};
}

// The changes in words.
class CacheTest : public testing::Test {
 protected:
  std::vector<std::string> replace(std::vector<boost::json::object> all) {
    words_.clear();
    cache_.replace(std::move(all), [this](const Change& change) { note(change); });
    return words_;
  }
  std::vector<std::string> apply(WatchEvent::Type type, boost::json::object object) {
    words_.clear();
    cache_.apply({type, std::move(object)}, [this](const Change& change) { note(change); });
    return words_;
  }
  ObjectCache cache_;

 private:
  void note(const Change& change) {
    const auto word = [](const boost::json::object& object) {
      return std::string(meta(object, "name")) + ":" + std::string(meta(object, "uid")) + "@" +
             std::string(meta(object, "resourceVersion"));
    };
    switch (change.type) {
      case Change::Type::kAdded:
        words_.push_back("+" + word(change.now));
        // The cache has it already.
        EXPECT_NE(cache_.find(key_of(change.now)), nullptr);
        break;
      case Change::Type::kModified:
        words_.push_back(word(change.before) + ">" + word(change.now));
        break;
      case Change::Type::kDeleted:
        words_.push_back("-" + word(change.before));
        EXPECT_EQ(cache_.find(key_of(change.before)), nullptr);
        break;
    }
  }
  std::vector<std::string> words_;
};
using Type = WatchEvent::Type;

TEST_F(CacheTest, AListTellsWhatChangedSinceTheLast) {
  EXPECT_THAT(replace({thing("a", "1", "10"), thing("b", "2", "11"), thing("c", "3", "12")}),
              ElementsAre("+a:1@10", "+b:2@11", "+c:3@12"));
  EXPECT_THAT(replace({thing("a", "1", "10"), thing("b", "2", "20"), thing("d", "4", "21")}),
              ElementsAre("-c:3@12", "b:2@11>b:2@20", "+d:4@21"));
  EXPECT_THAT(replace({thing("a", "1", "10"), thing("b", "2", "20"), thing("d", "4", "21")}),
              IsEmpty());
}

TEST_F(CacheTest, ANewObjectOfTheSameNameIsADeletionAndAnAddition) {
  replace({thing("a", "1", "10")});
  EXPECT_THAT(replace({thing("a", "9", "30")}), ElementsAre("-a:1@10", "+a:9@30"));
  EXPECT_THAT(apply(Type::kModified, thing("a", "10", "40")), ElementsAre("-a:9@30", "+a:10@40"));
}

TEST_F(CacheTest, AnEventThatIsKnownTellsNothing) {
  replace({thing("a", "1", "10")});
  EXPECT_THAT(apply(Type::kAdded, thing("a", "1", "10")), IsEmpty());
  EXPECT_THAT(apply(Type::kModified, thing("a", "1", "10")), IsEmpty());
  EXPECT_THAT(apply(Type::kAdded, thing("a", "1", "12")), ElementsAre("a:1@10>a:1@12"));
}

TEST_F(CacheTest, ADeletionTellsTheLastStateOfThatObjectOnly) {
  replace({thing("a", "1", "10"), thing("b", "2", "11")});
  EXPECT_THAT(apply(Type::kDeleted, thing("a", "1", "15")), ElementsAre("-a:1@15"));
  EXPECT_THAT(apply(Type::kDeleted, thing("a", "1", "15")), IsEmpty());
  EXPECT_THAT(apply(Type::kDeleted, thing("b", "0", "16")), IsEmpty())
      << "an older object of the same name";
  EXPECT_THAT(apply(Type::kModified, thing("c", "3", "17")), ElementsAre("+c:3@17"))
      << "began to match the selector";
  EXPECT_EQ(cache_.objects().size(), 2u);
}

LeaseRecord held_by(const std::string& who, const std::string& renewed) {
  return {who, seconds(15), "t0", renewed, 1};
}

TEST(Lease, ExpiresOnTheClockOfWhoLooks) {
  const SteadyTime start{};
  LeaseView view;
  EXPECT_FALSE(view.takable(start)) << "never seen";
  // renewTime is far in the past or future of ours: it does not matter.
  view.observe(held_by("other", "1999-01-01T00:00:00.000000Z"), start);
  EXPECT_FALSE(view.takable(start + milliseconds(14'999)));
  view.observe(held_by("other", "1999-01-01T00:00:02.000000Z"), start + seconds(10));
  EXPECT_FALSE(view.takable(start + milliseconds(24'999)));
  view.observe(held_by("other", "1999-01-01T00:00:02.000000Z"), start + seconds(20));
  EXPECT_TRUE(view.takable(start + seconds(25))) << "seeing it unchanged does not renew it";
}

TEST(Lease, AFreeOneIsTakenAtOnce) {
  LeaseView view;
  view.observe(held_by("", "x"), SteadyTime{});
  EXPECT_TRUE(view.takable(SteadyTime{}));
}

TEST(Lease, IsReadFromItsSpec) {
  const LeaseRecord record = lease_record(parsed(
      R"({"spec":{"holderIdentity":"a","leaseDurationSeconds":15,"acquireTime":"t0","renewTime":"t1","leaseTransitions":3}})"));
  EXPECT_EQ(record, (LeaseRecord{"a", seconds(15), "t0", "t1", 3}));
  EXPECT_EQ(lease_record(parsed("{}")), LeaseRecord{});
}

TEST(TokenReview, IsAskedForTheAudience) {
  EXPECT_EQ(
      boost::json::serialize(token_review("tok", {"faultline"})),
      R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"tok","audiences":["faultline"]}})");
}

TEST(TokenReview, AYesForAnotherAudienceIsNone) {
  const auto yes = parsed(
      R"({"status":{"authenticated":true,"audiences":["faultline"],"user":{"username":"system:serviceaccount:f:agent","uid":"u","groups":["g1","g2"],"extra":{"authentication.kubernetes.io/node-name":["n1"]}}}})");
  const Identity identity = identity_of(yes, {"faultline"});
  EXPECT_TRUE(identity.authenticated);
  EXPECT_EQ(identity.user, "system:serviceaccount:f:agent");
  EXPECT_THAT(identity.groups, ElementsAre("g1", "g2"));
  EXPECT_THAT(identity.extra.at("authentication.kubernetes.io/node-name"), ElementsAre("n1"));
  EXPECT_FALSE(identity_of(yes, {"other"}).authenticated);
  EXPECT_TRUE(identity_of(yes, {"other"}).user.empty());
  // An authenticator that knows no audiences.
  EXPECT_FALSE(identity_of(parsed(R"({"status":{"authenticated":true,"user":{"username":"x"}}})"),
                           {"faultline"})
                   .authenticated);
  EXPECT_EQ(
      identity_of(parsed(R"({"status":{"authenticated":false,"error":"expired"}})"), {"faultline"})
          .error,
      "expired");
  EXPECT_FALSE(identity_of(parsed("{}"), {"faultline"}).authenticated);
}

TEST(AccessReview, AsksForOneVerbInOneNamespace) {
  AccessQuestion question;
  question.user = "jane";
  question.groups = {"dev"};
  question.verb = "create";
  question.group = "faultline.dev";
  question.resource = "experiments";
  question.ns = "shop";
  EXPECT_EQ(
      boost::json::serialize(access_review(question)),
      R"({"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{"user":"jane","groups":["dev"],"resourceAttributes":{"verb":"create","group":"faultline.dev","resource":"experiments","namespace":"shop"}}})");
}

TEST(AccessReview, OnlyAPlainYesIsAYes) {
  EXPECT_TRUE(access_of(parsed(R"({"status":{"allowed":true,"reason":"RBAC"}})")).allowed);
  EXPECT_FALSE(access_of(parsed(R"({"status":{"allowed":true,"denied":true}})")).allowed);
  EXPECT_FALSE(access_of(parsed(R"({"status":{"allowed":"true"}})")).allowed);
  EXPECT_FALSE(access_of(parsed("{}")).allowed);
  EXPECT_EQ(access_of(parsed(R"({"status":{"allowed":false,"evaluationError":"e"}})")).reason, "e");
}

}  // namespace
}  // namespace faultline::kube
