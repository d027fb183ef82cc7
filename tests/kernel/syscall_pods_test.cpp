// SPDX-License-Identifier: Apache-2.0
// System-call faults on many pods of one node at once: they share their programs, and nothing else.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <iostream>
#include <thread>

#include "agent/kernel/cgroup2.h"
#include "agent/kernel/link.h"
#include "syscall_abi.h"
#include "testbed/arm.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/stats.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
namespace {

using agent::KernelFeature;
using Faults = std::vector<std::unique_ptr<agent::ArmedFault>>;

constexpr int kPods = 20;
constexpr int kFirstErrno = 70;  // a pod's number is added: each has an errno of its own

// What the three calls of a pod gave, each made so often: which errno how often.
constexpr std::array kCalls{"mkdirat", "symlinkat", "socket"};
using Outcomes = std::array<std::array<std::uint32_t, 256>, kCalls.size()>;

api::SyscallError error(int number, double p = 1) {
  api::SyscallError fault;
  fault.syscalls = {kCalls.begin(), kCalls.end()};
  fault.errno_ = {number};
  fault.probability = {p};
  return fault;
}

int programs_of_ours() {
  int count = 0;
  for (std::uint32_t id = 0; bpf_prog_get_next_id(id, &id) == 0;)
    if (agent::is_ours(id)) ++count;
  return count;
}

class SyscallPods : public testing::Test {
 protected:
  void SetUp() override {
    if (!features().has(KernelFeature::kLsm) && !features().has(KernelFeature::kFmodRetSyscall))
      GTEST_SKIP() << "needs: BPF LSM or fmod_ret on system calls";
  }
  void make_pods(int many) {
    for (int i = 0; i < many; ++i)
      pods_.push_back(std::make_unique<TestPod>(net_, "p" + std::to_string(i)));
  }
  // Makes each of the three calls so often, in this process.
  void call(int times, Outcomes& seen) const {
    const std::string fresh = folder_.path() + "/" + std::to_string(::getpid());
    for (int i = 0; i < times; ++i) {
      const long made = ::syscall(SYS_mkdirat, AT_FDCWD, fresh.c_str(), 0755);
      ++seen[0][made < 0 ? static_cast<std::size_t>(errno) & 255 : 0];
      if (made == 0) ::rmdir(fresh.c_str());
      const long linked = ::syscall(SYS_symlinkat, "to", AT_FDCWD, fresh.c_str());
      ++seen[1][linked < 0 ? static_cast<std::size_t>(errno) & 255 : 0];
      if (linked == 0) ::unlink(fresh.c_str());
      const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      ++seen[2][fd < 0 ? static_cast<std::size_t>(errno) & 255 : 0];
      if (fd >= 0) ::close(fd);
    }
  }
  Outcomes in_pod(const TestPod& pod, int times) const {
    Shared<Outcomes> seen;
    pod.run([&] { return call(times, *seen), 0; });
    return *seen;
  }
  [[nodiscard]] Outcomes outside(int times) const {
    Outcomes seen{};
    call(times, seen);
    return seen;
  }
  // All three calls gave this errno (0: they worked), always.
  static testing::AssertionResult all(const Outcomes& seen, int number, int times) {
    for (std::size_t i = 0; i < kCalls.size(); ++i)
      if (seen[i][static_cast<std::size_t>(number)] != static_cast<std::uint32_t>(times))
        return testing::AssertionFailure()
               << kCalls[i] << " gave errno " << number << " "
               << seen[i][static_cast<std::size_t>(number)] << " times of " << times << ", worked "
               << seen[i][0] << " times";
    return testing::AssertionSuccess();
  }
  // One fault a pod.
  [[nodiscard]] Faults arm_all() const {
    Faults faults;
    for (std::size_t i = 0; i < pods_.size(); ++i)
      faults.push_back(arm(error(kFirstErrno + static_cast<int>(i)), pods_[i]->pod()));
    return faults;
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestFolder folder_;
  std::vector<std::unique_ptr<TestPod>> pods_;
};

TEST_F(SyscallPods, TwentyPodsOfANodeFailEachWithItsOwnErrno) {
  make_pods(kPods);
  const TestPod neighbour(net_, "n");
  std::vector<double> took;
  Faults faults;
  int programs = 0;
  for (int i = 0; i < kPods; ++i) {
    const agent::Pod pod = pods_[static_cast<std::size_t>(i)]->pod();
    const auto begin = std::chrono::steady_clock::now();
    faults.push_back(arm(error(kFirstErrno + i), pod));
    took.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
            .count());
    if (i == 0) programs = programs_of_ours();
  }
  EXPECT_EQ(programs_of_ours(), programs) << "a further pod loads nothing";
  double all_ms = 0;
  for (const double ms : took) all_ms += ms;
  std::cout << "armed " << kPods << " pods in " << all_ms << " ms, the first in " << took.front()
            << " ms, the last in " << took.back() << " ms\n";
  for (int i = 0; i < kPods; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_TRUE(all(in_pod(*pods_[at], i + 1), kFirstErrno + i, i + 1)) << "pod " << i;
    const auto c = counters(*faults[at]);
    EXPECT_EQ(c.matched, 3U * static_cast<unsigned>(i + 1)) << "pod " << i;
    EXPECT_EQ(c.injected, c.matched);
    for (const char* name : kCalls)
      EXPECT_EQ(c.by_call.at(name).injected, static_cast<unsigned>(i + 1)) << name;
    EXPECT_EQ(c.by_errno.begin()->second, c.injected);
    EXPECT_LE(c.first_injected.ns, c.last_injected.ns);
    EXPECT_GT(c.first_injected.ns, 0U);
  }
  EXPECT_TRUE(all(in_pod(neighbour, 10), 0, 10)) << "a pod that is no target";
  EXPECT_TRUE(all(outside(10), 0, 10));
  // One of them ends, the others do not.
  ASSERT_TRUE(faults[7]->disarm());
  EXPECT_EQ(counters(*faults[7]).matched, 24U) << "still readable";
  faults[7].reset();
  for (int i = 0; i < kPods; ++i)
    EXPECT_TRUE(
        all(in_pod(*pods_[static_cast<std::size_t>(i)], 1), i == 7 ? 0 : kFirstErrno + i, 1))
        << "pod " << i;
  faults.clear();
  EXPECT_TRUE(all(in_pod(*pods_[3], 10), 0, 10));
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(SyscallPods, EachHasItsOwnProbabilityAndDice) {
  constexpr int kMany = 1000;
  make_pods(4);
  Faults faults;
  for (std::size_t i = 0; i < 4; ++i)
    faults.push_back(arm(error(EIO, 0.2 * double(i + 1)), pods_[i]->pod(), {.seed = i + 1}));
  for (std::size_t i = 0; i < 4; ++i) {
    const auto seen = in_pod(*pods_[i], kMany);
    const double p = 0.2 * double(i + 1);
    const auto hits = seen[0][EIO] + seen[1][EIO] + seen[2][EIO];
    EXPECT_TRUE(binomial_interval(p, 3 * kMany).contains(double(hits) / (3 * kMany))) << hits;
    const auto c = counters(*faults[i]);
    EXPECT_EQ(c.injected, hits);
    EXPECT_EQ(c.matched, 3U * kMany);
    EXPECT_EQ(c.errors, 0U);
  }
}

TEST_F(SyscallPods, ADeadAgentEndsThemAll) {
  make_pods(kPods);
  Shared<std::atomic<int>> armed;
  Child owner([&] {
    const Faults faults = arm_all();
    *armed = 1;
    return ::pause();
  });
  for (int i = 0; i < 20'000 && *armed == 0; ++i) ::usleep(1000);
  ASSERT_TRUE(all(in_pod(*pods_.back(), 1), kFirstErrno + kPods - 1, 1));
  owner.signal(SIGKILL);
  owner.wait();
  for (const auto& pod : pods_) EXPECT_TRUE(all(in_pod(*pod, 10), 0, 10)) << pod->name();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(SyscallPods, ALeaseThatRunsOutEndsItsOwnFaultOnly) {
  make_pods(2);
  const auto soon = arm(error(EIO), pods_[0]->pod());
  const auto other = arm(error(ENOSPC), pods_[1]->pod());
  const auto behind = arm(error(EROFS), pods_[0]->pod());
  soon->renew(in(3s));
  const auto over = std::chrono::steady_clock::now() + 3s;
  EXPECT_TRUE(all(in_pod(*pods_[0], 5), EIO, 5)) << "the first that was armed is asked first";
  EXPECT_EQ(counters(*behind).matched, 0U) << "and the second does not see what the first hits";
  std::this_thread::sleep_until(over);
  EXPECT_TRUE(all(in_pod(*pods_[0], 5), EROFS, 5));
  EXPECT_TRUE(all(in_pod(*pods_[1], 5), ENOSPC, 5));
  soon->renew(in(60s));
  EXPECT_TRUE(all(in_pod(*pods_[0], 5), EIO, 5));
  EXPECT_EQ(counters(*soon).matched, 30U);
  EXPECT_EQ(counters(*behind).matched, 15U);
}

TEST_F(SyscallPods, WhatOneLeavesAloneTheNextIsAsked) {
  make_pods(1);
  auto sometimes = error(EIO);
  sometimes.every = 2;
  const auto first = arm(sometimes, pods_[0]->pod());
  const auto second = arm(error(ENOSPC), pods_[0]->pod());
  const auto seen = in_pod(*pods_[0], 10);
  const auto sum = [&](int number) {
    std::uint32_t n = 0;
    for (const auto& one : seen) n += one[static_cast<std::size_t>(number)];
    return n;
  };
  EXPECT_EQ(sum(EIO), 15U);
  EXPECT_EQ(sum(ENOSPC), 15U);
  EXPECT_EQ(counters(*first).matched, 30U);
  EXPECT_EQ(counters(*second).matched, 15U);
}

TEST_F(SyscallPods, FaultsOnCgroupsAboveAreAskedTooHoweverDeepATaskIs) {
  make_pods(2);
  std::vector<std::string> below{pods_[0]->cgroup_path()};
  for (int depth = 0; depth < 20; ++depth) {
    below.push_back(below.back() + "/d");
    ASSERT_EQ(::mkdir(below.back().c_str(), 0755), 0);
  }
  const auto deep = [&](const std::string& cgroup, int times) {
    Shared<Outcomes> seen;
    pods_[0]->run([&] {
      join_cgroup(cgroup);
      call(times, *seen);
      return 0;
    });
    return *seen;
  };
  agent::Pod container = pods_[0]->pod();
  container.cgroup_path = below[10];
  container.cgroup = agent::cgroup_id(below[10]).value();
  {
    const auto inner = arm(error(EIO), container);
    EXPECT_TRUE(all(in_pod(*pods_[0], 3), 0, 3)) << "above it";
    EXPECT_TRUE(all(deep(below[9], 3), 0, 3)) << "above it";
    EXPECT_TRUE(all(deep(below[10], 3), EIO, 3));
    EXPECT_TRUE(all(deep(below[20], 3), EIO, 3));
    const auto outer = arm(error(ENOSPC), pods_[0]->pod());
    EXPECT_TRUE(all(in_pod(*pods_[0], 3), ENOSPC, 3));
    EXPECT_TRUE(all(deep(below[9], 3), ENOSPC, 3));
    EXPECT_TRUE(all(deep(below[20], 3), EIO, 3)) << "it was armed first";
    ASSERT_TRUE(inner->disarm());
    EXPECT_TRUE(all(deep(below[20], 3), ENOSPC, 3));
    const auto again = arm(error(EIO), container);
    EXPECT_TRUE(all(deep(below[20], 3), ENOSPC, 3)) << "now the other was armed first";
    ASSERT_TRUE(outer->disarm());
    EXPECT_TRUE(all(deep(below[20], 3), EIO, 3));
    EXPECT_TRUE(all(in_pod(*pods_[0], 3), 0, 3));
    EXPECT_TRUE(all(in_pod(*pods_[1], 3), 0, 3));
  }
  for (; below.size() > 1; below.pop_back()) EXPECT_EQ(::rmdir(below.back().c_str()), 0);
}

TEST_F(SyscallPods, AHookThatNoFaultNeedsAnyMoreIsLeft) {
  make_pods(2);
  auto one = error(EIO), two = error(ENOSPC);
  one.syscalls = {"mkdirat"};
  two.syscalls = {"socket"};
  const auto links = [] {
    int count = 0;
    for (std::uint32_t id = 0; bpf_link_get_next_id(id, &id) == 0;) ++count;
    return count;
  };
  const int before = links();
  auto first = arm(one, pods_[0]->pod());
  auto second = arm(two, pods_[1]->pod());
  auto third = arm(two, pods_[0]->pod());
  EXPECT_EQ(links(), before + 2);
  first.reset();
  for (int i = 0; i < 1000 && links() > before + 1; ++i) ::usleep(1000);
  EXPECT_EQ(links(), before + 1);
  EXPECT_EQ(in_pod(*pods_[0], 1)[2][ENOSPC], 1U);
  first = arm(one, pods_[0]->pod());
  EXPECT_EQ(in_pod(*pods_[0], 1)[0][EIO], 1U) << "attached again";
  first.reset(), second.reset(), third.reset();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

// By another object each where the kernel has both: they share their maps.
TEST_F(SyscallPods, AFaultAtAHookAndOneOnTheCallDoNotMix) {
  make_pods(2);
  const std::string file = folder_.path() + "/there";
  ::close(::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  const Child living = pods_[0]->start([] { return ::pause(); });  // to look the path up through
  ::usleep(200'000);
  const auto opening = [&](const TestPod& pod) {
    Shared<int> number;
    pod.run([&] {
      ::prctl(PR_SET_NAME, "opener");  // until then it may open what it needs to be in the pod
      const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
      *number = fd < 0 ? errno : 0;
      return 0;
    });
    return *number;
  };
  api::SyscallError with_path = error(EIO), without = error(ENOSPC);
  with_path.syscalls = {"openat"};
  with_path.path = folder_.path();
  without.syscalls = {"openat", "mkdirat"};
  without.process = "nobody";
  if (!features().has(KernelFeature::kLsm)) GTEST_SKIP() << "needs: BPF LSM";
  const auto at_hook = arm(with_path, pods_[0]->pod());
  const auto first = arm(without, pods_[0]->pod());
  const auto other = arm(without, pods_[1]->pod());
  EXPECT_EQ(opening(*pods_[0]), EIO);
  EXPECT_EQ(opening(*pods_[1]), 0);
  EXPECT_EQ(counters(*at_hook).matched, 1U) << "seen at one place only";
  EXPECT_EQ(counters(*first).matched, 0U);
  EXPECT_EQ(counters(*other).matched, 0U);
  without.process = "opener";
  const auto everyone = arm(without, pods_[1]->pod());
  EXPECT_EQ(opening(*pods_[1]), ENOSPC);
  EXPECT_EQ(counters(*everyone).by_call.at("openat").injected, 1U);
}

// Programs look at a task's cgroup at a level. Where the node is itself a container no mount shows
// the root, and counting from there would be wrong.
TEST(CgroupLevel, TheKernelTellsHowDeepWeAre) {
  TestNetwork net;
  const TestPod pod(net, "a"), other(net, "b");
  const auto by_path = agent::cgroup_level(pod.cgroup_path());
  ASSERT_TRUE(by_path) << by_path.error().message;
  EXPECT_GT(*by_path, 0U);
  Shared<std::array<int, 3>> levels;
  pod.run([&] {
    *levels = {-1, -1, -1};
    const auto own = agent::level_above_us(pod.pod().cgroup);
    if (own) (*levels)[0] = static_cast<int>(*own);
    const auto root = agent::level_above_us(agent::CgroupId{1});
    if (root) (*levels)[1] = static_cast<int>(*root);
    const auto elsewhere = agent::level_above_us(other.pod().cgroup);
    if (elsewhere) (*levels)[2] = static_cast<int>(*elsewhere);
    return 0;
  });
  EXPECT_THAT(*levels, testing::ElementsAre(static_cast<int>(*by_path), 0, -1));
}

// More than there are slots: they are used again, and who has one never sees what was in it.
TEST_F(SyscallPods, ManyCyclesUseTheSlotsAgain) {
  constexpr int kCycles = 2 * static_cast<int>(FL_SLOTS) + 100;
  make_pods(2);
  const auto stays = arm(error(ENOSPC), pods_[1]->pod());
  const agent::Pod pod = pods_[0]->pod();
  for (int i = 0; i < kCycles; ++i) {
    auto fault = arm(error(kFirstErrno + i % 40), pod);
    const auto c = counters(*fault);
    ASSERT_EQ(c.matched + c.injected + c.first_injected.ns, 0U) << "cycle " << i;
    if (i % 100 != 99) continue;
    ASSERT_TRUE(all(in_pod(*pods_[0], 1), kFirstErrno + i % 40, 1)) << "cycle " << i;
    ASSERT_EQ(counters(*fault).matched, 3U);
  }
  EXPECT_TRUE(all(in_pod(*pods_[0], 5), 0, 5));
  EXPECT_TRUE(all(in_pod(*pods_[1], 5), ENOSPC, 5));
}

}  // namespace
}  // namespace faultline::test
