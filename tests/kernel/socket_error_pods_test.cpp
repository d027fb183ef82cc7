// SPDX-License-Identifier: Apache-2.0
// socketError on security hooks of many pods of one node at once: they share their programs and
// the maps of addresses, and nothing else.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <iostream>
#include <thread>

#include "agent/kernel/fd.h"
#include "agent/kernel/link.h"
#include "slots_abi.h"
#include "testbed/arm.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/stats.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
namespace {

using agent::Fd;
using agent::KernelFeature;
using api::SocketOperation;
using testing::Each;
using Faults = std::vector<std::unique_ptr<agent::ArmedFault>>;

constexpr int kPods = 20;
constexpr int kFirstErrno = 70;  // a pod's number is added: each has an errno of its own

// The errno of a datagram to each of the addresses 127.1.n.1; 0: it was sent.
using Sent = std::array<int, kPods>;

std::string address(int n) { return "127.1." + std::to_string(n) + ".1"; }
api::Cidr network(int n) {
  return api::Cidr::parse("127.1." + std::to_string(n) + ".0/24").value();
}

api::SocketError error(int number, double p = 1) {
  api::SocketError fault;
  fault.operations = {SocketOperation::sendmsg};
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

int links() {
  int count = 0;
  for (std::uint32_t id = 0; bpf_link_get_next_id(id, &id) == 0;) ++count;
  return count;
}

class SocketErrorPods : public testing::Test {
 protected:
  void SetUp() override {
    if (!features().has(KernelFeature::kLsm) && !features().has(KernelFeature::kTrampoline))
      GTEST_SKIP() << "needs: BPF LSM or fmod_ret on security hooks";
  }
  void make_pods(int many) {
    for (int i = 0; i < many; ++i)
      pods_.push_back(std::make_unique<TestPod>(net_, "p" + std::to_string(i)));
  }
  const TestPod& pod(int n) const { return *pods_[static_cast<std::size_t>(n)]; }

  // In this process. The socket is one of the node's, which has all of these addresses.
  [[nodiscard]] int send_to(int n) const {
    sockaddr_in to{AF_INET, htons(9), {}, {}};
    ::inet_pton(AF_INET, address(n).c_str(), &to.sin_addr);
    return ::sendto(socket_.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to) == 1
               ? 0
               : errno;
  }
  [[nodiscard]] Sent send_to_all() const {
    Sent sent{};
    for (int n = 0; n < kPods; ++n) sent[static_cast<std::size_t>(n)] = send_to(n);
    return sent;
  }
  Sent sent_by(const TestPod& by) const {
    Shared<Sent> sent;
    by.run([&] { return *sent = send_to_all(), 0; });
    return *sent;
  }
  int sent_by(const TestPod& by, int n) const {
    Shared<int> sent;
    by.run([&] { return *sent = send_to(n), 0; });
    return *sent;
  }
  int listens_in(const TestPod& by) const {
    Shared<int> seen;
    by.run([&] {
      const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      return *seen = ::listen(fd.get(), 1) == 0 ? 0 : errno, 0;
    });
    return *seen;
  }

  // An even pod's fault hits what goes to the network of its number; an odd one's all else.
  static api::SocketError fault_of(int n) {
    auto fault = error(kFirstErrno + n);
    if (n % 2 == 0)
      fault.cidrs = {network(n)};
    else
      fault.except.emplace().cidrs = {network(n)};
    return fault;
  }
  static Sent expected_of(int n) {
    Sent sent{};
    for (int to = 0; to < kPods; ++to)
      if ((n % 2 == 0) == (to == n)) sent[static_cast<std::size_t>(to)] = kFirstErrno + n;
    return sent;
  }
  [[nodiscard]] Faults arm_all() const {
    Faults faults;
    for (int n = 0; n < kPods; ++n) faults.push_back(arm(fault_of(n), pod(n).pod()));
    return faults;
  }

  ResidueCheck residue_;
  TestNetwork net_;
  Fd socket_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  std::vector<std::unique_ptr<TestPod>> pods_;
};

TEST_F(SocketErrorPods, TwentyPodsOfANodeFailEachByItsOwnFilter) {
  make_pods(kPods);
  const TestPod neighbour(net_, "n");
  Faults faults;
  std::vector<double> took;
  int programs = 0;
  for (int n = 0; n < kPods; ++n) {
    const agent::Pod target = pod(n).pod();
    const auto begin = std::chrono::steady_clock::now();
    faults.push_back(arm(fault_of(n), target));
    took.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
            .count());
    if (n == 0) programs = programs_of_ours();
  }
  EXPECT_EQ(programs_of_ours(), programs) << "a further pod loads nothing";
  double all_ms = 0;
  for (const double ms : took) all_ms += ms;
  std::cout << "armed " << kPods << " pods in " << all_ms << " ms, the first in " << took.front()
            << " ms, the last in " << took.back() << " ms\n";
  for (int n = 0; n < kPods; ++n) {
    EXPECT_EQ(sent_by(pod(n)), expected_of(n)) << "pod " << n;
    const auto c = counters(*faults[static_cast<std::size_t>(n)]);
    const std::uint64_t hit = n % 2 == 0 ? 1 : kPods - 1;
    EXPECT_EQ(c.matched, hit) << "pod " << n;
    EXPECT_EQ(c.injected, hit) << "pod " << n;
    EXPECT_EQ(c.by_errno.begin()->second, hit);
    EXPECT_GT(c.first_injected.ns, 0U);
    EXPECT_LE(c.first_injected.ns, c.last_injected.ns);
    EXPECT_EQ(c.errors, 0U);
  }
  EXPECT_THAT(sent_by(neighbour), Each(0)) << "a pod that is no target";
  EXPECT_THAT(send_to_all(), Each(0)) << "the node";
  // One of each kind ends, the others do not.
  for (const std::size_t ends : {6U, 7U}) {
    ASSERT_TRUE(faults[ends]->disarm());
    EXPECT_GT(counters(*faults[ends]).matched, 0U) << "still readable";
    faults[ends].reset();
  }
  for (int n = 0; n < kPods; ++n)
    EXPECT_EQ(sent_by(pod(n)), n == 6 || n == 7 ? Sent{} : expected_of(n)) << "pod " << n;
  faults.clear();
  EXPECT_THAT(sent_by(pod(3)), Each(0));
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(SocketErrorPods, WhomASelectorStandsForChangesForItsOwnFaultOnly) {
  make_pods(3);
  auto by_peer = error(EIO), but_peer = error(ENOSPC);
  by_peer.peer = api::Selector{.namespaces = {"shop"}};
  but_peer.except.emplace().peer = api::Selector{.namespaces = {"shop"}};
  const auto first = arm(by_peer, pod(0).pod(), {.peers = {.only = {address(1)}, .except = {}}});
  const auto second = arm(but_peer, pod(1).pod(), {.peers = {.only = {}, .except = {address(1)}}});
  const auto third = arm(by_peer, pod(2).pod(), {.peers = {.only = {address(3)}, .except = {}}});
  EXPECT_EQ(sent_by(pod(0), 1), EIO);
  EXPECT_EQ(sent_by(pod(0), 2), 0);
  EXPECT_EQ(sent_by(pod(0), 3), 0) << "another's peer";
  EXPECT_EQ(sent_by(pod(2), 1), 0) << "another's peer";
  EXPECT_EQ(sent_by(pod(2), 3), EIO);
  EXPECT_EQ(sent_by(pod(1), 1), 0);
  EXPECT_EQ(sent_by(pod(1), 2), ENOSPC);
  ASSERT_TRUE(first->follow({.only = {address(2)}, .except = {}}));
  EXPECT_EQ(sent_by(pod(0), 1), 0);
  EXPECT_EQ(sent_by(pod(0), 2), EIO);
  EXPECT_EQ(sent_by(pod(1), 1), 0) << "the other's set is another";
  EXPECT_EQ(sent_by(pod(1), 2), ENOSPC);
  ASSERT_TRUE(second->follow({.only = {}, .except = {address(2)}}));
  ASSERT_TRUE(first->follow({.only = {}, .except = {}}));
  EXPECT_EQ(sent_by(pod(0), 2), 0) << "no peer is nobody, not everybody";
  EXPECT_EQ(sent_by(pod(2), 3), EIO);
  EXPECT_EQ(sent_by(pod(1), 1), ENOSPC);
  EXPECT_EQ(sent_by(pod(1), 2), 0);
}

TEST_F(SocketErrorPods, EachHasItsOwnProbabilityAndDice) {
  constexpr int kMany = 1000;
  make_pods(4);
  Faults faults;
  for (int n = 0; n < 4; ++n)
    faults.push_back(arm(error(ENOBUFS, 0.2 * (n + 1)), pod(n).pod(),
                         {.seed = static_cast<std::uint64_t>(n + 1)}));
  for (int n = 0; n < 4; ++n) {
    Shared<std::uint64_t> failed;
    pod(n).run([&] {
      for (int i = 0; i < kMany; ++i) *failed += send_to(0) == ENOBUFS ? 1 : 0;
      return 0;
    });
    EXPECT_TRUE(binomial_interval(0.2 * (n + 1), kMany).contains(double(*failed) / kMany))
        << *failed;
    const auto c = counters(*faults[static_cast<std::size_t>(n)]);
    EXPECT_EQ(c.injected, *failed);
    EXPECT_EQ(c.matched, static_cast<std::uint64_t>(kMany));
  }
}

TEST_F(SocketErrorPods, ADeadAgentEndsThemAll) {
  make_pods(kPods);
  Shared<std::atomic<int>> armed;
  Child owner([&] {
    const Faults faults = arm_all();
    *armed = 1;
    return ::pause();
  });
  for (int i = 0; i < 20'000 && *armed == 0; ++i) ::usleep(1000);
  ASSERT_EQ(sent_by(pod(kPods - 1)), expected_of(kPods - 1));
  owner.signal(SIGKILL);
  owner.wait();
  for (const auto& each : pods_) EXPECT_THAT(sent_by(*each), Each(0)) << each->name();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(SocketErrorPods, ALeaseThatRunsOutEndsItsOwnFaultAndTheNextOnTheTaskIsAsked) {
  make_pods(2);
  auto to_4 = error(EIO);
  to_4.cidrs = {network(4)};
  const auto soon = arm(to_4, pod(0).pod());
  const auto other = arm(error(ENOSPC), pod(1).pod());
  const auto behind = arm(error(EROFS), pod(0).pod());
  soon->renew(in(3s));
  const auto over = std::chrono::steady_clock::now() + 3s;
  EXPECT_EQ(sent_by(pod(0), 4), EIO) << "the first that was armed is asked first";
  EXPECT_EQ(counters(*behind).matched, 0U) << "and the second does not see what the first hits";
  EXPECT_EQ(sent_by(pod(0), 5), EROFS) << "what the first does not mean the second is asked";
  std::this_thread::sleep_until(over);
  EXPECT_EQ(sent_by(pod(0), 4), EROFS);
  EXPECT_EQ(sent_by(pod(1), 4), ENOSPC);
  soon->renew(in(60s));
  EXPECT_EQ(sent_by(pod(0), 4), EIO);
  EXPECT_EQ(counters(*soon).matched, 2U);
  EXPECT_EQ(counters(*behind).matched, 2U);
}

// Programs that come later are of another object, with the same maps.
TEST_F(SocketErrorPods, AHookIsTakenWhenItIsNeededAndLeftWhenItIsNot) {
  make_pods(2);
  auto listening = error(EACCES), both = error(EPERM);
  listening.operations = {SocketOperation::listen};
  both.operations = {SocketOperation::listen, SocketOperation::sendmsg};
  const int before = links();
  auto first = arm(listening, pod(0).pod());
  EXPECT_EQ(links(), before + 1);
  auto second = arm(both, pod(1).pod());
  EXPECT_EQ(links(), before + 2);
  auto third = arm(error(EIO), pod(0).pod());
  EXPECT_EQ(links(), before + 2);
  EXPECT_EQ(listens_in(pod(0)), EACCES);
  EXPECT_EQ(sent_by(pod(0), 1), EIO);
  EXPECT_EQ(listens_in(pod(1)), EPERM);
  EXPECT_EQ(sent_by(pod(1), 1), EPERM);
  second.reset();
  EXPECT_EQ(listens_in(pod(1)), 0);
  EXPECT_EQ(links(), before + 2);
  first.reset();
  for (int i = 0; i < 1000 && links() > before + 1; ++i) ::usleep(1000);
  EXPECT_EQ(links(), before + 1);
  EXPECT_EQ(listens_in(pod(0)), 0);
  EXPECT_EQ(sent_by(pod(0), 1), EIO);
  first = arm(listening, pod(0).pod());
  EXPECT_EQ(listens_in(pod(0)), EACCES) << "attached again";
  first.reset(), third.reset();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

// By another kind of program at another place, on kernels without LSM programs.
TEST_F(SocketErrorPods, FmodRetOnTheSecurityFunctionsDoesTheSame) {
  FAULTLINE_NEEDS(KernelFeature::kTrampoline);
  const agent::FeatureProbe no_lsm(KernelFeature::kLsm, "as if there were none");
  make_pods(4);
  Faults faults;
  for (int n = 0; n < 3; ++n) {
    faults.push_back(arm(fault_of(n), pod(n).pod(), {.features = &no_lsm}));
    EXPECT_EQ(faults.back()->mechanism(), "fmod_ret of security_*");
  }
  for (int n = 0; n < 3; ++n) EXPECT_EQ(sent_by(pod(n)), expected_of(n)) << "pod " << n;
  EXPECT_THAT(sent_by(pod(3)), Each(0));
  faults.erase(faults.begin());
  EXPECT_THAT(sent_by(pod(0)), Each(0));
  EXPECT_EQ(sent_by(pod(1)), expected_of(1));
}

// More than there are slots: they are used again, and who has one finds nothing of what was in it,
// no address either.
TEST_F(SocketErrorPods, ManyCyclesUseTheSlotsAgain) {
  constexpr int kCycles = 2 * static_cast<int>(FL_SLOTS) + 100;
  make_pods(2);
  const auto stays = arm(error(ENOSPC), pod(1).pod());
  const agent::Pod target = pod(0).pod();
  for (int i = 0; i < kCycles; ++i) {
    auto fault = arm(fault_of(i % kPods), target);
    const auto c = counters(*fault);
    ASSERT_EQ(c.matched + c.injected + c.first_injected.ns, 0U) << "cycle " << i;
    if (i % 97 != 96) continue;
    ASSERT_EQ(sent_by(pod(0)), expected_of(i % kPods)) << "cycle " << i;
  }
  EXPECT_THAT(sent_by(pod(0)), Each(0));
  EXPECT_THAT(sent_by(pod(1)), Each(ENOSPC));
}

}  // namespace
}  // namespace faultline::test
