// SPDX-License-Identifier: Apache-2.0
// Requests, credentials and reviews against a real API server; kubectl and curl are the witnesses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "kube/events.h"
#include "kube/json.h"
#include "kube/reviews.h"
#include "testbed/shell.h"
#include "tests/cluster/kube/control_plane.h"

namespace faultline::kube {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

boost::json::object config_map(const std::string& name, const std::string& value) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"name", name}}},
          {"data", {{"key", value}}}};
}

// A namespace of its own for each test.
class KubeCluster : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = ControlPlane::missing(); !missing.empty())
      GTEST_SKIP() << missing;
    static int number = 0;
    space_ = "t" + std::to_string(++number);
    plane().kubectl({"create", "namespace", space_});
    client_.emplace(io_.get_executor(), plane().admin());
  }
  static ControlPlane& plane() { return control_plane(); }
  template <class T>
  T wait(asio::awaitable<T> work) {
    return run(io_, std::move(work));
  }
  std::string jsonpath(const std::string& what, const std::string& path) const {
    return plane().kubectl({"-n", space_, "get", what, "-o", "jsonpath=" + path});
  }

  asio::io_context io_{1};
  std::string space_;
  std::optional<Client> client_;
};

TEST_F(KubeCluster, WritesWhatKubectlReads) {
  const auto maps = config_maps().in(space_);
  ASSERT_TRUE(wait(client_->create(maps, config_map("a", "one"))));
  EXPECT_EQ(jsonpath("configmap/a", "{.data.key}"), "one");

  auto got = wait(client_->get(maps.named("a")));
  ASSERT_TRUE(got) << got.error().message;
  (*got)["data"] = {{"key", "two"}};
  ASSERT_TRUE(wait(client_->replace(maps.named("a"), *got)));
  EXPECT_EQ(jsonpath("configmap/a", "{.data.key}"), "two");

  const auto stale = wait(client_->replace(maps.named("a"), *got));
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().reason, Reason::kConflict);
  EXPECT_EQ(stale.error().status, 409);

  ASSERT_TRUE(
      wait(client_->merge_patch(maps.named("a"), {{"data", {{"key", nullptr}, {"b", "3"}}}})));
  EXPECT_EQ(jsonpath("configmap/a", "{.data}"), R"({"b":"3"})");

  const auto other =
      wait(client_->remove(maps.named("a"), {"00000000-0000-0000-0000-000000000000"}));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().reason, Reason::kConflict);
  const std::string uid = jsonpath("configmap/a", "{.metadata.uid}");
  ASSERT_TRUE(wait(client_->remove(maps.named("a"), {uid})));
  EXPECT_THROW(jsonpath("configmap/a", "{.data}"), std::runtime_error);
}

TEST_F(KubeCluster, SaysWhyNot) {
  const auto maps = config_maps().in(space_);
  ASSERT_TRUE(wait(client_->create(maps, config_map("a", "one"))));
  const auto again = wait(client_->create(maps, config_map("a", "one")));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().reason, Reason::kAlreadyExists);
  EXPECT_EQ(again.error().message,
            "create configmaps " + space_ + "/a: configmaps \"a\" already exists");
  const auto none = wait(client_->get(maps.named("none")));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().reason, Reason::kNotFound);
  EXPECT_EQ(none.error().code, Errc::kNotFound);
  const auto invalid = wait(client_->create(maps, config_map("Not A Name", "x")));
  ASSERT_FALSE(invalid);
  EXPECT_EQ(invalid.error().reason, Reason::kInvalid);

  Client agent(io_.get_executor(), plane().with_token("agenttoken"));
  const auto forbidden = wait(agent.list(maps));
  ASSERT_FALSE(forbidden);
  EXPECT_EQ(forbidden.error().reason, Reason::kForbidden);
  EXPECT_THAT(forbidden.error().message, HasSubstr("User \"agent\" cannot list resource"));
  Client nobody(io_.get_executor(), plane().with_token("wrong"));
  EXPECT_EQ(wait(nobody.list(maps)).error().reason, Reason::kUnauthorized);
}

TEST_F(KubeCluster, AppliesFieldsAndLeavesThoseOfOthers) {
  const auto ref = config_maps().in(space_).named("shared");
  ASSERT_TRUE(wait(client_->apply(ref, config_map("shared", "ours"), "faultline", false)));
  plane().kubectl(
      {"-n", space_, "patch", "configmap", "shared", "-p", R"({"data":{"theirs":"1"}})"});
  ASSERT_TRUE(wait(client_->apply(ref, config_map("shared", "new"), "faultline", false)));
  EXPECT_EQ(jsonpath("configmap/shared", "{.data.key}-{.data.theirs}"), "new-1");
  const auto conflict = wait(client_->apply(ref, config_map("shared", "x"), "somebody", false));
  ASSERT_FALSE(conflict);
  EXPECT_EQ(conflict.error().reason, Reason::kConflict);
  EXPECT_TRUE(wait(client_->apply(ref, config_map("shared", "x"), "somebody", true)));
}

TEST_F(KubeCluster, TheStatusIsWrittenApart) {
  plane().create("{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: " + space_ +
                 "}, spec: {containers: [{name: c, image: i}]}}");
  const auto ref = pods().in(space_).named("p");
  ASSERT_TRUE(wait(client_->merge_patch(ref.status(), {{"status", {{"phase", "Running"}}},
                                                       {"metadata", {{"labels", {{"a", "b"}}}}}})));
  EXPECT_EQ(jsonpath("pod/p", "{.status.phase}"), "Running");
  ASSERT_TRUE(wait(client_->merge_patch(ref, {{"status", {{"phase", "Failed"}}}})));
  EXPECT_EQ(jsonpath("pod/p", "{.status.phase}"), "Running");
}

TEST_F(KubeCluster, ListsByPagesAndSelectors) {
  std::string manifest = "apiVersion: v1\nkind: List\nitems:\n";
  for (int i = 0; i < 25; ++i)
    manifest += "- {apiVersion: v1, kind: ConfigMap, metadata: {name: m" + std::to_string(i) +
                ", namespace: " + space_ + ", labels: {odd: '" + std::to_string(i % 2) + "'}}}\n";
  plane().create(manifest);
  const auto maps = config_maps().in(space_);
  const auto names = [](const ObjectList& list) {
    std::string text;
    for (const auto& object : list.items) text += std::string(meta(object, "name")) + " ";
    if (!text.empty()) text.pop_back();
    return text;
  };
  const auto all = wait(client_->list(maps, {{}, 7, ""}));
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_GE(all->pages, 4);
  EXPECT_EQ(names(*all), jsonpath("configmaps", "{.items[*].metadata.name}"));
  const auto odd = wait(client_->list(maps, {{"metadata.name!=m1", "odd=1"}, 500, ""}));
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->items.size(), 11u);
  EXPECT_EQ(odd->pages, 1);
}

TEST_F(KubeCluster, AKubeconfigWithACertificateIsEnough) {
  const auto config = load_kubeconfig({{plane().kubeconfig()}, ""});
  ASSERT_TRUE(config) << config.error().message;
  Client client(io_.get_executor(), *config);
  const auto got = wait(client.get(namespaces().named(space_)));
  ASSERT_TRUE(got) << got.error().message;
  const auto version = wait(client.raw("GET", "/version"));
  ASSERT_TRUE(version);
  EXPECT_THAT(std::string(text_at(*version, "gitVersion")), StartsWith("v1."));
}

TEST_F(KubeCluster, AServerOfAnotherAuthorityIsNotSpokenTo) {
  const auto& folder = plane().folder();
  CredentialSources sources;
  // The administrator's certificate signs nothing.
  sources.ca_file = folder.path("admin.crt");
  sources.token = "admintoken";
  Client client(io_.get_executor(),
                {plane().url(), "default", "a test", make_credentials(std::move(sources))});
  const auto got = wait(client.get(namespaces().named(space_)));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().status, 0);
  EXPECT_THAT(got.error().message, HasSubstr("certificate"));
}

TEST_F(KubeCluster, GoesOnWhenItsTokenIsReplacedAndTheOldOneDies) {
  plane().kubectl({"-n", space_, "create", "serviceaccount", "agent"});
  // Not one of the aggregated roles: nobody fills those here.
  plane().kubectl(
      {"-n", space_, "create", "role", "reader", "--verb=list", "--resource=configmaps"});
  plane().kubectl({"-n", space_, "create", "rolebinding", "reader", "--role=reader",
                   "--serviceaccount=" + space_ + ":agent"});
  const auto token_bound_to = [&](const std::string& secret) {
    plane().kubectl({"-n", space_, "create", "secret", "generic", secret});
    return plane().kubectl({"-n", space_, "create", "token", "agent", "--bound-object-kind",
                            "Secret", "--bound-object-name", secret});
  };
  const std::string first = token_bound_to("one"), second = token_bound_to("two");
  ASSERT_NE(first, second);
  const Folder mount;
  mount.write("token", first);
  std::filesystem::copy_file(plane().ca_file(), mount.path("ca.crt"));
  const std::string url = plane().url();
  const auto config = in_cluster({"127.0.0.1", url.substr(url.rfind(':') + 1), mount.path(), ""});
  ASSERT_TRUE(config) << config.error().message;
  Client client(io_.get_executor(), *config);
  const auto maps = config_maps().in(space_);
  const std::string target = "/api/v1/namespaces/" + space_ + "/configmaps";
  // The API server learns of roles by a watch of its own.
  ASSERT_TRUE(
      testbed::wait_until([&] { return plane().status_with(first, target) == 200; }, seconds(30)));
  const auto before = wait(client.list(maps));
  ASSERT_TRUE(before) << before.error().message;

  // As kubelet does it: whole, by rename().
  std::filesystem::rename(mount.write("token.new", second), mount.path("token"));
  plane().kubectl({"-n", space_, "delete", "secret", "one"});
  ASSERT_TRUE(
      testbed::wait_until([&] { return plane().status_with(first, target) == 401; }, seconds(60)))
      << "the old token still works";
  const auto got = wait(client.list(maps));
  EXPECT_TRUE(got) << got.error().message;
}

TEST_F(KubeCluster, ATokenIsGoodForItsAudienceOnly) {
  plane().kubectl({"-n", space_, "create", "serviceaccount", "agent"});
  const std::string ours =
      plane().kubectl({"-n", space_, "create", "token", "agent", "--audience", "faultline"});
  const std::string of_api = plane().kubectl({"-n", space_, "create", "token", "agent"});
  const SystemClock clock;
  Reviews reviews(*client_, clock);
  const auto yes = wait(reviews.authenticate(ours, {"faultline"}));
  ASSERT_TRUE(yes) << yes.error().message;
  EXPECT_TRUE(yes->authenticated) << yes->error;
  EXPECT_EQ(yes->user, "system:serviceaccount:" + space_ + ":agent");
  EXPECT_THAT(yes->groups, testing::Contains("system:serviceaccounts:" + space_));
  const std::string forged = ours.substr(0, ours.size() - 8) + "AAAAAAAA";
  for (const std::string& token : {of_api, forged, std::string("admintoken"), std::string("x")}) {
    const auto no = wait(reviews.authenticate(token, {"faultline"}));
    ASSERT_TRUE(no) << no.error().message;
    EXPECT_FALSE(no->authenticated) << token;
  }
  const auto elsewhere = wait(reviews.authenticate(ours, {"other"}));
  ASSERT_TRUE(elsewhere);
  EXPECT_FALSE(elsewhere->authenticated);
}

TEST_F(KubeCluster, RightsInOneNamespaceAreNoneInAnother) {
  const std::string other = space_ + "-other";
  plane().kubectl({"create", "namespace", other});
  plane().kubectl(
      {"-n", space_, "create", "role", "chaos", "--verb=create,delete", "--resource=configmaps"});
  plane().kubectl({"-n", space_, "create", "rolebinding", "jane", "--role=chaos", "--user=jane",
                   "--group=chaos-team"});
  // The API server learns of roles by a watch of its own.
  ASSERT_TRUE(testbed::wait_until(
      [&] {
        return testbed::command({"kubectl", "--kubeconfig", plane().kubeconfig(), "-n", space_,
                                 "auth", "can-i", "create", "configmaps", "--as", "jane"})
                   .status == 0;
      },
      seconds(30)));
  const SystemClock clock;
  Reviews reviews(*client_, clock);
  const auto may = [&](const std::string& user, std::vector<std::string> groups,
                       const std::string& verb, const std::string& ns) {
    AccessQuestion question;
    question.user = user;
    question.groups = std::move(groups);
    question.verb = verb;
    question.resource = "configmaps";
    question.ns = ns;
    const auto answer = wait(reviews.authorize(question));
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? *answer : Access{};
  };
  const Access yes = may("jane", {}, "create", space_);
  EXPECT_TRUE(yes.allowed);
  EXPECT_THAT(yes.reason, HasSubstr("RoleBinding"));
  EXPECT_FALSE(may("jane", {}, "create", other).allowed);
  EXPECT_FALSE(may("jane", {}, "create", "").allowed) << "in all namespaces";
  EXPECT_FALSE(may("jane", {}, "list", space_).allowed);
  EXPECT_FALSE(may("joe", {}, "create", space_).allowed);
  EXPECT_TRUE(may("joe", {"chaos-team"}, "create", space_).allowed);
  EXPECT_TRUE(may("root", {"system:masters"}, "create", other).allowed);
}

TEST_F(KubeCluster, EventsOfTheSameTextAreOneWithACount) {
  plane().create("{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: " + space_ +
                 "}, spec: {containers: [{name: c, image: i}]}}");
  const auto pod = wait(client_->get(pods().in(space_).named("p")));
  ASSERT_TRUE(pod);
  const SystemClock clock;
  EventRecorder recorder(*client_, clock, {"faultline-controller", "test"});
  for (int i = 0; i < 3; ++i) {
    const auto recorded = wait(
        recorder.record(reference_to(*pod), {true, "FaultArmed", "networkLoss 10 % is armed"}));
    EXPECT_TRUE(recorded) << recorded.error().message;
  }
  EXPECT_EQ(
      jsonpath("events", "{.items[*].reason}/{.items[*].count}/{.items[*].involvedObject.name}"),
      "FaultArmed/3/p");
  EXPECT_THAT(plane().kubectl({"-n", space_, "describe", "pod", "p"}),
              HasSubstr("networkLoss 10 % is armed"));
}

}  // namespace
}  // namespace faultline::kube
