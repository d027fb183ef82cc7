// SPDX-License-Identifier: Apache-2.0
// A small rtnetlink client: what a pod's interfaces are, where their other ends are, and the few
// settings our own devices need. A raw socket instead of libmnl or libnl: five requests and one
// attribute walk do not carry a dependency.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/kernel/fd.h"
#include "agent/kernel/ids.h"
#include "base/result.h"

namespace faultline::agent {

struct LinkInfo {
  std::string name;
  IfIndex index{};
  IfIndex peer{};  // IFLA_LINK: of a veth its other end, of a VLAN its parent; 0: none
  std::optional<int> peer_nsid;  // IFLA_LINK_NETNSID: in which namespace; empty: in this one
  std::string kind;         // "veth", "bridge", "tun" ...; empty for a device without kind (lo)
  std::uint32_t flags = 0;  // IFF_*
  std::uint32_t mtu = 0;
  bool ethernet = true;  // ARPHRD_ETHER; a tun device has packets without a header
  std::uint32_t tx_queue_length = 0;
};

struct AddressInfo {
  IfIndex index{};
  std::string address;  // "10.0.0.2", "fd00::2"
  int prefix = 0;
  bool link_local = false;  // 169.254/16, fe80::/10
};

enum class TcHook { kIngress, kEgress };

// A filter of kind bpf, protocol all, at one side of a clsact qdisc.
struct TcFilter {
  IfIndex device{};
  TcHook hook{};
  std::uint16_t pref = 0;    // lower comes first
  std::uint32_t handle = 0;  // within its pref, chosen by who adds it; not 0
};

// Talks to the network namespace that the opening thread was in. Used from one thread at a time.
// Errors of all: what the kernel answered; kNotFound for no such device.
class Netlink {
 public:
  static Result<Netlink> open();

  Result<std::vector<LinkInfo>> links();
  Result<LinkInfo> link(IfIndex index);
  Result<LinkInfo> link(const std::string& name);
  Result<std::vector<AddressInfo>> addresses();
  // Devices that a default route of any table, IPv4 or IPv6, leads to.
  Result<std::set<IfIndex>> default_route_devices();
  // The number by which this namespace knows the one that `netns_fd` is open on; empty: it has
  // none.
  Result<std::optional<int>> nsid(int netns_fd);

  Result<> set_up(IfIndex index, bool up = true);
  Result<> set_mtu(IfIndex index, std::uint32_t mtu);
  Result<> set_tx_queue_length(IfIndex index, std::uint32_t packets);
  // Puts a qdisc of that kind ("fq") with its defaults at the root of the device. Errors: kNotFound
  // when the kernel has none of that kind.
  Result<> set_root_qdisc(IfIndex index, const std::string& kind);
  // fq with room for `packets`, all of which may be of one flow; `queue_mask`: the bits of a
  // packet's hash that choose its queue, where no socket does.
  Result<> set_root_fq(IfIndex index, std::uint32_t packets, std::uint32_t queue_mask);
  // "clsact", "ingress", or empty when the device has neither.
  Result<std::string> ingress_qdisc(IfIndex index);
  Result<> add_clsact(IfIndex index);
  Result<> remove_clsact(IfIndex index);  // with all its filters
  // Direct action, first of its pref. `name` is for people. Errors: EEXIST when the handle is
  // taken, EINVAL when the pref is by filters of another kind or protocol.
  Result<> add_filter(const TcFilter& filter, int program_fd, const std::string& name);
  // The id of its program. Errors: kNotFound for no such filter.
  Result<std::uint32_t> filter_program(const TcFilter& filter);
  Result<> remove_filter(const TcFilter& filter);
  // Of any kind, on either side of the device's clsact.
  Result<bool> has_filters(IfIndex index);
  // The kernel cuts GSO packets before it hands them to the device, whatever the device could do.
  Result<> take_no_gso(IfIndex index);
  // Up, and not talking of its own accord: no ARP, no multicast, no address.
  Result<> set_up_quietly(IfIndex index, std::uint32_t mtu);
  // A veth pair, `name` here and `peer_name` in the namespace that `netns_fd` is open on; both
  // down.
  Result<> add_veth(const std::string& name, const std::string& peer_name, int netns_fd);
  Result<> remove(IfIndex index);

 private:
  explicit Netlink(Fd socket) : socket_(std::move(socket)) {}
  class Request;
  // Sends, and calls `each(header)` for every message of the answer.
  template <class F>
  Result<> exchange(Request& request, F each);
  Result<> change(Request& request, const std::string& what);
  Result<LinkInfo> link_of(Request& request, const std::string& what);

  Fd socket_;
  std::uint32_t sequence_ = 0;
};

}  // namespace faultline::agent
