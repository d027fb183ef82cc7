// SPDX-License-Identifier: Apache-2.0
// A table of packets through the filter of the network faults, by BPF_PROG_TEST_RUN: a filter as a
// document has it, what its selectors stand for, and a packet that the pod receives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "agent/kernel/net_filter.h"
#include "delay_abi.h"
#include "network_loss.skel.h"
#include "tests/kernel/packets.h"

namespace faultline::test {
namespace {

using Filter = api::NetworkFilter;

api::Cidr cidr(const std::string& text) { return api::Cidr::parse(text).value(); }

// From 10.0.0.1:40000, or [::1]:40000, to the pod's port 8080.
Bytes v4(std::uint16_t from = 40000, std::uint16_t to = 8080, const char* source = "10.0.0.1") {
  in_addr address{};
  inet_pton(AF_INET, source, &address);
  return ethernet(ETHERTYPE_IP, ipv4({.source = Bytes(reinterpret_cast<const char*>(&address), 4)},
                                     tcp({.source = from, .dest = to, .payload = "x"})));
}
Bytes v6() { return ethernet(ETHERTYPE_IPV6, ipv6(tcp({.payload = "x"}))); }
Bytes later_fragment() {
  return ethernet(ETHERTYPE_IP, ipv4({.protocol = IPPROTO_UDP, .fragment = 0x2010}, "later"));
}
Bytes ping() {
  return ethernet(ETHERTYPE_IP, ipv4({.protocol = IPPROTO_ICMP}, Bytes{8, 0} + Bytes(6, '\0')));
}

// networkLoss 100 % with a filter; its program drops exactly what matches.
class Filtered {
 public:
  Filtered(const Filter& filter, const agent::PeerSets& peers)
      : loss_(opened<network_loss_bpf>("network_loss")) {
    const auto made = agent::make_filter(filter, peers);
    if (!made) throw std::runtime_error(made.error().message);
    loss_->rodata->fl_loss.model = FL_LOSS_INDEPENDENT;
    loss_->rodata->fl_loss.loss = FL_CERTAIN;
    loss_->rodata->fl_filter = made->rules;
    if (auto loaded = loss_.load(); !loaded) throw std::runtime_error(loaded.error().message);
    auto maps = agent::FilterMaps::fill(filter, *made, bpf_map__fd(loss_->maps.fl_peers),
                                        bpf_map__fd(loss_->maps.fl_exceptions));
    if (!maps) throw std::runtime_error(maps.error().message);
    maps_ = std::move(*maps);
    loss_->bss->fl_lease.deadline_ns = ~0ULL;
    loss_->bss->fl_lease.armed = 1;
  }
  [[nodiscard]] int verdict(const Bytes& frame) const {
    return run_program(bpf_program__fd(loss_->progs.fl_loss_from), frame);
  }
  Result<> follow(const agent::PeerSets& peers) { return maps_.follow(peers); }

 private:
  agent::Skeleton<network_loss_bpf> loss_;
  agent::FilterMaps maps_;
};

struct FilterRow {
  const char* description;
  std::function<void(Filter&)> set;
  Bytes frame;
  int verdict;
  agent::PeerSets peers{};
};

api::NetworkException& except(Filter& f) { return f.except.emplace(); }
const api::Selector kSome{.namespaces = {"shop"}};

std::vector<FilterRow> filter_rows() {
  std::vector<std::string> many;
  for (int i = 0; i < 5000; ++i)
    many.push_back("10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250));
  std::vector<std::string> and_one = many;
  and_one.push_back("10.0.0.1");
  const auto peer = [](Filter& f) { f.peer = kSome; };
  return {
      {"no filter", [](Filter&) {}, v4(), kDrop},
      {"cidrs, a network", [](Filter& f) { f.cidrs = {cidr("10.0.0.0/8")}; }, v4(), kDrop},
      {"cidrs, another network", [](Filter& f) { f.cidrs = {cidr("10.1.0.0/16")}; }, v4(), kNext},
      {"cidrs, an address", [](Filter& f) { f.cidrs = {cidr("10.0.0.1")}; }, v4(), kDrop},
      {"cidrs, the pod's own", [](Filter& f) { f.cidrs = {cidr("10.0.0.2")}; }, v4(), kNext},
      {"cidrs, one within another, only the wide one holds it",
       [](Filter& f) {
         f.cidrs = {cidr("10.0.0.0/8"), cidr("10.0.0.128/25")};
       },
       v4(), kDrop},
      {"cidrs, all of IPv4, an IPv6 packet", [](Filter& f) { f.cidrs = {cidr("0.0.0.0/0")}; }, v6(),
       kNext},
      {"cidrs, an IPv6 network", [](Filter& f) { f.cidrs = {cidr("::/64")}; }, v6(), kDrop},
      {"cidrs, all of IPv6", [](Filter& f) { f.cidrs = {cidr("::/0")}; }, v6(), kDrop},
      {"cidrs, all of IPv6, an IPv4 packet", [](Filter& f) { f.cidrs = {cidr("::/0")}; }, v4(),
       kNext},
      {"cidrs, IPv4 in IPv6's notation", [](Filter& f) { f.cidrs = {cidr("::ffff:10.0.0.1")}; },
       v4(), kDrop},
      {"peer within all of IPv6, an IPv4 one",
       [](Filter& f) {
         f.peer = kSome;
         f.cidrs = {cidr("::/0")};
       },
       v4(),
       kNext,
       {.only = {"10.0.0.1", "::1"}}},
      {"peer", peer, v4(), kDrop, {.only = {"10.0.0.9", "10.0.0.1"}}},
      {"peer, somebody else", peer, v4(), kNext, {.only = {"10.0.0.9"}}},
      {"peer, IPv6", peer, v6(), kDrop, {.only = {"10.0.0.9", "::1"}}},
      {"peer, 5 000 others", peer, v4(), kNext, {.only = many}},
      {"peer, one of 5 001", peer, v4(), kDrop, {.only = and_one}},
      {"peer within cidrs",
       [](Filter& f) {
         f.peer = kSome;
         f.cidrs = {cidr("10.0.0.0/24")};
       },
       v4(40000, 8080, "10.1.0.1"),
       kNext,
       {.only = {"10.0.0.1", "10.1.0.1"}}},
      {"except a network", [](Filter& f) { except(f).cidrs = {cidr("10.0.0.0/24")}; }, v4(), kNext},
      {"except another network", [](Filter& f) { except(f).cidrs = {cidr("10.1.0.0/24")}; }, v4(),
       kDrop},
      {"except a network within cidrs",
       [](Filter& f) {
         f.cidrs = {cidr("10.0.0.0/8")};
         except(f).cidrs = {cidr("10.0.0.1")};
       },
       v4(), kNext},
      {"except a network within cidrs, its neighbour",
       [](Filter& f) {
         f.cidrs = {cidr("10.0.0.0/8")};
         except(f).cidrs = {cidr("10.0.0.1")};
       },
       v4(40000, 8080, "10.0.0.3"), kDrop},
      {"except all of IPv6", [](Filter& f) { except(f).cidrs = {cidr("::/64")}; }, v6(), kNext},
      {"except all of IPv6, an IPv4 packet", [](Filter& f) { except(f).cidrs = {cidr("::/64")}; },
       v4(), kDrop},
      {"except a port, of the pod",
       [](Filter& f) {
         except(f).ports = {22, 8080};
       },
       v4(), kNext},
      {"except a port, of the peer", [](Filter& f) { except(f).ports = {22}; }, v4(22), kNext},
      {"except a port, another", [](Filter& f) { except(f).ports = {22}; }, v4(), kDrop},
      {"except a pod's port", [](Filter& f) { except(f).podPorts = {22}; }, v4(40000, 22), kNext},
      {"except a pod's port, the peer has it", [](Filter& f) { except(f).podPorts = {22}; }, v4(22),
       kDrop},
      {"except a peer's port", [](Filter& f) { except(f).peerPorts = {22}; }, v4(22), kNext},
      {"except a peer's port, the pod has it", [](Filter& f) { except(f).peerPorts = {22}; },
       v4(40000, 22), kDrop},
      {"except a port that is asked for, too",
       [](Filter& f) {
         f.podPorts = {22, 8080};
         except(f).ports = {22};
       },
       v4(40000, 22), kNext},
      {"except one key of two",
       [](Filter& f) {
         except(f).podPorts = {22};
         f.except->cidrs = {cidr("10.0.0.0/24")};
       },
       v4(), kNext},
      {"except a peer",
       [](Filter& f) { except(f).peer = kSome; },
       v4(),
       kNext,
       {.except = {"10.0.0.1"}}},
      {"except a peer, somebody else",
       [](Filter& f) { except(f).peer = kSome; },
       v4(),
       kDrop,
       {.except = {"10.0.0.9"}}},
      {"except a port, a later fragment, which may be of it",
       [](Filter& f) { except(f).ports = {22}; }, later_fragment(), kNext},
      {"except a network, a later fragment of another",
       [](Filter& f) { except(f).cidrs = {cidr("10.1.0.0/24")}; }, later_fragment(), kDrop},
      {"except a port, ICMP has none", [](Filter& f) { except(f).ports = {22}; }, ping(), kDrop},
  };
}

TEST(NetFilterTable, EachPacketIsMeantOrLeftAlone) {
  for (const FilterRow& row : filter_rows()) {
    Filter filter;
    row.set(filter);
    EXPECT_EQ(Filtered(filter, row.peers).verdict(row.frame), row.verdict) << row.description;
  }
}

TEST(NetFilterTable, PeersAreFollowedAndNobodyIsNotEverybody) {
  Filter filter;
  filter.peer = kSome;
  filter.except.emplace().peer = api::Selector{.namespaces = {"watch"}};
  Filtered fault(filter, {.only = {"10.0.0.1", "10.0.0.3"}, .except = {"10.0.0.3"}});
  const Bytes one = v4(), three = v4(40000, 8080, "10.0.0.3"), nine = v4(40000, 8080, "10.0.0.9");
  EXPECT_EQ(fault.verdict(one), kDrop);
  EXPECT_EQ(fault.verdict(three), kNext) << "left alone";
  EXPECT_EQ(fault.verdict(nine), kNext);
  ASSERT_TRUE(fault.follow({.only = {"10.0.0.9"}, .except = {"10.0.0.3"}}));
  EXPECT_EQ(fault.verdict(one), kNext);
  EXPECT_EQ(fault.verdict(nine), kDrop);
  ASSERT_TRUE(fault.follow({}));
  EXPECT_EQ(fault.verdict(one), kNext);
  EXPECT_EQ(fault.verdict(nine), kNext) << "an empty set is nobody";
  ASSERT_TRUE(fault.follow({.only = {"10.0.0.3", "10.0.0.1"}}));
  EXPECT_EQ(fault.verdict(one), kDrop);
  EXPECT_EQ(fault.verdict(three), kNext) << "the last exceptions stay";
  EXPECT_FALSE(fault.follow({.only = {"no address"}}));
  EXPECT_EQ(fault.verdict(one), kDrop);
}

// Packets go by while the sets change: who is in the old set and in the new one is always hit, who
// is an exception in both never, and a stranger never.
TEST(NetFilterTable, NoPacketSeesAFilterThatIsHalfSet) {
  Filter filter;
  filter.peer = kSome;
  filter.except.emplace().peer = api::Selector{.namespaces = {"watch"}};
  const auto sets = [](int round) {
    agent::PeerSets made{.only = {"10.0.0.1", "10.0.0.3"}, .except = {"10.0.0.3"}};
    for (int i = 0; i < 50; ++i) {
      made.only.push_back("10.0." + std::to_string(1 + round % 3) + "." + std::to_string(i));
      made.except.push_back("10.0." + std::to_string(5 + round % 3) + "." + std::to_string(i));
    }
    return made;
  };
  Filtered fault(filter, sets(0));
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0, seen = 0;
  std::thread packets([&] {
    const Bytes one = v4(), three = v4(40000, 8080, "10.0.0.3"), far = v4(40000, 8080, "10.9.0.1");
    while (!done || seen < 300) {
      wrong += fault.verdict(one) != kDrop;
      wrong += fault.verdict(three) != kNext;
      wrong += fault.verdict(far) != kNext;
      ++seen;
    }
  });
  for (int round = 1; round <= 200; ++round) EXPECT_TRUE(fault.follow(sets(round)));
  done = true;
  packets.join();
  EXPECT_EQ(wrong, 0) << "of " << seen;
}

TEST(NetFilterTable, WhatCannotBeIsRefused) {
  using testing::HasSubstr;
  const auto refusal = [](const Filter& filter, const agent::PeerSets& peers) {
    const auto made = agent::make_filter(filter, peers);
    return made ? std::string() : made.error().message;
  };
  Filter filter;
  filter.peer = kSome;
  EXPECT_THAT(refusal(filter, {}), HasSubstr("peer: no pod with an address"));
  std::vector<std::string> many;
  for (unsigned i = 0; i <= FL_MAX_ADDRESSES; ++i)
    many.push_back("10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) + "." +
                   std::to_string(i & 255));
  EXPECT_THAT(refusal(filter, {.only = many}), HasSubstr("at most 20000 addresses, got 20001"));
  filter.cidrs = {cidr("192.0.2.0/24")};
  EXPECT_THAT(refusal(filter, {.only = {"10.0.0.1"}}), HasSubstr("within cidrs"));
  Filter alone;
  alone.except.emplace().peer = kSome;
  EXPECT_THAT(refusal(alone, {}), HasSubstr("except.peer: no pod with an address"));
  alone.except->peer.reset();
  alone.except->ports.assign(17, 80);
  EXPECT_THAT(refusal(alone, {}), HasSubstr("except.ports: at most 16 ports, got 17"));
}

}  // namespace
}  // namespace faultline::test
