// SPDX-License-Identifier: Apache-2.0
// What we are compared with: a qdisc on the pod's own device, set by tc(8).
#pragma once

#include <string>
#include <vector>

#include "testbed/test_pod.h"

namespace faultline::testbed {

// Alive: the pod's device sends through it, if this kernel has it.
class RootQdisc {
 public:
  RootQdisc(const TestPod& pod, const std::vector<std::string>& words) : pod_(pod) {
    made_ = tc("add", words);
  }
  RootQdisc(const RootQdisc&) = delete;
  RootQdisc& operator=(const RootQdisc&) = delete;
  ~RootQdisc() {
    if (made_) tc("del", {});
  }
  [[nodiscard]] bool made() const { return made_; }

 private:
  bool tc(const std::string& verb, const std::vector<std::string>& what) const {
    std::vector<std::string> words{"tc",  "qdisc", verb, "dev", pod_.pod().interfaces.at(0).name,
                                   "root"};
    words.insert(words.end(), what.begin(), what.end());
    return pod_.exec(words).status == 0;
  }
  const TestPod& pod_;
  bool made_ = false;
};

}  // namespace faultline::testbed
