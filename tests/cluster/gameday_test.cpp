// SPDX-License-Identifier: Apache-2.0
// A game day by somebody with nothing but kubectl. The day is made like the first of
// docs/examples/gamedays, with the pods of the shop and what they can be asked here: there is no
// monitoring.
#include <algorithm>
#include <boost/json.hpp>

#include "tests/cluster/faultline.h"

namespace faultline::test {
namespace {

using testing::HasSubstr;

std::string day(const std::string& name, const std::string& fault) {
  return "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata:\n  name: " + name + R"(
  annotations: {faultline.dev/gameday-unattended: "true"}
spec:
  title: web answers late
  hypothesis: The caller waits, and nothing else happens
  owner: shop
  preChecks: [agents, targets]
  steps:
    - name: briefing
      note: The customers are synthetic. The commander leads the response.
    - name: incident
      parallel:
        - name: slow
          experiment:
            spec:
              purpose: The caller feels it
              target: {selector: {labelSelectors: {app: web}}, mode: one}
              faults: [{networkLatency: {latency: 300ms}}]
              phases: {baseline: 2s, fault: )" +
         fault + R"(, recovery: 2s}
        - name: mend
          task:
            text: Find out what makes web slow
            runbook: {configMap: runbooks/slow.md}
            timeout: 2s
            otherwise: done
    - name: unnoticed
      when: {step: slow, is: [missed]}
      note: Nobody felt it.
)";
}

constexpr const char* kRunbook = R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: runbooks}
data: {slow.md: "1. look at the graph\n2. <b>roll back</b>\n"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: faultline-runbooks}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: faultline-runbooks}
subjects: [{kind: ServiceAccount, name: faultline-controller, namespace: faultline}]
)";

// What both kinds of installation have in common.
template <class Base>
class Days : public Base {
 protected:
  void SetUp() override { Base::shop.apply(kRunbook); }
  void TearDown() override {
    Base::shop.must_kubectl({"delete", "gamedays", "--all"});
    const TemporaryFile runbook(kRunbook);
    Base::shop.must_kubectl({"delete", "-f", runbook.path(), "--ignore-not-found"});
    Base::TearDown();
  }
  static boost::json::value day_status(const std::string& name) {
    const auto said = Base::shop.kubectl({"get", "gameday", name, "-o", "json"});
    if (said.status != 0) return boost::json::object{};
    const auto object = boost::json::parse(said.output);
    const auto* found = object.as_object().if_contains("status");
    return found == nullptr ? boost::json::value(boost::json::object{}) : *found;
  }
  static std::string of(const std::string& name, const char* key) {
    return Base::text(day_status(name), key);
  }
  static bool day_over(const std::string& name) {
    const std::string phase = of(name, "phase");
    return phase == "completed" || phase == "aborted" || phase == "failed";
  }
  static std::string outcome(const std::string& name, const std::string& step) {
    const auto now = day_status(name);
    if (const auto* steps = now.as_object().if_contains("steps"))
      for (const auto& one : steps->as_array())
        if (Base::text(one, "name") == step) return Base::text(one, "outcome");
    return "";
  }
};

}  // namespace

class FaultlineDay : public Days<Faultline> {};

TEST_F(FaultlineDay, AppliedItRunsUnattendedToItsEndAndSaysHowItWas) {
  shop.apply(day("late", "4s"));
  ASSERT_TRUE(comes_true([] { return day_over("late"); }, 60s)) << day_status("late");
  const auto now = day_status("late");
  EXPECT_EQ(text(now, "phase"), "completed") << now;
  EXPECT_EQ(text(now, "verdict"), "met") << now;
  EXPECT_EQ(outcome("late", "slow"), "met") << now;
  EXPECT_EQ(outcome("late", "mend"), "done") << now;
  EXPECT_EQ(outcome("late", "unnoticed"), "skipped") << now;
  EXPECT_THAT(text(now, "report"), HasSubstr("/api/v1/gamedays/" + text(now, "day") + "/report"));
  EXPECT_THAT(shop.must_kubectl({"get", "gamedays"}), HasSubstr("completed"));
  EXPECT_THAT(shop.must_kubectl({"describe", "gameday", "late"}), HasSubstr("GameDayOver"));
  // Its spec is what it was, and its status nobody's but the controller's.
  const auto changed = shop.kubectl({"patch", "gameday", "late", "--type=merge", "-p",
                                     R"({"spec": {"title": "Something else"}})"});
  EXPECT_NE(changed.status, 0);
  EXPECT_THAT(changed.output, HasSubstr("its spec does not change"));
}

TEST_F(FaultlineDay, AWordByAnnotationIsOfWhoWroteItAndDeletingEndsTheDay) {
  shop.apply(day("ended", "60s"));
  ASSERT_TRUE(comes_true([] { return day_status("ended").as_object().contains("startedAt"); }, 30s))
      << day_status("ended");
  shop.must_kubectl({"annotate", "gameday", "ended", "faultline.dev/gameday-do=note it is slow"});
  ASSERT_TRUE(comes_true([] { return day_status("ended").as_object().contains("word"); }, 15s))
      << day_status("ended");
  const auto word = day_status("ended").at("word");
  EXPECT_TRUE(word.at("taken").as_bool()) << word;
  EXPECT_FALSE(text(word, "by").empty()) << word;
  const auto wrong = shop.kubectl(
      {"annotate", "gameday", "ended", "--overwrite", "faultline.dev/gameday-do=abrot"});
  EXPECT_NE(wrong.status, 0);
  EXPECT_THAT(wrong.output, HasSubstr("did you mean \"abort\""));
  const auto forged = shop.kubectl({"annotate", "gameday", "ended", "--overwrite",
                                    "faultline.dev/gameday-said-by=somebody-else"});
  EXPECT_EQ(
      shop.must_kubectl({"get", "gameday", "ended", "-o",
                         R"(jsonpath={.metadata.annotations.faultline\.dev/gameday-said-by})"}),
      text(word, "by"))
      << forged.output;
  shop.must_kubectl({"delete", "gameday", "ended"});
  EXPECT_TRUE(comes_true([] { return left().empty(); }, 20s)) << left();
}

std::string surprise(const std::string& name, const std::string& experiment) {
  return "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata:\n  name: " + name + R"(
  annotations: {faultline.dev/gameday-unattended: "true"}
spec:
  title: Something happens
  roles: {facilitator: [kubernetes-admin]}
  preChecks: [agents, targets]
  ttlAfterFinished: never
  steps:
    - {name: boom, surprise: true, experiment: )" +
         experiment + "}\n";
}

constexpr const char* kHidden = R"(
apiVersion: v1
kind: Secret
metadata: {name: hidden-surprise}
stringData:
  slow.yaml: |
    apiVersion: faultline.dev/v1alpha1
    kind: Experiment
    metadata: {name: hidden-slow}
    spec:
      target: {selector: {labelSelectors: {app: web}}, mode: one}
      faults: [{networkLatency: {latency: 301ms}}]
      phases: {baseline: 2s, fault: 4s, recovery: 2s}
)";

constexpr const char* kMayRead = R"(
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: hidden-surprise}
rules: [{apiGroups: [""], resources: [secrets], resourceNames: [hidden-surprise], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: hidden-surprise}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: hidden-surprise}
subjects: [{kind: ServiceAccount, name: faultline-controller, namespace: faultline}]
)";

TEST_F(FaultlineDay, ASurpriseOfASecretRunsAndTheObjectTellsNothingOfIt) {
  const TemporaryFile open(surprise("open", R"({spec: {target: {selector: {labelSelectors:
          {app: web}}}}})"));
  const auto refused = shop.kubectl({"apply", "-f", open.path()});
  EXPECT_NE(refused.status, 0);
  EXPECT_THAT(refused.output, HasSubstr("whoever may read this object would see the surprise"));

  // Nobody gave the controller the right to read it.
  shop.apply(kHidden);
  const std::string secret = "{secret: hidden-surprise/slow.yaml}";
  shop.apply(surprise("unread", secret));
  ASSERT_TRUE(comes_true([] { return day_over("unread"); }, 30s)) << day_status("unread");
  EXPECT_THAT(of("unread", "reason"), HasSubstr("the controller may not read the Secret"));

  // In one file, the day last.
  shop.apply(std::string(kMayRead) + "---\n" + surprise("hidden", secret));
  std::string object, events;  // as they were while it ran
  ASSERT_TRUE(comes_true(
      [&] {
        if (day_over("hidden")) return true;
        object += shop.must_kubectl({"get", "gameday", "hidden", "-o", "json"});
        events += shop.must_kubectl({"get", "events", "-o", "json"});
        return false;
      },
      60s))
      << day_status("hidden");
  EXPECT_EQ(of("hidden", "verdict"), "met") << day_status("hidden");
  EXPECT_EQ(outcome("hidden", "boom"), "met");
  EXPECT_THAT(object, testing::Not(HasSubstr("networkLatency")));
  EXPECT_THAT(object, testing::Not(HasSubstr("301ms")));
  // Runs that are no surprise have events there, too.
  EXPECT_THAT(events, testing::Not(HasSubstr("301ms")));
  EXPECT_THAT(events, testing::Not(HasSubstr("hidden-slow")));
  const auto logs = must_kubectl(
      {"-n", "faultline", "logs", "-l", "app.kubernetes.io/name=faultline-agent", "--tail=-1"});
  EXPECT_THAT(logs, testing::Not(HasSubstr("hidden-s")));
  const TemporaryFile right(kMayRead), hidden(kHidden);
  shop.must_kubectl({"delete", "-f", right.path()});
  shop.must_kubectl({"delete", "-f", hidden.path()});
}

TEST_F(FaultlineDay, OneThatIsOverIsDeletedWhenItsTimeIs) {
  shop.apply(
      "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata:\n  name: brief\n  annotations: "
      "{faultline.dev/gameday-unattended: \"true\"}\nspec:\n  title: Brief\n  preChecks: []\n"
      "  ttlAfterFinished: 1s\n  steps: [{name: a, note: Hello}]\n");
  EXPECT_TRUE(comes_true(
      [] {
        return shop.kubectl({"get", "gameday", "brief"}).output.find("NotFound") !=
               std::string::npos;
      },
      30s))
      << day_status("brief");
}

// Two controllers; the timeline is in etcd.
class FaultlineHaDay : public Days<Faultline> {
 protected:
  static std::string leader() {
    const auto lease = kubectl({"-n", "faultline", "get", "lease", "faultline-controller", "-o",
                                "jsonpath={.spec.holderIdentity}"});
    return lease.status == 0 ? lease.output.substr(0, lease.output.find('_')) : "";
  }
};

TEST_F(FaultlineHaDay, AnotherLeaderGoesOnWithTheDayAndBeginsNothingTwice) {
  shop.apply(day("moved", "25s"));
  const auto pods = web();
  ASSERT_TRUE(comes_true(
      [&] {
        return std::ranges::any_of(
            pods, [](const ShopPod& pod) { return felt_on(pod.node, pod.ip) > kDelayed; });
      },
      40s))
      << day_status("moved");
  const std::string former = leader(), id = of("moved", "day");
  ASSERT_NE(former, "");
  must_kubectl({"-n", "faultline", "delete", "pod", former, "--grace-period=0", "--force"});
  ASSERT_TRUE(comes_true(
      [&] {
        const std::string now = leader();
        return !now.empty() && now != former;
      },
      30s));
  ASSERT_TRUE(comes_true([] { return day_over("moved"); }, 60s)) << day_status("moved");
  const auto now = day_status("moved");
  EXPECT_EQ(text(now, "phase"), "completed") << now;
  EXPECT_EQ(text(now, "day"), id) << "the same day";
  EXPECT_EQ(outcome("moved", "slow"), "met") << now;
  for (const auto& step : now.at("steps").as_array())
    if (text(step, "name") == "slow") {
      EXPECT_EQ(step.at("runs").as_array().size(), 1U) << step;
    }
  must_kubectl(
      {"-n", "faultline", "rollout", "status", "deployment/faultline-controller", "--timeout=60s"});
}

}  // namespace faultline::test
