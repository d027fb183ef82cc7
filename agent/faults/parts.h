// SPDX-License-Identifier: Apache-2.0
// A fault that is armed in several places, or by several means, and told as one. As ArmedFault.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/faults/fault.h"

namespace faultline::agent {

class ArmedParts final : public ArmedFault {
 public:
  // At least one. `name` of the part is for errors. They go in the order in which they came.
  void add(std::string name, std::unique_ptr<ArmedFault> part);

  void renew(KtimeNs deadline) override;
  Result<> follow(const PeerSets& peers) override;            // of all, until one fails
  [[nodiscard]] Result<FaultCounters> read() const override;  // of all together
  Result<> disarm() override;                                 // of all, whatever one of them says
  [[nodiscard]] std::string mechanism() const override;       // of each, what is the same once

 private:
  struct Part {
    std::string name;
    std::unique_ptr<ArmedFault> fault;
  };
  std::vector<Part> parts_;
};

}  // namespace faultline::agent
