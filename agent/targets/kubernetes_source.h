// SPDX-License-Identifier: Apache-2.0
// The pods of a node of a cluster: the API server says which, the node's cgroups say where.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/kernel/netlink.h"
#include "agent/targets/kube_pod.h"
#include "agent/targets/pod_places.h"
#include "agent/targets/target_source.h"
#include "base/clock.h"

namespace faultline::agent {

// Somebody else watches the API server and tells us by replace(), upsert() and remove(), which only
// take note: poll() looks. While the API server is away nobody tells us anything, and the pods that
// are known stay known, as long as they are on the node. Which pods count: docs/kubernetes.md.
class KubernetesSource final : public TargetSource {
 public:
  // `node`: pods of other nodes are left out. `roots.cgroup2` empty: where this process sees the
  // node's. `clock` outlives the source. Errors: kNotFound without cgroup2 or /proc.
  static Result<KubernetesSource> open(std::string node, NodeRoots roots, const Clock& clock);

  void replace(std::vector<KubePod> pods);  // after a list: those that are not in it are gone
  void upsert(KubePod pod);  // another uid under a known name: the one before is gone
  void remove(const std::string& namespace_, const std::string& name);

  [[nodiscard]] const std::vector<Pod>& pods() const override { return pods_; }
  [[nodiscard]] const std::vector<MissingPod>& missing() const override { return missing_; }
  // Errors: the cgroup tree cannot be read.
  Result<bool> poll() override;

 private:
  struct Known {
    KubePod object;
    std::string directory;  // of the pod, while `process` is set
    std::vector<ContainerPlace> containers;
    std::optional<PodProcess> process;
    std::optional<Pod> pod;  // as it was found last
    unsigned looks = 0;      // since its interfaces were read
    std::optional<SteadyTime> away_since;
  };

  KubernetesSource(std::string node, NodeRoots roots, const Clock& clock, NetnsId node_netns,
                   Netlink host)
      : node_(std::move(node)),
        roots_(std::move(roots)),
        clock_(&clock),
        node_netns_(node_netns),
        host_(std::move(host)),
        places_(roots_.cgroup2) {}

  Result<> locate(Known& known) const;
  Result<Pod> find(Known& known);
  void look_in_proc(const std::set<std::string>& lost);
  [[nodiscard]] std::string why_not_found(const Known& known) const;
  [[nodiscard]] api::PodRef ref(const KubePod& pod) const;
  MissingPod away(Known& known, const Error& error);

  std::string node_;
  NodeRoots roots_;
  const Clock* clock_;
  NetnsId node_netns_{};
  Netlink host_;
  PodPlaces places_;
  std::map<std::string, Known> known_;         // by namespace/name
  std::map<std::string, Sighting> sightings_;  // of pods that have no directory
  std::set<std::string> sought_;               // those that sightings_ is about
  std::optional<SteadyTime> sighted_;
  std::vector<Pod> pods_;
  std::vector<MissingPod> missing_;
};

}  // namespace faultline::agent
