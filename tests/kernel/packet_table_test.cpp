// SPDX-License-Identifier: Apache-2.0
// A table of packets through the parser of the network faults, by BPF_PROG_TEST_RUN.
#include <gtest/gtest.h>

#include <vector>

#include "delay_abi.h"
#include "net_filter_abi.h"
#include "network_loss.skel.h"
#include "tests/kernel/packets.h"

namespace faultline::test {
namespace {

struct ParserRow {
  const char* description;
  Bytes frame;
  int verdict;  // of networkLoss 100 % of TCP to the pod's port 8080
  RunAs as{};
};

std::vector<ParserRow> parser_rows() {
  const Bytes segment = tcp({.payload = "GET / HTTP/1.1\r\n\r\n"});
  const Bytes other = tcp({.dest = 9090, .payload = "x"});
  const Bytes v4 = ipv4({}, segment), v6 = ipv6(segment);
  const Bytes udp = be16(40000) + be16(8080) + be16(9) + be16(0) + "x";
  constexpr unsigned kV4 = ETHERTYPE_IP, kV6 = ETHERTYPE_IPV6;
  constexpr int kHop = IPPROTO_HOPOPTS, kRouting = IPPROTO_ROUTING, kDest = IPPROTO_DSTOPTS,
                kFragment = IPPROTO_FRAGMENT, kAuth = 51;
  Bytes many;
  for (int i = 0; i < 9; ++i) many += extension(i < 8 ? kDest : IPPROTO_TCP);
  return {
      {"IPv4", ethernet(kV4, v4), kDrop},
      {"IPv4, another port", ethernet(kV4, ipv4({}, other)), kNext},
      {"IPv4, UDP to the port", ethernet(kV4, ipv4({.protocol = IPPROTO_UDP}, udp)), kNext},
      {"IPv4, the pod's port is the source", ethernet(kV4, ipv4({}, tcp({8080, 40000}))), kNext},
      {"IPv4, GSO",
       ethernet(kV4, ipv4({}, tcp({.payload = Bytes(3000, 'x')}))),
       kDrop,
       {.gso_size = 1000, .gso_segs = 3}},
      {"IPv4, 4 bytes of options", ethernet(kV4, ipv4({.options = Bytes(4, '\1')}, segment)),
       kDrop},
      {"IPv4, 40 bytes of options", ethernet(kV4, ipv4({.options = Bytes(40, '\1')}, segment)),
       kDrop},
      {"IPv4, TCP options", ethernet(kV4, ipv4({}, tcp({.options = Bytes(40, '\1')}))), kDrop},
      {"IPv4, don't fragment", ethernet(kV4, ipv4({.fragment = 0x4000}, segment)), kDrop},
      {"IPv4, first fragment", ethernet(kV4, ipv4({.fragment = 0x2000}, segment)), kDrop},
      {"IPv4, later fragment", ethernet(kV4, ipv4({.fragment = 0x2010}, segment)), kDrop},
      {"IPv4, last fragment", ethernet(kV4, ipv4({.fragment = 0x0020}, segment)), kDrop},
      {"IPv4, later fragment before the first",
       ethernet(kV4, ipv4({.fragment = 0x2010, .id = 8}, segment)), kNext},
      {"IPv4, first fragment behind it",
       ethernet(kV4, ipv4({.fragment = 0x2000, .id = 8}, segment)), kDrop},
      {"IPv4, first fragment, another port",
       ethernet(kV4, ipv4({.fragment = 0x2000, .id = 9}, other)), kNext},
      {"IPv4, later fragment of it", ethernet(kV4, ipv4({.fragment = 0x0010, .id = 9}, segment)),
       kNext},
      {"IPv4, BIG TCP", ethernet(kV4, ipv4({.no_length = true}, segment)), kDrop},
      {"IPv4, VLAN", ethernet(kV4, v4, vlan_tag()), kDrop},
      {"IPv4, VLAN, another port", ethernet(kV4, ipv4({}, other), vlan_tag()), kNext},
      {"IPv4, QinQ", ethernet(kV4, v4, vlan_tag(0x88a8) + vlan_tag()), kDrop},
      {"IPv4, two tags of one type", ethernet(kV4, v4, vlan_tag() + vlan_tag()), kDrop},
      {"IPv4, three tags", ethernet(kV4, v4, vlan_tag(0x88a8) + vlan_tag() + vlan_tag()), kNext},
      {"IPv4, QinQ, options",
       ethernet(kV4, ipv4({.options = Bytes(8, '\1')}, segment), vlan_tag(0x88a8) + vlan_tag()),
       kDrop},
      {"IPv4, a header too short", ethernet(kV4, Bytes{0x44} + v4.substr(1)), kNext},
      {"IPv4, not version 4", ethernet(kV4, Bytes{0x65} + v4.substr(1)), kNext},
      {"IPv4, cut before the ports", ethernet(kV4, v4.substr(0, 22)), kNext},
      {"ARP", ethernet(ETHERTYPE_ARP, Bytes(28, '\0')), kNext},
      {"IPv6", ethernet(kV6, v6), kDrop},
      {"IPv6, another port", ethernet(kV6, ipv6(other)), kNext},
      {"IPv6, GSO",
       ethernet(kV6, ipv6(tcp({.payload = Bytes(3000, 'x')}))),
       kDrop,
       {.gso_size = 1000, .gso_segs = 3}},
      {"IPv6, VLAN", ethernet(kV6, v6, vlan_tag()), kDrop},
      {"IPv6, QinQ", ethernet(kV6, v6, vlan_tag(0x88a8) + vlan_tag()), kDrop},
      {"IPv6, BIG TCP", ethernet(kV6, ipv6(segment, IPPROTO_TCP, {}, true)), kDrop},
      {"IPv6, hop-by-hop options", ethernet(kV6, ipv6(segment, kHop, extension(IPPROTO_TCP))),
       kDrop},
      {"IPv6, hop-by-hop options of 24 bytes",
       ethernet(kV6, ipv6(segment, kHop, extension(IPPROTO_TCP, 3))), kDrop},
      {"IPv6, BIG TCP with its hop-by-hop option",
       ethernet(kV6, ipv6(segment, kHop, extension(IPPROTO_TCP), true)), kDrop},
      {"IPv6, routing header", ethernet(kV6, ipv6(segment, kRouting, extension(IPPROTO_TCP))),
       kDrop},
      {"IPv6, destination options", ethernet(kV6, ipv6(segment, kDest, extension(IPPROTO_TCP))),
       kDrop},
      {"IPv6, three extension headers",
       ethernet(kV6, ipv6(segment, kHop,
                          extension(kRouting) + extension(kDest) + extension(IPPROTO_TCP))),
       kDrop},
      {"IPv6, authentication header",
       ethernet(kV6, ipv6(segment, kAuth, Bytes{IPPROTO_TCP, 4} + Bytes(22, '\0'))), kDrop},
      {"IPv6, nine extension headers", ethernet(kV6, ipv6(segment, kDest, many)), kNext},
      {"IPv6, first fragment",
       ethernet(kV6, ipv6(segment, kFragment, fragment_header(IPPROTO_TCP, 0, true))), kDrop},
      {"IPv6, atomic fragment",
       ethernet(kV6, ipv6(segment, kFragment, fragment_header(IPPROTO_TCP, 0, false))), kDrop},
      {"IPv6, later fragment",
       ethernet(kV6, ipv6(segment, kFragment, fragment_header(IPPROTO_TCP, 90, true))), kDrop},
      {"IPv6, later fragment of another datagram",
       ethernet(kV6, ipv6(segment, kFragment, fragment_header(IPPROTO_TCP, 90, true, 2))), kNext},
      {"IPv6, first fragment behind hop-by-hop options",
       ethernet(kV6,
                ipv6(segment, kHop, extension(kFragment) + fragment_header(IPPROTO_TCP, 0, true))),
       kDrop},
      {"IPv6, no next header", ethernet(kV6, ipv6({}, IPPROTO_NONE)), kNext},
      {"IPv6, neighbour discovery",
       ethernet(kV6, ipv6(Bytes{static_cast<char>(135)} + Bytes(23, '\0'), IPPROTO_ICMPV6)), kNext},
  };
}

TEST(PacketTable, TheParserOfTheFaults) {
  auto loss = opened<network_loss_bpf>("network_loss");
  loss->rodata->fl_loss.model = FL_LOSS_INDEPENDENT;
  loss->rodata->fl_loss.loss = FL_CERTAIN;
  loss->rodata->fl_filter.protocol = IPPROTO_TCP;
  loss->rodata->fl_filter.only.n_pod_ports = 1;
  loss->rodata->fl_filter.only.pod_ports[0] = 8080;
  ASSERT_TRUE(loss.load());
  loss->bss->fl_lease.deadline_ns = ~0ULL;
  loss->bss->fl_lease.armed = 1;
  for (const ParserRow& row : parser_rows())
    EXPECT_EQ(run_program(bpf_program__fd(loss->progs.fl_loss_from), row.frame, row.as),
              row.verdict)
        << row.description;
}

// Of more packets than there are bits for their fates, where a loss of 100 % needs no pair of
// devices.
TEST(PacketTable, ACertainLossTakesThePieceWhateverItHolds) {
  auto loss = opened<network_loss_bpf>("network_loss");
  loss->rodata->fl_loss.model = FL_LOSS_INDEPENDENT;
  loss->rodata->fl_loss.loss = FL_CERTAIN;
  ASSERT_TRUE(loss.load());
  loss->bss->fl_lease.deadline_ns = ~0ULL;
  loss->bss->fl_lease.armed = 1;
  const Bytes piece = ethernet(ETHERTYPE_IP, ipv4({}, tcp({.payload = Bytes(3000, 'x')})));
  for (const std::uint32_t packets : {2U, 64U, 65U, 300U})
    EXPECT_EQ(run_program(bpf_program__fd(loss->progs.fl_loss_to), piece,
                          {.gso_size = 3000 / packets, .gso_segs = packets}),
              kDrop)
        << packets;
}

}  // namespace
}  // namespace faultline::test
