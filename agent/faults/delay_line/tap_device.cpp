// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/delay_line/tap_device.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

// Linux 6.2; not in Debian 12's headers.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

namespace faultline::agent {
namespace {

constexpr unsigned kBasicOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

// One rtnetlink request built in place; attributes must fit.
class Request {
 public:
  Request(std::uint16_t type, std::uint16_t flags) {
    head()->nlmsg_type = type;
    head()->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    head()->nlmsg_len = NLMSG_HDRLEN;
  }
  template <class T>
  void body(const T& value) {
    std::memcpy(end(), &value, sizeof(value));
    head()->nlmsg_len += static_cast<std::uint32_t>(NLMSG_ALIGN(sizeof(value)));
  }
  rtattr* attribute(std::uint16_t type, const void* data, std::size_t size) {
    auto* attr = reinterpret_cast<rtattr*>(end());
    attr->rta_type = type;
    attr->rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
    if (size) std::memcpy(RTA_DATA(attr), data, size);
    head()->nlmsg_len += static_cast<std::uint32_t>(RTA_ALIGN(attr->rta_len));
    return attr;
  }
  rtattr* nest(std::uint16_t type) {
    return attribute(static_cast<std::uint16_t>(type | NLA_F_NESTED), nullptr, 0);
  }
  void close(rtattr* attr) {
    attr->rta_len = static_cast<std::uint16_t>(end() - reinterpret_cast<std::byte*>(attr));
  }
  nlmsghdr* head() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }

 private:
  std::byte* end() { return bytes_.data() + head()->nlmsg_len; }
  alignas(nlmsghdr) std::array<std::byte, 256> bytes_{};
};

// NLMSG_DATA, without its cast.
std::byte* payload(nlmsghdr* head) { return reinterpret_cast<std::byte*>(head) + NLMSG_HDRLEN; }

// Sends and gives the answer to `handle(nlmsghdr*)`; an error answer is the error.
template <class F>
Result<> talk(int netlink, Request& request, std::string_view what, F&& handle) {
  if (::send(netlink, request.head(), request.head()->nlmsg_len, 0) < 0)
    return fail(from_errno(errno, what));
  alignas(nlmsghdr) std::array<std::byte, 8192> answer;
  const ssize_t size = ::recv(netlink, answer.data(), answer.size(), 0);
  if (size < 0) return fail(from_errno(errno, what));
  auto* head = reinterpret_cast<nlmsghdr*>(answer.data());
  if (!NLMSG_OK(head, static_cast<std::size_t>(size)))
    return fail(Errc::kInternal, std::string(what) + ": short answer");
  if (head->nlmsg_type == NLMSG_ERROR) {
    const int error = reinterpret_cast<nlmsgerr*>(payload(head))->error;
    if (error) return fail(from_libbpf(error, what));
    return {};
  }
  handle(head);
  return {};
}

}  // namespace

Result<TapDevice> TapDevice::create(std::uint32_t queue_packets) {
  TapDevice tap;
  tap.fd_ = Fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tap.fd_.valid()) return fail(from_errno(errno, "open /dev/net/tun"));
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  std::strcpy(request.ifr_name, "fl-d%d");
  if (::ioctl(tap.fd_.get(), TUNSETIFF, &request))
    return fail(from_errno(errno, "make a TAP device"));
  tap.name_ = request.ifr_name;
  tap.netlink_ = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!tap.netlink_.valid()) return fail(from_errno(errno, "open rtnetlink"));
  auto done = tap.configure(queue_packets);
  if (!done) return fail(done.error().with_context(tap.name_));
  return tap;
}

Result<> TapDevice::configure(std::uint32_t queue_packets) {
  int header = kVnetHeader;
  if (::ioctl(fd_.get(), TUNSETVNETHDRSZ, &header))
    return fail(from_errno(errno, "TUNSETVNETHDRSZ"));
  if (::ioctl(fd_.get(), TUNSETOFFLOAD, kBasicOffloads | TUN_F_USO4 | TUN_F_USO6) &&
      ::ioctl(fd_.get(), TUNSETOFFLOAD, kBasicOffloads))
    return fail(from_errno(errno, "TUNSETOFFLOAD"));
  ifreq request{};
  name_.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
  if (::ioctl(netlink_.get(), SIOCGIFINDEX, &request))
    return fail(from_errno(errno, "SIOCGIFINDEX"));
  index_ = static_cast<std::uint32_t>(request.ifr_ifindex);

  // No qdisc: the TAP's own ring is the queue, and a packet sent while it is down is nobody's.
  Request qdisc(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  tcmsg tc{};
  tc.tcm_family = AF_UNSPEC;
  tc.tcm_ifindex = request.ifr_ifindex;
  tc.tcm_parent = TC_H_ROOT;
  qdisc.body(tc);
  qdisc.attribute(TCA_KIND, "noqueue", sizeof("noqueue"));
  // A kernel that will not is one lock a packet slower, no more.
  if (auto done = talk(netlink_.get(), qdisc, "noqueue", [](nlmsghdr*) {}); !done)
    spdlog::debug("{}: {}", name_, done.error().message);

  // One message: no address of its own, room for any packet of the pod, and a long ring.
  Request link(RTM_NEWLINK, NLM_F_ACK);
  ifinfomsg info{};
  info.ifi_family = AF_UNSPEC;
  info.ifi_index = request.ifr_ifindex;
  info.ifi_flags = IFF_NOARP;
  info.ifi_change = IFF_NOARP | IFF_MULTICAST;
  link.body(info);
  link.attribute(IFLA_TXQLEN, &queue_packets, sizeof(queue_packets));
  const std::uint32_t mtu = 65000;
  link.attribute(IFLA_MTU, &mtu, sizeof(mtu));
  rtattr* families = link.nest(IFLA_AF_SPEC);
  rtattr* inet6 = link.nest(AF_INET6);
  const std::uint8_t none = IN6_ADDR_GEN_MODE_NONE;
  link.attribute(IFLA_INET6_ADDR_GEN_MODE, &none, sizeof(none));
  link.close(inet6);
  link.close(families);
  return talk(netlink_.get(), link, "set it up", [](nlmsghdr*) {});
}

Result<> TapDevice::open(TcMeans means, int back) {
  auto netlink = Netlink::open();
  if (!netlink) return fail(netlink.error());
  auto link = attach_to_own(*netlink, means, back, IfIndex{index_});
  if (!link) return fail(link.error().with_context(name_));
  back_ = std::move(*link);
  back_.move_up();
  return netlink->set_up(IfIndex{index_});
}

Result<std::uint64_t> TapDevice::dropped() const {
  Request request(RTM_GETSTATS, 0);
  if_stats_msg body{};
  body.family = AF_UNSPEC;
  body.ifindex = index_;
  body.filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
  request.body(body);
  std::uint64_t dropped = 0;
  bool found = false;
  auto done = talk(netlink_.get(), request, name_ + ": statistics", [&](nlmsghdr* head) {
    int left = static_cast<int>(head->nlmsg_len - NLMSG_LENGTH(sizeof(if_stats_msg)));
    auto* attr = reinterpret_cast<rtattr*>(payload(head) + NLMSG_ALIGN(sizeof(if_stats_msg)));
    for (; RTA_OK(attr, left); attr = RTA_NEXT(attr, left)) {
      if (attr->rta_type != IFLA_STATS_LINK_64) continue;
      rtnl_link_stats64 stats{};
      std::memcpy(&stats, RTA_DATA(attr), std::min(sizeof(stats), RTA_PAYLOAD(attr)));
      dropped = stats.tx_dropped;
      found = true;
    }
  });
  if (!done) return fail(done.error());
  if (!found) return fail(Errc::kInternal, name_ + ": no statistics in the kernel's answer");
  return dropped;
}

}  // namespace faultline::agent
