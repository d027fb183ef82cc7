// SPDX-License-Identifier: Apache-2.0
#include "agent/targets/resolve.h"

#include <net/if.h>

#include <algorithm>
#include <set>
#include <utility>

#include "agent/kernel/cgroup2.h"
#include "agent/kernel/netns.h"

namespace faultline::agent {
namespace {

struct Inside {
  std::vector<LinkInfo> links;
  std::vector<AddressInfo> addresses;
  std::set<IfIndex> default_routes;
};

Result<Inside> look_inside(const std::string& netns_path) {
  // The socket belongs to the namespace it is opened in; the thread need not stay there.
  auto netlink = [&]() -> Result<Netlink> {
    const auto inside = ScopedNetns::enter(netns_path);
    if (!inside) return fail(inside.error());
    return Netlink::open();
  }();
  if (!netlink) return fail(netlink.error());
  auto links = netlink->links();
  if (!links) return fail(links.error());
  auto addresses = netlink->addresses();
  if (!addresses) return fail(addresses.error());
  auto routes = netlink->default_route_devices();
  if (!routes) return fail(routes.error());
  return Inside{std::move(*links), std::move(*addresses), std::move(*routes)};
}

// Devices that come in pairs, one end in the pod and one on the node. Both have the other end in
// IFLA_LINK and its namespace in IFLA_LINK_NETNSID.
bool is_pair(const LinkInfo& link) { return link.kind == "veth" || link.kind == "netkit"; }

// The device of the host that is the other end of `inside`, a device of the namespace that the host
// numbers `pod_nsid`.
Result<std::optional<LinkInfo>> host_peer(const LinkInfo& inside, std::optional<int> pod_nsid,
                                          Netlink& host) {
  if (!is_pair(inside) || inside.peer == IfIndex{} || !inside.peer_nsid || !pod_nsid)
    return std::optional<LinkInfo>{};
  auto peer = host.link(inside.peer);
  if (!peer && peer.error().code == Errc::kNotFound) return std::optional<LinkInfo>{};
  if (!peer) return fail(peer.error());
  if (peer->kind != inside.kind || peer->peer != inside.index || peer->peer_nsid != pod_nsid)
    return std::optional<LinkInfo>{};
  return std::optional(std::move(*peer));
}

}  // namespace

Result<Pod> resolve_pod(const api::PodRef& ref, const std::string& cgroup_path,
                        const std::string& netns_path, Netlink& host, const DeviceWish& wish) {
  Pod pod;
  pod.ref = ref;
  pod.cgroup_path = cgroup_path;
  pod.netns_path = netns_path;
  const auto cgroup = cgroup_id(cgroup_path);
  if (!cgroup) return fail(cgroup.error());
  pod.cgroup = *cgroup;
  const auto netns = netns_id(netns_path);
  if (!netns) return fail(netns.error());
  pod.netns = *netns;
  const auto own = netns_id("/proc/thread-self/ns/net");
  if (!own) return fail(own.error());
  if (*own == *netns) return pod;

  const auto fd = open_netns(netns_path);
  if (!fd) return fail(fd.error());
  const auto nsid = host.nsid(fd->get());
  if (!nsid) return fail(nsid.error());
  auto inside = look_inside(netns_path);
  if (!inside) return fail(inside.error());
  std::vector<IfIndex> loopbacks;
  std::vector<FoundDevice> found;
  for (const LinkInfo& link : inside->links) {
    if ((link.flags & IFF_LOOPBACK) != 0) {
      loopbacks.push_back(link.index);
      continue;
    }
    // Tunnel devices that every namespace is born with (sit0, tunl0 ...) are down and carry
    // nothing.
    if ((link.flags & IFF_UP) == 0 && !is_pair(link)) continue;
    FoundDevice device{.device = {.name = link.name,
                                  .pod_index = link.index,
                                  .kind = link.kind,
                                  .ethernet = link.ethernet},
                       .default_route = inside->default_routes.contains(link.index)};
    const auto peer = host_peer(link, *nsid, host);
    if (!peer) return fail(peer.error());
    if (*peer) {
      device.device.host_index = (*peer)->index;
      device.device.host_name = (*peer)->name;
    }
    for (const AddressInfo& a : inside->addresses)
      if (a.index == link.index) device.addresses.push_back(a.address);
    found.push_back(std::move(device));
  }
  place_devices(found, wish, pod);
  for (const AddressInfo& a : inside->addresses)
    if (!a.link_local && std::ranges::find(loopbacks, a.index) == loopbacks.end())
      pod.addresses.push_back(a.address);
  std::ranges::stable_sort(pod.addresses, {},
                           [](const std::string& a) { return a.find(':') != std::string::npos; });
  return pod;
}

Result<> add_container(Pod& pod, const std::string& name, const std::string& cgroup_path) {
  const auto cgroup = cgroup_id(cgroup_path);
  if (!cgroup) return fail(cgroup.error());
  const auto at = std::ranges::lower_bound(pod.containers, name, {}, &Container::name);
  const auto place = at - pod.containers.begin();
  pod.containers.insert(at, {name, cgroup_path, *cgroup});
  pod.ref.containers.insert(pod.ref.containers.begin() + place, name);
  return {};
}

}  // namespace faultline::agent
