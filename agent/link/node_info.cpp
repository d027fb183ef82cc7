// SPDX-License-Identifier: Apache-2.0
#include "agent/link/node_info.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <utility>

namespace faultline::agent {

api::NodeInfo node_info(std::string name, std::string version, const FeatureProbe& features,
                        std::span<const FaultType* const> faults) {
  api::NodeInfo info;
  info.name = std::move(name);
  info.agentVersion = std::move(version);
  utsname system{};
  if (uname(&system) == 0) {
    info.kernel = system.release;
    info.arch = system.machine;
  }
  info.cpus = sysconf(_SC_NPROCESSORS_ONLN);
  info.features = features.probe_all();
  for (const FaultType* type : faults) {
    api::FaultSupport support = type->support(features);
    support.fault = type->name;
    info.faults.push_back(std::move(support));
  }
  return info;
}

}  // namespace faultline::agent
