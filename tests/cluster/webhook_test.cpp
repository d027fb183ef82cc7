// SPDX-License-Identifier: Apache-2.0
// The API server reaches a webhook in a pod by its Service, on either node.
#include "tests/cluster/harness.h"

namespace faultline::test {
namespace {

using testing::HasSubstr;

// Removed with the test: one that stays would refuse things of the others.
struct Registration {
  explicit Registration(const std::string& manifest) {
    const TemporaryFile file(manifest);
    must_kubectl({"apply", "-f", file.path()});
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() { kubectl({"delete", "validatingwebhookconfiguration", "test-webhook"}); }
};

class Webhook : public testing::TestWithParam<const char*> {};

}  // namespace

TEST_P(Webhook, IsAskedByTheApiServer) {
  const std::string node = GetParam();
  const Namespace space("webhook-" + node);
  const TemporaryFile key(""), certificate("");
  const std::string name = "hook." + space.name() + ".svc";
  testbed::must({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                 "-keyout", key.path(), "-out", certificate.path(), "-subj", "/CN=" + name,
                 "-addext", "subjectAltName=DNS:" + name});
  space.must_kubectl(
      {"create", "secret", "tls", "hook", "--cert=" + certificate.path(), "--key=" + key.path()});
  space.must_kubectl(
      {"create", "configmap", "code", "--from-file=" + source("tests/cluster/webhook.py")});
  // The machine's own Python: no image has one.
  space.apply(R"(
apiVersion: v1
kind: Pod
metadata: {name: hook, labels: {app: hook}}
spec:
  nodeName: )" +
              node + R"(
  containers:
    - name: hook
      image: localhost/client:dev
      args:
        - sh
        - -c
        - cat /tls/tls.crt >/host/run/crt; cat /tls/tls.key >/host/run/key; cat /code/webhook.py >/host/run/py;
          exec busybox chroot /host python3 /run/py /run/crt /run/key
      readinessProbe: {tcpSocket: {port: 8443}, periodSeconds: 1}
      volumeMounts: [{name: host, mountPath: /host}, {name: tls, mountPath: /tls}, {name: code, mountPath: /code}]
  volumes:
    - {name: host, hostPath: {path: /}}
    - {name: tls, secret: {secretName: hook}}
    - {name: code, configMap: {name: code}}
---
apiVersion: v1
kind: Service
metadata: {name: hook}
spec: {selector: {app: hook}, ports: [{port: 443, targetPort: 8443}]}
)");
  space.wait_ready("hook");
  const auto authority = testbed::command({"base64", "-w0", certificate.path()});
  const Registration registration(R"(
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: test-webhook}
webhooks:
  - name: hook.test.faultline.dev
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    timeoutSeconds: 5
    rules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
    namespaceSelector: {matchLabels: {hooked: 'yes'}}
    clientConfig: {service: {namespace: )" +
                                  space.name() + R"(, name: hook, port: 443}, caBundle: )" +
                                  authority.output + "}\n");
  must_kubectl({"label", "namespace", space.name(), "hooked=yes"});
  const auto create = [&](const std::string& map, const std::string& refuse) {
    const TemporaryFile file("---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: " + map +
                             ", labels: {refuse: '" + refuse + "'}}}");
    return space.kubectl({"create", "-f", file.path()});
  };
  // The API server learns of it a moment later.
  int tries = 0;
  EXPECT_TRUE(comes_true(
      [&] {
        return create("bad" + std::to_string(tries++), "yes")
                   .output.find("refused by the webhook of the test") != std::string::npos;
      },
      20s));
  const auto allowed = create("good", "no");
  EXPECT_EQ(allowed.status, 0) << allowed.output;
}
INSTANTIATE_TEST_SUITE_P(Node, Webhook, testing::Values("n1", "n2"),
                         [](const auto& node) { return std::string(node.param); });

}  // namespace faultline::test
