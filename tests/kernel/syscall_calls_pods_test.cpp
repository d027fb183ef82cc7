// SPDX-License-Identifier: Apache-2.0
// System calls of many pods of one node, measured at once: they share their programs, and nothing
// else.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <thread>

#include "agent/effects/syscall_calls.h"
#include "agent/kernel/link.h"
#include "slots_abi.h"
#include "testbed/arm.h"
#include "testbed/child.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
namespace {

using agent::KernelFeature;
using testing::IsEmpty;
using Collectors = std::vector<std::unique_ptr<agent::Collector>>;

constexpr int kPods = 20;

int programs_of_ours() {
  int count = 0;
  for (std::uint32_t id = 0; bpf_prog_get_next_id(id, &id) == 0;)
    if (agent::is_ours(id)) ++count;
  return count;
}

// So many of each, all of which fail.
void call(int mkdirs, int reads) {
  char byte = 0;
  for (int i = 0; i < mkdirs; ++i) (void)::mkdirat(AT_FDCWD, "/does/not/exist", 0755);
  for (int i = 0; i < reads; ++i) (void)!::pread(-1, &byte, 1, 0);
}

struct Counted {
  double mkdirs = 0, reads = 0, enoent = 0, ebadf = 0;
  friend bool operator==(const Counted&, const Counted&) = default;
};
std::ostream& operator<<(std::ostream& out, const Counted& c) {
  return out << "mkdirat " << c.mkdirs << " (ENOENT " << c.enoent << "), pread64 " << c.reads
             << " (EBADF " << c.ebadf << ")";
}

class SyscallCallsPods : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS(KernelFeature::kTrampoline); }
  void make_pods(int many) {
    for (int i = 0; i < many; ++i)
      pods_.push_back(std::make_unique<TestPod>(net_, "p" + std::to_string(i)));
  }
  [[nodiscard]] const TestPod& pod(int n) const { return *pods_[static_cast<std::size_t>(n)]; }
  static std::unique_ptr<agent::Collector> watch(const agent::Pod& pod,
                                                 std::vector<std::string> calls = {"mkdirat",
                                                                                   "pread64"}) {
    static const SystemClock clock;
    auto started = agent::kSyscallCalls.start(pod, {clock, features(), std::move(calls)});
    if (!started) throw std::runtime_error(started.error().message);
    return std::move(*started);
  }
  static Counted take(agent::Collector& collector) {
    std::vector<api::EffectSample> samples;
    std::vector<api::Gap> gaps;
    collector.take(samples, gaps);
    EXPECT_THAT(gaps, IsEmpty());
    Counted counted;
    for (const auto& s : samples) {
      const std::string name = s.labels.at("call");
      if (s.metric == "syscall.rate")
        (name == "mkdirat" ? counted.mkdirs : counted.reads) = s.value;
      if (s.metric == "syscall.failures")
        (s.labels.at("errno") == "ENOENT" ? counted.enoent : counted.ebadf) = s.value;
    }
    return counted;
  }
  static void call_in(const TestPod& in, int mkdirs, int reads) {
    in.run([=] { return call(mkdirs, reads), 0; });
  }

  ResidueCheck residue_;
  TestNetwork net_;
  std::vector<std::unique_ptr<TestPod>> pods_;
};

TEST_F(SyscallCallsPods, TwentyPodsOfANodeAreEachToldTheirOwnCalls) {
  make_pods(kPods);
  const TestPod neighbour(net_, "n");
  Collectors collectors;
  double first_ms = 0, all_ms = 0;
  int programs = 0;
  for (int n = 0; n < kPods; ++n) {
    const agent::Pod target = pod(n).pod();
    const auto begin = std::chrono::steady_clock::now();
    collectors.push_back(watch(target));
    all_ms +=
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    if (n != 0) continue;
    first_ms = all_ms;
    programs = programs_of_ours();
  }
  EXPECT_EQ(programs_of_ours(), programs) << "a further pod loads nothing";
  std::cout << "began to measure " << kPods << " pods in " << all_ms << " ms, the first in "
            << first_ms << " ms\n";
  for (int n = 0; n < kPods; ++n) call_in(pod(n), n + 1, 2 * n);
  call_in(neighbour, 100, 100);
  call(100, 100);
  const auto own = [](double n) { return Counted{n + 1, 2 * n, n + 1, 2 * n}; };
  for (int n = 0; n < kPods; ++n)
    EXPECT_EQ(take(*collectors[static_cast<std::size_t>(n)]), own(n)) << "pod " << n;
  // One of them ends, the others do not.
  collectors[7].reset();
  for (int n = 0; n < kPods; ++n) call_in(pod(n), n + 1, 2 * n);
  for (int n = 0; n < kPods; ++n) {
    if (n == 7) continue;
    EXPECT_EQ(take(*collectors[static_cast<std::size_t>(n)]), own(n)) << "pod " << n;
  }
  collectors.clear();
  EXPECT_THAT(residue_.left(), IsEmpty());
}

TEST_F(SyscallCallsPods, EachIsToldOfTheCallsThatItAskedForOnly) {
  make_pods(2);
  const auto mkdirs = watch(pod(0).pod(), {"mkdirat"}), reads = watch(pod(1).pod(), {"pread64"});
  // Another run's, of the same pod.
  const auto both = watch(pod(0).pod());
  call_in(pod(0), 3, 4);
  call_in(pod(1), 5, 6);
  EXPECT_EQ(take(*mkdirs), (Counted{3, 0, 3, 0}));
  EXPECT_EQ(take(*reads), (Counted{0, 6, 0, 6}));
  EXPECT_EQ(take(*both), (Counted{3, 4, 3, 4}));
}

TEST_F(SyscallCallsPods, AWindowThatEndsIsThatOfItsOwnPod) {
  make_pods(2);
  const auto first = watch(pod(0).pod()), second = watch(pod(1).pod());
  call_in(pod(0), 1, 0);
  call_in(pod(1), 2, 0);
  first->cut_at(SystemClock().ktime());
  call_in(pod(0), 10, 0);
  call_in(pod(1), 20, 0);
  first->cut_has_come();
  EXPECT_EQ(take(*first), (Counted{1, 0, 1, 0}));
  EXPECT_EQ(take(*second), (Counted{22, 0, 22, 0}));
  EXPECT_EQ(take(*first), (Counted{10, 0, 10, 0}));
  EXPECT_EQ(take(*second), (Counted{0, 0, 0, 0}));
}

// A thread is within a call when its pod begins to be measured, also when it was before: the call
// is a gap, never one that took as long as the pause.
TEST_F(SyscallCallsPods, ACallThatBeganBeforeIsAGapAndNotALongOne) {
  make_pods(2);
  const auto other = watch(pod(1).pod(), {"read"});
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Shared<std::atomic<int>> within;
  Child reader = pod(0).start([&] {
    char byte = 0;
    for (int i = 0; i < 3; ++i) {
      ++*within;
      (void)!::read(ends[0], &byte, 1);
    }
    return 0;
  });
  const auto is_within = [&](int which) {
    for (int i = 0; i < 10'000 && *within < which; ++i) ::usleep(1000);
    ::usleep(100'000);
  };
  const auto gap_of = [](agent::Collector& collector, double& rate) {
    std::vector<api::EffectSample> samples;
    std::vector<api::Gap> gaps;
    collector.take(samples, gaps);
    for (const auto& s : samples)
      if (s.metric == "syscall.rate") rate = s.value;
    return gaps.empty() ? std::string() : gaps.front().reason;
  };
  double rate = -1;
  is_within(1);
  auto first = watch(pod(0).pod(), {"read"});
  ASSERT_EQ(::write(ends[1], "x", 1), 1);  // the first began before
  is_within(2);
  EXPECT_EQ(gap_of(*first, rate), "calls whose beginning was not seen: 1");
  EXPECT_EQ(rate, 0);
  first.reset();  // the second has begun, and ends unseen
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  is_within(3);
  const auto again = watch(pod(0).pod(), {"read"});
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  reader.wait();
  EXPECT_EQ(gap_of(*again, rate), "calls whose beginning was not seen: 1");
  EXPECT_EQ(rate, 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(SyscallCallsPods, ADeadAgentLeavesNothing) {
  make_pods(3);
  Shared<std::atomic<int>> measures;
  Child owner([&] {
    Collectors collectors;
    for (const auto& each : pods_) collectors.push_back(watch(each->pod()));
    *measures = 1;
    return ::pause();
  });
  for (int i = 0; i < 20'000 && *measures == 0; ++i) ::usleep(1000);
  ASSERT_EQ(*measures, 1);
  call_in(pod(0), 1, 1);
  owner.signal(SIGKILL);
  owner.wait();
  call_in(pod(0), 1, 1);
  EXPECT_THAT(residue_.left(), IsEmpty());
}

// More than there are slots: they are used again, and who has one finds nothing of what was in it.
TEST_F(SyscallCallsPods, ManyCyclesUseTheSlotsAgain) {
  constexpr int kCycles = static_cast<int>(FL_SLOTS) + 100;
  make_pods(2);
  const auto stays = watch(pod(1).pod());
  const agent::Pod target = pod(0).pod();
  for (int i = 0; i < kCycles; ++i) {
    const auto collector = watch(target, i % 2 == 0 ? std::vector<std::string>{"mkdirat", "pread64"}
                                                    : std::vector<std::string>{"pread64"});
    if (i % 97 != 96 && i < kCycles - 3) continue;
    call_in(pod(0), 3, 4);
    ASSERT_EQ(take(*collector), i % 2 == 0 ? (Counted{3, 4, 3, 4}) : (Counted{0, 4, 0, 4}))
        << "cycle " << i;
  }
  call_in(pod(1), 1, 2);
  EXPECT_EQ(take(*stays), (Counted{1, 2, 1, 2}));
}

}  // namespace
}  // namespace faultline::test
