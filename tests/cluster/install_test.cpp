// SPDX-License-Identifier: Apache-2.0
// Faultline on the cluster as a platform team puts it there, and the shop that the tests of it hit.
// ctest runs these around the tests that need them, once: first the default, with one controller;
// then the overlays `ha` and `hardened` are applied over it, as to a cluster in use.
#include <chrono>
#include <iostream>
#include <sstream>

#include "tests/cluster/faultline.h"

namespace faultline::test {
namespace {

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

// `kubectl apply -k` of a folder of the sources.
void install(const std::string& folder) {
  const auto begun = std::chrono::steady_clock::now();
  must_kubectl({"apply", "-k", source(folder)});
  for (const char* workload : {"deployment/faultline-controller", "daemonset/faultline-agent"}) {
    const auto done = kubectl({"-n", "faultline", "rollout", "status", workload, "--timeout=120s"});
    ASSERT_EQ(done.status, 0)
        << done.output << kubectl({"-n", "faultline", "describe", "pods"}).output
        << kubectl({"-n", "faultline", "logs", "deployment/faultline-controller"}).output
        << kubectl({"-n", "faultline", "logs", "daemonset/faultline-agent"}).output;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  std::cout << folder << " is ready after " << took.count() << " s\n";
}

// Objects of the cluster, not of a namespace, that are called as ours are.
std::string ours() {
  std::string found;
  std::istringstream all(
      must_kubectl({"get",
                    "namespaces,crds,clusterroles,clusterrolebindings,priorityclasses,"
                    "mutatingwebhookconfigurations,validatingwebhookconfigurations",
                    "-o", "name"}));
  for (std::string line; std::getline(all, line);)
    if (line.find("faultline") != line.npos) found += line + "\n";
  return found;
}

}  // namespace

TEST(Install, Default) {
  install("daemonset");
  if (kubectl({"get", "namespace", "shop"}).status != 0)
    must_kubectl({"create", "namespace", "shop"});
  const ExistingNamespace shop("shop");
  ASSERT_TRUE(comes_true(
      [&] {
        return shop.kubectl({"get", "serviceaccount", "default"}).status == 0;
      },
      20s));
  shop.apply(kShop);
  shop.client("caller", "n1");
  shop.must_kubectl({"rollout", "status", "deployment/web", "--timeout=60s"});
}

TEST(Install, TwoControllersAndNoPrivilegesOverIt) {
  install("tests/cluster/manifests/ha-hardened");
  EXPECT_EQ(must_kubectl({"-n", "faultline", "get", "deployment", "faultline-controller", "-o",
                          "jsonpath={.status.readyReplicas}"}),
            "2");
  EXPECT_EQ(
      must_kubectl({"-n", "faultline", "get", "daemonset", "faultline-agent", "-o",
                    "jsonpath={.spec.template.spec.containers[0].securityContext.privileged}"}),
      "false");
}

TEST(Install, GoesWithoutATrace) {
  must_kubectl({"delete", "namespace", "shop", "--ignore-not-found", "--wait=false"});
  kubectl({"delete", "pod", "--all", "-n", "shop", "--force", "--grace-period=0"});
  must_kubectl({"delete", "-k", source("tests/cluster/manifests/ha-hardened"), "--ignore-not-found",
                "--timeout=90s"});
  EXPECT_EQ(ours(), "");
  // The shop too, or the next installation would find it on its way out.
  EXPECT_TRUE(comes_true([] { return kubectl({"get", "namespace", "shop"}).status != 0; }, 60s));
}

}  // namespace faultline::test
