// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/net_filter.h"

#include <netinet/in.h>

#include <algorithm>
#include <span>
#include <string_view>

namespace faultline::agent {
namespace {

Result<> set_ports(std::string_view key, const std::vector<std::uint16_t>& ports, __u16* to,
                   __u32& count) {
  if (ports.size() > FL_MAX_PORTS)
    return fail(Errc::kInvalid, std::string(key) + ": at most " + std::to_string(FL_MAX_PORTS) +
                                    " ports, got " + std::to_string(ports.size()));
  std::ranges::copy(ports, to);
  count = static_cast<__u32>(ports.size());
  return {};
}

fl_cidr to_kernel(const api::Cidr& cidr) {
  fl_cidr out{};
  for (int i = 0; i < 16; ++i) {
    const int bits = std::clamp(cidr.prefix - i * 8, 0, 8);
    out.mask[i] = static_cast<std::uint8_t>(0xff00 >> bits);
    out.addr[i] = static_cast<std::uint8_t>(cidr.address[i] & out.mask[i]);
  }
  return out;
}

bool contains(const api::Cidr& network, const api::Cidr& host) {
  const fl_cidr n = to_kernel(network);
  for (int i = 0; i < 16; ++i)
    if ((host.address[i] & n.mask[i]) != n.addr[i]) return false;
  return true;
}

Result<std::vector<api::Cidr>> networks(const api::NetworkFilter& filter,
                                        const std::vector<std::string>& peer_addresses) {
  if (!filter.peer) return filter.cidrs;
  std::vector<api::Cidr> peers;
  for (const std::string& text : peer_addresses) {
    const auto host = api::Cidr::parse(text);
    if (!host) return fail(host.error().with_context("address of a peer"));
    const bool wanted =
        filter.cidrs.empty() || std::ranges::any_of(filter.cidrs, [&](const api::Cidr& network) {
          return contains(network, *host);
        });
    if (wanted) peers.push_back(*host);
  }
  if (peers.empty())
    return fail(Errc::kNotFound, peer_addresses.empty()
                                     ? "peer: no pod with an address matches the selector"
                                     : "peer: no address of the selected pods is within cidrs");
  return peers;
}

}  // namespace

Result<fl_net_filter> make_filter(const api::NetworkFilter& filter,
                                  const std::vector<std::string>& peer_addresses) {
  if (filter.except) return fail(Errc::kUnsupported, "except is not supported by this agent");
  fl_net_filter out{};
  switch (filter.protocol) {
    case api::Protocol::any:
      out.protocol = FL_PROTO_ANY;
      break;
    case api::Protocol::tcp:
      out.protocol = IPPROTO_TCP;
      break;
    case api::Protocol::udp:
      out.protocol = IPPROTO_UDP;
      break;
    case api::Protocol::icmp:
      out.protocol = FL_PROTO_ICMP_ANY;
      break;
  }
  if (auto r = set_ports("ports", filter.ports, out.ports, out.n_ports); !r) return fail(r.error());
  if (auto r = set_ports("podPorts", filter.podPorts, out.pod_ports, out.n_pod_ports); !r)
    return fail(r.error());
  if (auto r = set_ports("peerPorts", filter.peerPorts, out.peer_ports, out.n_peer_ports); !r)
    return fail(r.error());
  const auto cidrs = networks(filter, peer_addresses);
  if (!cidrs) return fail(cidrs.error());
  if (cidrs->size() > FL_MAX_CIDRS)
    return fail(Errc::kInvalid, std::string(filter.peer ? "peer" : "cidrs") + ": at most " +
                                    std::to_string(FL_MAX_CIDRS) + " addresses or networks, got " +
                                    std::to_string(cidrs->size()));
  for (std::size_t i = 0; i < cidrs->size(); ++i) out.cidrs[i] = to_kernel((*cidrs)[i]);
  out.n_cidrs = static_cast<__u32>(cidrs->size());
  return out;
}

}  // namespace faultline::agent
