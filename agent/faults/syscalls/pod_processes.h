// SPDX-License-Identifier: Apache-2.0
// Which processes a pod has, and how those of the container runtime among them are told. No state,
// thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "agent/targets/pod.h"
#include "base/result.h"

namespace faultline::agent {

// The processes in the pod's cgroup and below it, now; those outside of our process namespace are
// left out. Empty where none runs or the cgroup is gone.
[[nodiscard]] std::vector<pid_t> processes_of(const Pod& pod);

// The number of the node's mount namespace, which is that of process 1, for
// fl_call_config.node_mounts: what comes from there is the container runtime's and is left alone. 0
// where the pod is not made of containers: the API server knows nothing of it and none of its
// processes has another mount namespace than process 1. Errors: the namespace of process 1 cannot
// be read.
Result<std::uint32_t> node_mounts_for(const Pod& pod);

}  // namespace faultline::agent
