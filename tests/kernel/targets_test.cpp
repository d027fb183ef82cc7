// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "agent/kernel/cgroup2.h"
#include "agent/kernel/netlink.h"
#include "agent/targets/pods_file_source.h"
#include "agent/targets/resolve.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

namespace fs = std::filesystem;

class PodsFile {
 public:
  PodsFile()
      : path_(fs::temp_directory_path() / ("flt" + std::to_string(getpid()) + "-pods.yaml")) {}
  ~PodsFile() { fs::remove(path_); }
  void write_raw(const std::string& text) const { std::ofstream(path_) << text; }
  void write(const std::vector<const TestPod*>& pods) const {
    std::ofstream out(path_);
    out << "pods:\n";
    for (const TestPod* p : pods)
      out << "  - {namespace: test, name: " << p->name()
          << ", labels: {app: x}, cgroup: " << p->cgroup_path() << ", netns: " << p->netns_path()
          << "}\n";
  }
  [[nodiscard]] std::string path() const { return path_; }

 private:
  fs::path path_;
};

agent::PodsFileSource open_source(const PodsFile& file) {
  auto source = agent::PodsFileSource::open(file.path(), "node-1");
  if (!source) throw std::runtime_error(source.error().message);
  return std::move(*source);
}

TEST(Targets, PodIsResolvedToBothEndsOfItsVethAndItsAddresses) {
  TestNetwork net;
  TestPod a(net, "a");
  const agent::Pod pod = a.pod();
  ASSERT_EQ(pod.interfaces.size(), 1U);
  EXPECT_EQ(pod.interfaces[0].name, "eth0");
  EXPECT_EQ(pod.interfaces[0].host_name, a.host_device());
  auto host = agent::Netlink::open();
  ASSERT_TRUE(host);
  EXPECT_EQ(host->link(a.host_device())->index, pod.interfaces[0].host_index);
  EXPECT_THAT(pod.addresses, testing::ElementsAre(a.ip4(), a.ip6()));
  // What stat says of the directory, and what the kernel says of a process in it.
  EXPECT_EQ(agent::number(pod.cgroup),
            std::stoull(command({"stat", "-c", "%i", a.cgroup_path()}).output));
  EXPECT_EQ("net:[" + std::to_string(agent::number(pod.netns)) + "]\n",
            a.exec({"readlink", "/proc/self/ns/net"}).output);
}

// Interface numbers repeat between namespaces: a number alone would name a stranger's device.
TEST(Targets, PeerInAThirdNamespaceIsNoHostDevice) {
  TestNetwork net;
  TestPod a(net, "a");
  TestPod b(net, "b");
  must({"ip", "-n", a.name(), "link", "add", "inner", "type", "veth", "peer", "name", "outer",
        "netns", b.name()});
  must({"ip", "-n", a.name(), "link", "add", "both0", "type", "veth", "peer", "name", "both1"});
  const agent::Pod pod = a.pod();
  ASSERT_EQ(pod.interfaces.size(), 1U);
  EXPECT_EQ(pod.interfaces[0].name, "eth0");
  ASSERT_EQ(pod.aside.size(), 3U);
  for (const agent::AsideDevice& aside : pod.aside)
    EXPECT_EQ(aside.device.host_index, agent::IfIndex{}) << aside.device.name;
}

TEST(Targets, FileIsReadAgainWhenItChanges) {
  TestNetwork net;
  TestPod a(net, "a");
  TestPod b(net, "b");
  const PodsFile file;
  file.write({&a});
  auto source = open_source(file);
  ASSERT_EQ(source.pods().size(), 1U);
  EXPECT_EQ(source.pods()[0].ref.id(), "test/" + a.name());
  EXPECT_EQ(source.pods()[0].ref.node, "node-1");
  EXPECT_FALSE(source.poll().value());
  file.write({&a, &b});
  EXPECT_TRUE(source.poll().value());
  EXPECT_EQ(source.pods().size(), 2U);
}

TEST(Targets, WrongFileIsSaidOnceAndKnownPodsStay) {
  TestNetwork net;
  TestPod a(net, "a");
  const PodsFile file;
  file.write({&a});
  auto source = open_source(file);
  std::ofstream(file.path())
      << "pods:\n  - {namespace: test, name: x, cgroup: relative, netns: /n}\n";
  const auto wrong = source.poll();
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, testing::HasSubstr(file.path() + ":2"));
  EXPECT_THAT(wrong.error().message, testing::HasSubstr("absolute path"));
  EXPECT_TRUE(source.poll());
  EXPECT_EQ(source.pods().size(), 1U);
}

TEST(Targets, PodThatIsGoneIsToldAndComesBackWithNewIds) {
  TestNetwork net;
  TestPod a(net, "a");
  const PodsFile file;
  file.write({&a});
  auto source = open_source(file);
  const agent::Pod before = source.pods().at(0);
  a.restart();
  ASSERT_TRUE(source.poll().value());
  ASSERT_EQ(source.pods().size(), 1U);
  EXPECT_FALSE(source.pods()[0].same_place(before));
  EXPECT_NE(source.pods()[0].cgroup, before.cgroup);
  EXPECT_EQ(source.pods()[0].cgroup_path, before.cgroup_path);

  must({"rmdir", a.cgroup_path()});
  ASSERT_TRUE(source.poll().value());
  EXPECT_TRUE(source.pods().empty());
  ASSERT_EQ(source.missing().size(), 1U);
  EXPECT_EQ(source.missing()[0].ref.id(), "test/" + a.name());
  EXPECT_THAT(source.missing()[0].reason, testing::HasSubstr(a.cgroup_path() + ": No such file"));
  fs::create_directory(a.cgroup_path());
  ASSERT_TRUE(source.poll().value());
  EXPECT_TRUE(source.missing().empty());
}

TEST(Targets, ContainersAreResolvedAndARestartedOneHasANewId) {
  TestNetwork net;
  TestPod a(net, "a");
  a.add_container("log");
  a.add_container("app");
  const PodsFile file;
  file.write_raw("pods:\n  - {namespace: test, name: a, cgroup: " + a.cgroup_path() +
                 ", netns: " + a.netns_path() +
                 ", containers: [{name: log, cgroup: " + a.container_cgroup("log") +
                 "}, {name: app, cgroup: " + a.container_cgroup("app") + "}]}\n");
  auto source = open_source(file);
  const agent::Pod before = source.pods().at(0);
  EXPECT_THAT(before.ref.containers, testing::ElementsAre("app", "log"));
  ASSERT_EQ(before.containers.size(), 2U);
  EXPECT_EQ(before.containers[0].name, "app");
  EXPECT_EQ(agent::number(before.containers[0].cgroup),
            std::stoull(command({"stat", "-c", "%i", a.container_cgroup("app")}).output));
  EXPECT_FALSE(source.poll().value());

  a.remove_container("app");
  ASSERT_TRUE(source.poll().value());
  ASSERT_EQ(source.pods().size(), 1U) << "the pod is there without it";
  EXPECT_THAT(source.pods()[0].ref.containers, testing::ElementsAre("log"));
  ASSERT_EQ(source.missing().size(), 1U);
  EXPECT_EQ(source.missing()[0].container, "app");
  EXPECT_THAT(source.missing()[0].reason,
              testing::HasSubstr(a.container_cgroup("app") + ": No such file"));

  a.add_container("app");
  ASSERT_TRUE(source.poll().value());
  EXPECT_TRUE(source.missing().empty());
  ASSERT_EQ(source.pods()[0].containers.size(), 2U);
  EXPECT_NE(source.pods()[0].containers[0].cgroup, before.containers[0].cgroup);
  EXPECT_TRUE(source.pods()[0].same_place(before)) << "the pod did not restart";
}

TEST(Targets, PathsOfTheWrongKindAreRefusedInWords) {
  TestNetwork net;
  TestPod a(net, "a");
  auto host = agent::Netlink::open();
  const auto v1 = agent::resolve_pod({}, "/sys", a.netns_path(), *host);
  ASSERT_FALSE(v1);
  EXPECT_THAT(v1.error().message,
              testing::HasSubstr("is not a directory of cgroup2, which is mounted at"));
  const auto file = agent::resolve_pod({}, a.cgroup_path(), "/proc/self/ns/mnt", *host);
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, testing::HasSubstr("is not a network namespace"));
}

TEST(Targets, PodInTheNodesOwnNamespaceHasNoInterfaceToHit) {
  TestNetwork net;
  TestPod a(net, "a");
  auto host = agent::Netlink::open();
  const auto pod = agent::resolve_pod({}, a.cgroup_path(), "/proc/self/ns/net", *host);
  ASSERT_TRUE(pod);
  EXPECT_TRUE(pod->interfaces.empty());
}

TEST(Targets, RestartedManyTimesLeaksNoDescriptors) {
  TestNetwork net;
  TestPod a(net, "a");
  const PodsFile file;
  file.write({&a});
  auto source = open_source(file);
  const auto count = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  ASSERT_TRUE(source.poll());
  const auto before = count();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(source.poll());
  EXPECT_EQ(count(), before);
}

}  // namespace
}  // namespace faultline::test
