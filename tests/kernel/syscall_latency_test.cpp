// SPDX-License-Identifier: Apache-2.0
// How long a real program's system calls take, on each rung of the ladder: programs on the call,
// LSM programs, spinning. Emulated machines are slow: bounds are wide above, exact below.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

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
using Clock = std::chrono::steady_clock;

double ms(Clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

template <class F>
double ms_of(F body) {
  const auto begin = Clock::now();
  body();
  return ms(Clock::now() - begin);
}

double median(std::vector<double> v) {
  std::ranges::sort(v);
  return v[v.size() / 2];
}

struct Memory {
  std::atomic<int> ready{0}, done{0};
  std::array<double, 256> took{};
};

class SyscallLatency : public testing::Test {
 protected:
  SyscallLatency() { std::ofstream(file()) << std::string(8192, 'x'); }
  [[nodiscard]] std::string file() const { return folder_.path() + "/there"; }

  static api::SyscallLatency latency(std::vector<std::string> calls, std::chrono::nanoseconds by) {
    api::SyscallLatency fault;
    fault.syscalls = std::move(calls);
    fault.latency.value = by;
    return fault;
  }
  // How long each took, in the pod, one after the other.
  std::vector<double> in_pod(int times, const std::function<void()>& call) {
    pod_.run([&] {
      for (int i = 0; i < times; ++i) memory_->took[static_cast<std::size_t>(i)] = ms_of(call);
      return 0;
    });
    return {memory_->took.begin(), memory_->took.begin() + times};
  }
  static std::vector<double> outside(int times, const std::function<void()>& call) {
    std::vector<double> took;
    for (int i = 0; i < times; ++i) took.push_back(ms_of(call));
    return took;
  }
  // Threads of a process of the pod, each calls once.
  Child threads_in_pod(int number, const std::function<void()>& call) {
    return pod_.start([this, number, call] {
      std::vector<std::thread> threads;
      for (int i = 0; i < number; ++i)
        threads.emplace_back([this, call] {
          ++memory_->ready;
          call();
          ++memory_->done;
        });
      for (auto& thread : threads) thread.join();
      return 0;
    });
  }
  void wait_for_ready(int number) {
    for (int i = 0; i < 5000 && memory_->ready < number; ++i) std::this_thread::sleep_for(2ms);
    ASSERT_EQ(memory_->ready, number);
    std::this_thread::sleep_for(300ms);  // the call itself
  }
  static std::function<void()> opening(const std::string& path) {
    return [path] {
      const long fd = ::syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC);
      if (fd >= 0) ::close(static_cast<int>(fd));
    };
  }
  std::function<void()> reading() {
    const int fd = ::open(file().c_str(), O_RDONLY | O_CLOEXEC);
    return [fd] {
      char byte;
      (void)!::pread(fd, &byte, 1, 0);
    };
  }
  // What is true on every rung.
  void shows_the_delay(const api::SyscallLatency& spec, const std::function<void()>& call,
                       const std::string& mechanism) {
    constexpr int kMany = 20;
    const double asked = std::chrono::duration<double, std::milli>(spec.latency.value).count();
    const auto fault = arm(spec, pod_.pod());
    EXPECT_THAT(fault->mechanism(), testing::HasSubstr(mechanism));
    const auto seen = in_pod(kMany, call);
    const auto c = counters(*fault);
    EXPECT_GE(*std::ranges::min_element(seen), asked) << "never less";
    EXPECT_LT(median(seen), asked + 25);
    EXPECT_EQ(c.matched, static_cast<std::uint64_t>(kMany));
    EXPECT_EQ(c.injected, static_cast<std::uint64_t>(kMany));
    EXPECT_EQ(c.errors, 0U);
    EXPECT_EQ(c.added_latency.count(), static_cast<std::uint64_t>(kMany));
    EXPECT_GE(c.added_latency.quantile(0.5).value_or(0) * 1e3, asked * 0.98);
    EXPECT_LE(c.added_latency.quantile(0.5).value_or(0) * 1e3, median(seen) * 1.02);
    EXPECT_LT(median(outside(5, call)), asked / 2) << "others do not wait";
    EXPECT_EQ(counters(*fault).matched, static_cast<std::uint64_t>(kMany)) << "and do not count";
    EXPECT_TRUE(fault->disarm());
    EXPECT_LT(median(in_pod(5, call)), asked / 2) << "and nobody when it is over";
    EXPECT_EQ(counters(*fault).injected, static_cast<std::uint64_t>(kMany));
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod pod_{net_, "a"}, neighbour_{net_, "b"};
  TestFolder folder_;
  Shared<Memory> memory_;
};

#define NEEDS_PAGES()                           \
  FAULTLINE_NEEDS(KernelFeature::kTaskFromPid); \
  FAULTLINE_NEEDS(KernelFeature::kFuse)

// Memory of BPF maps that helper processes of this one have kept.
int kept_by_helpers() {
  int found = 0;
  for (const auto& process : std::filesystem::directory_iterator("/proc")) {
    std::string comm, stat;
    std::getline(std::ifstream(process.path() / "comm"), comm);
    std::getline(std::ifstream(process.path() / "stat"), stat);
    if (comm != "fl-delay" || stat.find(" " + std::to_string(getpid()) + " ") == std::string::npos)
      continue;
    std::ifstream maps(process.path() / "maps");
    for (std::string line; std::getline(maps, line);) found += line.find("bpf-map") != line.npos;
    found += 1000;  // of each helper
  }
  return found;
}

class SyscallLatencyLsm : public SyscallLatency {
 protected:
  void SetUp() override {
    NEEDS_PAGES();
    FAULTLINE_NEEDS(KernelFeature::kSleepableLsm);
  }
  // A path is known only at the security hook, so this rung is taken on every kernel.
  api::SyscallLatency opens(std::chrono::nanoseconds by) {
    auto spec = latency({"openat"}, by);
    spec.path = folder_.path();
    return spec;
  }
};

// The two ways at the call itself. What can do the first does the first.
class SyscallLatencyOnCall : public SyscallLatency {
 protected:
  void SetUp() override {
    NEEDS_PAGES();
    if (features().has(KernelFeature::kTaskWork)) FAULTLINE_NEEDS(KernelFeature::kTrampoline);
    if (!features().has(KernelFeature::kTaskWork))
      FAULTLINE_NEEDS(KernelFeature::kSleepableSyscall);
  }
};

TEST_F(SyscallLatencyLsm, OpenOfAPathTakesLongerOnlyThereAndOnlyInThePod) {
  Child living = pod_.start([] { return ::pause(); });  // to look the path up through
  std::this_thread::sleep_for(100ms);
  shows_the_delay(
      opens(50ms), opening(file()),
      features().has(KernelFeature::kTaskWork) ? "lsm + task work on openat" : "lsm.s on openat");
  const auto fault = arm(opens(50ms), pod_.pod());
  EXPECT_EQ(kept_by_helpers(), 1000) << "one helper, which keeps none";
  EXPECT_LT(median(in_pod(5, opening("/etc/passwd"))), 25);
  EXPECT_EQ(neighbour_.run([&] { return median(outside(5, opening(file()))) < 25 ? 0 : 1; }), 0);
}

TEST_F(SyscallLatencyLsm, ManyThreadsWaitAtOnce) {
  Child living = pod_.start([] { return ::pause(); });
  std::this_thread::sleep_for(100ms);
  const auto fault = arm(opens(200ms), pod_.pod());
  const double took = ms_of([&] { EXPECT_EQ(threads_in_pod(64, opening(file())).wait(), 0); });
  EXPECT_EQ(counters(*fault).injected, 64U);
  EXPECT_LT(took, 64 * 200 / 2) << "one after the other it would be 12800";
}

TEST_F(SyscallLatencyOnCall, ACallWithoutASecurityHookTakesLonger) {
  shows_the_delay(latency({"pread64"}, 50ms), reading(), "fentry");
}

TEST_F(SyscallLatencyOnCall, SeveralCallsAndEveryOtherOfThem) {
  auto spec = latency({"pread64", "fstat", "fsync"}, 50ms);
  spec.every = 2;
  const auto fault = arm(spec, pod_.pod());
  const auto seen = in_pod(10, reading());
  EXPECT_EQ(std::ranges::count_if(seen, [](double t) { return t >= 50; }), 5);
  const int fd = ::open(file().c_str(), O_RDWR | O_CLOEXEC);
  in_pod(4, [fd] { ::fsync(fd); });
  ::close(fd);
  const auto c = counters(*fault);
  EXPECT_EQ(c.by_call.at("pread64").matched, 10U);
  EXPECT_EQ(c.by_call.at("pread64").injected, 5U);
  EXPECT_EQ(c.by_call.at("fsync").matched, 4U);
  EXPECT_EQ(c.by_call.at("fsync").injected, 2U);
}

TEST_F(SyscallLatencyOnCall, ThreadsWaitAtOnce) {
  const auto fault = arm(latency({"pread64"}, 500ms), pod_.pod());
  const int number = 8;
  const double took = ms_of([&] { EXPECT_EQ(threads_in_pod(number, reading()).wait(), 0); });
  // One or two that begin at once on one CPU no program may see (docs/decisions/0009).
  EXPECT_GE(counters(*fault).injected, static_cast<std::uint64_t>(number - 2));
  EXPECT_LT(took, number * 500 / 2);
}

TEST_F(SyscallLatencyOnCall, AThousandWaitAtOnce) {
  FAULTLINE_NEEDS(KernelFeature::kTaskWork);
  auto fault = arm(latency({"pread64"}, 9s), pod_.pod());
  Child waiting = threads_in_pod(1000, reading());
  wait_for_ready(1000);
  // Some of those that begin at once on one CPU no program sees, neither at the call's beginning
  // nor at its end (docs/decisions/0009): 20 to 104 of a thousand on emulated machines, the more
  // the busier they are. What must hold is that each is told.
  constexpr unsigned kUnseen = 150;
  EXPECT_LE(memory_->done, static_cast<int>(kUnseen));
  EXPECT_LT(ms_of([&] {
              EXPECT_TRUE(fault->disarm());
              EXPECT_EQ(waiting.wait(), 0);
            }),
            7000)
      << "ending the fault frees them";
  EXPECT_GE(counters(*fault).matched, 1000U - kUnseen);
  EXPECT_LE(counters(*fault).errors, 2 * kUnseen) << "each is missed by two programs";
}

// Where only some can wait at once the others are not delayed, and that is counted.
TEST_F(SyscallLatencyOnCall, WhoCannotWaitIsCounted) {
  if (features().has(KernelFeature::kTaskWork)) GTEST_SKIP() << "needs: a kernel without task work";
  const auto fault = arm(latency({"pread64"}, 1s), pod_.pod());
  constexpr int kThreads = 200;  // on two CPUs
  const auto read = reading();
  EXPECT_EQ(threads_in_pod(kThreads,
                           [&] {
                             read();
                             read();
                           })
                .wait(),
            0);
  const auto c = counters(*fault);
  EXPECT_GE(c.matched, 2U * kThreads * 98 / 100);
  EXPECT_GT(c.errors, 0U);
  EXPECT_LT(c.injected, c.matched);
}

TEST_F(SyscallLatencyOnCall, AWaiterIsKilledAtOnce) {
  const auto fault = arm(latency({"pread64"}, 9s), pod_.pod());
  Child waiting = threads_in_pod(8, reading());
  wait_for_ready(8);
  waiting.signal(SIGKILL);
  EXPECT_LT(ms_of([&] { EXPECT_EQ(waiting.wait(), 128 + SIGKILL); }), 4000);
}

TEST_F(SyscallLatencyLsm, AWaiterIsKilledAtOnce) {
  Child living = pod_.start([] { return ::pause(); });
  std::this_thread::sleep_for(100ms);
  const auto fault = arm(opens(9s), pod_.pod());
  Child waiting = threads_in_pod(8, opening(file()));
  wait_for_ready(8);
  waiting.signal(SIGKILL);
  EXPECT_LT(ms_of([&] { EXPECT_EQ(waiting.wait(), 128 + SIGKILL); }), 4000);
}

// By a security hook, so that it runs on every ground that has the pages.
class SyscallLatencyEnds : public SyscallLatencyLsm {
 protected:
  // A process that arms and renews as an agent does.
  Child owner(std::chrono::nanoseconds lease) {
    const agent::Pod pod = pod_.pod();
    const auto spec = opens(9s);
    Child child([this, pod, spec, lease] {
      const auto fault = arm(spec, pod, {.lease = lease});
      memory_->ready = 1;
      for (;;) {
        fault->renew(in(lease));
        ::usleep(20000);
      }
      return 0;
    });
    for (int i = 0; i < 5000 && memory_->ready == 0; ++i) std::this_thread::sleep_for(2ms);
    memory_->ready = 0;
    return child;
  }
};

TEST_F(SyscallLatencyEnds, KilledOwnerFreesAThousandWaitersAndLeavesNothing) {
  Child living = pod_.start([] { return ::pause(); });
  std::this_thread::sleep_for(100ms);
  Child owning = owner(1min);
  Child waiting = threads_in_pod(1000, opening(file()));
  wait_for_ready(1000);
  EXPECT_EQ(memory_->done, 0);
  owning.signal(SIGKILL);
  EXPECT_LT(ms_of([&] { EXPECT_EQ(waiting.wait(), 0); }), 7000);
  EXPECT_LT(median(in_pod(5, opening(file()))), 1000);
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(SyscallLatencyEnds, StoppedOwnerFreesThemWithinTheLease) {
  constexpr auto kLease = 3s;
  Child living = pod_.start([] { return ::pause(); });
  std::this_thread::sleep_for(100ms);
  Child owning = owner(kLease);
  Child waiting = threads_in_pod(100, opening(file()));
  wait_for_ready(100);
  EXPECT_EQ(memory_->done, 0);
  owning.signal(SIGSTOP);
  EXPECT_LT(ms_of([&] { EXPECT_EQ(waiting.wait(), 0); }), ms(kLease));
  EXPECT_LT(median(in_pod(5, opening(file()))), 1000);
}

TEST_F(SyscallLatencyLsm, AThousandWaitersAreFreedWithTheFault) {
  Child living = pod_.start([] { return ::pause(); });
  std::this_thread::sleep_for(100ms);
  auto fault = arm(opens(9s), pod_.pod());
  Child waiting = threads_in_pod(1000, opening(file()));
  wait_for_ready(1000);
  EXPECT_EQ(memory_->done, 0);
  EXPECT_LT(ms_of([&] {
              EXPECT_TRUE(fault->disarm());
              EXPECT_EQ(waiting.wait(), 0);
            }),
            7000);
  EXPECT_EQ(counters(*fault).matched, 1000U);
  EXPECT_EQ(counters(*fault).errors, 0U);
  fault.reset();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(SyscallLatencyLsm, JitterFollowsItsDistribution) {
  Child living = pod_.start([] { return ::pause(); });
  std::this_thread::sleep_for(100ms);
  auto spec = opens(30ms);
  spec.jitter.value = 20ms;
  const auto fault = arm(spec, pod_.pod());
  const auto seen = in_pod(80, opening(file()));
  EXPECT_GE(*std::ranges::min_element(seen), 10);
  EXPECT_LT(*std::ranges::min_element(seen), 20);
  EXPECT_GT(*std::ranges::max_element(seen), 40);
}

// ---- spinning, where there is nothing else: a kernel without bpf_task_from_pid

TEST_F(SyscallLatency, SpinsOnlyWhereAskedToAndWhereNothingElseIsThere) {
  FAULTLINE_NEEDS(KernelFeature::kTrampoline);
  if (features().has(KernelFeature::kTaskFromPid))
    GTEST_SKIP() << "needs: a kernel that cannot wait";
  auto spec = latency({"pread64"}, 1ms);
  const auto refused = try_arm(spec, pod_.pod());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("spin"));
  spec.spin = true;
  const auto fault = arm(spec, pod_.pod());
  EXPECT_THAT(fault->mechanism(), testing::HasSubstr("spin"));
  const auto seen = in_pod(50, reading());
  EXPECT_GE(*std::ranges::min_element(seen), 1);
  EXPECT_LT(median(seen), 5);
  EXPECT_EQ(counters(*fault).injected, 50U);
  EXPECT_LT(median(outside(50, reading())), 0.9);
}

TEST_F(SyscallLatency, KernelThatCannotSaysWhyInOneLine) {
  if (features().has(KernelFeature::kTrampoline))
    GTEST_SKIP() << "needs: a kernel without trampolines";
  const auto refused = try_arm(latency({"pread64"}, 1ms), pod_.pod());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("pread64"));
  EXPECT_EQ(refused.error().message.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace faultline::test
