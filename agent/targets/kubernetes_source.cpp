// SPDX-License-Identifier: Apache-2.0
#include "agent/targets/kubernetes_source.h"

#include <algorithm>
#include <utility>

#include "agent/kernel/cgroup2.h"
#include "agent/targets/resolve.h"
#include "api/policy.h"

namespace faultline::agent {
namespace {

using std::chrono::seconds;

// A pod that runs by the API's word and has no process: mostly it is restarting.
constexpr seconds kAwaited{30};
// Reading all of /proc to say why a pod is not found.
constexpr seconds kSightEvery{10};
// A pod in the same cgroup and namespace: its interfaces and addresses are read so seldom. Where
// its place changed they are read at once.
constexpr unsigned kReadEvery = 8;

std::set<std::string> named_ids(const KubePod& pod) {
  std::set<std::string> ids;
  for (const KubeContainer& c : pod.containers)
    if (!c.id.empty()) ids.insert(c.id);
  return ids;
}

// Why the API's object alone says that there is nothing to hit; empty: look for it.
std::string why_away(const KubePod& pod) {
  if (pod.phase == "Succeeded" || pod.phase == "Failed")
    return "it has completed (" + pod.phase + ")";
  if (pod.host_network)
    return "it runs in the node's own network namespace: a fault there would hit the whole node";
  if (pod.phase == "Running" || pod.phase == "Unknown") return {};
  std::string why = "it does not run yet (" + (pod.phase.empty() ? "Pending" : pod.phase) + ")";
  for (const KubeContainer& c : pod.containers) {
    const bool init = c.kind == KubeContainer::Kind::kInit;
    if (init && c.state == KubeContainer::State::kRunning)
      return why + ": init container " + c.name + " runs";
    if (c.state == KubeContainer::State::kWaiting && !c.reason.empty())
      return why + ": container " + c.name + " waits (" + c.reason + ")";
  }
  return why;
}

// The containers that run, under the names that the API has for them.
Result<> add_named(Pod& pod, const KubePod& object, const std::vector<ContainerPlace>& places) {
  for (const KubeContainer& c : object.containers) {
    const auto at = std::ranges::lower_bound(places, c.id, {}, &ContainerPlace::id);
    if (c.id.empty() || at == places.end() || at->id != c.id) continue;
    if (auto added = add_container(pod, c.name, at->path);
        !added && added.error().code != Errc::kNotFound)
      return added;  // one that has just ended is not there; anything else is told
  }
  return {};
}

}  // namespace

Result<KubernetesSource> KubernetesSource::open(std::string node, NodeRoots roots,
                                                const Clock& clock) {
  if (roots.cgroup2.empty()) {
    auto mount = find_cgroup2_mount();
    if (!mount) return fail(mount.error());
    roots.cgroup2 = std::move(*mount);
  }
  const auto netns = node_netns(roots);
  if (!netns) return fail(netns.error());
  auto host = Netlink::open();
  if (!host) return fail(host.error());
  return KubernetesSource(std::move(node), std::move(roots), clock, *netns, std::move(*host));
}

void KubernetesSource::replace(std::vector<KubePod> pods) {
  std::set<std::string> listed;
  for (KubePod& pod : pods) {
    listed.insert(pod.id());
    upsert(std::move(pod));
  }
  std::erase_if(known_, [&](const auto& entry) { return !listed.contains(entry.first); });
}

void KubernetesSource::upsert(KubePod pod) {
  if (pod.node != node_) return remove(pod.namespace_, pod.name);
  Known& known = known_[pod.id()];
  if (known.object.uid != pod.uid) known = Known{};
  known.object = std::move(pod);
}

void KubernetesSource::remove(const std::string& namespace_, const std::string& name) {
  known_.erase(namespace_ + "/" + name);
}

api::PodRef KubernetesSource::ref(const KubePod& pod) const {
  api::PodRef ref{pod.namespace_, pod.name, node_, pod.labels};
  ref.workload = workload_of(pod);
  ref.ready = pod.ready;
  const auto marked = pod.annotations.find(std::string(api::kProtectedPod));
  ref.isProtected = marked != pod.annotations.end() && marked->second == "true";
  return ref;
}

// Where it was, as long as that holds; else by the last scan.
Result<> KubernetesSource::locate(Known& known) const {
  const auto before =
      known.process ? std::optional(known.process->netns) : std::optional<NetnsId>();
  std::set<std::string> directories = places_.of(known.object.cgroup_uid());
  const bool same = known.process && still_there(roots_, *known.process);
  if (same) directories = {known.directory};
  const std::set<std::string> named = named_ids(known.object);
  Error why{Errc::kNotFound, "no process of it was found", 0};
  known.containers.clear();
  for (const std::string& directory : directories) {
    auto containers = containers_of(directory);
    if (!containers) continue;  // gone since
    // Whoever may make a pod may write the annotations that make it the mirror of a static pod, but
    // not its status.
    if (!known.object.config_hash.empty() &&
        std::ranges::none_of(*containers, [&](const auto& c) { return named.contains(c.id); })) {
      why.message =
          "it is the mirror of a static pod, and none of its containers is in " + directory;
      continue;
    }
    auto process = same ? Result<PodProcess>(*known.process)
                        : pick_process(roots_, *containers, named, node_netns_, before);
    if (!process) {
      why = process.error();
      continue;
    }
    known.directory = directory;
    known.containers = std::move(*containers);
    known.process = std::move(*process);
    return {};
  }
  known.process.reset();
  return fail(std::move(why));
}

Result<Pod> KubernetesSource::find(Known& known) {
  if (auto located = locate(known); !located) return fail(located.error());
  const PodProcess& process = *known.process;
  if (process.netns == node_netns_)
    return fail(Errc::kDenied,
                "its processes are in the node's own network namespace: a fault there would hit "
                "the whole node");
  const std::string netns_path = roots_.proc + "/" + std::to_string(process.pid) + "/ns/net";
  const auto cgroup = cgroup_id(known.directory);
  if (!cgroup) return fail(cgroup.error());
  Pod pod;
  const bool same = known.pod && known.pod->cgroup == *cgroup && known.pod->netns == process.netns;
  if (same && !known.pod->interfaces.empty() && ++known.looks % kReadEvery != 0) {
    pod = *known.pod;
    pod.ref = ref(known.object);
    pod.cgroup_path = known.directory;
    pod.netns_path = netns_path;
    pod.containers.clear();
  } else {
    auto resolved = resolve_pod(ref(known.object), known.directory, netns_path, host_,
                                {.addresses = known.object.ips});
    // The path named that process's namespace all the time if it did before and does now.
    if (!still_there(roots_, process) || (resolved && resolved->netns != process.netns))
      return fail(Errc::kNotFound, "its processes changed while they were looked at");
    if (!resolved) return fail(resolved.error());
    pod = std::move(*resolved);
  }
  pod.uid = known.object.uid;
  pod.owner = known.object.owner;
  pod.ready = known.object.ready;
  if (auto added = add_named(pod, known.object, known.containers); !added)
    return fail(added.error());
  return pod;
}

void KubernetesSource::look_in_proc(const std::set<std::string>& lost) {
  if (lost == sought_ && sighted_ && clock_->steady() - *sighted_ < kSightEvery) return;
  sightings_ = sight(roots_, lost);
  sought_ = lost;
  sighted_ = clock_->steady();
}

std::string KubernetesSource::why_not_found(const Known& known) const {
  const std::string& uid = known.object.cgroup_uid();
  if (places_.has_stray(uid))
    return "its containers are not below its own cgroup: kubelet and container runtime use "
           "different cgroup drivers (cgroupfs, systemd), make them the same";
  const auto seen = sightings_.find(uid);
  if (seen != sightings_.end() && seen->second.v2_path.empty())
    return "it is in cgroup v1 only: the container runtime made it no cgroup in cgroup2, at " +
           roots_.cgroup2;
  if (!places_.of(uid).empty()) return {};
  if (seen == sightings_.end()) return "it has no cgroup on this node";
  return "its cgroup " + seen->second.v2_path + " is not below " + roots_.cgroup2 +
         ": the node's whole cgroup tree must be mounted there";
}

MissingPod KubernetesSource::away(Known& known, const Error& error) {
  known.pod.reset();
  if (!known.away_since) known.away_since = clock_->steady();
  std::string why = error.code == Errc::kNotFound ? why_not_found(known) : std::string();
  if (why.empty()) why = error.message;
  const bool soon = error.code == Errc::kNotFound &&
                    !places_.has_stray(known.object.cgroup_uid()) &&
                    clock_->steady() - *known.away_since < kAwaited;
  return {ref(known.object), std::move(why), "", soon};
}

Result<bool> KubernetesSource::poll() {
  std::vector<Pod> pods;
  std::vector<MissingPod> missing;
  std::vector<std::pair<Known*, Error>> lost;
  const auto look = [&](Known& known, std::vector<std::pair<Known*, Error>>& not_found) {
    auto pod = find(known);
    if (!pod) return void(not_found.emplace_back(&known, pod.error()));
    known.away_since.reset();
    known.pod = *pod;
    pods.push_back(std::move(*pod));
  };
  for (auto& [id, known] : known_) {
    std::string why = why_away(known.object);
    if (why.empty()) {
      look(known, lost);
      continue;
    }
    missing.push_back({ref(known.object), std::move(why), "", false});
    known = Known{.object = std::move(known.object)};
  }
  if (!lost.empty()) {
    // Not where they were: one walk of the tree serves all.
    if (auto scanned = places_.scan(); !scanned) return fail(scanned.error());
    std::vector<std::pair<Known*, Error>> still;
    std::set<std::string> uids;
    for (const auto& [known, error] : lost) look(*known, still);
    for (const auto& [known, error] : still) uids.insert(known->object.cgroup_uid());
    if (!still.empty()) look_in_proc(uids);
    for (const auto& [known, error] : still) missing.push_back(away(*known, error));
  }
  std::ranges::sort(pods, {}, [](const Pod& p) { return p.ref.id(); });
  std::ranges::sort(missing, {}, [](const MissingPod& p) { return p.ref.id(); });
  const bool changed = pods != pods_ || missing != missing_;
  pods_ = std::move(pods);
  missing_ = std::move(missing);
  return changed;
}

}  // namespace faultline::agent
