// SPDX-License-Identifier: Apache-2.0
// daemonset/ as the API server sees it: every object of every overlay is accepted, and roles grant
// what is written and no more.
#include <algorithm>
#include <boost/json.hpp>
#include <set>
#include <stdexcept>

#include "tests/cluster/harness.h"

namespace faultline::test {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

// Where Faultline is installed (install_test.cpp).
class Overlay : public testing::TestWithParam<const char*> {
 protected:
  Overlay() {
    must_kubectl({"apply", "-f", source(kMonitoring)});
    must_kubectl({"wait", "--for=condition=Established", "--timeout=20s", "crd", "--all"});
  }
  ~Overlay() override { kubectl({"delete", "-f", source(kMonitoring)}); }
  // Kinds of other people's, which the overlay `prometheus` has objects of.
  static constexpr const char* kMonitoring = "tests/cluster/manifests/monitoring-crds.yaml";
};

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

// What an agent can do that runs as an overlay says: `faultline-agent --probe` in the DaemonSet's
// pod.
std::set<std::string> features_of_agent(const Namespace& space, const std::string& overlay) {
  const TemporaryFile rendered(must_kubectl({"kustomize", source(overlay)}));
  const std::string name = overlay.substr(overlay.rfind('/') + 1);
  boost::json::stream_parser parser;
  // One document after the other, without anything between.
  std::string documents =
      must_kubectl({"create", "--dry-run=client", "-o", "json", "-f", rendered.path()});
  for (std::string_view rest = documents; !rest.empty();) {
    parser.reset();
    rest.remove_prefix(parser.write_some(rest.data(), rest.size()));
    if (!parser.done()) break;
    const boost::json::value document = parser.release();
    if (document.at("kind") != "DaemonSet") continue;
    boost::json::object pod = document.at("spec").at("template").as_object();
    pod["apiVersion"] = "v1";
    pod["kind"] = "Pod";
    pod["metadata"].as_object()["name"] = name;
    auto& spec = pod["spec"].as_object();
    spec.erase("serviceAccountName");
    spec["restartPolicy"] = "Never";
    auto& agent = spec["containers"].as_array()[0].as_object();
    // The installed agent has the node's port.
    for (const char* key : {"startupProbe", "livenessProbe", "readinessProbe", "ports"})
      agent.erase(key);
    agent["args"] = {"--probe"};
    const auto no_ca = [](boost::json::value& list) {
      boost::json::array rest_of_it;
      for (const auto& entry : list.as_array())
        if (entry.at("name") != "ca") rest_of_it.push_back(entry);
      list = rest_of_it;
    };
    no_ca(agent["volumeMounts"]);
    no_ca(spec["volumes"]);
    space.apply(boost::json::serialize(pod));
  }
  if (!comes_true(
          [&] {
            return space.kubectl({"get", "pod", name, "-o", "jsonpath={.status.phase}"}).output ==
                   "Succeeded";
          },
          60s))
    throw std::runtime_error(space.kubectl({"describe", "pod", name}).output);
  std::set<std::string> available;
  const auto probe = boost::json::parse(space.must_kubectl({"logs", name}));
  for (const auto& feature : probe.at("features").as_array())
    if (feature.at("available").as_bool()) available.emplace(feature.at("name").as_string());
  return available;
}

}  // namespace

TEST_P(Overlay, IsAcceptedByTheApiServer) {
  const auto dry =
      kubectl({"apply", "--dry-run=server", "--validate=strict", "-k", source(GetParam())});
  EXPECT_EQ(dry.status, 0) << dry.output;
  EXPECT_THAT(dry.output, ContainsRegex("daemonset.apps/faultline-agent .*\\(server dry run\\)"));
  EXPECT_THAT(dry.output,
              ContainsRegex("deployment.apps/faultline-controller .*\\(server dry run\\)"));
}
INSTANTIATE_TEST_SUITE_P(Each, Overlay,
                         testing::Values("daemonset", "daemonset/overlays/hardened",
                                         "tests/cluster/manifests/ha-hardened",
                                         "daemonset/overlays/prometheus",
                                         "daemonset/overlays/persistent"),
                         [](const auto& folder) {
                           std::string path = folder.param;
                           std::ranges::replace(path, '-', '_');  // gtest's names have none
                           return path.substr(path.rfind('/') + 1);
                         });

TEST(Manifests, AWrongFieldWouldBeSeen) {
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

TEST(Manifests, RolesGrantWhatIsWrittenAndNoMore) {
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
    for (const char* verb : {"create", "update", "patch"})
      EXPECT_FALSE(may(who, verb, "experiments.faultline.dev")) << who << verb;
    EXPECT_FALSE(may(who, "impersonate", "users")) << who;
    EXPECT_FALSE(may(who, "update", "leases.coordination.k8s.io", "faultline", "other")) << who;
  }
  EXPECT_TRUE(may("faultline-controller", "get", "secrets", "faultline", "faultline-tls"));
  EXPECT_TRUE(may("faultline-controller", "get", "secrets", "faultline", "faultline-admission"));
  EXPECT_FALSE(
      may("faultline-controller", "update", "secrets", "faultline", "faultline-admission"));
  EXPECT_FALSE(may("faultline-agent", "get", "secrets", "faultline", "faultline-admission"));
  EXPECT_FALSE(may("faultline-controller", "get", "secrets", "faultline", "other"));
  EXPECT_FALSE(may("faultline-controller", "get", "secrets", "default", "faultline-tls"));
  EXPECT_FALSE(may("faultline-agent", "get", "secrets", "faultline", "faultline-tls"));
  EXPECT_TRUE(may("faultline-controller", "get", "configmaps", "kube-system",
                  "extension-apiserver-authentication"));
  EXPECT_FALSE(may("faultline-controller", "get", "configmaps", "kube-system", "other"));
  EXPECT_TRUE(may("faultline-controller", "delete", "experiments.faultline.dev"))
      << "finished ones";
  EXPECT_FALSE(may("faultline-agent", "delete", "experiments.faultline.dev"));
  EXPECT_FALSE(may("faultline-agent", "list", "namespaces"));
  EXPECT_FALSE(may("faultline-agent", "list", "experiments.faultline.dev"));
}

// The images of scripts/image on a node: a listed capability that is missing would show as a
// feature that is.
TEST(Manifests, TheHardenedAgentCanDoAllButFuse) {
  const Namespace space("probes");
  auto privileged = features_of_agent(space, "daemonset");
  EXPECT_THAT(privileged, testing::Contains("TUN/TAP"));
  privileged.erase("FUSE");  // the runtime gives a container no device that it does not know
  EXPECT_EQ(features_of_agent(space, "daemonset/overlays/hardened"), privileged);
}

}  // namespace faultline::test
