// SPDX-License-Identifier: Apache-2.0
// What a kernel test needs of its kernel. Where it is missing the test is skipped with the kernel's
// own reason; tests/vm shows that another kernel runs it.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "agent/kernel/feature_probe.h"

namespace faultline::testbed {

// Of this kernel; each feature is tried once.
inline const agent::FeatureProbe& features() {
  static const agent::FeatureProbe probe;
  return probe;
}

// "needs: BPF LSM (cannot load an LSM program: Operation not permitted)"; empty where it is there.
inline std::string missing(agent::KernelFeature feature) {
  if (features().has(feature)) return {};
  return "needs: " + features().name(feature) + " (" + features().reason(feature) + ")";
}

// As missing(), for programs on a device's packets: by tcx links or by clsact filters.
inline std::string missing_tc() {
  const std::string tcx = missing(agent::KernelFeature::kTcx);
  const std::string clsact = missing(agent::KernelFeature::kClsact);
  return tcx.empty() || clsact.empty() ? std::string() : tcx + "; or " + clsact.substr(7);
}

}  // namespace faultline::testbed

// In a test or SetUp(): returns from it.
#define FAULTLINE_NEEDS(feature)                                                  \
  if (const std::string why = faultline::testbed::missing(feature); !why.empty()) \
  GTEST_SKIP() << why

#define FAULTLINE_NEEDS_TC() \
  if (const std::string why = faultline::testbed::missing_tc(); !why.empty()) GTEST_SKIP() << why
