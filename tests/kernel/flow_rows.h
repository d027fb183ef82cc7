// SPDX-License-Identifier: Apache-2.0
// What clients and servers say in the tables of packet_flow, and how a row is checked.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "tests/kernel/conversation.h"

namespace faultline::test {

inline const Bytes kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                   kHead = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
inline const Bytes kPost = "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n";
inline const Bytes kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
inline const Bytes kUnavailable = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
inline const Bytes kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

inline Bytes record(int type, std::size_t length) {
  return Bytes{static_cast<char>(type), 3, 3} + be16(static_cast<unsigned>(length)) +
         Bytes(length, 'r');
}
inline Bytes alpn(const std::vector<Bytes>& names) {
  Bytes list;
  for (const Bytes& name : names) list += static_cast<char>(name.size()) + name;
  return be16(16) + be16(static_cast<unsigned>(list.size() + 2)) +
         be16(static_cast<unsigned>(list.size())) + list;
}
inline Bytes client_hello(const Bytes& extensions) {
  const Bytes body = be16(0x303) + Bytes(32, 'R') + '\x20' + Bytes(32, 's') + be16(4) +
                     be16(0x1301) + be16(0x1302) + Bytes{1, 0} +
                     be16(static_cast<unsigned>(extensions.size())) + extensions;
  const Bytes message = Bytes{1, 0} + be16(static_cast<unsigned>(body.size())) + body;
  return Bytes{0x16, 3, 1} + be16(static_cast<unsigned>(message.size())) + message;
}
inline const Bytes kSni = be16(0) + be16(6) + Bytes(6, 'n');
inline const Bytes kHello = client_hello(kSni);
inline const Bytes kServer13 =
    record(0x16, 90) + record(0x14, 1) + record(0x17, 30) + record(0x17, 900);
inline const Bytes kFinished = record(0x14, 1) + record(0x17, 53);
inline const Bytes kData = record(0x17, 200);

inline Bytes frame(int type, int flags, std::uint32_t stream, const Bytes& payload) {
  return be32(static_cast<std::uint32_t>(payload.size())).substr(1) +
         Bytes{static_cast<char>(type), static_cast<char>(flags)} + be32(stream) + payload;
}
inline const Bytes kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, {});

inline void handshake13(Conversation& c) {
  c.client(kHello);
  c.server(kServer13);
  c.client(kFinished);
}
inline void handshake12(Conversation& c) {
  c.client(kHello);
  c.server(record(0x16, 90) + record(0x16, 900) + record(0x16, 4));
  c.client(record(0x16, 70) + record(0x14, 1) + record(0x16, 40));
  c.server(record(0x16, 200) + record(0x14, 1) + record(0x16, 40));
}
inline Bytes resp(const std::vector<Bytes>& words) {
  Bytes text = "*" + std::to_string(words.size()) + "\r\n";
  for (const Bytes& word : words)
    text += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  return text;
}
inline Bytes message(char type, const Bytes& body) {
  return type + be32(static_cast<std::uint32_t>(body.size() + 4)) + body;
}

struct KindRow {
  const char* description;
  std::function<void(Conversation&)> talk;
  unsigned kind, gap;
  Figures figures{};
};

// Returns the number of rows.
inline int check(Conversation& c, const std::vector<KindRow>& rows) {
  int n = 0;
  for (const KindRow& row : rows) {
    SCOPED_TRACE(row.description);
    c.connect();
    row.talk(c);
    EXPECT_EQ(c.state().kind, row.kind);
    EXPECT_EQ(c.state().gap, row.gap);
    if (row.gap != 0) {
      EXPECT_EQ(c.missed(row.gap), 1U);
    }
    EXPECT_EQ(c.figures(), row.figures);
    ++n;
  }
  return n;
}

}  // namespace faultline::test
