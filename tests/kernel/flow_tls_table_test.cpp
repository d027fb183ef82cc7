// SPDX-License-Identifier: Apache-2.0
// A table of packets: TLS.
#include <chrono>
#include <thread>

#include "tests/kernel/flow_rows.h"

namespace faultline::test {
namespace {

using std::chrono::milliseconds;

std::vector<KindRow> tls_rows() {
  using C = Conversation;
  const Bytes tickets = record(0x17, 250) + record(0x17, 250);
  return {
      {"TLS 1.2",
       [](C& c) {
         handshake12(c), c.client(kData), c.server(kData), c.client(kData), c.server(kData);
       },
       FL_KIND_TLS,
       0,
       {2, 1, 0, 0, 0, 0}},
      {"TLS 1.2, nothing but the handshake", [](C& c) { handshake12(c); }, FL_KIND_TLS, 0},
      {"TLS 1.2, an alert and the end between requests",
       [](C& c) {
         handshake12(c), c.client(kData), c.server(kData), c.server(record(0x15, 26)),
             c.server({}, kFin | kAck), c.client(record(0x15, 26));
       },
       FL_KIND_TLS,
       0,
       {1, 1, 0, 0, 0, 0}},
      {"TLS 1.2, an alert and the end in mid-request",
       [](C& c) { handshake12(c), c.client(kData), c.server(record(0x15, 26), kFin | kAck); },
       FL_KIND_TLS,
       0,
       {0, 0, 1, 0, 0, 0}},
      {"TLS 1.3, nothing but the handshake", [=](C& c) { handshake13(c), c.server(tickets); },
       FL_KIND_TLS, 0},
      {"TLS 1.3, tickets before the request",
       [=](C& c) { handshake13(c), c.server(tickets), c.client(kData), c.server(kData); },
       FL_KIND_TLS,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"TLS 1.3, tickets after the request",
       [=](C& c) { handshake13(c), c.client(kData), c.server(tickets), c.server(kData); },
       FL_KIND_TLS,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"TLS 1.3, tickets in two segments, and the request with the Finished",
       [](C& c) {
         c.client(kHello), c.server(kServer13), c.client(kFinished + kData),
             c.server(record(0x17, 250)), c.server(record(0x17, 250)), c.server(kData);
       },
       FL_KIND_TLS,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"TLS 1.3, one record, and the client goes on",
       [](C& c) {
         handshake13(c), c.client(kData), c.server(kData), c.client(kData), c.server(kData);
       },
       FL_KIND_TLS,
       0,
       {2, 1, 0, 0, 0, 0}},
      {"TLS 1.3, one ticket or an answer in two parts",
       [](C& c) {
         handshake13(c), c.client(kData), c.server(record(0x17, 250)), c.server(kData),
             c.client(kData), c.server(kData);
       },
       FL_KIND_TLS,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"TLS 1.3, an answer too short for a ticket",
       [](C& c) { handshake13(c), c.client(kData), c.server(record(0x17, 40)); },
       FL_KIND_TLS,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"TLS 1.3, the client's certificate",
       [=](C& c) {
         c.client(kHello), c.server(kServer13),
             c.client(record(0x17, 900) + record(0x17, 300) + record(0x17, 69)), c.server(tickets),
             c.client(kData), c.server(kData);
       },
       FL_KIND_TLS,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"TLS 1.3, the client's certificate and Finished in one record",
       [](C& c) {
         c.client(kHello), c.server(kServer13), c.client(record(0x17, 1300) + kData),
             c.server(kData);
       },
       FL_KIND_TLS, FL_GAP_TLS_UNCLEAR},
      {"TLS 1.3, close_notify after the answer",
       [=](C& c) {
         handshake13(c), c.server(tickets), c.client(kData), c.server(kData),
             c.client(record(0x17, 19)), c.client({}, kFin | kAck);
       },
       FL_KIND_TLS,
       0,
       {1, 1, 0, 0, 0, 0}},
      {"TLS 1.3, early data", [](C& c) { c.client(kHello + kData); }, FL_KIND_TLS,
       FL_GAP_TLS_UNCLEAR},
      {"TLS 1.3, a hello again",
       [=](C& c) {
         c.client(kHello), c.server(record(0x16, 90) + record(0x14, 1)),
             c.client(record(0x14, 1) + kHello), c.server(record(0x16, 90) + record(0x17, 900)),
             c.client(record(0x17, 53)), c.server(tickets), c.client(kData), c.server(kData);
       },
       FL_KIND_TLS,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"TLS, the client offers HTTP/2",
       [](C& c) {
         c.client(client_hello(kSni + alpn({"h2", "http/1.1"})));
       },
       FL_KIND_TLS, FL_GAP_TLS_HTTP2},
      {"TLS, the client offers HTTP/2 second",
       [](C& c) {
         c.client(client_hello(kSni + alpn({"http/1.1", "h2"})));
       },
       FL_KIND_TLS, FL_GAP_TLS_HTTP2},
      {"TLS, the client offers HTTP/1.1 only",
       [](C& c) { c.client(client_hello(alpn({"http/1.1"}) + kSni)); }, FL_KIND_TLS, 0},
      {"TLS, a request before the answer to the first",
       [=](C& c) {
         handshake13(c), c.server(tickets), c.client(kData),
             std::this_thread::sleep_for(milliseconds(8)), c.client(kData);
       },
       FL_KIND_TLS, FL_GAP_SEVERAL},
      {"TLS, a lost segment of an answer, and then in step again",
       [=](C& c) {
         handshake13(c), c.server(tickets), c.client(kData), c.skip_server(300),
             c.server(Bytes(100, 'x')), c.client(kData), c.server(kData);
       },
       FL_KIND_TLS,
       0,
       {1, 0, 0, 0, 0, 0}},
  };
}

TEST(PacketTable, Tls) {
  Conversation c;
  EXPECT_GE(check(c, tls_rows()), 15);
}

TEST(PacketTable, TlsRecordsSplitAtEveryOffset) {
  Conversation c;
  const Bytes ask = kFinished + record(0x17, 30), answer = record(0x17, 20) + record(0x17, 30);
  for (std::size_t at = 1; at < ask.size(); ++at) {
    SCOPED_TRACE(at);
    c.connect();
    c.client(kHello);
    c.server(kServer13);
    c.client(ask.substr(0, at));
    c.client(ask.substr(at));
    c.server(answer);
    EXPECT_EQ(c.state().gap, 0);
    EXPECT_EQ(c.figures(), (Figures{1, 0, 0, 0, 0, 0}));
  }
  for (std::size_t at = 1; at < kServer13.size(); at += at < 12 || at > 90 ? 1 : 7) {
    SCOPED_TRACE(at);
    c.connect();
    c.client(kHello);
    c.server(kServer13.substr(0, at));
    c.server(kServer13.substr(at));
    c.client(ask);
    c.server(answer);
    EXPECT_EQ(c.figures(), (Figures{1, 0, 0, 0, 0, 0}));
  }
}

}  // namespace
}  // namespace faultline::test
