// SPDX-License-Identifier: Apache-2.0
// Waiting at pages, without BPF: a waiter here reads the helper's page by process_vm_readv(2),
// which takes the same way through the kernel as bpf_copy_from_user_task(). Any kernel with FUSE.
#include "agent/faults/page_delay/page_delay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "agent/kernel/lease.h"
#include "testbed/arm.h"
#include "testbed/child.h"
#include "testbed/cpu_time.h"
#include "testbed/emulated.h"
#include "testbed/needs.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
namespace {

using Clock = std::chrono::steady_clock;

// What .bss is for a BPF object.
struct Memory {
  fl_waits waits;
  fl_lease lease, other_lease;
  std::atomic<int> ready, done, served;
};

agent::DelayModel model(std::chrono::nanoseconds latency, std::chrono::nanoseconds jitter = 0ns,
                        api::Distribution distribution = api::Distribution::uniform) {
  api::NetworkLatency spec;
  spec.latency.value = latency;
  spec.jitter.value = jitter;
  spec.distribution = distribution;
  return {spec, 42};
}

constexpr std::uint32_t kSlot = 7, kOther = 9;

// As a program does: the outcome, FL_WAIT_*.
std::uint64_t wait_at(fl_waits& waits, std::uint32_t page, std::uint32_t slot = kSlot) {
  waits.page[page].slot = static_cast<__u16>(slot);
  std::atomic_ref(waits.page[page].state).store(in(0ns).ns);
  char byte;
  const iovec to{&byte, 1};
  const iovec from{reinterpret_cast<void*>(waits.base + std::uint64_t{page} * waits.page_size), 1};
  (void)process_vm_readv(static_cast<pid_t>(waits.helper), &to, 1, &from, 1, 0);
  return std::atomic_ref(waits.page[page].state).exchange(FL_WAIT_FREE);
}

double ms(Clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

template <class F>
double ms_of(F body) {
  const auto begin = Clock::now();
  body();
  return ms(Clock::now() - begin);
}

bool alive(pid_t pid) { return kill(pid, 0) == 0; }

// A thousand threads take an emulated machine their time to begin.
bool until(const std::function<bool()>& condition,
           std::chrono::milliseconds patience = emulated() ? 20s : 5s) {
  for (const auto end = Clock::now() + patience; Clock::now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(2ms);
  }
  return condition();
}

class PageDelay : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS(agent::KernelFeature::kFuse); }

  std::unique_ptr<agent::PageDelay> serve(agent::DelayModel m,
                                          std::chrono::nanoseconds lease = 1min) {
    agent::arm_lease(memory_->lease, in(lease));
    auto delay = agent::PageDelay::start(memory_->waits);
    if (!delay) throw std::runtime_error(delay.error().message);
    (*delay)->add(kSlot, memory_->lease, m);
    return std::move(*delay);
  }
  // A process that serves until it is killed, as an agent does.
  Child server(agent::DelayModel m, std::chrono::nanoseconds lease = 1min) {
    Child child([this, m, lease] {
      const auto delay = serve(m, lease);
      memory_->ready = 1;
      for (;;) {
        agent::renew_lease(memory_->lease, in(lease));
        usleep(20000);
      }
      return 0;
    });
    until([&] { return memory_->ready == 1; });
    return child;
  }
  // That many threads of a process, each waits once, at pages from the first on.
  Child waiters(int number, std::uint32_t slot = kSlot, std::uint32_t first = 0) {
    return Child([this, number, slot, first] {
      std::vector<std::thread> threads;
      for (int i = 0; i < number; ++i)
        threads.emplace_back([this, i, slot, first] {
          ++memory_->ready;
          const auto outcome = wait_at(memory_->waits, first + static_cast<std::uint32_t>(i), slot);
          if (outcome == FL_WAIT_SERVED) ++memory_->served;
          ++memory_->done;
        });
      for (auto& thread : threads) thread.join();
      return 0;
    });
  }
  Shared<Memory> memory_;
};

TEST_F(PageDelay, CallsWaitAsLongAsAsked) {
  for (const int asked : {1, 5, 20, 100}) {
    const auto delay = serve(model(std::chrono::milliseconds(asked)));
    std::vector<double> seen;
    for (int i = 0; i < 20; ++i)
      seen.push_back(ms_of([&] {
        EXPECT_EQ(wait_at(memory_->waits, static_cast<std::uint32_t>(i)), FL_WAIT_SERVED);
      }));
    std::ranges::sort(seen);
    EXPECT_GE(seen.front(), asked) << "never early";
    EXPECT_LE(seen[seen.size() / 2], asked + within_ms(5)) << "of " << asked;
    RecordProperty("median_of_" + std::to_string(asked), std::to_string(seen[seen.size() / 2]));
  }
}

TEST_F(PageDelay, PagesCanBeWaitedAtAgain) {
  const auto delay = serve(model(20ms));
  for (int i = 0; i < 5; ++i)
    EXPECT_GE(ms_of([&] { EXPECT_EQ(wait_at(memory_->waits, 7), FL_WAIT_SERVED); }), 20);
}

TEST_F(PageDelay, ManyThreadsWaitAtOnce) {
  const auto delay = serve(model(20ms));
  const double took = ms_of([&] { EXPECT_EQ(waiters(64).wait(), 0); });
  EXPECT_EQ(memory_->served, 64);
  EXPECT_LT(took, 64 * 20 / 2) << "one after the other it would be 1280";
}

TEST_F(PageDelay, JitterSpreadsTheWaits) {
  const auto delay = serve(model(20ms, 10ms));
  std::vector<double> seen;
  for (std::uint32_t i = 0; i < 60; ++i) seen.push_back(ms_of([&] { wait_at(memory_->waits, i); }));
  std::ranges::sort(seen);
  EXPECT_GE(seen.front(), 10);
  EXPECT_LT(seen.front(), emulated() ? 18 : 15)
      << "the tenth of 60 uniform values is below 13.3 almost surely";
  EXPECT_GT(seen.back(), 25);
}

TEST_F(PageDelay, EndsWithItsHelperAndMount) {
  auto delay = serve(model(20ms));
  const auto helper = static_cast<pid_t>(memory_->waits.helper);
  ASSERT_TRUE(alive(helper));
  const std::string proc = "/proc/" + std::to_string(helper);
  std::string comm;
  std::getline(std::ifstream(proc + "/comm"), comm);
  EXPECT_EQ(comm, "fl-delay");
  std::error_code error;
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(proc + "/fd", error), {}), 0)
      << "it keeps nothing open";
  std::ifstream mounts("/proc/self/mountinfo");
  const std::string here((std::istreambuf_iterator<char>(mounts)), {});
  EXPECT_EQ(here.find("fl-delay"), std::string::npos) << "nothing to be seen here";
  std::vector<std::string> theirs;
  std::ifstream their_mounts(proc + "/mountinfo");
  for (std::string line; std::getline(their_mounts, line);) theirs.push_back(line);
  EXPECT_THAT(theirs, testing::SizeIs(2)) << "and nothing of the host's there";
  delay.reset();
  EXPECT_FALSE(alive(helper));
}

TEST_F(PageDelay, EndingItFreesAllWhoWait) {
  auto delay = serve(model(10s));
  Child waiting = waiters(1000);
  ASSERT_TRUE(until([&] { return memory_->ready == 1000; }));
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(memory_->done, 0);
  EXPECT_LT(ms_of([&] {
              delay.reset();
              EXPECT_EQ(waiting.wait(), 0);
            }),
            5000);
  EXPECT_EQ(memory_->served, 0);
}

TEST_F(PageDelay, NobodyWaitsLongerThanTheLease) {
  const auto delay = serve(model(10s), 300ms);
  Child waiting = waiters(100);
  EXPECT_LT(ms_of([&] { EXPECT_EQ(waiting.wait(), 0); }), 3000);
  EXPECT_EQ(memory_->served, 0) << "they were let go early";
  // Renewed, it serves again.
  agent::renew_lease(memory_->lease, in(1min));
  EXPECT_TRUE(delay->check());
}

TEST_F(PageDelay, EachSlotHasItsOwnDelay) {
  const auto delay = serve(model(200ms));
  agent::arm_lease(memory_->other_lease, in(1min));
  delay->add(kOther, memory_->other_lease, model(20ms));
  const double brief = ms_of([&] { EXPECT_EQ(wait_at(memory_->waits, 1, kOther), 1U); });
  EXPECT_GE(brief, 20);
  EXPECT_LT(brief, 200);
  EXPECT_GE(ms_of([&] { EXPECT_EQ(wait_at(memory_->waits, 1), FL_WAIT_SERVED); }), 200);
  EXPECT_EQ(wait_at(memory_->waits, 1, kSlot + 1), FL_WAIT_CUT) << "a slot that has no fault";
}

TEST_F(PageDelay, WhoseFaultEndsIsFreedAndNobodyElse) {
  const auto delay = serve(model(20s));
  agent::arm_lease(memory_->other_lease, in(1min));
  delay->add(kOther, memory_->other_lease, model(20s));
  Child waiting = waiters(50), others = waiters(50, kOther, 100);
  ASSERT_TRUE(until([&] { return memory_->ready == 100; }));
  std::this_thread::sleep_for(100ms);
  delay->remove(kSlot);
  EXPECT_EQ(waiting.wait(), 0);
  EXPECT_EQ(memory_->done, 50);
  EXPECT_EQ(wait_at(memory_->waits, 1), FL_WAIT_CUT) << "who comes later does not wait";
  // A lease that ends frees its own, too.
  agent::renew_lease(memory_->other_lease, in(0ns));
  EXPECT_EQ(others.wait(), 0);
  EXPECT_EQ(memory_->served, 0);
}

TEST_F(PageDelay, BeginsAnewForThoseItHadWhenItsHelperHasEnded) {
  auto delay = serve(model(20ms));
  kill(static_cast<pid_t>(memory_->waits.helper), SIGKILL);
  ASSERT_TRUE(until([&] { return !delay->check(); }));
  auto lines = delay->stop();
  auto again = agent::PageDelay::start(memory_->waits, std::move(lines));
  ASSERT_TRUE(again) << again.error().message;
  delay.reset();
  EXPECT_TRUE((*again)->check());
  EXPECT_GE(ms_of([&] { EXPECT_EQ(wait_at(memory_->waits, 3), FL_WAIT_SERVED); }), 20);
}

TEST_F(PageDelay, WaiterIsKilledAtOnce) {
  const auto delay = serve(model(20s));
  Child waiting = waiters(64);
  ASSERT_TRUE(until([&] { return memory_->ready == 64; }));
  std::this_thread::sleep_for(100ms);
  waiting.signal(SIGKILL);
  EXPECT_LT(ms_of([&] { EXPECT_EQ(waiting.wait(), 128 + SIGKILL); }), 5000);
}

TEST_F(PageDelay, TerminatedWaiterEndsAtOnceToo) {
  const auto delay = serve(model(20s));
  Child waiting = waiters(4);
  ASSERT_TRUE(until([&] { return memory_->ready == 4; }));
  std::this_thread::sleep_for(100ms);
  waiting.signal(SIGTERM);
  EXPECT_LT(ms_of([&] { EXPECT_EQ(waiting.wait(), 128 + SIGTERM); }), 5000);
}

// A runtime such as Go's interrupts its own threads every 10 ms.
TEST_F(PageDelay, SignalsThatDoNotKillShortenNothing) {
  const auto delay = serve(model(200ms));
  Child child([this] {
    std::signal(SIGALRM, [](int) {});
    const itimerval often{{0, 5000}, {0, 5000}};
    setitimer(ITIMER_REAL, &often, nullptr);
    const double took =
        ms_of([&] { memory_->served = wait_at(memory_->waits, 1) == FL_WAIT_SERVED; });
    return took >= 200 ? 0 : 1;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(memory_->served, 1);
}

TEST_F(PageDelay, KilledServerFreesAllWhoWait) {
  Child owner = server(model(60s));
  const auto helper = static_cast<pid_t>(memory_->waits.helper);
  memory_->ready = 0;
  Child waiting = waiters(1000);
  ASSERT_TRUE(until([&] { return memory_->ready == 1000; }));
  std::this_thread::sleep_for(100ms);
  owner.signal(SIGKILL);
  EXPECT_LT(ms_of([&] { EXPECT_EQ(waiting.wait(), 0); }), 5000);
  EXPECT_EQ(memory_->served, 0);
  EXPECT_TRUE(until([&] { return !alive(helper); })) << "its helper ends with it";
}

TEST_F(PageDelay, StoppedServerFreesAllWhoWaitWithinTheLease) {
  constexpr auto kLease = 3s;  // an agent's
  Child owner = server(model(60s), kLease);
  const auto helper = static_cast<pid_t>(memory_->waits.helper);
  memory_->ready = 0;
  Child waiting = waiters(1000);
  ASSERT_TRUE(until([&] { return memory_->ready == 1000; }));
  std::this_thread::sleep_for(100ms);
  owner.signal(SIGSTOP);
  EXPECT_LT(ms_of([&] { EXPECT_EQ(waiting.wait(), 0); }), ms(kLease));
  EXPECT_EQ(memory_->served, 0);
  EXPECT_TRUE(until([&] {
    std::string stat;
    std::getline(std::ifstream("/proc/" + std::to_string(helper) + "/stat"), stat);
    return stat.empty() || stat.find(") Z") != std::string::npos;
  })) << "its work is done";
  // Goes on, and knows; and does not ask a connection that is gone again and again.
  owner.signal(SIGCONT);
  EXPECT_TRUE(until([&] { return memory_->waits.helper == 0; }));
  const double used = cpu_seconds(owner.pid());
  std::this_thread::sleep_for(1s);
  EXPECT_LT(cpu_seconds(owner.pid()) - used, 0.3);
}

TEST_F(PageDelay, SaysThatItsHelperHasEnded) {
  const auto delay = serve(model(10s));
  Child waiting = waiters(10);
  ASSERT_TRUE(until([&] { return memory_->ready == 10; }));
  std::this_thread::sleep_for(100ms);
  kill(static_cast<pid_t>(memory_->waits.helper), SIGKILL);
  EXPECT_EQ(waiting.wait(), 0);
  ASSERT_TRUE(until([&] { return !delay->check(); }));
  EXPECT_THAT(delay->check().error().message, testing::HasSubstr("helper"));
  EXPECT_EQ(memory_->waits.helper, 0U) << "nobody looks for it any more";
}

TEST_F(PageDelay, ManyCyclesLeaveNoDescriptorsOrProcesses) {
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  { const auto first = serve(model(1ms)); }
  const auto before = descriptors();
  for (int i = 0; i < 30; ++i) {
    const auto delay = serve(model(1ms));
    wait_at(memory_->waits, 0);
  }
  EXPECT_EQ(descriptors(), before);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
}

}  // namespace
}  // namespace faultline::test
