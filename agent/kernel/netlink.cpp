// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/netlink.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/veth.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include "agent/kernel/netlink_message.h"

namespace faultline::agent {
namespace {

LinkInfo read_link(const nlmsghdr& message) {
  const auto header = header_of<ifinfomsg>(message);
  LinkInfo link;
  link.index = IfIndex{static_cast<std::uint32_t>(header.ifi_index)};
  link.flags = header.ifi_flags;
  link.ethernet = header.ifi_type == ARPHRD_ETHER;
  each_attribute<ifinfomsg>(message, [&](int type, std::span<const std::uint8_t> data) {
    if (type == IFLA_IFNAME) link.name = read_string(data);
    if (type == IFLA_LINK) link.peer = IfIndex{read_as<std::uint32_t>(data)};
    if (type == IFLA_LINK_NETNSID) link.peer_nsid = read_as<std::int32_t>(data);
    if (type == IFLA_MTU) link.mtu = read_as<std::uint32_t>(data);
    if (type == IFLA_TXQLEN) link.tx_queue_length = read_as<std::uint32_t>(data);
    if (type != IFLA_LINKINFO) return;
    for (std::size_t at = 0; at + sizeof(rtattr) <= data.size();) {
      const auto nested = read_as<rtattr>(data.subspan(at));
      if (nested.rta_len < sizeof(rtattr) || at + nested.rta_len > data.size()) return;
      if (nested.rta_type == IFLA_INFO_KIND)
        link.kind = read_string(data.subspan(at + sizeof(rtattr), nested.rta_len - sizeof(rtattr)));
      at += RTA_ALIGN(nested.rta_len);
    }
  });
  return link;
}

AddressInfo read_address(const nlmsghdr& message) {
  const auto header = header_of<ifaddrmsg>(message);
  AddressInfo info;
  info.index = IfIndex{header.ifa_index};
  info.prefix = header.ifa_prefixlen;
  info.link_local = header.ifa_scope == RT_SCOPE_LINK;
  const std::size_t size = header.ifa_family == AF_INET ? 4 : 16;
  char text[INET6_ADDRSTRLEN] = {};
  bool local = false;  // IFA_LOCAL is ours where IFA_ADDRESS is the other end (point to point)
  each_attribute<ifaddrmsg>(message, [&](int type, std::span<const std::uint8_t> data) {
    if (data.size() < size || (type != IFA_ADDRESS && type != IFA_LOCAL)) return;
    if (type == IFA_ADDRESS && local) return;
    local = type == IFA_LOCAL;
    inet_ntop(header.ifa_family, data.data(), text, sizeof text);
  });
  info.address = text;
  return info;
}

}  // namespace

Result<Netlink> Netlink::open() {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd.valid()) return fail(from_errno(errno, "cannot open a netlink socket"));
  // The kernel always answers; a bound on waiting turns a kernel bug into an error.
  const timeval limit{5, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return Netlink(std::move(fd));
}

Result<> Netlink::change(Request& request, const std::string& what) {
  auto done = exchange(request, [](const nlmsghdr&) {});
  if (!done) return fail(with_errno(done.error().sys_errno, what));
  return {};
}

Result<std::vector<LinkInfo>> Netlink::links() {
  Request request(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
  std::vector<LinkInfo> links;
  auto done = exchange(request, [&](const nlmsghdr& m) { links.push_back(read_link(m)); });
  if (!done) return fail(done.error().with_context("cannot list network devices"));
  return links;
}

Result<LinkInfo> Netlink::link_of(Request& request, const std::string& what) {
  LinkInfo link;
  auto done = exchange(request, [&](const nlmsghdr& m) { link = read_link(m); });
  if (!done) return fail(with_errno(done.error().sys_errno, "no device " + what));
  return link;
}

Result<LinkInfo> Netlink::link(IfIndex index) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(number(index));
  Request request(RTM_GETLINK, 0, header);
  return link_of(request, std::to_string(number(index)));
}

Result<LinkInfo> Netlink::link(const std::string& name) {
  Request request(RTM_GETLINK, 0, ifinfomsg{});
  request.add(IFLA_IFNAME, name);
  return link_of(request, name);
}

Result<std::vector<AddressInfo>> Netlink::addresses() {
  Request request(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
  std::vector<AddressInfo> addresses;
  auto done = exchange(request, [&](const nlmsghdr& m) { addresses.push_back(read_address(m)); });
  if (!done) return fail(done.error().with_context("cannot list addresses"));
  return addresses;
}

Result<std::set<IfIndex>> Netlink::default_route_devices() {
  std::set<IfIndex> devices;
  for (const int family : {AF_INET, AF_INET6}) {
    rtmsg header{};
    header.rtm_family = static_cast<unsigned char>(family);
    Request request(RTM_GETROUTE, NLM_F_DUMP, header);
    auto done = exchange(request, [&](const nlmsghdr& message) {
      const auto route = header_of<rtmsg>(message);
      // A kernel with IPv6 has "unreachable default" on lo.
      if (route.rtm_dst_len != 0 || route.rtm_type != RTN_UNICAST) return;
      each_attribute<rtmsg>(message, [&](int type, std::span<const std::uint8_t> data) {
        if (type == RTA_OIF) devices.insert(IfIndex{read_as<std::uint32_t>(data)});
        if (type != RTA_MULTIPATH) return;
        for (std::size_t at = 0; at + sizeof(rtnexthop) <= data.size();) {
          const auto hop = read_as<rtnexthop>(data.subspan(at));
          if (hop.rtnh_len < sizeof(rtnexthop)) return;
          devices.insert(IfIndex{static_cast<std::uint32_t>(hop.rtnh_ifindex)});
          at += RTNH_ALIGN(hop.rtnh_len);
        }
      });
    });
    if (!done) return fail(done.error().with_context("cannot list routes"));
  }
  return devices;
}

Result<std::optional<int>> Netlink::nsid(int netns_fd) {
  Request request(RTM_GETNSID, 0, rtgenmsg{});
  request.add(NETNSA_FD, static_cast<std::uint32_t>(netns_fd));
  int id = NETNSA_NSID_NOT_ASSIGNED;
  auto done = exchange(request, [&](const nlmsghdr& message) {
    each_attribute<rtgenmsg>(message, [&](int type, std::span<const std::uint8_t> data) {
      if (type == NETNSA_NSID) id = read_as<std::int32_t>(data);
    });
  });
  if (!done) return fail(done.error().with_context("cannot number a network namespace"));
  if (id == NETNSA_NSID_NOT_ASSIGNED) return std::optional<int>{};
  return std::optional(id);
}

Result<> Netlink::set_up(IfIndex index, bool up) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(number(index));
  header.ifi_flags = up ? static_cast<unsigned>(IFF_UP) : 0U;
  header.ifi_change = IFF_UP;
  Request request(RTM_NEWLINK, NLM_F_ACK, header);
  return change(request, "cannot set a device up");
}

Result<> Netlink::set_mtu(IfIndex index, std::uint32_t mtu) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(number(index));
  Request request(RTM_NEWLINK, NLM_F_ACK, header);
  request.add(IFLA_MTU, mtu);
  return change(request, "cannot set the MTU of a device");
}

Result<> Netlink::set_tx_queue_length(IfIndex index, std::uint32_t packets) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(number(index));
  Request request(RTM_NEWLINK, NLM_F_ACK, header);
  request.add(IFLA_TXQLEN, packets);
  return change(request, "cannot set the queue length of a device");
}

Result<> Netlink::set_up_quietly(IfIndex index, std::uint32_t mtu) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(number(index));
  header.ifi_flags = IFF_UP | IFF_NOARP;
  header.ifi_change = IFF_UP | IFF_NOARP | IFF_MULTICAST;
  Request request(RTM_NEWLINK, NLM_F_ACK, header);
  request.add(IFLA_MTU, mtu);
  const std::size_t families = request.nest(IFLA_AF_SPEC);
  const std::size_t inet6 = request.nest(AF_INET6);
  const std::uint8_t none = IN6_ADDR_GEN_MODE_NONE;
  request.add(IFLA_INET6_ADDR_GEN_MODE, &none, sizeof none);
  request.close(inet6);
  request.close(families);
  return change(request, "cannot set a device up");
}

Result<> Netlink::take_no_gso(IfIndex index) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(number(index));
  Request request(RTM_NEWLINK, NLM_F_ACK, header);
  request.add(IFLA_GSO_MAX_SEGS, std::uint32_t{1});
  // For those whose segments nobody has counted yet; smaller than any two of them with headers.
  request.add(IFLA_GSO_MAX_SIZE, std::uint32_t{1024});
  return change(request, "cannot set a device's gso_max_segs");
}

Result<> Netlink::add_veth(const std::string& name, const std::string& peer_name, int netns_fd) {
  Request request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  request.add(IFLA_IFNAME, name);
  const std::size_t info = request.nest(IFLA_LINKINFO);
  request.add(IFLA_INFO_KIND, "veth");
  const std::size_t data = request.nest(IFLA_INFO_DATA);
  const std::size_t peer = request.nest(VETH_INFO_PEER, ifinfomsg{});
  request.add(IFLA_IFNAME, peer_name);
  request.add(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns_fd));
  request.close(peer);
  request.close(data);
  request.close(info);
  return change(request, "cannot make a veth pair");
}

Result<> Netlink::remove(IfIndex index) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(number(index));
  Request request(RTM_DELLINK, NLM_F_ACK, header);
  return change(request, "cannot remove a device");
}

}  // namespace faultline::agent
