// SPDX-License-Identifier: Apache-2.0
// Where the pods of a node are: the directories of pods and containers in the cgroup2 tree, and a
// process of each that shows its network namespace. Knows no API server. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/kernel/ids.h"
#include "base/result.h"

namespace faultline::agent {

// Where the node's file systems are seen by us, who may run in a container.
struct NodeRoots {
  std::string cgroup2;         // a mount of cgroup2 that shows the node's whole tree
  std::string proc = "/proc";  // of the node's process ids, which must be ours (hostPID)
};

struct ContainerPlace {
  std::string id;    // 64 hexadecimal digits; the sandbox ("pause") is one, too
  std::string path;  // of the cgroup2 directory
  CgroupId cgroup{};
};

// A process that shows where the network of a pod is.
struct PodProcess {
  pid_t pid = 0;
  std::string cgroup;  // directory that it is in
  NetnsId netns{};
};

// The directories of all pods, by what their cgroups are named by (KubePod::cgroup_uid).
class PodPlaces {
 public:
  explicit PodPlaces(std::string cgroup2) : root_(std::move(cgroup2)) {}
  // Walks the tree, but not into pods: their containers are asked for one by one. Errors: the root
  // cannot be read; what was known stays.
  Result<> scan();
  // As of the last scan. More than one: e.g. one is left empty by a kubelet of another driver.
  [[nodiscard]] const std::set<std::string>& of(const std::string& uid) const;
  // Is a container of the pod beside the pod's directory (PodCgroupName::container_id)?
  [[nodiscard]] bool has_stray(const std::string& uid) const { return stray_.contains(uid); }
  [[nodiscard]] std::size_t size() const { return places_.size(); }

 private:
  using Places = std::map<std::string, std::set<std::string>>;
  struct Walk;
  std::string root_;
  Places places_;
  std::set<std::string> stray_;
};

// By id. Errors: kNotFound when the directory is gone.
Result<std::vector<ContainerPlace>> containers_of(const std::string& pod_directory);

// That of PID 1; where we may not look at it, our own: a TargetSource is used in the node's.
Result<NetnsId> node_netns(const NodeRoots& roots);

// The process whose namespace is the pod's: the oldest of a container that is not among `named`
// (those that the API knows), which is the sandbox; where there is none (CRI-O goes without), the
// oldest of all. Only such in namespace `before`, if any is: a process that goes elsewhere does not
// take the pod with it. Processes in namespace `node` count last. Errors: kNotFound, no process;
// kDenied, they are hidden from us or may not be looked at.
Result<PodProcess> pick_process(const NodeRoots& roots,
                                const std::vector<ContainerPlace>& containers,
                                const std::set<std::string>& named, NetnsId node,
                                std::optional<NetnsId> before);

// Is it alive, in the same cgroup, and in the same namespace? A process that has got its number
// since, and is in another cgroup or namespace, is told from it.
bool still_there(const NodeRoots& roots, const PodProcess& process);

// What /proc says of pods that PodPlaces does not have.
struct Sighting {
  bool in_v1 = false;   // in a cgroup v1 hierarchy
  std::string v2_path;  // in cgroup2, as /proc/PID/cgroup has it
};
// One look at every process of the node. By uid; those not seen are not in it.
std::map<std::string, Sighting> sight(const NodeRoots& roots, const std::set<std::string>& uids);

}  // namespace faultline::agent
