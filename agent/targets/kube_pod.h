// SPDX-License-Identifier: Apache-2.0
// A core/v1 Pod as far as an agent needs it: what the API server says of a pod of this node.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/targets/pod.h"
#include "base/clock.h"
#include "base/result.h"

namespace faultline::agent {

struct KubeContainer {
  // kSidecar: an init container with restartPolicy Always, which runs beside the regular ones.
  enum class Kind : std::uint8_t { kInit, kSidecar, kRegular, kEphemeral };
  enum class State : std::uint8_t { kWaiting, kRunning, kTerminated };
  std::string name;
  std::string id;  // 64 hexadecimal digits, without the runtime before them; empty: not made yet
  Kind kind = Kind::kRegular;
  State state = State::kWaiting;
  std::string reason;  // of waiting or having ended: "CrashLoopBackOff"; may be empty
  std::int64_t restarts = 0;
  std::optional<UtcTime> started_at;  // only while it runs
};

struct KubePod {
  std::string namespace_, name, uid;
  std::string node;  // empty: not scheduled
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;  // those of Faultline: faultline.dev/...
  std::string phase;                               // Pending, Running, Succeeded, Failed, Unknown
  std::string qos_class;                           // Guaranteed, Burstable, BestEffort, or empty
  bool deleted = false;                            // has a deletionTimestamp: is ending
  bool host_network = false;
  bool ready = false;  // condition Ready
  std::vector<std::string> ips;
  std::optional<PodOwner> owner;  // its controller, of metadata.ownerReferences
  // Of a static pod, whose object in the API is only a mirror: 32 hexadecimal digits, by which the
  // kubelet names its cgroups instead of by the uid. Empty: not static.
  std::string config_hash;
  std::vector<KubeContainer> containers;  // as in the spec: init, regular, ephemeral

  [[nodiscard]] std::string id() const { return namespace_ + "/" + name; }
  // What the kubelet names the cgroups of the pod by.
  [[nodiscard]] const std::string& cgroup_uid() const {
    return config_hash.empty() ? uid : config_hash;
  }
};

// The object comes from the network. Must be there: metadata.name, .namespace and .uid, which must
// look like such; the rest may be missing (or null), but not be of another type. Keys that are not
// read may hold anything. Errors: kInvalid, one line: "pod shop/a: status.phase: expected a string,
// got an array".
Result<KubePod> parse_kube_pod(const boost::json::object& pod);

// The workload that people know: "Deployment/payments" of a pod of ReplicaSet payments-5c9f (whose
// hash is the pod's label pod-template-hash), else its controller, "StatefulSet/db". Empty: none.
[[nodiscard]] std::string workload_of(const KubePod& pod);

}  // namespace faultline::agent
