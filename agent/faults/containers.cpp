// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "agent/faults/parts.h"
#include "fault_abi.h"

namespace faultline::agent {
namespace {

// Of one container: the same on every machine, and no two the same.
std::uint64_t seed_of(std::uint64_t seed, std::string_view container) {
  for (const char c : container) seed = fl_splitmix64(seed ^ static_cast<unsigned char>(c));
  return seed == 0 ? 1 : seed;
}

}  // namespace

Result<std::unique_ptr<ArmedFault>> arm_in_containers(const FaultType& type,
                                                      const api::Fault& fault, const Pod& pod,
                                                      const std::vector<Container>& containers,
                                                      const ArmContext& context) {
  if (!type.by_container || containers.empty())
    return fail(Errc::kInternal,
                std::string(type.name) + " was given containers that it cannot hit");
  auto all = std::make_unique<ArmedParts>();
  for (const Container& container : containers) {
    ArmContext own = context;
    own.seed = seed_of(context.seed, container.name);
    auto armed = type.arm(fault, held_to(pod, container), own);
    if (!armed) return fail(armed.error().with_context("container " + container.name));
    all->add("container " + container.name, std::move(*armed));
  }
  return all;
}

}  // namespace faultline::agent
