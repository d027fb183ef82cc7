// SPDX-License-Identifier: Apache-2.0
// Pods by their cgroups, in this kernel's cgroup2 tree: directories named as kubelets name them,
// with processes in network namespaces of their own. No kubelet runs here.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "agent/kernel/cgroup2.h"
#include "agent/targets/kubernetes_source.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

namespace fs = std::filesystem;
using agent::KubeContainer;
using agent::KubePod;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kUidA = "aaaaaaaa-8c6e-4d0b-9a53-1b9df1d7c2aa";
const std::string kUidB = "bbbbbbbb-8c6e-4d0b-9a53-1b9df1d7c2aa";
const std::string kNodeNetns = "/proc/" + std::to_string(getpid()) + "/ns/net";
std::string id(char digit) { return std::string(64, digit); }

// A branch of the cgroup2 tree, removed with everything in it; named so that the sweeper of the
// testbed finds it if the test is killed.
class Tree {
 public:
  Tree() : root_(*agent::find_cgroup2_mount() + "/flt" + std::to_string(getpid()) + "-tree") {
    fs::create_directory(root_);
  }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  ~Tree() { remove(root_); }
  std::string make(const std::string& path) const {
    fs::create_directories(root_ + "/" + path);
    return root_ + "/" + path;
  }
  // Whoever is in it must have ended, or is just ending.
  static void remove(const std::string& path) {
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(path, ec))
      if (entry.is_directory()) remove(entry.path());
    for (int i = 0; i < 1000 && rmdir(path.c_str()) != 0 && errno == EBUSY; ++i) usleep(1000);
  }
  [[nodiscard]] const std::string& root() const { return root_; }

 private:
  std::string root_;
};

// A process in a cgroup and in a pod's network namespace, that waits.
class Process {
 public:
  Process(const std::string& cgroup, const std::string& netns, std::function<void()> first = {})
      : child_([&] {
          join_cgroup(cgroup);
          const int fd = open(netns.c_str(), O_RDONLY | O_CLOEXEC);
          if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) return 1;
          if (first) first();
          *there_ = true;
          for (;;) pause();
        }) {
    for (int i = 0; i < 5000 && !*there_; ++i) usleep(1000);
    if (!*there_) throw std::runtime_error("a process did not get into " + cgroup);
  }
  [[nodiscard]] pid_t pid() const { return child_.pid(); }
  void end() {
    child_.signal(SIGKILL);
    child_.wait();
  }

 private:
  Shared<std::atomic<bool>> there_;
  Child child_;
};

KubePod running(const std::string& name, const std::string& uid,
                std::vector<std::pair<std::string, std::string>> containers = {}) {
  KubePod pod;
  pod.namespace_ = "shop";
  pod.name = name;
  pod.uid = uid;
  pod.node = "node-1";
  pod.phase = "Running";
  pod.labels = {{"app", "payments"}};
  for (auto& [container, its_id] : containers)
    pod.containers.push_back(
        {.name = container, .id = its_id, .state = KubeContainer::State::kRunning});
  return pod;
}

std::string inode(const std::string& path) {
  return command({"stat", "-L", "-c", "%i", path}).output;
}
std::string text(std::uint64_t number) { return std::to_string(number) + "\n"; }

agent::KubernetesSource open_source(const Clock& clock) {
  auto source = agent::KubernetesSource::open("node-1", {}, clock);
  if (!source) throw std::runtime_error(source.error().message);
  return std::move(*source);
}

class Kubernetes : public testing::Test {
 protected:
  Kubernetes() : a_(net_, "a"), source_(open_source(clock_)) {}
  const agent::Pod& only() {
    EXPECT_TRUE(source_.poll());
    EXPECT_THAT(source_.missing(), IsEmpty());
    if (source_.pods().size() != 1) throw std::runtime_error("not one pod");
    return source_.pods()[0];
  }
  SystemClock clock_;
  TestNetwork net_;
  TestPod a_;
  Tree tree_;
  agent::KubernetesSource source_;
};

TEST_F(Kubernetes, PodIsFoundByItsUidWithItsNamespaceDeviceAndContainers) {
  const std::string pod = tree_.make("kubepods/burstable/pod" + kUidA);
  const Process sandbox(tree_.make("kubepods/burstable/pod" + kUidA + "/" + id('1')),
                        a_.netns_path());
  const std::string app = tree_.make("kubepods/burstable/pod" + kUidA + "/" + id('2'));
  const Process main(app, a_.netns_path());
  source_.replace({running("payments-0", kUidA, {{"app", id('2')}, {"gone", id('9')}})});
  const agent::Pod& found = only();
  EXPECT_EQ(found.ref.id(), "shop/payments-0");
  EXPECT_EQ(found.ref.node, "node-1");
  EXPECT_EQ(found.ref.labels.at("app"), "payments");
  EXPECT_EQ(found.cgroup_path, pod);
  EXPECT_EQ(text(agent::number(found.cgroup)), inode(pod));
  EXPECT_EQ(found.netns_path, "/proc/" + std::to_string(sandbox.pid()) + "/ns/net");
  EXPECT_EQ(text(agent::number(found.netns)), inode(a_.netns_path()));
  ASSERT_EQ(found.interfaces.size(), 1U);
  EXPECT_EQ(found.interfaces[0].host_name, a_.host_device());
  EXPECT_THAT(found.addresses, ElementsAre(a_.ip4(), a_.ip6()));
  ASSERT_EQ(found.containers.size(), 1U);
  EXPECT_EQ(found.containers[0].name, "app");
  EXPECT_EQ(found.containers[0].cgroup_path, app);
  EXPECT_EQ(text(agent::number(found.containers[0].cgroup)), inode(app));
  EXPECT_FALSE(source_.poll().value());  // nothing changed
}

TEST_F(Kubernetes, SystemdNamesAndCgroupsBelowTheContainerAreFound) {
  const std::string pod =
      "k.slice/k-kubepods.slice/k-kubepods-podbbbbbbbb_8c6e_4d0b_9a53_1b9df1d7c2aa.slice";
  const std::string scope = tree_.make(pod + "/crio-" + id('2') + ".scope");
  const Process monitor(tree_.make(pod + "/crio-conmon-" + id('2') + ".scope"), kNodeNetns);
  const Process main(tree_.make(pod + "/crio-" + id('2') + ".scope/container"), a_.netns_path());
  source_.upsert(running("payments-0", kUidB, {{"app", id('2')}}));
  const agent::Pod& found = only();
  EXPECT_EQ(found.cgroup_path, tree_.root() + "/" + pod);
  EXPECT_EQ(text(agent::number(found.netns)), inode(a_.netns_path()));
  ASSERT_EQ(found.containers.size(), 1U);
  EXPECT_EQ(found.containers[0].cgroup_path, scope);
}

TEST_F(Kubernetes, ContainerThatRestartsHasItsNewCgroupAtTheNextPollAndThePodStays) {
  const std::string pod = "kubepods/burstable/pod" + kUidA + "/";
  const Process sandbox(tree_.make(pod + id('1')), a_.netns_path());
  std::optional<Process> main(std::in_place, tree_.make(pod + id('2')), a_.netns_path());
  source_.upsert(running("payments-0", kUidA, {{"app", id('2')}}));
  const agent::Pod before = only();

  main.reset();
  Tree::remove(tree_.root() + "/" + pod + id('2'));
  EXPECT_TRUE(source_.poll().value());
  EXPECT_THAT(only().containers, IsEmpty());  // crashed; the pod is there
  EXPECT_TRUE(only().same_place(before));

  const std::string again = tree_.make(pod + id('3'));
  main.emplace(again, a_.netns_path());
  source_.upsert(running("payments-0", kUidA, {{"app", id('3')}}));
  const agent::Pod& after = only();
  ASSERT_EQ(after.containers.size(), 1U);
  EXPECT_EQ(text(agent::number(after.containers[0].cgroup)), inode(again));
  EXPECT_NE(after.containers[0].cgroup, before.containers[0].cgroup);
  EXPECT_TRUE(after.same_place(before));
}

TEST_F(Kubernetes, PodThatIsReplacedUnderItsNameIsTheNewOneAtOnce) {
  TestPod b(net_, "b");
  const std::string old_pod = tree_.make("kubepods/pod" + kUidA);
  std::optional<Process> old_main(std::in_place, tree_.make("kubepods/pod" + kUidA + "/" + id('1')),
                                  a_.netns_path());
  source_.upsert(running("payments-0", kUidA));
  const agent::Pod before = only();
  // The old one has not quite ended on this node, and the new one has no process yet.
  tree_.make("kubepods/pod" + kUidB);
  source_.upsert(running("payments-0", kUidB));
  EXPECT_TRUE(source_.poll().value());
  EXPECT_THAT(source_.pods(), IsEmpty());
  ASSERT_EQ(source_.missing().size(), 1U);
  EXPECT_EQ(source_.missing()[0].reason, "no process of it was found");
  EXPECT_TRUE(source_.missing()[0].awaited);

  const Process new_main(tree_.make("kubepods/pod" + kUidB + "/" + id('2')), b.netns_path());
  const agent::Pod& after = only();
  EXPECT_FALSE(after.same_place(before));
  EXPECT_EQ(after.uid, kUidB);
  EXPECT_EQ(text(agent::number(after.netns)), inode(b.netns_path()));
  EXPECT_EQ(after.interfaces.at(0).host_name, b.host_device());
  EXPECT_EQ(after.cgroup_path, tree_.root() + "/kubepods/pod" + kUidB);
}

TEST_F(Kubernetes, ProcessThatEndsOrLeavesIsReplacedByAnotherAndThePodStays) {
  const std::string pod = "kubepods/pod" + kUidA + "/";
  const std::string container = tree_.make(pod + id('1'));
  Process first(container, a_.netns_path());
  usleep(20'000);  // so that it is older by a clock tick
  Process second(container, a_.netns_path());
  usleep(20'000);
  Process third(container, a_.netns_path());
  const auto shows = [&](const Process& p) {
    return "/proc/" + std::to_string(p.pid()) + "/ns/net";
  };
  source_.upsert(running("payments-0", kUidA, {{"app", id('1')}}));
  const agent::Pod before = only();
  EXPECT_EQ(before.netns_path, shows(first));

  first.end();
  EXPECT_EQ(only().netns_path, shows(second));
  EXPECT_TRUE(only().same_place(before));

  // To another pod's cgroup.
  const std::string elsewhere = tree_.make("kubepods/pod" + kUidB + "/" + id('2'));
  std::ofstream(elsewhere + "/cgroup.procs") << second.pid();
  EXPECT_EQ(only().netns_path, shows(third));
  EXPECT_TRUE(only().same_place(before));

  third.end();
  EXPECT_TRUE(source_.poll().value());
  EXPECT_THAT(source_.pods(), IsEmpty());
  EXPECT_EQ(source_.missing().at(0).reason, "no process of it was found");
}

// It may enter another pod's namespace, or the node's. Its own pod is where the others are.
TEST_F(Kubernetes, ProcessThatChangesItsNamespaceDoesNotLeadUsThere) {
  TestPod b(net_, "b");
  const std::string container = tree_.make("kubepods/pod" + kUidA + "/" + id('1'));
  const std::string there = b.netns_path();
  Shared<std::atomic<int>> left;
  const Child traveller([&] {
    join_cgroup(container);
    const auto enter = [](const std::string& path) {
      const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
      return fd >= 0 && setns(fd, CLONE_NEWNET) == 0;
    };
    if (!enter(a_.netns_path())) return 1;
    *left = 1;
    while (*left != 2) usleep(1000);
    if (!enter(there)) return 1;
    *left = 3;
    for (;;) pause();
  });
  while (*left != 1) usleep(1000);
  usleep(20'000);
  const Process stays(container, a_.netns_path());
  source_.upsert(running("payments-0", kUidA, {{"app", id('1')}}));
  const agent::Pod before = only();
  EXPECT_EQ(before.netns_path, "/proc/" + std::to_string(traveller.pid()) + "/ns/net");

  *left = 2;
  while (*left != 3) usleep(1000);
  const agent::Pod& after = only();
  EXPECT_EQ(after.netns_path, "/proc/" + std::to_string(stays.pid()) + "/ns/net");
  EXPECT_EQ(text(agent::number(after.netns)), inode(a_.netns_path()));
  EXPECT_TRUE(after.same_place(before));
}

// The kubelet makes a new sandbox in the same pod when the old one died.
TEST_F(Kubernetes, NewSandboxIsANewPlace) {
  TestPod b(net_, "b");
  const std::string pod = "kubepods/pod" + kUidA + "/";
  std::optional<Process> sandbox(std::in_place, tree_.make(pod + id('1')), a_.netns_path());
  source_.upsert(running("payments-0", kUidA));
  const agent::Pod before = only();
  sandbox.reset();
  const Process again(tree_.make(pod + id('2')), b.netns_path());
  const agent::Pod& after = only();
  EXPECT_EQ(after.cgroup, before.cgroup);
  EXPECT_EQ(text(agent::number(after.netns)), inode(b.netns_path()));
  EXPECT_EQ(after.interfaces.at(0).host_name, b.host_device());
  EXPECT_FALSE(after.same_place(before));
}

TEST_F(Kubernetes, MirrorOfAStaticPodIsFoundByItsHashIfItKnowsAContainer) {
  const std::string hash = "9f0e8d7c6b5a49382716051423324150";
  const Process main(tree_.make("kubepods/pod" + hash + "/" + id('1')), a_.netns_path());
  KubePod mirror = running("web-node-1", kUidA, {{"web", id('1')}});
  mirror.config_hash = hash;
  source_.upsert(mirror);
  EXPECT_EQ(only().containers.at(0).name, "web");
  KubePod forged = running("mine", kUidB, {{"web", id('2')}});
  forged.config_hash = hash;
  source_.replace({forged});
  EXPECT_TRUE(source_.poll());
  EXPECT_THAT(source_.pods(), IsEmpty());
}

TEST_F(Kubernetes, PodInTheNodesNamespaceIsNotHit) {
  const Process main(tree_.make("kubepods/pod" + kUidA + "/" + id('1')), kNodeNetns);
  source_.upsert(running("payments-0", kUidA, {{"app", id('1')}}));
  EXPECT_TRUE(source_.poll());
  EXPECT_THAT(source_.pods(), IsEmpty());
  EXPECT_THAT(source_.missing().at(0).reason, HasSubstr("the node's own network namespace"));
}

// As in a container: a cgroup namespace of its own, with the node's tree mounted.
TEST_F(Kubernetes, PodsAreFoundFromACgroupNamespaceOfOurOwn) {
  const Process main(tree_.make("kubepods/pod" + kUidA + "/" + id('1')), a_.netns_path());
  const std::string agents = tree_.make("kubepods/pod" + kUidB + "/" + id('2'));
  const std::string pod = tree_.root() + "/kubepods/pod" + kUidA;
  Child container([&] {
    join_cgroup(agents);
    if (unshare(CLONE_NEWCGROUP) != 0) return 10;
    std::ifstream own("/proc/self/cgroup"), its("/proc/" + std::to_string(main.pid()) + "/cgroup");
    const std::string seen(std::istreambuf_iterator<char>(its), {});
    if (seen.find("0::/../../pod" + kUidA + "/" + id('1')) == std::string::npos) return 11;
    auto source = agent::KubernetesSource::open("node-1", {}, clock_);
    if (!source) return 12;
    source->upsert(running("payments-0", kUidA, {{"app", id('1')}}));
    if (!source->poll() || source->pods().size() != 1) return 13;
    return source->pods()[0].cgroup_path == pod && source->pods()[0].containers.size() == 1 ? 0
                                                                                            : 14;
  });
  EXPECT_EQ(container.wait(), 0);
}

TEST_F(Kubernetes, PolledManyTimesLeaksNoDescriptorsAndKeepsNoNamespaceAlive) {
  const Process main(tree_.make("kubepods/pod" + kUidA + "/" + id('1')), a_.netns_path());
  source_.upsert(running("payments-0", kUidA, {{"app", id('1')}}));
  source_.upsert(running("gone", kUidB));
  const auto count = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  ASSERT_TRUE(source_.poll());
  const auto before = count();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(source_.poll());
  EXPECT_EQ(count(), before);
  EXPECT_EQ(source_.pods().size(), 1U);
}

}  // namespace
}  // namespace faultline::test
