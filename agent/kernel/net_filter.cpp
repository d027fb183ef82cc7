// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/net_filter.h"

#include <bpf/bpf.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

namespace faultline::agent {
namespace {

using Keys = std::vector<fl_address_key>;

bool before(const fl_address_key& a, const fl_address_key& b) {
  return std::memcmp(&a, &b, sizeof a) < 0;  // there is no padding in it
}

void sort_once(Keys& keys) {
  std::ranges::sort(keys, before);
  const auto twice = std::ranges::unique(
      keys, [](const auto& a, const auto& b) { return !before(a, b) && !before(b, a); });
  keys.erase(twice.begin(), twice.end());
}

Result<> set_ports(const std::string& key, const std::vector<std::uint16_t>& ports, __u16* to,
                   __u32& count) {
  if (ports.size() > FL_MAX_PORTS)
    return fail(Errc::kInvalid, key + ": at most " + std::to_string(FL_MAX_PORTS) + " ports, got " +
                                    std::to_string(ports.size()));
  std::ranges::copy(ports, to);
  count = static_cast<__u32>(ports.size());
  return {};
}

// `T`: NetworkFilter or NetworkException, whose keys are called alike.
template <class T>
Result<> set_port_lists(const std::string& where, const T& from, fl_port_lists& to) {
  if (auto r = set_ports(where + "ports", from.ports, to.ports, to.n_ports); !r) return r;
  if (auto r = set_ports(where + "podPorts", from.podPorts, to.pod_ports, to.n_pod_ports); !r)
    return r;
  return set_ports(where + "peerPorts", from.peerPorts, to.peer_ports, to.n_peer_ports);
}

// With the bits behind the prefix cleared, so that two ways to write a network are one key.
fl_address_key to_key(const api::Cidr& cidr) {
  fl_address_key key{};
  key.prefix = static_cast<__u32>(FL_FAMILY_BITS + cidr.prefix);
  constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const bool v4 = cidr.prefix >= 96 && std::memcmp(cidr.address, kMapped, sizeof kMapped) == 0;
  key.family = v4 ? 4 : 6;
  for (int i = 0; i < 16; ++i)
    key.addr[i] = static_cast<__u8>(
        cidr.address[i] & static_cast<__u8>(0xff00 >> std::clamp(cidr.prefix - i * 8, 0, 8)));
  return key;
}

bool contains(const api::Cidr& network, const api::Cidr& host) {
  const fl_address_key n = to_key(network);
  api::Cidr part = host;
  part.prefix = network.prefix;
  fl_address_key h = to_key(part);
  h.family = to_key(host).family;  // a short prefix does not tell it
  return host.prefix >= network.prefix && !before(n, h) && !before(h, n);
}

Result<std::vector<api::Cidr>> hosts(const std::string& key,
                                     const std::vector<std::string>& addresses) {
  std::vector<api::Cidr> found;
  for (const std::string& text : addresses) {
    const auto host = api::Cidr::parse(text);
    if (!host) return fail(host.error().with_context(key + ": address of a pod"));
    found.push_back(*host);
  }
  return found;
}

Result<> within_bound(const std::string& key, const Keys& keys) {
  if (keys.size() <= FL_MAX_ADDRESSES) return {};
  return fail(Errc::kInvalid, key + ": at most " + std::to_string(FL_MAX_ADDRESSES) +
                                  " addresses, got " + std::to_string(keys.size()) +
                                  "; name networks in cidrs instead");
}

// Whose packets are meant. Empty with `peer`: nobody's.
Result<Keys> peers_of(const api::NetworkFilter& filter, const PeerSets& sets) {
  Keys keys;
  if (!filter.peer) {
    for (const api::Cidr& network : filter.cidrs) keys.push_back(to_key(network));
  } else {
    const auto found = hosts("peer", sets.only);
    if (!found) return fail(found.error());
    for (const api::Cidr& host : *found)
      if (filter.cidrs.empty() ||
          std::ranges::any_of(filter.cidrs, [&](const auto& n) { return contains(n, host); }))
        keys.push_back(to_key(host));
  }
  sort_once(keys);
  if (auto fits = within_bound(filter.peer ? "peer" : "cidrs", keys); !fits)
    return fail(fits.error());
  return keys;
}

Result<Keys> exceptions_of(const api::NetworkFilter& filter, const PeerSets& sets) {
  Keys keys;
  if (!filter.except) return keys;
  for (const api::Cidr& network : filter.except->cidrs) keys.push_back(to_key(network));
  if (filter.except->peer) {
    const auto found = hosts("except.peer", sets.except);
    if (!found) return fail(found.error());
    for (const api::Cidr& host : *found) keys.push_back(to_key(host));
  }
  sort_once(keys);
  if (auto fits = within_bound("except", keys); !fits) return fail(fits.error());
  return keys;
}

__u32 protocol_of(api::Protocol protocol) {
  switch (protocol) {  // no default: a new protocol must be thought about here
    case api::Protocol::any:
      return FL_PROTO_ANY;
    case api::Protocol::tcp:
      return IPPROTO_TCP;
    case api::Protocol::udp:
      return IPPROTO_UDP;
    case api::Protocol::icmp:
      return FL_PROTO_ICMP_ANY;
  }
  return FL_PROTO_ANY;
}

Keys without(const Keys& keys, const Keys& others) {
  Keys rest;
  std::ranges::set_difference(keys, others, std::back_inserter(rest), before);
  return rest;
}

Keys united(const Keys& keys, const Keys& others) {
  Keys all;
  std::ranges::set_union(keys, others, std::back_inserter(all), before);
  return all;
}

fl_address_key of_set(fl_address_key key, __u32 set) {
  key.set = static_cast<__u16>(set);
  return key;
}

Result<> add(int map, const Keys& keys, __u32 set) {
  constexpr __u32 kNothing = 0;
  for (const fl_address_key& each : keys)
    if (const fl_address_key key = of_set(each, set);
        bpf_map_update_elem(map, &key, &kNothing, BPF_ANY) != 0)
      return fail(from_errno(errno, "cannot add an address to a filter"));
  return {};
}

// Of all of them, whatever the kernel says of one.
Result<> remove(int map, const Keys& keys, __u32 set) {
  Result<> first;
  for (const fl_address_key& each : keys)
    if (const fl_address_key key = of_set(each, set);
        bpf_map_delete_elem(map, &key) != 0 && errno != ENOENT && first)
      first = fail(from_errno(errno, "cannot take an address out of a filter"));
  return first;
}

}  // namespace

Result<NetFilter> make_filter(const api::NetworkFilter& filter, const PeerSets& peers) {
  NetFilter out;
  out.rules.protocol = protocol_of(filter.protocol);
  if (auto r = set_port_lists("", filter, out.rules.only); !r) return fail(r.error());
  if (filter.except)
    if (auto r = set_port_lists("except.", *filter.except, out.rules.except); !r)
      return fail(r.error());
  auto keys = peers_of(filter, peers);
  if (!keys) return fail(keys.error());
  out.peers = std::move(*keys);
  if (filter.peer && out.peers.empty())
    return fail(Errc::kNotFound, peers.only.empty()
                                     ? "peer: no pod with an address matches the selector"
                                     : "peer: no address of the selected pods is within cidrs");
  keys = exceptions_of(filter, peers);
  if (!keys) return fail(keys.error());
  out.exceptions = std::move(*keys);
  if (filter.except && filter.except->peer && peers.except.empty())
    return fail(Errc::kNotFound, "except.peer: no pod with an address matches the selector");
  out.rules.by_peer = out.peers.empty() ? 0 : 1;
  out.rules.except_by_peer = out.exceptions.empty() ? 0 : 1;
  return out;
}

Result<FilterMaps> FilterMaps::fill(const api::NetworkFilter& filter, const NetFilter& made,
                                    int peers, int exceptions) {
  FilterMaps maps;
  maps.filter_ = filter;
  maps.now_ = made;
  maps.peers_ = peers;
  maps.exceptions_ = exceptions;
  const __u32 set = made.rules.address_set;
  auto done = add(exceptions, made.exceptions, set);
  if (done) done = add(peers, made.peers, set);
  if (done) return maps;
  (void)maps.clear();
  return fail(done.error());
}

Result<> FilterMaps::clear() {
  const NetFilter old = std::exchange(now_, {now_.rules, {}, {}});
  auto peers = remove(peers_, old.peers, old.rules.address_set);
  auto exceptions = remove(exceptions_, old.exceptions, old.rules.address_set);
  return peers ? exceptions : peers;
}

Result<> FilterMaps::follow(const PeerSets& sets) {
  auto peers = peers_of(filter_, sets);
  if (!peers) return fail(peers.error());
  Keys exceptions = now_.exceptions;
  if (filter_.except && filter_.except->peer && !sets.except.empty()) {
    auto found = exceptions_of(filter_, sets);
    if (!found) return fail(found.error());
    exceptions = std::move(*found);
  }
  const NetFilter next{now_.rules, std::move(*peers), std::move(exceptions)};
  const NetFilter old = std::exchange(
      now_, {now_.rules, united(now_.peers, next.peers), united(now_.exceptions, next.exceptions)});
  const __u32 set = next.rules.address_set;
  const auto remove_old = [&]() -> Result<> {
    if (auto done = remove(peers_, without(old.peers, next.peers), set); !done) return done;
    return remove(exceptions_, without(old.exceptions, next.exceptions), set);
  };
  // After a change that failed nobody knows which of the old ones are there: those that are not
  // wanted make room first, and all others are added.
  const bool knows_old = std::exchange(sure_, false);
  if (!knows_old)
    if (auto done = remove_old(); !done) return done;
  const auto added = [&](const Keys& keys, const Keys& before) {
    return knows_old ? without(keys, before) : keys;
  };
  if (auto done = add(exceptions_, added(next.exceptions, old.exceptions), set); !done) return done;
  if (auto done = add(peers_, added(next.peers, old.peers), set); !done) return done;
  if (auto done = remove_old(); !done) return done;
  now_ = next;
  sure_ = true;
  return {};
}

}  // namespace faultline::agent
