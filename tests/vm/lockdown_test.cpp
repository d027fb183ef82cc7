// SPDX-License-Identifier: Apache-2.0
// On a kernel that was booted with lockdown=confidentiality, which nothing takes back: BPF may not
// read kernel memory. Not among the kernel tests, whose grounds are not locked down; scripts/test
// vm boots one for this.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>

#include "testbed/arm.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::KernelFeature;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kWhy = "the kernel is locked down [confidentiality]";

class Lockdown : public testing::Test {
 protected:
  void SetUp() override {
    std::ifstream in("/sys/kernel/security/lockdown");
    const std::string state(std::istreambuf_iterator<char>(in), {});
    ASSERT_THAT(state, HasSubstr("[confidentiality]")) << "boot with lockdown=confidentiality";
  }
  [[nodiscard]] std::string refusal(api::FaultSpec spec) const {
    const auto armed = try_arm(std::move(spec), a_.pod());
    return armed ? "armed by " + (*armed)->mechanism() : armed.error().message;
  }
  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"};
};

TEST_F(Lockdown, TheProbeSaysSo) {
  EXPECT_THAT(features().reason(KernelFeature::kReadKernel), HasSubstr(kWhy));
  for (const api::Feature& feature : features().probe_all()) {
    EXPECT_EQ(feature.available, feature.reason.empty()) << feature.name;
    EXPECT_THAT(feature.reason, Not(HasSubstr("\n"))) << feature.name;
    std::cout << feature.name << ": " << (feature.available ? "yes" : feature.reason) << "\n";
  }
  for (const agent::FaultType* type : agent::fault_registry()) {
    const api::FaultSupport support = type->support(features());
    EXPECT_EQ(support.supported, support.reason.empty()) << support.fault;
    std::cout << support.fault << ": " << (support.supported ? support.mechanism : support.reason)
              << "\n";
  }
}

TEST_F(Lockdown, WhatReadsKernelMemoryIsRefusedInOneLine) {
  api::SyscallError error;
  error.syscalls = {"openat"};
  error.errno_ = {EIO};
  api::SyscallLatency latency;
  latency.syscalls = {"openat"};
  latency.latency = {std::chrono::milliseconds(1)};
  api::SocketError listens;
  listens.operations = {api::SocketOperation::listen};
  listens.errno_ = {EADDRINUSE};
  for (const api::FaultSpec& spec : std::initializer_list<api::FaultSpec>{error, latency, listens})
    EXPECT_THAT(refusal(spec), AllOf(HasSubstr(kWhy), Not(HasSubstr("\n"))));
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(Lockdown, WhatDoesNotWorksAsEver) {
  api::SocketError connects;
  connects.operations = {api::SocketOperation::socket};
  connects.errno_ = {ENOBUFS};
  const auto fault = arm(connects, a_.pod());
  EXPECT_EQ(fault->mechanism(), "cgroup");
  EXPECT_EQ(a_.run([] { return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0; }), ENOBUFS);
  api::NetworkLoss loss;
  loss.loss = {0.5};
  EXPECT_THAT(refusal(loss), testing::StartsWith("armed by "));
}

}  // namespace
}  // namespace faultline::test
