// SPDX-License-Identifier: Apache-2.0
// daemonset/ as the API server sees it: every object of every overlay is accepted, and roles grant
// what is written and no more.
#include <stdexcept>

#include "tests/cluster/harness.h"

namespace faultline::test {
namespace {

using testing::HasSubstr;

// The kinds and the namespace that the other objects need, for the time of a test.
class Manifests : public testing::Test {
 protected:
  Manifests() {
    must_kubectl({"apply", "-f", source("daemonset/base/namespace.yaml"), "-f",
                  source("daemonset/base/crd.yaml"), "-f",
                  source("tests/cluster/manifests/monitoring-crds.yaml")});
    must_kubectl({"wait", "--for=condition=Established", "--timeout=20s", "crd", "--all"});
  }
  ~Manifests() override {
    kubectl({"delete", "-k", source("daemonset"), "--ignore-not-found", "--wait=true",
             "--timeout=60s"});
    kubectl({"delete", "-f", source("tests/cluster/manifests/monitoring-crds.yaml")});
  }
};

class Overlay : public Manifests, public testing::WithParamInterface<const char*> {};

// `what`: a resource, or resource/subresource.
bool may(const std::string& who, const std::string& verb, const std::string& what,
         const std::string& space = "default", const std::string& name = "") {
  const auto slash = what.find('/');
  std::vector<std::string> words{"auth",
                                 "can-i",
                                 verb,
                                 what.substr(0, slash) + (name.empty() ? "" : "/" + name),
                                 "-n",
                                 space,
                                 "--as=system:serviceaccount:faultline:" + who};
  if (slash != std::string::npos) words.push_back("--subresource=" + what.substr(slash + 1));
  // Warnings come before the word.
  const std::string said = kubectl(words).output;
  if (!said.ends_with("yes\n") && !said.ends_with("no\n")) throw std::runtime_error(said);
  return said.ends_with("yes\n");
}

}  // namespace

TEST_P(Overlay, IsAcceptedByTheApiServer) {
  const auto dry =
      kubectl({"apply", "--dry-run=server", "--validate=strict", "-k", source(GetParam())});
  EXPECT_EQ(dry.status, 0) << dry.output;
  EXPECT_THAT(dry.output, HasSubstr("daemonset.apps/faultline-agent created (server dry run)"));
  EXPECT_THAT(dry.output,
              HasSubstr("deployment.apps/faultline-controller created (server dry run)"));
}
INSTANTIATE_TEST_SUITE_P(Each, Overlay,
                         testing::Values("daemonset", "daemonset/overlays/hardened",
                                         "tests/cluster/manifests/ha",
                                         "daemonset/overlays/prometheus"),
                         [](const auto& folder) {
                           const std::string path = folder.param;
                           return path.substr(path.rfind('/') + 1);
                         });

TEST_F(Manifests, AWrongFieldWouldBeSeen) {
  std::string all = must_kubectl({"kustomize", source("daemonset")});
  const std::string right = "hostPID: true";
  const auto at = all.find(right);
  ASSERT_NE(at, std::string::npos);
  all.replace(at, right.size(), "hostPIDs: true");
  const TemporaryFile file(all);
  const auto dry = kubectl({"apply", "--dry-run=server", "--validate=strict", "-f", file.path()});
  EXPECT_NE(dry.status, 0);
  EXPECT_THAT(dry.output, HasSubstr("hostPIDs"));
}

TEST_F(Manifests, RolesGrantWhatIsWrittenAndNoMore) {
  must_kubectl({"apply", "-k", source("daemonset")});
  EXPECT_TRUE(may("faultline-agent", "list", "pods"));
  EXPECT_TRUE(may("faultline-agent", "watch", "pods"));
  EXPECT_TRUE(may("faultline-controller", "list", "pods"));
  EXPECT_TRUE(may("faultline-controller", "watch", "experiments.faultline.dev"));
  EXPECT_TRUE(may("faultline-controller", "patch", "experiments.faultline.dev/status"));
  EXPECT_TRUE(may("faultline-controller", "create", "tokenreviews.authentication.k8s.io"));
  EXPECT_TRUE(may("faultline-controller", "update", "leases.coordination.k8s.io", "faultline",
                  "faultline-controller"));
  for (const char* who : {"faultline-agent", "faultline-controller"}) {
    for (const char* verb : {"get", "list"})
      EXPECT_FALSE(may(who, verb, "secrets", "faultline")) << who;
    for (const char* verb : {"create", "update", "patch", "delete"})
      EXPECT_FALSE(may(who, verb, "pods")) << who << verb;
    EXPECT_FALSE(may(who, "create", "pods/exec")) << who;
    EXPECT_FALSE(may(who, "delete", "experiments.faultline.dev")) << who;
    EXPECT_FALSE(may(who, "impersonate", "users")) << who;
    EXPECT_FALSE(may(who, "update", "leases.coordination.k8s.io", "faultline", "other")) << who;
  }
  EXPECT_FALSE(may("faultline-agent", "list", "namespaces"));
  EXPECT_FALSE(may("faultline-agent", "list", "experiments.faultline.dev"));
}

}  // namespace faultline::test
