// SPDX-License-Identifier: Apache-2.0
// Faultline as a platform team installs it, and as somebody with nothing but kubectl uses it. What
// is felt is measured by curl in the caller's pod.
#include <boost/json.hpp>
#include <cstdlib>
#include <iostream>

#include "tests/cluster/harness.h"

namespace faultline::test {
namespace {

using testing::HasSubstr;

constexpr const char* kShop = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: nginx
          image: localhost/nginx:dev
          readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1, timeoutSeconds: 3}
)";

std::string experiment(const std::string& name, const std::string& spec) {
  return "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: " + name +
         "}\nspec:\n" + spec;
}

std::string slow(const std::string& name, const std::string& fault = "5s") {
  return experiment(name,
                    "  purpose: \"The caller feels it\"\n"
                    "  target: {selector: {labelSelectors: {app: web}}, mode: one}\n"
                    "  faults: [{networkLatency: {latency: 300ms}}]\n"
                    "  phases: {baseline: 2s, fault: " +
                        fault + ", recovery: 2s}\n");
}

struct Pod {
  std::string name, ip, node;
};

// Installed once for all tests of this file; removed after the last.
class Faultline : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    must_kubectl({"apply", "-k", source("daemonset")});
    for (const char* workload : {"deployment/faultline-controller", "daemonset/faultline-agent"})
      if (const auto done = kubectl({"-n", "faultline", "rollout", "status", workload,
                                     "--timeout=120s"});
          done.status != 0) {
        std::cout << done.output << kubectl({"-n", "faultline", "get", "pods", "-o", "wide"}).output
                  << kubectl({"-n", "faultline", "describe", "pods"}).output
                  << kubectl({"-n", "faultline", "logs", "deployment/faultline-controller"}).output
                  << kubectl({"-n", "faultline", "logs", "daemonset/faultline-agent"}).output;
        throw std::runtime_error(std::string(workload) + " does not come up");
      }
    shop = new Namespace("shop");
    shop->apply(kShop);
    shop->client("caller", "n1");
    shop->must_kubectl({"rollout", "status", "deployment/web", "--timeout=60s"});
  }
  static void TearDownTestSuite() {
    delete shop;
    shop = nullptr;
    kubectl({"delete", "-k", source("daemonset"), "--ignore-not-found", "--timeout=60s"});
  }
  void TearDown() override {
    if (HasFailure())
      for (const char* of : {"deployment/faultline-controller", "daemonset/faultline-agent"})
        std::cout << kubectl({"-n", "faultline", "logs", of, "--tail=60"}).output;
    shop->must_kubectl({"delete", "experiments", "--all"});
  }

  static std::vector<Pod> web() {
    std::vector<Pod> pods;
    const auto list = boost::json::parse(
        shop->must_kubectl({"get", "pods", "-l", "app=web", "-o", "json"}));
    for (const auto& item : list.at("items").as_array())
      pods.push_back({std::string(item.at_pointer("/metadata/name").as_string()),
                      std::string(item.at_pointer("/status/podIP").as_string()),
                      std::string(item.at_pointer("/spec/nodeName").as_string())});
    return pods;
  }
  // Seconds that the caller waits for an answer of the pod; negative: there was none.
  static double felt(const std::string& ip) {
    const auto said =
        shop->kubectl({"exec", "caller", "--", "curl", "-s", "-m", "5", "-o", "/dev/null", "-w",
                       "%{time_total}", "http://" + ip + "/"});
    return said.status == 0 ? std::strtod(said.output.c_str(), nullptr) : -1;
  }
  static boost::json::value status(const std::string& name) {
    const auto object =
        boost::json::parse(shop->must_kubectl({"get", "experiment", name, "-o", "json"}));
    const auto* found = object.as_object().if_contains("status");
    return found == nullptr ? boost::json::value(boost::json::object{}) : *found;
  }
  static std::string text(const boost::json::value& object, const char* key) {
    const auto* found = object.as_object().if_contains(key);
    return found != nullptr && found->is_string() ? std::string(found->as_string()) : "";
  }
  static std::string phase(const std::string& name) { return text(status(name), "phase"); }
  static std::string condition(const std::string& name, const std::string& type) {
    const auto now = status(name);
    if (const auto* conditions = now.as_object().if_contains("conditions"))
      for (const auto& one : conditions->as_array())
        if (text(one, "type") == type) return text(one, "status") + " " + text(one, "reason");
    return "";
  }
  static std::string target(const std::string& name) {
    const auto now = status(name);
    const auto* targets = now.as_object().if_contains("targets");
    return targets == nullptr || targets->as_array().empty()
               ? ""
               : text(targets->as_array()[0], "name");
  }
  static std::string ip_of(const std::string& pod) {
    for (const Pod& one : web())
      if (one.name == pod) return one.ip;
    return "";
  }

  static Namespace* shop;
};

Namespace* Faultline::shop = nullptr;

TEST_F(Faultline, AFaultIsFeltByTheCallerAndByNobodyElse) {
  shop->apply(slow("felt", "8s"));
  ASSERT_TRUE(comes_true([] { return phase("felt") == "Injecting"; }, 30s)) << status("felt");
  const std::string hit = target("felt");
  for (const Pod& pod : web()) {
    const double waited = felt(pod.ip);
    std::cout << pod.name << " on " << pod.node << ": " << waited * 1e3 << " ms\n";
    // Two ways of the connection, one of the answer.
    if (pod.name == hit)
      EXPECT_GT(waited, 0.55) << pod.name;
    else
      EXPECT_LT(waited, 0.3) << pod.name;
    EXPECT_GT(waited, 0) << pod.name;
  }
  ASSERT_TRUE(comes_true([] { return phase("felt") == "Completed"; }, 30s)) << status("felt");
  EXPECT_LT(felt(ip_of(hit)), 0.3);
  const auto done = status("felt");
  EXPECT_EQ(text(done, "verdict"), "met") << done;
  EXPECT_GT(done.at("injected").to_number<int>(), 0);
  EXPECT_EQ(condition("felt", "Selected"), "True TargetsChosen");
  EXPECT_EQ(condition("felt", "Recovered"), "True NothingLeft");
  EXPECT_EQ(condition("felt", "Verdict"), "True Met");
  EXPECT_THAT(shop->must_kubectl({"get", "flx"}), HasSubstr("Completed"));
  EXPECT_TRUE(comes_true(
      [&] {
        return shop->must_kubectl({"describe", "pod", hit}).find("FaultInjected") !=
               std::string::npos;
      },
      10s));
}

TEST_F(Faultline, ADeletedExperimentEndsAtOnce) {
  shop->apply(slow("gone", "60s"));
  ASSERT_TRUE(comes_true([] { return phase("gone") == "Injecting"; }, 30s)) << status("gone");
  const std::string ip = ip_of(target("gone"));
  ASSERT_GT(felt(ip), 0.55);
  shop->must_kubectl({"delete", "experiment", "gone", "--timeout=5s"});
  EXPECT_TRUE(comes_true([&] { return felt(ip) < 0.3; }, 5s));
}

TEST_F(Faultline, AKilledAgentTakesItsFaultAlongAndTheReportSaysSo) {
  shop->apply(slow("orphan", "12s"));
  ASSERT_TRUE(comes_true([] { return phase("orphan") == "Injecting"; }, 30s)) << status("orphan");
  const std::string hit = target("orphan"), ip = ip_of(hit);
  std::string node;
  for (const Pod& pod : web())
    if (pod.name == hit) node = pod.node;
  ASSERT_GT(felt(ip), 0.55);
  must_kubectl({"-n", "faultline", "delete", "pod", "-l", "app.kubernetes.io/name=faultline-agent",
                "--field-selector=spec.nodeName=" + node, "--grace-period=0", "--force"});
  EXPECT_TRUE(comes_true([&] { return felt(ip) < 0.3; }, 10s));
  ASSERT_TRUE(comes_true(
      [] {
        const std::string now = phase("orphan");
        return now == "Completed" || now == "Failed" || now == "Aborted";
      },
      60s))
      << status("orphan");
  std::cout << status("orphan") << "\n";
  EXPECT_NE(text(status("orphan"), "verdict"), "met") << "the fault did not last";
  must_kubectl({"-n", "faultline", "rollout", "status", "daemonset/faultline-agent",
                "--timeout=60s"});
}

TEST_F(Faultline, WhatIsWrongOrForbiddenIsRefusedByKubectlInOneLine) {
  const auto refused = [](const std::string& document) {
    const TemporaryFile file(document);
    const auto said = shop->kubectl({"apply", "-f", file.path()});
    EXPECT_NE(said.status, 0) << document;
    return said.output;
  };
  EXPECT_THAT(refused(experiment("wrong",
                                 "  target: {selector: {labelSelectors: {app: web}}}\n"
                                 "  faults: [{networkLatency: {latency: 300ms, port: [80]}}]\n")),
              HasSubstr("unknown key"));
  EXPECT_THAT(refused(experiment("system",
                                 "  target: {selector: {namespaces: [kube-system]}}\n"
                                 "  faults: [{networkLatency: {latency: 300ms}}]\n")),
              HasSubstr("namespace kube-system is protected"));
  EXPECT_THAT(refused(experiment("long",
                                 "  target: {selector: {labelSelectors: {app: web}}}\n"
                                 "  faults: [{networkLatency: {latency: 300ms}}]\n"
                                 "  phases: {fault: 2h}\n")),
              HasSubstr("rule maxDuration of ConfigMap faultline/faultline-policy"));
}

TEST_F(Faultline, AllReadyPodsOfADeploymentAreNotHitUnlessThatIsMeant) {
  const std::string all =
      "  target: {selector: {labelSelectors: {app: web}}, mode: all}\n"
      "  faults: [{networkLatency: {latency: 1ms}}]\n"
      "  phases: {baseline: 0s, fault: 1s, recovery: 0s}\n";
  shop->apply(experiment("all", all + "  limits: {maxPercent: 100}\n"));
  ASSERT_TRUE(comes_true([] { return phase("all") == "Failed"; }, 30s)) << status("all");
  EXPECT_THAT(text(status("all"), "reason"), HasSubstr("Deployment/web in shop"));
}

TEST_F(Faultline, WhoMayOnlyInOneNamespaceHitsNoOther) {
  const Namespace other("bank");
  other.apply(R"(
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: chaos}
rules: [{apiGroups: [faultline.dev], resources: [experiments], verbs: ['*']}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: chaos}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: chaos}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: jane}]
)");
  const TemporaryFile reaching(
      experiment("reach",
                 "  target: {selector: {namespaces: [shop], labelSelectors: {app: web}}}\n"
                 "  faults: [{networkLatency: {latency: 300ms}}]\n"));
  const auto as_jane = other.kubectl({"--as=jane", "apply", "-f", reaching.path()});
  EXPECT_NE(as_jane.status, 0);
  EXPECT_THAT(as_jane.output, HasSubstr("jane may not create experiments.faultline.dev in shop"));
  // The same without a selector of namespaces is about her own, where it matches nothing.
  const TemporaryFile own(experiment("own",
                                     "  target: {selector: {labelSelectors: {app: web}}}\n"
                                     "  faults: [{networkLatency: {latency: 300ms}}]\n"));
  EXPECT_EQ(other.kubectl({"--as=jane", "apply", "-f", own.path()}).status, 0);
  EXPECT_TRUE(comes_true(
      [&] {
        return other.must_kubectl({"get", "experiment", "own", "-o", "jsonpath={.status.phase}"}) ==
               "Failed";
      },
      30s));
  EXPECT_THAT(other.must_kubectl({"get", "experiment", "own", "-o", "yaml"}),
              HasSubstr("faultline.dev/requested-by: jane"));
}

}  // namespace
}  // namespace faultline::test
