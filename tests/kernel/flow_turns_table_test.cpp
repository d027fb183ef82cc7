// SPDX-License-Identifier: Apache-2.0
// A table of packets: turns of other protocols, and connections that are older.
#include <chrono>
#include <thread>

#include "tests/kernel/flow_rows.h"

namespace faultline::test {
namespace {

using std::chrono::milliseconds;

// A packet of MySQL, the first of its turn.
Bytes mysql(const Bytes& body) { return Bytes{static_cast<char>(body.size()), 0, 0, 0} + body; }

std::vector<KindRow> other_rows() {
  using C = Conversation;
  const auto wait = [](int ms) { std::this_thread::sleep_for(milliseconds(ms)); };
  const Bytes ask(50, 'r'), answer(100, 'a');
  return {
      {"unknown bytes in turns",
       [=](C& c) { c.client(ask), c.server(answer), c.client(ask), c.server(answer); },
       FL_KIND_TURNS,
       0,
       {2, 1, 0, 0, 0, 0}},
      {"a request in two writes",
       [=](C& c) { c.client(ask), c.client(ask), c.server(answer); },
       FL_KIND_TURNS,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"a request of full segments, slowly",
       [=](C& c) { c.client(Bytes(1400, 'r'), kAck), wait(8), c.client(ask), c.server(answer); },
       FL_KIND_TURNS,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"requests each 8 ms, answered later",
       [=](C& c) {
         c.client(ask), wait(8), c.client(ask), wait(8), c.client(ask), c.server(answer);
       },
       FL_KIND_TURNS, FL_GAP_SEVERAL},
      {"many short requests at once",
       [=](C& c) {
         for (int i = 0; i < 6; ++i) c.client(ask);
       },
       FL_KIND_TURNS, FL_GAP_SEVERAL},
      {"an answer that was sent before the request came",
       [=](C& c) { c.client(ask), c.server(answer), c.client(ask), c.server(answer, kAck, 50); },
       FL_KIND_TURNS,
       FL_GAP_SEVERAL,
       {1, 1, 0, 0, 0, 0}},
      {"the server speaks first",
       [=](C& c) {
         c.server("220 ready\r\n"), c.client("EHLO a.example\r\n"), c.server("250 ok\r\n");
       },
       FL_KIND_TURNS,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"Redis",
       [](C& c) {
         c.client(resp({"GET", "a"})), c.server("$1\r\nb\r\n"), c.client(resp({"PING"})),
             c.server("+PONG\r\n");
       },
       FL_KIND_RESP,
       0,
       {2, 1, 0, 0, 0, 0}},
      {"Redis, a value longer than the segment",
       [](C& c) {
         const Bytes set = resp({"SET", "a", Bytes(3000, 'v')});
         c.client(set.substr(0, 1400), kAck), c.client(set.substr(1400, 1400), kAck),
             c.client(set.substr(2800)), c.server("+OK\r\n");
       },
       FL_KIND_RESP,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"Redis, two commands in one segment",
       [](C& c) {
         c.client(resp({"PING"}) + resp({"GET", "a"})), c.server("+PONG\r\n$-1\r\n");
       },
       FL_KIND_RESP, FL_GAP_SEVERAL},
      {"Redis, a command before the answer",
       [](C& c) { c.client(resp({"PING"})), c.client(resp({"PING"})); }, FL_KIND_RESP,
       FL_GAP_SEVERAL},
      {"Redis, a subscription",
       [](C& c) {
         c.client(resp({"SUBSCRIBE", "a"})), c.server("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
       },
       FL_KIND_STREAM, FL_GAP_STREAM},
      {"Redis, a subscription that is answered in the next window",
       [](C& c) {
         c.client(resp({"SUBSCRIBE", "a"})), c.next_window(),
             c.server("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
       },
       FL_KIND_STREAM, FL_GAP_STREAM},
      {"Redis, a subscription by pattern",
       [](C& c) {
         c.client(resp({"PSUBSCRIBE", "a*"})),
             c.server("*3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:1\r\n");
       },
       FL_KIND_STREAM, FL_GAP_STREAM},
      {"Redis, an array of three that is no subscription",
       [](C& c) {
         c.client(resp({"LRANGE", "a", "0", "-1"})),
             c.server("*3\r\n$9\r\nsubstance\r\n$1\r\na\r\n$1\r\nb\r\n");
       },
       FL_KIND_RESP,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"Redis, a push while nothing was asked",
       [](C& c) {
         c.client(resp({"PING"})), c.server("+PONG\r\n"),
             c.server(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n");
       },
       FL_KIND_STREAM,
       FL_GAP_STREAM,
       {1, 0, 0, 0, 0, 0}},
      {"MySQL, a prepared statement is closed and the client quits",
       [=](C& c) {
         c.server(answer), c.client(ask), c.server(answer);
         c.client(mysql("\x19" + Bytes(4, '\1'))), c.client(mysql("\1"));
         c.client({}, kFin | kAck);
       },
       FL_KIND_TURNS,
       0,
       {1, 1, 0, 0, 0, 0}},
      {"MySQL asks for TLS, logs in, asks, and quits",
       [=](C& c) {
         c.server(answer), c.client(Bytes("\x20\0\0\1\0\x8a", 6) + Bytes(30, '\0'));
         handshake13(c), c.server(record(0x17, 250) + record(0x17, 250));
         c.client(kData), c.server(kData), c.client(kData), c.server(kData);
         c.client(record(0x17, 22) + record(0x17, 19)), c.client({}, kFin | kAck);
       },
       FL_KIND_TLS,
       0,
       {2, 2, 0, 0, 0, 0}},
      {"PostgreSQL, simple queries",
       [](C& c) {
         c.client(be32(16) + be32(0x30000) + Bytes(8, 'u')), c.server(message('R', "md5x")),
             c.client(message('p', "secret")), c.server(message('R', be32(0))),
             c.client(message('Q', "select 1")), c.server(message('T', "row"));
       },
       FL_KIND_POSTGRES,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"PostgreSQL, an extended query",
       [](C& c) {
         c.client(be32(16) + be32(0x30000) + Bytes(8, 'u')), c.server(message('R', be32(0))),
             c.client(message('P', "select") + message('B', "1") + message('E', "1") +
                      message('S', {})),
             c.server(message('1', {}));
       },
       FL_KIND_POSTGRES,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"PostgreSQL, pipelined",
       [](C& c) {
         const Bytes one = message('B', "1") + message('E', "1") + message('S', {});
         c.client(be32(16) + be32(0x30000) + Bytes(8, 'u')), c.server(message('R', be32(0))),
             c.client(one + one), c.server(message('1', {}));
       },
       FL_KIND_POSTGRES, FL_GAP_SEVERAL},
      {"PostgreSQL asks for TLS and gets it",
       [](C& c) {
         c.client(be32(8) + be32(0x04d2162f)), c.server("S"), handshake13(c),
             c.server(record(0x17, 250) + record(0x17, 250)), c.client(kData), c.server(kData);
       },
       FL_KIND_TLS,
       0,
       {1, 0, 0, 0, 0, 0}},
      {"PostgreSQL in TLS 1.3: the client ends",
       [](C& c) {
         c.client(be32(8) + be32(0x04d2162f)), c.server("S"), handshake13(c),
             c.server(record(0x17, 250) + record(0x17, 250)), c.client(kData), c.server(kData),
             c.client(record(0x17, 22)), c.client(record(0x17, 19)), c.client({}, kFin | kAck);
       },
       FL_KIND_TLS,
       0,
       {1, 1, 0, 0, 0, 0}},
      {"PostgreSQL in TLS 1.2: the client ends",
       [](C& c) {
         c.client(be32(8) + be32(0x04d2162f)), c.server("S"), handshake12(c), c.client(kData),
             c.server(kData), c.client(record(0x17, 29) + record(0x15, 26)),
             c.client({}, kFin | kAck);
       },
       FL_KIND_TLS,
       0,
       {1, 1, 0, 0, 0, 0}},
      {"PostgreSQL in TLS 1.3: the client gives up",
       [](C& c) {
         c.client(be32(8) + be32(0x04d2162f)), c.server("S"), handshake13(c),
             c.server(record(0x17, 250) + record(0x17, 250)), c.client(kData), c.server(kData),
             c.client(kData), c.client(record(0x17, 22) + record(0x17, 19)),
             c.client({}, kFin | kAck);
       },
       FL_KIND_TLS,
       0,
       {1, 1, 0, 1, 0, 0}},
      {"in TLS of another protocol a record of any length may be a request",
       [](C& c) {
         handshake13(c), c.server(record(0x17, 250) + record(0x17, 250)),
             c.client(record(0x17, 22)), c.client({}, kFin | kAck);
       },
       FL_KIND_TLS,
       0,
       {0, 0, 0, 1, 0, 0}},
      {"PostgreSQL, a query is cancelled: a connection that nobody answers",
       [](C& c) {
         c.client(be32(16) + be32(0x04d2162e) + Bytes(8, 'k')), c.server({}, kFin | kAck),
             c.client({}, kFin | kAck);
       },
       FL_KIND_POSTGRES, 0},
      {"PostgreSQL, COPY from the client, slowly",
       [wait](C& c) {
         c.client(be32(16) + be32(0x30000) + Bytes(8, 'u')), c.server(message('R', be32(0)));
         c.client(message('Q', "copy a from stdin"));
         c.server(message('G', Bytes("\0\0\1\0\0", 5)));
         for (int i = 0; i < 8; ++i) c.client(message('d', "row")), wait(i < 2 ? 8 : 0);
         c.client(message('d', "row") + message('c', {})), c.server(message('C', "COPY 9"));
         c.client(message('Q', "select 1")), c.server(message('T', "row"));
       },
       FL_KIND_POSTGRES,
       0,
       {2, 1, 0, 0, 0, 0}},
      {"PostgreSQL, replication",
       [](C& c) {
         c.client(be32(16) + be32(0x30000) + Bytes(8, 'u')), c.server(message('R', be32(0)));
         c.client(message('Q', "start_replication")), c.server(message('W', Bytes(3, '\0')));
       },
       FL_KIND_STREAM, FL_GAP_STREAM},
      {"PostgreSQL asks for TLS and does not get it",
       [](C& c) {
         c.client(be32(8) + be32(0x04d2162f)), c.server("N"),
             c.client(be32(16) + be32(0x30000) + Bytes(8, 'u')), c.server(message('R', be32(0))),
             c.client(message('Q', "select 1")), c.server(message('T', "row"));
       },
       FL_KIND_POSTGRES,
       0,
       {1, 0, 0, 0, 0, 0}},
  };
}

std::vector<KindRow> older_rows() {
  using C = Conversation;
  return {
      {"nobody knows who opened it", [](C& c) { c.join(), c.client(kGet), c.server(kOk); },
       FL_KIND_NEW, FL_GAP_SIDE},
      {"older, HTTP/1",
       [](C& c) {
         c.join_as(FL_FLOW_SERVER), c.client(kGet), c.server(kOk), c.client(kGet), c.server(kOk);
       },
       FL_KIND_HTTP1,
       0,
       {2, 1, 0, 0, 2, 0}},
      {"older, in the middle of an answer",
       [](C& c) {
         c.join_as(FL_FLOW_SERVER), c.server(Bytes(100, 'x')), c.client(kGet), c.server(kOk);
       },
       FL_KIND_HTTP1,
       0,
       {1, 0, 0, 0, 1, 0}},
      {"older, in the middle of a request",
       [](C& c) {
         c.join_as(FL_FLOW_SERVER), c.client(Bytes(100, 'x')), c.server(kOk), c.client(kGet),
             c.server(kOk);
       },
       FL_KIND_HTTP1,
       0,
       {2, 1, 0, 0, 1, 0}},
      {"older, TLS",
       [](C& c) {
         c.join_as(FL_FLOW_SERVER), c.client(kData), c.server(kData), c.client(kData),
             c.server(kData);
       },
       FL_KIND_TLS,
       0,
       {2, 1, 0, 0, 0, 0}},
      {"older, HTTP/2",
       [](C& c) { c.join_as(FL_FLOW_SERVER), c.client(frame(1, 5, 7, Bytes(40, 'h'))); },
       FL_KIND_HTTP2, FL_GAP_HTTP2},
      {"older, Redis",
       [](C& c) { c.join_as(FL_FLOW_SERVER), c.client(resp({"PING"})), c.server("+PONG\r\n"); },
       FL_KIND_RESP,
       0,
       {1, 0, 0, 0, 0, 0}},
  };
}

TEST(PacketTable, TurnsAndMessages) {
  Conversation c;
  EXPECT_GE(check(c, other_rows()) + check(c, older_rows()), 20);
}

}  // namespace
}  // namespace faultline::test
