// SPDX-License-Identifier: Apache-2.0
// The informer while a real API server is killed, restarted, stopped, and etcd forgets.
#include "kube/informer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>
#include <sstream>

#include "kube/json.h"
#include "tests/cluster/kube/control_plane.h"

namespace faultline::kube {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

std::string name_of(const boost::json::object& object) { return std::string(meta(object, "name")); }

// Follows the pods of node n1 in one namespace. Strict: an addition of what is known, or a change
// or deletion of what is not, fails the test.
class Follower {
 public:
  explicit Follower(const std::string& space, milliseconds idle = seconds(100))
      : client_(io.get_executor(), control_plane().admin()) {
    InformerOptions options;
    options.collection = pods().in(space);
    options.selection.fields = "spec.nodeName=n1";
    options.idle = idle;
    options.backoff = {milliseconds(100), milliseconds(1000)};
    InformerHandlers handlers;
    handlers.added = [this](const boost::json::object& now) {
      EXPECT_TRUE(mirror.emplace(name_of(now), meta(now, "uid")).second) << name_of(now);
      told.push_back("+" + name_of(now));
    };
    handlers.modified = [this](const boost::json::object& before, const boost::json::object& now) {
      EXPECT_EQ(mirror[name_of(now)], meta(now, "uid"));
      EXPECT_NE(meta(before, "resourceVersion"), meta(now, "resourceVersion"));
      told.push_back("~" + name_of(now));
    };
    handlers.deleted = [this](const boost::json::object& last) {
      EXPECT_EQ(mirror[name_of(last)], meta(last, "uid"));
      EXPECT_EQ(mirror.erase(name_of(last)), 1u);
      told.push_back("-" + name_of(last));
    };
    informer.emplace(io.get_executor(), client_, clock_, options, handlers);
    informer->start();
  }
  bool until(const std::function<bool()>& done, milliseconds limit = seconds(60)) {
    return run_until(io, done, limit);
  }
  // Runs until `count` changes are told, and a little longer for those that should not be.
  bool until_told(std::size_t count) {
    const bool enough = until([&] { return told.size() >= count; });
    until([] { return false; }, milliseconds(700));
    return enough;
  }
  std::vector<std::string> take() { return std::exchange(told, {}); }
  [[nodiscard]] const InformerState& state() const { return informer->state(); }

  asio::io_context io{1};
  std::map<std::string, std::string> mirror;  // name -> uid, by what was told alone
  std::vector<std::string> told;
  std::optional<Informer> informer;

 private:
  SystemClock clock_;
  Client client_;
};

class KubeInformerCluster : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = ControlPlane::missing(); !missing.empty())
      GTEST_SKIP() << missing;
    static int number = 0;
    space_ = "i" + std::to_string(++number);
    plane().kubectl({"create", "namespace", space_});
  }
  static ControlPlane& plane() { return control_plane(); }
  void create(const std::string& pod, const std::string& node = "n1") {
    plane().create("{apiVersion: v1, kind: Pod, metadata: {name: " + pod +
                   ", namespace: " + space_ + "}, spec: {nodeName: " + node +
                   ", containers: [{name: c, image: i}]}}");
  }
  void remove(const std::string& pod) {
    // A pod that no kubelet ends must be deleted by force.
    plane().kubectl({"-n", space_, "delete", "pod", pod, "--force", "--grace-period=0"});
  }
  void label(const std::string& pod, const std::string& value) {
    plane().kubectl({"-n", space_, "label", "--overwrite", "pod", pod, "v=" + value});
  }
  // name -> uid as kubectl has it.
  std::map<std::string, std::string> really() {
    const std::string text = plane().kubectl(
        {"-n", space_, "get", "pods", "--field-selector=spec.nodeName=n1", "-o",
         "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{\"\\n\"}{end}"});
    std::map<std::string, std::string> pods;
    std::istringstream lines(text);
    for (std::string name, uid; lines >> name >> uid;) pods[name] = uid;
    return pods;
  }
  std::string space_;
};

TEST_F(KubeInformerCluster, TellsWhatHappensToItsPodsOnly) {
  create("a");
  create("elsewhere", "n2");
  Follower follower(space_);
  ASSERT_TRUE(follower.until([&] { return follower.state().synced; }));
  EXPECT_THAT(follower.take(), ElementsAre("+a"));
  create("b");
  create("other", "n2");
  label("a", "1");
  label("elsewhere", "1");
  remove("b");
  ASSERT_TRUE(
      follower.until([&] { return !follower.told.empty() && follower.told.back() == "-b"; }));
  // Between its deletion being asked for and done, b may be told as changed.
  std::vector<std::string> told = follower.take();
  std::erase(told, "~b");
  EXPECT_THAT(told, ElementsAre("+b", "~a", "-b"));
  EXPECT_EQ(follower.mirror, really());
}

TEST_F(KubeInformerCluster, ChangesThatNobodySawAreToldAfterARestart) {
  plane().watch_cache(true);
  for (const char* pod : {"a", "b", "c", "same"}) create(pod);
  Follower follower(space_);
  ASSERT_TRUE(follower.until([&] { return follower.state().synced; }));
  follower.take();
  // From here the informer does not run.
  plane().kill_api_server();
  plane().start_api_server();
  remove("a");
  remove("b");
  create("b");
  label("c", "1");
  label("c", "2");
  create("d");
  create("short-lived");
  remove("short-lived");
  ASSERT_TRUE(follower.until([&] { return follower.mirror == really(); }));
  ASSERT_TRUE(follower.until([&] { return !follower.state().out_of_touch_since; }));
  std::vector<std::string> told = follower.take();
  EXPECT_THAT(told, testing::Not(testing::Contains("~same")));
  EXPECT_THAT(told, testing::IsSupersetOf({"-a", "-b", "+b", "~c", "+d"}));
  EXPECT_EQ(follower.mirror, really());
}

TEST_F(KubeInformerCluster, KnownPodsStayKnownAndTheWatchGoesOnAfterAnOutage) {
  plane().watch_cache(false);  // etcd's history then reaches over the restart: no list is needed
  create("a");
  Follower follower(space_);
  ASSERT_TRUE(follower.until([&] { return follower.state().watches == 1; }));
  EXPECT_FALSE(follower.state().out_of_touch_since);
  plane().kill_api_server();
  ASSERT_TRUE(follower.until([&] { return follower.state().failures >= 3; }));
  EXPECT_TRUE(follower.state().out_of_touch_since);
  EXPECT_THAT(follower.state().last_error, HasSubstr("127.0.0.1"));
  EXPECT_NE(follower.informer->find(space_, "a"), nullptr);
  plane().start_api_server();
  create("b");
  label("a", "1");
  ASSERT_TRUE(follower.until_told(3));
  EXPECT_THAT(follower.take(), ElementsAre("+a", "+b", "~a"));
  EXPECT_EQ(follower.state().lists, 1u) << "listed again instead of resuming";
  EXPECT_GE(follower.state().watches, 2u);
  EXPECT_FALSE(follower.state().out_of_touch_since);
  EXPECT_EQ(follower.mirror, really());
}

TEST_F(KubeInformerCluster, ListsAgainWhenEtcdHasForgotten) {
  plane().watch_cache(false);
  for (const char* pod : {"a", "b", "c", "same"}) create(pod);
  Follower follower(space_);
  ASSERT_TRUE(follower.until([&] { return follower.state().watches == 1; }));
  follower.take();
  plane().kill_api_server();
  plane().start_api_server();
  remove("a");
  remove("b");
  create("b");
  label("c", "1");
  create("d");
  plane().compact_etcd();
  ASSERT_TRUE(follower.until_told(5));
  EXPECT_THAT(follower.take(), UnorderedElementsAre("-a", "-b", "+b", "~c", "+d"));
  EXPECT_EQ(follower.state().lists, 2u);
  EXPECT_EQ(follower.mirror, really());
  // And on from there.
  create("e");
  ASSERT_TRUE(follower.until_told(1));
  EXPECT_THAT(follower.take(), ElementsAre("+e"));
}

TEST_F(KubeInformerCluster, AServerThatHangsIsNoticedAndComesBack) {
  create("a");
  Follower follower(space_, seconds(3));
  ASSERT_TRUE(follower.until([&] { return follower.state().watches >= 1; }));
  plane().pause_api_server(true);
  const bool noticed = follower.until([&] { return follower.state().failures > 0; });
  const auto since = follower.state().out_of_touch_since;
  plane().pause_api_server(false);
  EXPECT_TRUE(noticed);
  EXPECT_TRUE(since);
  create("b");
  ASSERT_TRUE(follower.until(
      [&] { return follower.mirror.size() == 2 && !follower.state().out_of_touch_since; }));
  EXPECT_EQ(follower.mirror, really());
}

TEST_F(KubeInformerCluster, WhileTheServerComesAndGoesNothingIsLostOrMadeUp) {
  plane().watch_cache(true);
  Follower follower(space_);
  ASSERT_TRUE(follower.until([&] { return follower.state().synced; }));
  for (int round = 0; round < 3; ++round) {
    const std::string n = std::to_string(round);
    create("kept" + n);
    create("gone" + n);
    follower.until([] { return false; }, milliseconds(200 * round));
    label("kept" + n, "1");
    plane().kill_api_server();
    follower.until([] { return false; }, milliseconds(300));
    plane().start_api_server();
    remove("gone" + n);
    label("kept" + n, "2");
  }
  const auto expected = really();
  EXPECT_EQ(expected.size(), 3u);
  ASSERT_TRUE(follower.until([&] { return follower.mirror == expected; }));
  follower.until([] { return false; }, milliseconds(500));
  EXPECT_EQ(follower.mirror, really());
  for (const auto& [key, object] : follower.informer->objects())
    EXPECT_EQ(plane().kubectl({"-n", space_, "get", "pod", key.name, "-o",
                               "jsonpath={.metadata.resourceVersion}"}),
              meta(object, "resourceVersion"));
}

}  // namespace
}  // namespace faultline::kube
