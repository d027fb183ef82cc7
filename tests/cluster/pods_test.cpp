// SPDX-License-Identifier: Apache-2.0
// That the ground is what it says: nodes, pods, Services, names, and what kubectl does with them.
#include "testbed/child.h"
#include "tests/cluster/harness.h"

namespace faultline::test {
namespace {

using testing::HasSubstr;

bool ready(const std::string& node) {
  return kubectl({"get", "node", node, "-o",
                  "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}"})
             .output == "True";
}

}  // namespace

TEST(Pods, BothNodesAreReady) {
  EXPECT_TRUE(ready("n1"));
  EXPECT_TRUE(ready("n2"));
  EXPECT_EQ(must_kubectl({"get", "nodes", "-o", "name"}), "node/n1\nnode/n2\n");
}

TEST(Pods, AServiceIsReachedByNameFromTheSameNodeAndTheOther) {
  const Namespace space("across");
  space.nginx("web", "n1");
  space.client("near", "n1");
  space.client("far", "n2");
  for (const char* from : {"near", "far"})
    for (const char* url : {"http://web", "http://web.across.svc.cluster.local"}) {
      // Names and rules follow within moments.
      EXPECT_TRUE(comes_true([&] { return space.curl(from, url).status == 0; }, 10s))
          << from << url;
      EXPECT_EQ(space.curl(from, url).output, "web\n") << from << url;
    }
}

TEST(Pods, AServiceWithoutAnAddressAndTheApiServersProxyReachPods) {
  const Namespace space("ways");
  space.nginx("web", "n2");
  space.client("client", "n1");
  space.apply(
      "{apiVersion: v1, kind: Service, metadata: {name: each}, spec: {clusterIP: None, selector: "
      "{app: web}, ports: [{port: 80}]}}");
  EXPECT_TRUE(
      comes_true([&] { return space.curl("client", "http://each").output == "web\n"; }, 10s));
  EXPECT_EQ(must_kubectl({"get", "--raw", "/api/v1/namespaces/ways/services/web:80/proxy/"}),
            "web\n");
}

TEST(Pods, ADaemonSetIsOnBothNodesAndADeploymentSpreads) {
  const Namespace space("spread");
  space.apply(R"(
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: each}
spec:
  selector: {matchLabels: {app: each}}
  template:
    metadata: {labels: {app: each}}
    spec: {containers: [{name: client, image: 'localhost/client:dev'}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: some}
spec:
  replicas: 3
  selector: {matchLabels: {app: some}}
  template:
    metadata: {labels: {app: some}}
    spec:
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: some}}}
      containers:
        - name: nginx
          image: localhost/nginx:dev
          resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {cpu: 200m, memory: 64Mi}}
)");
  space.must_kubectl({"rollout", "status", "daemonset/each", "--timeout=60s"});
  space.must_kubectl({"rollout", "status", "deployment/some", "--timeout=60s"});
  for (const char* app : {"each", "some"}) {
    const std::string nodes = space.must_kubectl({"get", "pods", "-l", std::string("app=") + app,
                                                  "-o", "jsonpath={.items[*].spec.nodeName}"});
    EXPECT_THAT(nodes, HasSubstr("n1")) << app;
    EXPECT_THAT(nodes, HasSubstr("n2")) << app;
  }
}

TEST(Pods, LogsExecAndPortForwardWork) {
  const Namespace space("kubectl");
  space.nginx("web", "n2");
  space.apply(
      "{apiVersion: v1, kind: Pod, metadata: {name: once}, spec: {restartPolicy: Never, "
      "containers: "
      "[{name: c, image: 'localhost/client:dev', args: [sh, -c, 'echo said by the pod']}]}}");
  EXPECT_TRUE(comes_true(
      [&] {
        return space.kubectl({"logs", "once"}).output == "said by the pod\n";
      },
      20s));
  // The image has no shell: what runs there is nginx itself.
  EXPECT_THAT(space.kubectl({"exec", "web", "--", "/usr/bin/nginx", "-v"}).output,
              HasSubstr("nginx version"));
  const testbed::Child forward([&] {
    return space.kubectl({"port-forward", "pod/web", "18080:80"}).status;
  });
  EXPECT_TRUE(comes_true(
      [] {
        return testbed::command({"curl", "-s", "--max-time", "2", "http://127.0.0.1:18080"})
                   .output == "web\n";
      },
      20s));
}

TEST(Pods, ProjectedTokensAreGoodForTheirAudienceOnly) {
  const Namespace space("tokens");
  space.apply(R"({apiVersion: v1, kind: Pod, metadata: {name: holder}, spec: {
  containers: [{name: c, image: 'localhost/client:dev', volumeMounts: [{name: token, mountPath: /token}]}],
  volumes: [{name: token, projected: {sources: [{serviceAccountToken:
    {path: token, audience: faultline-controller, expirationSeconds: 600}}]}}]}})");
  space.wait_ready("holder");
  const std::string token = space.must_kubectl({"exec", "holder", "--", "cat", "/token/token"});
  const auto review = [&](const std::string& audience) {
    const TemporaryFile file(
        "{\"apiVersion\": \"authentication.k8s.io/v1\", \"kind\": \"TokenReview\", \"spec\": {"
        "\"token\": \"" +
        token + "\", \"audiences\": [\"" + audience + "\"]}}");
    return must_kubectl({"create", "-f", file.path(), "-o",
                         "jsonpath={.status.authenticated} {.status.user.username}"});
  };
  EXPECT_EQ(review("faultline-controller"), "true system:serviceaccount:tokens:default");
  EXPECT_EQ(review("https://kubernetes.default.svc"), " ");
}

}  // namespace faultline::test
