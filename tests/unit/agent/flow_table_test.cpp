// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/flow_table.h"

#include <gtest/gtest.h>

#include <cstring>
#include <sstream>

namespace faultline::agent {
namespace {

constexpr const char* kTcp =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
    "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n"
    "   1: 0200000A:1F90 0100000A:9C40 01 00000000:00000000 00:00000000 00000000     0\n"
    "   2: 0200000A:C350 0300000A:1538 01 00000000:00000000 00:00000000 00000000     0\n"
    "   3: 0200000A:C351 0300000A:1538 06 00000000:00000000 00:00000000 00000000     0\n"
    "   4: nonsense\n";
constexpr const char* kTcp6 =
    "  sl  local_address remote_address st\n"
    "   0: 0000000000000000FFFF00000200000A:1F91 0000000000000000FFFF00000100000A:9C41 01 0\n";

TEST(FlowTable, ConnectionsOnAListeningPortWereAccepted) {
  std::istringstream in(kTcp);
  const auto connections = older_connections(flow_sockets(in));
  ASSERT_EQ(connections.size(), 2U);
  EXPECT_EQ(connections[0].side, FL_FLOW_SERVER);
  EXPECT_EQ(connections[0].key.pod_port, 8080);
  EXPECT_EQ(connections[0].key.peer_port, 40000);
  EXPECT_EQ(connections[1].side, FL_FLOW_CLIENT);
  EXPECT_EQ(connections[1].key.pod_port, 50000);
  EXPECT_EQ(connections[1].key.peer_port, 5432);
}

TEST(FlowTable, AddressesAreAsPacketsShowThem) {
  const unsigned char expected[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
  for (const char* text : {kTcp, kTcp6}) {
    std::istringstream in(text);
    const auto connections = older_connections(flow_sockets(in));
    ASSERT_FALSE(connections.empty());
    EXPECT_EQ(std::memcmp(connections[0].key.peer, expected, sizeof expected), 0) << text;
  }
}

}  // namespace
}  // namespace faultline::agent
