// SPDX-License-Identifier: Apache-2.0
// Faults that are held to one container of a pod: what its processes are told, what those of the
// pod's other container, of the pod outside of both, and of a neighbour.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>

#include "testbed/arm.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::KernelFeature;
using api::SocketOperation;

constexpr int kMany = 400;

class Containers : public testing::Test {
 protected:
  Containers() {
    a_.add_container("app");
    a_.add_container("log");
  }
  [[nodiscard]] Result<std::unique_ptr<agent::ArmedFault>> try_on(
      api::FaultSpec spec, const std::vector<std::string>& names) const {
    static const SystemClock clock;
    const api::Fault fault{std::move(spec)};
    const agent::Pod pod = a_.pod();
    return agent::arm_in_containers(*agent::find_fault(fault.name()), fault, pod,
                                    agent::named_containers(pod, names),
                                    {clock, features(), 42, in(std::chrono::minutes(2)), {}});
  }
  std::unique_ptr<agent::ArmedFault> arm_on(api::FaultSpec spec,
                                            const std::vector<std::string>& names) const {
    auto armed = try_on(std::move(spec), names);
    if (!armed) throw std::runtime_error(armed.error().message);
    return std::move(*armed);
  }
  // How many of kMany calls fail with `number`; any other errno fails the test.
  static int count(int number, const std::function<long()>& call) {
    int failed = 0;
    for (int i = 0; i < kMany; ++i) {
      if (call() >= 0) continue;
      if (errno != number) return -1;
      ++failed;
    }
    return failed;
  }
  struct Failed {
    int app = 0, log = 0, pod = 0, neighbour = 0, outside = 0;
  };
  Failed everywhere(int number, const std::function<long()>& call) {
    Shared<Failed> seen;
    a_.run_in("app", [&] { return seen->app = count(number, call), 0; });
    a_.run_in("log", [&] { return seen->log = count(number, call), 0; });
    a_.run([&] { return seen->pod = count(number, call), 0; });
    b_.run([&] { return seen->neighbour = count(number, call), 0; });
    seen->outside = count(number, call);
    return *seen;
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"}, b_{net_, "b"};
  TestFolder folder_;
};

void expect_only_app(const auto& failed, int times = kMany) {
  EXPECT_EQ(failed.app, times);
  EXPECT_EQ(failed.log, 0);
  EXPECT_EQ(failed.pod, 0);
  EXPECT_EQ(failed.neighbour, 0);
  EXPECT_EQ(failed.outside, 0);
}

api::SocketError no_socket(double p = 1) {
  api::SocketError fault;
  fault.operations = {SocketOperation::socket};
  fault.errno_ = {ENOBUFS};
  fault.probability = {p};
  return fault;
}

long make_socket() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0) close(fd);
  return fd;
}

TEST_F(Containers, SocketErrorHitsTheNamedOneOnly) {
  {
    const auto fault = arm_on(no_socket(), {"app"});
    expect_only_app(everywhere(ENOBUFS, make_socket));
    EXPECT_EQ(counters(*fault).injected, static_cast<std::uint64_t>(kMany));
  }
  EXPECT_EQ(everywhere(ENOBUFS, make_socket).app, 0) << "the fault has ended";
}

TEST_F(Containers, TwoNamedOnesAreToldAsOneAndThrowTheirOwnDice) {
  const auto fault = arm_on(no_socket(0.5), {"app", "log"});
  struct Outcomes {
    bool app[kMany], log[kMany];
  };
  Shared<Outcomes> seen;
  const auto note = [&](bool(&failed)[kMany]) {
    for (bool& f : failed) f = make_socket() < 0;
    return 0;
  };
  a_.run_in("app", [&] { return note(seen->app); });
  a_.run_in("log", [&] { return note(seen->log); });
  std::uint64_t failed = 0;
  int same = 0;
  for (int i = 0; i < kMany; ++i) {
    failed += (seen->app[i] ? 1U : 0U) + (seen->log[i] ? 1U : 0U);
    same += seen->app[i] == seen->log[i] ? 1 : 0;
  }
  EXPECT_LT(same, kMany) << "not the same decisions twice";
  EXPECT_EQ(counters(*fault).matched, static_cast<std::uint64_t>(2 * kMany));
  EXPECT_EQ(counters(*fault).injected, failed);
  a_.run([&] { return note(seen->app); });
  EXPECT_EQ(counters(*fault).matched, static_cast<std::uint64_t>(2 * kMany)) << "not the pod";
  ASSERT_TRUE(fault->disarm());
  a_.run_in("log", [&] { return note(seen->log); });
  EXPECT_EQ(counters(*fault).matched, static_cast<std::uint64_t>(2 * kMany)) << "both have ended";
}

// Armed on the old cgroup it hits nobody; armed anew, the new one.
TEST_F(Containers, RestartedOneIsHitWhereItIsNow) {
  auto fault = arm_on(no_socket(), {"app"});
  const agent::Pod before = a_.pod();
  a_.remove_container("app");
  a_.add_container("app");
  EXPECT_EQ(everywhere(ENOBUFS, make_socket).app, 0);
  EXPECT_NE(agent::named_containers(a_.pod(), {"app"}), agent::named_containers(before, {"app"}));
  fault.reset();
  fault = arm_on(no_socket(), {"app"});
  expect_only_app(everywhere(ENOBUFS, make_socket));
}

TEST_F(Containers, OneThatCannotBeArmedLeavesNoneArmed) {
  a_.add_container("gone");
  const agent::Pod pod = a_.pod();
  a_.remove_container("gone");
  static const SystemClock clock;
  const api::Fault fault{no_socket()};
  const auto armed =
      agent::arm_in_containers(*agent::find_fault("socketError"), fault, pod, pod.containers,
                               {clock, features(), 42, in(std::chrono::minutes(2)), {}});
  ASSERT_FALSE(armed);
  EXPECT_NE(armed.error().message.find("container gone: "), std::string::npos)
      << armed.error().message;
  EXPECT_EQ(everywhere(ENOBUFS, make_socket).app, 0);
}

TEST_F(Containers, FaultOfTheSharedNetworkIsNeverHeldToOne) {
  api::NetworkLoss loss;
  loss.loss = {0.1};
  EXPECT_FALSE(try_on(loss, {"app"}));
}

class ContainersLsm : public Containers {
 protected:
  void SetUp() override { FAULTLINE_NEEDS(KernelFeature::kLsm); }
};

// The path is looked up as the container's own processes see it.
TEST_F(ContainersLsm, SyscallErrorOnAPathHitsTheNamedOneOnly) {
  std::ofstream(folder_.path() + "/there") << "text";
  Child living([&] {
    join_cgroup(a_.container_cgroup("app"));
    return ::pause();
  });
  for (int i = 0; i < 1000; ++i) {
    std::ifstream procs(a_.container_cgroup("app") + "/cgroup.procs");
    if (pid_t pid = 0; procs >> pid) break;
    usleep(1000);
  }
  api::SyscallError spec;
  spec.syscalls = {"openat"};
  spec.errno_ = {EIO};
  spec.path = folder_.path();
  const auto fault = arm_on(spec, {"app"});
  const std::string path = folder_.path() + "/there";
  expect_only_app(everywhere(EIO, [&]() -> long {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) close(fd);
    return fd;
  }));
  EXPECT_EQ(counters(*fault).by_call.at("openat").injected, static_cast<std::uint64_t>(kMany));
}

class ContainersLatency : public Containers {
 protected:
  void SetUp() override {
    FAULTLINE_NEEDS(KernelFeature::kSleepableLsm);
    FAULTLINE_NEEDS(KernelFeature::kTaskFromPid);
    FAULTLINE_NEEDS(KernelFeature::kFuse);
  }
};

TEST_F(ContainersLatency, OnlyTheNamedOneWaits) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kDelay = std::chrono::milliseconds(50);
  const std::string path = folder_.path() + "/there";
  std::ofstream(path) << "text";
  api::SyscallLatency spec;
  spec.syscalls = {"openat"};
  spec.latency = {kDelay};
  const auto fault = arm_on(spec, {"app"});
  struct Times {
    Clock::duration app, log, pod, neighbour;
  };
  Shared<Times> took;
  const auto open_twice = [&](Clock::duration& time) {
    const auto since = Clock::now();
    for (int i = 0; i < 2; ++i) close(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    time = Clock::now() - since;
    return 0;
  };
  a_.run_in("app", [&] { return open_twice(took->app); });
  const auto waited = counters(*fault).injected;
  EXPECT_GE(waited, 2U);
  EXPECT_GE(took->app, 2 * kDelay);
  a_.run_in("log", [&] { return open_twice(took->log); });
  a_.run([&] { return open_twice(took->pod); });
  b_.run([&] { return open_twice(took->neighbour); });
  EXPECT_EQ(counters(*fault).matched, waited) << "nobody else";
  for (const Clock::duration other : {took->log, took->pod, took->neighbour})
    EXPECT_LT(other, took->app);
}

}  // namespace
}  // namespace faultline::test
