// SPDX-License-Identifier: Apache-2.0
// A machine without BTF, without FUSE, without modules: what needs it is refused in one line that
// says so, the rest works, and nothing is left. The process that stands for the agent cannot see
// what is hidden; it starts anew, so that it knows nothing from before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <functional>

#include "agent/faults/page_delay/page_delay.h"
#include "testbed/arm.h"
#include "testbed/hidden.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::FeatureProbe;
using agent::KernelFeature;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kBtf = "/sys/kernel/btf";

long make_socket() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0) close(fd);
  return fd;
}

api::SocketError no_socket() {
  api::SocketError fault;
  fault.operations = {api::SocketOperation::socket};
  fault.errno_ = {ENOBUFS};
  return fault;
}
api::SyscallError no_open() {
  api::SyscallError fault;
  fault.syscalls = {"openat"};
  fault.errno_ = {EIO};
  return fault;
}
api::SyscallLatency slow_open() {
  api::SyscallLatency fault;
  fault.syscalls = {"openat"};
  fault.latency = {std::chrono::milliseconds(20)};
  return fault;
}

class Missing : public testing::Test {
 protected:
  // What `body` says, in a process of its own mount namespace.
  static std::string elsewhere(const std::function<std::string()>& body) {
    Shared<std::array<char, 65536>> said;
    const int status = Child([&] {
                         leave_mount_namespace();
                         body().copy(said->data(), said->size() - 1);
                         return 0;
                       }).wait();
    EXPECT_EQ(status, 0);
    return said->data();
  }
  // "armed by tcx", or why not.
  std::string try_it(api::FaultSpec spec, const FeatureProbe& features) const {
    static const SystemClock clock;
    const api::Fault fault{std::move(spec)};
    const auto armed =
        agent::find_fault(fault.name())
            ->arm(fault, a_.pod(), {clock, features, 42, in(std::chrono::minutes(1)), {}});
    return armed ? "armed by " + (*armed)->mechanism() : armed.error().message;
  }
  // Every feature that is missing, a line each: "FUSE: cannot open ...".
  static std::string reasons() {
    std::string lines;
    for (const api::Feature& feature : FeatureProbe().probe_all()) {
      std::string reason = feature.reason;
      std::ranges::replace(reason, '\n', '|');
      if (!feature.available) lines += feature.name + ": " + reason + "\n";
    }
    return lines;
  }
  [[nodiscard]] int sockets_fail_in_pod() const {
    return a_.run([] { return make_socket() < 0 ? errno : 0; });
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"};
};

TEST_F(Missing, WithoutBtfTheProbeSaysWhichFileAndForWhat) {
  const std::string lines = elsewhere([] {
    hide_folder(kBtf);
    return reasons();
  });
  const std::string why = ": cannot read /sys/kernel/btf/vmlinux: No such file or directory\n";
  for (const char* needs_it :
       {"BTF of the kernel", "tp_btf tracepoints", "fentry and fexit", "BPF LSM",
        "fmod_ret on system calls", "bpf_task_from_pid", "bpf_task_work", "iter/tcp"})
    EXPECT_THAT(lines, HasSubstr(needs_it + why));
  EXPECT_THAT(lines, Not(HasSubstr("|"))) << "one line each";
  EXPECT_THAT(lines, Not(HasSubstr("cgroup/sock_create"))) << "that needs none";
  EXPECT_THAT(residue_.left(), IsEmpty());
}

TEST_F(Missing, WithoutBtfSystemCallFaultsAreRefusedAndCgroupHooksWork) {
  Shared<int> seen;
  const std::string said = elsewhere([&] {
    hide_folder(kBtf);
    const FeatureProbe features;
    const std::string refused =
        try_it(no_open(), features) + "\n" + try_it(slow_open(), features) + "\n";
    const auto armed = arm(no_socket(), a_.pod());
    *seen = sockets_fail_in_pod();
    return refused + armed->mechanism();
  });
  EXPECT_EQ(*seen, ENOBUFS);
  EXPECT_EQ(sockets_fail_in_pod(), 0) << "its owner has ended";
  const std::string file = "cannot read /sys/kernel/btf/vmlinux: No such file or directory";
  EXPECT_THAT(said, testing::StartsWith("syscallError on test/" + a_.name() + ": openat: "));
  EXPECT_THAT(said, HasSubstr("\nsyscallLatency on test/" + a_.name() + ": openat: "));
  EXPECT_THAT(said, HasSubstr(file));
  EXPECT_THAT(said, testing::EndsWith("\ncgroup"));
  EXPECT_EQ(std::ranges::count(said, '\n'), 2) << said;
  EXPECT_THAT(residue_.left(), IsEmpty());
}

TEST_F(Missing, WithoutBtfPacketFaultsWorkOrSayWhy) {
  FAULTLINE_NEEDS_TC();
  const std::string said = elsewhere([&] {
    hide_folder(kBtf);
    api::NetworkLoss loss;
    loss.loss = {0.5};
    return try_it(loss, FeatureProbe());
  });
  EXPECT_THAT(said, testing::StartsWith("armed by ")) << said;
  EXPECT_THAT(residue_.left(), IsEmpty());
}

TEST_F(Missing, WithoutFuseTheProbeSaysSoAndCallsAreNotDelayedWithoutACpu) {
  const std::string said = elsewhere([&] {
    hide_device("fuse");
    return reasons() + "\n" + try_it(slow_open(), FeatureProbe());
  });
  const std::string why = "cannot open /dev/fuse: No such file or directory";
  EXPECT_THAT("\n" + said, HasSubstr("\nFUSE: " + why + "\n"));  // perhaps the only one
  const std::string refused = said.substr(said.find("\n\n") + 2);
  EXPECT_THAT(refused, testing::StartsWith("syscallLatency on test/" + a_.name() + ": openat: "));
  // Linux 6.1 lacks more, and that is said first.
  if (features().has(KernelFeature::kTaskFromPid)) {
    EXPECT_THAT(refused, HasSubstr(why));
  }
  EXPECT_THAT(refused, HasSubstr("`spin: true` would hold the CPU instead"));
  EXPECT_THAT(refused, Not(HasSubstr("\n")));
  EXPECT_THAT(residue_.left(), IsEmpty());
}

// It was there when the agent looked and is gone when it is needed: nobody waits for it.
TEST_F(Missing, FuseThatIsGoneAfterTheProbeIsAnErrorAtArmingAndNobodyWaits) {
  const std::string said = elsewhere([] {
    const FeatureProbe features;
    if (!features.has(KernelFeature::kFuse)) return features.reason(KernelFeature::kFuse);
    hide_device("fuse");
    const auto waits = std::make_unique<fl_waits>();
    const auto delay = agent::PageDelay::start(*waits);
    return delay ? std::string("started") : delay.error().message;
  });
  EXPECT_THAT(said, HasSubstr("/dev/fuse: No such file or directory"));
  EXPECT_THAT(said, Not(HasSubstr("\n")));
}

TEST_F(Missing, WithoutTunLatencyTakesAnotherWayOrSaysWhy) {
  FAULTLINE_NEEDS_TC();
  const std::string said = elsewhere([&] {
    hide_device("net/tun");
    api::NetworkLatency latency;
    latency.latency = {std::chrono::milliseconds(20)};
    return try_it(latency, FeatureProbe());
  });
  EXPECT_THAT(said, Not(HasSubstr("\n")));
  if (!said.starts_with("armed by edt")) {
    EXPECT_THAT(said, HasSubstr("/dev/net/tun: No such file or directory"));
  }
  EXPECT_THAT(residue_.left(), IsEmpty());
}

// Nothing can be loaded that is not there: each feature is there or has a reason, each fault is
// armed or refused with one.
TEST_F(Missing, KernelWithoutModulesIsUsedAsItIs) {
  if (std::filesystem::exists("/proc/modules"))
    GTEST_SKIP() << "needs: a kernel without modules (CONFIG_MODULES)";
  const std::string said = elsewhere([&] {
    const FeatureProbe features;
    api::NetworkLatency latency;
    latency.latency = {std::chrono::milliseconds(20)};
    api::NetworkLoss loss;
    loss.loss = {0.5};
    std::string lines;
    for (const api::FaultSpec& spec : std::initializer_list<api::FaultSpec>{
             latency, loss, no_socket(), no_open(), slow_open()}) {
      const api::FaultSupport support =
          agent::find_fault(api::Fault{spec}.name())->support(features);
      const std::string armed = try_it(spec, features);
      if (armed.find('\n') != std::string::npos) lines += "more than a line: " + armed + "\n";
      if (!support.supported && (support.reason.empty() || armed.starts_with("armed")))
        lines += support.fault + " is said to be missing: " + support.reason + "\n";
    }
    return lines + try_it(no_socket(), features);
  });
  EXPECT_EQ(said, "armed by cgroup");
  EXPECT_THAT(residue_.left(), IsEmpty());
}

}  // namespace
}  // namespace faultline::test
