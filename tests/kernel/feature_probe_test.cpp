// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/feature_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iostream>

#include "testbed/emulated.h"
#include "testbed/residue.h"
#include "testbed/shell.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::KernelFeature;

std::ptrdiff_t descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

TEST(FeatureProbe, EveryFeatureHasAWordOfItsOwnAndAReasonExactlyWhenItIsMissing) {
  const agent::FeatureProbe probe;
  const auto all = probe.probe_all();
  ASSERT_EQ(all.size(), static_cast<std::size_t>(KernelFeature::kPsi) + 1);
  for (const auto& f : all) {
    EXPECT_FALSE(f.name.empty());
    EXPECT_FALSE(f.enables.empty()) << f.name;
    EXPECT_EQ(f.available, f.reason.empty()) << f.name << ": " << f.reason;
    EXPECT_EQ(f.reason.find('\n'), std::string::npos) << f.name;
    std::cout << f.name << ": " << (f.available ? "yes" : f.reason) << "\n";
  }
}

TEST(FeatureProbe, LeavesNothingAndIsQuick) {
  const ResidueCheck residue;
  const auto open_before = descriptors();
  const auto begin = std::chrono::steady_clock::now();
  const agent::FeatureProbe probe;
  (void)probe.probe_all();
  const auto took = std::chrono::steady_clock::now() - begin;
  std::cout << std::chrono::duration<double>(took).count() << " s\n";
  // Some 150 ms of it is the kernel's grace period when the two uprobes go.
  EXPECT_LT(took, std::chrono::milliseconds(testbed::emulated() ? 20000 : 1500));
  EXPECT_THAT(residue.left(), testing::IsEmpty());
  EXPECT_EQ(descriptors(), open_before);
}

// Other tools' word for the same facts.
TEST(FeatureProbe, AgreesWithWhatTheMachineShows) {
  const std::string tap = "flt" + std::to_string(getpid()) + "-tun";
  const agent::FeatureProbe probe;
  EXPECT_EQ(probe.has(KernelFeature::kBtf), std::filesystem::exists("/sys/kernel/btf/vmlinux"));
  EXPECT_EQ(probe.has(KernelFeature::kTun),
            command({"ip", "tuntap", "add", tap, "mode", "tap"}).status == 0);
  command({"ip", "link", "del", tap});
  EXPECT_EQ(probe.has(KernelFeature::kSockDiag), command({"ss", "-tn"}).status == 0);
  const bool psi = command({"cat", "/proc/pressure/cpu"}).status == 0;
  EXPECT_EQ(probe.has(KernelFeature::kPsi), psi);
}

}  // namespace
}  // namespace faultline::test
