// SPDX-License-Identifier: Apache-2.0
// Tests of Faultline on the real cluster, where install_test.cpp has installed it as a platform
// team does, with a shop: three nginx of a Deployment, and a caller with curl.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "tests/cluster/harness.h"

namespace faultline::test {

struct ShopPod {
  std::string name, ip, node;
};

std::string experiment(const std::string& name, const std::string& spec);
// 300 ms on what one pod of `selector` sends, after 2 s of baseline.
std::string slow(const std::string& name, const std::string& fault = "5s",
                 const std::string& selector = "{labelSelectors: {app: web}}");

class Faultline : public testing::Test {
 protected:
  void TearDown() override;

  static std::vector<ShopPod> web();
  static ShopPod pod_of(const std::string& name);
  // Seconds that the caller waits for an answer of the pod; negative: there was none.
  static double felt(const std::string& ip);
  // The same from a node, which needs no API server.
  static double felt_on(const std::string& node, const std::string& ip);
  static boost::json::value status(const std::string& experiment);
  static std::string text(const boost::json::value& object, const char* key);
  static std::string phase(const std::string& experiment) {
    return text(status(experiment), "phase");
  }
  // "True Met"
  static std::string condition(const std::string& experiment, const std::string& type);
  static std::string target(const std::string& experiment);
  // Applied, and felt: the pod that is hit.
  static ShopPod injected(const std::string& name, const std::string& document);
  // Process number, on this machine, of a program (its first 15 characters) in a pod of ours.
  static pid_t process_of(const std::string& pod, const std::string& program);
  static bool over(const std::string& experiment);
  // BPF programs and devices of ours on this machine, which is both nodes.
  static std::string left();

  // Two ways of a new connection are one delay each; without a fault it is a few ms.
  static constexpr double kDelayed = 0.55, kUntouched = 0.3;  // seconds
  static inline const ExistingNamespace shop{"shop"};
};

}  // namespace faultline::test
