// SPDX-License-Identifier: Apache-2.0
// Parts of the cluster fail one at a time, and pods go on: what tests of faults in a failing
// cluster stand on.
#include "tests/cluster/harness.h"

namespace faultline::test {
namespace {

using testing::HasSubstr;

bool api_ready() {
  return kubectl({"get", "--raw", "/readyz", "--request-timeout=1s"}).output == "ok";
}
std::string ready(const std::string& node) {
  return kubectl({"get", "node", node, "-o",
                  "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}"})
      .output;
}

// Whatever a test ended with.
class Parts : public testing::Test {
 protected:
  ~Parts() override {
    cluster({"join", "n2"});
    cluster({"start", "etcd", "apiserver", "n2-containerd", "n2-kubelet"});
    // What marks a node that was away goes a moment after it is ready again.
    const std::vector<std::string> taints{"get", "node", "n2", "-o", "jsonpath={.spec.taints}"};
    comes_true(
        [&] { return api_ready() && ready("n2") == "True" && kubectl(taints).output.empty(); },
        60s);
  }
};

// From the node's own network, without the API server.
std::string page(const std::string& node, const std::string& address) {
  return cluster({"enter", node, "--", "curl", "-s", "--max-time", "1", "http://" + address})
      .output;
}

}  // namespace

TEST_F(Parts, AnUnknownPartOrNodeIsRefused) {
  EXPECT_THAT(cluster({"stop", "apiservr"}).output, HasSubstr("there is no part 'apiservr'"));
  EXPECT_EQ(cluster({"stop", "apiservr"}).status, 3);
  EXPECT_THAT(cluster({"cut", "n3"}).output, HasSubstr("there is no node 'n3'"));
  EXPECT_TRUE(api_ready());
}

TEST_F(Parts, PodsGoOnWithoutApiServerAndEtcd) {
  const Namespace space("parts");
  space.nginx("web", "n2");
  const std::string address =
      space.must_kubectl({"get", "pod", "web", "-o", "jsonpath={.status.podIP}"});
  ASSERT_EQ(page("n1", address), "web\n");
  for (const char* part : {"apiserver", "etcd"}) {
    ASSERT_EQ(cluster({"stop", part}).status, 0);
    EXPECT_THAT(cluster({"status"}).output, HasSubstr(std::string(part)));
    EXPECT_FALSE(api_ready()) << part;
    EXPECT_EQ(page("n1", address), "web\n") << part;
    ASSERT_EQ(cluster({"start", part}).status, 0);
    EXPECT_TRUE(comes_true(api_ready, 40s)) << part;
  }
  EXPECT_THAT(space.kubectl({"get", "pod", "web"}).output, HasSubstr("Running"));
}

TEST_F(Parts, PodsGoOnWithoutKubeletAndContainerd) {
  const Namespace space("nodeparts");
  space.nginx("web", "n2");
  const std::string address =
      space.must_kubectl({"get", "pod", "web", "-o", "jsonpath={.status.podIP}"});
  ASSERT_EQ(cluster({"stop", "n2-kubelet", "n2-containerd"}).status, 0);
  EXPECT_EQ(page("n1", address), "web\n");
  EXPECT_NE(space.kubectl({"logs", "web", "--request-timeout=3s"}).status, 0);
  ASSERT_EQ(cluster({"start", "n2-containerd", "n2-kubelet"}).status, 0);
  EXPECT_TRUE(comes_true([&] { return space.kubectl({"logs", "web"}).status == 0; }, 40s));
  // The same container: nothing restarted it.
  EXPECT_EQ(space.must_kubectl({"get", "pod", "web", "-o",
                                "jsonpath={.status.containerStatuses[0].restartCount}"}),
            "0");
  EXPECT_EQ(page("n1", address), "web\n");
}

TEST_F(Parts, ANodeThatIsCutOffIsNotReadyAndComesBack) {
  const Namespace space("cut");
  space.nginx("web", "n2");
  const std::string address =
      space.must_kubectl({"get", "pod", "web", "-o", "jsonpath={.status.podIP}"});
  ASSERT_EQ(cluster({"cut", "n2"}).status, 0);
  EXPECT_EQ(page("n1", address), "");
  EXPECT_EQ(page("n2", address), "web\n");
  EXPECT_TRUE(comes_true([] { return ready("n2") == "Unknown"; }, 60s));
  ASSERT_EQ(cluster({"join", "n2"}).status, 0);
  EXPECT_TRUE(comes_true([] { return ready("n2") == "True"; }, 60s));
  EXPECT_EQ(page("n1", address), "web\n");
}

}  // namespace faultline::test
