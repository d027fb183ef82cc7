// SPDX-License-Identifier: Apache-2.0
// A table of packets: HTTP in the clear.
#include <chrono>
#include <thread>

#include "tests/kernel/flow_rows.h"

namespace faultline::test {
namespace {

using std::chrono::milliseconds;

std::vector<KindRow> http_rows() {
  using C = Conversation;
  const auto wait = [](int ms) { std::this_thread::sleep_for(milliseconds(ms)); };
  return {
      {"GET", [](C& c) { c.client(kGet), c.server(kOk); }, FL_KIND_HTTP1, 0, {1, 0, 0, 0, 1, 0}},
      {"two GETs",
       [](C& c) { c.client(kGet), c.server(kOk), c.client(kGet), c.server(kOk); },
       FL_KIND_HTTP1,
       0,
       {2, 1, 0, 0, 2, 0}},
      {"an answer in three segments",
       [](C& c) { c.client(kGet), c.server(kOk), c.server("more"), c.server("more"); },
       FL_KIND_HTTP1,
       0,
       {1, 0, 0, 0, 1, 0}},
      {"the answer's first segment sent again",
       [](C& c) { c.client(kGet), c.server(kOk), c.back_server(40), c.server(kOk.substr(0, 40)); },
       FL_KIND_HTTP1,
       0,
       {1, 0, 0, 0, 1, 0}},
      {"a request sent again",
       [](C& c) { c.client(kGet), c.client_again(kGet), c.server(kOk); },
       FL_KIND_HTTP1,
       0,
       {1, 0, 0, 0, 1, 0}},
      {"the answer's first segment comes after its second",
       [](C& c) {
         c.client(kGet), c.skip_server(40), c.server(Bytes(50, 'x'));
         c.back_server(90), c.server(kOk.substr(0, 40));
       },
       FL_KIND_HTTP1,
       0,
       {1, 0, 0, 0, 1, 0}},
      {"503",
       [](C& c) { c.client(kGet), c.server(kUnavailable); },
       FL_KIND_HTTP1,
       0,
       {1, 0, 1, 0, 0, 1}},
      {"HEAD",
       [](C& c) { c.client(kHead), c.server(kOk), c.client(kHead), c.server(kOk); },
       FL_KIND_HTTP1,
       0,
       {2, 1, 0, 0, 2, 0}},
      {"POST in pieces, slowly",
       [wait](C& c) {
         c.client(kPost), wait(8), c.client("abc"), wait(8), c.client("defghi"), c.server(kOk);
       },
       FL_KIND_HTTP1,
       0,
       {1, 0, 0, 0, 1, 0}},
      {"POST that is answered before its end",
       [](C& c) { c.client(kPost), c.server(kUnavailable), c.client("abcdefghi"); },
       FL_KIND_HTTP1,
       0,
       {1, 0, 1, 0, 0, 1}},
      {"Expect: 100-continue",
       [](C& c) { c.client(kPost), c.server(kContinue), c.client("abcdefghi"), c.server(kOk); },
       FL_KIND_HTTP1,
       0,
       {1, 0, 0, 0, 1, 0}},
      {"100 and 200 in one segment",
       [](C& c) { c.client(kPost + "abcdefghi"), c.server(kContinue + kOk); },
       FL_KIND_HTTP1,
       0,
       {1, 0, 0, 0, 1, 0}},
      {"early hints",
       [](C& c) {
         c.client(kGet), c.server("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"), c.server(kOk);
       },
       FL_KIND_HTTP1,
       0,
       {1, 0, 0, 0, 1, 0}},
      {"early hints and the answer in one segment",
       [](C& c) {
         c.client(kGet), c.server("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + kOk);
         c.client(kGet), c.server(kContinue + kContinue + kUnavailable);
       },
       FL_KIND_HTTP1,
       0,
       {2, 1, 1, 0, 1, 1}},
      {"an interim answer whose lines end without a carriage return",
       [](C& c) { c.client(kGet), c.server("HTTP/1.1 103 Early Hints\nLink: a\n\n" + kOk); },
       FL_KIND_HTTP1,
       0,
       {1, 0, 0, 0, 1, 0}},
      {"the status line byte by byte",
       [](C& c) {
         c.client(kGet);
         for (const char byte : kUnavailable) c.server(Bytes(1, byte));
       },
       FL_KIND_HTTP1,
       0,
       {1, 0, 1, 0, 0, 1}},
      {"the status line in two segments, the first sent again with the second",
       [](C& c) { c.client(kGet), c.server(kOk.substr(0, 9)), c.back_server(9), c.server(kOk); },
       FL_KIND_HTTP1,
       0,
       {1, 0, 0, 0, 1, 0}},
      {"the server ends it within the status line",
       [](C& c) { c.client(kGet), c.server(kOk.substr(0, 9)), c.server({}, kFin | kAck); },
       FL_KIND_HTTP1,
       0,
       {0, 0, 1, 0, 0, 0}},
      {"a few bytes that are not HTTP", [](C& c) { c.client(kGet), c.server("$3\r\n"); },
       FL_KIND_HTTP1, FL_GAP_UNCLEAR},
      {"a short rest of a body after the answer is no request",
       [](C& c) {
         c.client(kPost), c.server(kUnavailable), c.client("abc"), c.client(kGet), c.server(kOk);
       },
       FL_KIND_HTTP1,
       0,
       {2, 1, 1, 0, 1, 1}},
      {"WebSocket",
       [](C& c) {
         c.client(kGet), c.server("HTTP/1.1 101 Switching Protocols\r\n\r\n"), c.server("push"),
             c.client("frame"), c.server("frame");
       },
       FL_KIND_STREAM, FL_GAP_STREAM},
      {"CONNECT",
       [](C& c) {
         c.client("CONNECT a:443 HTTP/1.1\r\n\r\n"), c.server(kOk), c.client("any"),
             c.server("any");
       },
       FL_KIND_STREAM,
       FL_GAP_STREAM,
       {1, 0, 0, 0, 1, 0}},
      {"two GETs in one segment", [](C& c) { c.client(kGet + kGet), c.server(kOk + kOk); },
       FL_KIND_HTTP1, FL_GAP_SEVERAL},
      {"two GETs in one segment, the first of odd length",
       [](C& c) { c.client("GET /a HTTP/1.1\r\nHost: a\r\n\r\n" + kGet), c.server(kOk + kOk); },
       FL_KIND_HTTP1, FL_GAP_SEVERAL},
      {"two GETs in one segment after one alone",
       [](C& c) { c.client(kGet), c.server(kOk), c.client(kGet + kGet), c.server(kOk + kOk); },
       FL_KIND_HTTP1,
       FL_GAP_SEVERAL,
       {1, 0, 0, 0, 1, 0}},
      {"a GET before the answer to the first",
       [](C& c) { c.client(kGet), c.client(kGet), c.server(kOk), c.server(kOk); }, FL_KIND_HTTP1,
       FL_GAP_SEVERAL},
      {"two answers to what looked like one request",
       [](C& c) { c.client(kPost + kGet), c.server(kOk), c.server(kOk); },
       FL_KIND_HTTP1,
       FL_GAP_SEVERAL,
       {1, 0, 0, 0, 1, 0}},
      {"an answer that is not HTTP", [](C& c) { c.client(kGet), c.server("ICY 200 OK\r\n"); },
       FL_KIND_HTTP1, FL_GAP_UNCLEAR},
      {"the server ends it before the answer",
       [](C& c) { c.client(kGet), c.server({}, kFin | kAck); },
       FL_KIND_HTTP1,
       0,
       {0, 0, 1, 0, 0, 0}},
      {"the server resets it before the answer",
       [](C& c) { c.client(kGet), c.server({}, kRst); },
       FL_KIND_HTTP1,
       0,
       {0, 0, 1, 0, 0, 0}},
      {"the server ends it after the answer",
       [](C& c) { c.client(kGet), c.server(kOk, kFin | kAck); },
       FL_KIND_HTTP1,
       0,
       {1, 1, 0, 0, 1, 0}},
      {"the client gives up",
       [](C& c) { c.client(kGet), c.client({}, kFin | kAck); },
       FL_KIND_HTTP1,
       0,
       {0, 0, 0, 1, 0, 0}},
      {"the client gives up and a late answer comes",
       [](C& c) { c.client(kGet), c.client({}, kFin | kAck), c.server(kOk), c.client({}, kRst); },
       FL_KIND_HTTP1,
       0,
       {0, 0, 0, 1, 0, 0}},
      {"the client resets",
       [](C& c) { c.client(kGet), c.client({}, kRst), c.server({}, kRst); },
       FL_KIND_HTTP1,
       0,
       {0, 0, 0, 1, 0, 0}},
      {"HTTP/2", [](C& c) { c.client(kPreface), c.server(frame(4, 0, 0, {})); }, FL_KIND_HTTP2, 0},
      {"HTTP/2, the server speaks first",
       [](C& c) { c.server(frame(4, 0, 0, {})), c.client(kPreface); }, FL_KIND_HTTP2, 0},
  };
}

TEST(PacketTable, Http) {
  Conversation c;
  EXPECT_GE(check(c, http_rows()), 25);
}

TEST(PacketTable, Http1RequestsSplitAtEveryOffset) {
  Conversation c;
  for (const Bytes& request :
       {kGet, Bytes("DELETE /a HTTP/1.1\r\nHost: a\r\n\r\n"), kPost + "abcdefghi"}) {
    for (std::size_t at = 1; at < request.size(); ++at) {
      SCOPED_TRACE(request.substr(0, at));
      c.connect();
      for (int i = 0; i < 2; ++i) {
        c.client(request.substr(0, at));
        c.client(request.substr(at));
        c.server(kOk);
      }
      EXPECT_EQ(c.state().gap, 0);
      EXPECT_EQ(c.figures(), (Figures{2, 1, 0, 0, 2, 0}));
    }
  }
}

TEST(PacketTable, Http1AnswersSplitAtEveryOffset) {
  Conversation c;
  for (const Bytes& answer :
       {kOk, kContinue + kOk, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + kContinue + kOk}) {
    for (std::size_t at = 1; at < answer.size(); ++at) {
      SCOPED_TRACE(answer.substr(0, at));
      c.connect();
      for (int i = 0; i < 2; ++i) {
        c.client(kGet);
        c.server(answer.substr(0, at));
        c.server(answer.substr(at));
      }
      EXPECT_EQ(c.state().gap, 0);
      EXPECT_EQ(c.figures(), (Figures{2, 1, 0, 0, 2, 0}));
    }
  }
}

TEST(PacketTable, Http1UpgradesSplitAtEveryOffsetAreStreams) {
  Conversation c;
  const Bytes answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
  for (std::size_t at = 1; at < answer.size(); ++at) {
    SCOPED_TRACE(answer.substr(0, at));
    c.connect();
    c.client(kGet);
    c.server(answer.substr(0, at));
    c.server(answer.substr(at) + "push");
    EXPECT_EQ(c.state().gap, FL_GAP_STREAM);
    EXPECT_EQ(c.figures(), Figures{});
  }
}

// The rest of a status line that has overtaken its begin was not kept: that request is missed, and
// the next is measured.
TEST(PacketTable, Http1StatusLineWhoseRestComesFirstIsAGap) {
  Conversation c;
  c.connect();
  c.client(kGet);
  c.skip_server(9), c.server(kOk.substr(9));
  c.back_server(static_cast<std::uint32_t>(kOk.size())), c.server(kOk.substr(0, 9));
  EXPECT_EQ(c.missed(FL_GAP_LOST), 1);
  c.skip_server(static_cast<std::uint32_t>(kOk.size() - 9));
  c.client(kGet), c.server(kOk);
  EXPECT_EQ(c.state().gap, 0);
  EXPECT_EQ(c.figures(), (Figures{1, 0, 0, 0, 1, 0}));
  EXPECT_EQ(c.missed(FL_GAP_LOST), 1);
}

// An upload that goes on after its answer: it has no latency by the rule of request.latency.
TEST(PacketTable, Http1AnswerBeforeTheRequestIsOverIsAGapOfLatency) {
  Conversation c;
  c.connect();
  c.client(kPost), c.server(kUnavailable);
  EXPECT_EQ(c.missed(FL_GAP_EARLY), 0);
  c.client("abcdefghi"), c.client("abcdefghi");
  EXPECT_EQ(c.missed(FL_GAP_EARLY), 1) << "once for the request";
  c.client(kGet), c.server(kOk);
  c.client(kPost), c.server(kOk), c.client("abcdefghi");
  EXPECT_EQ(c.missed(FL_GAP_EARLY), 2);
  EXPECT_EQ(c.state().gap, 0);
}

}  // namespace
}  // namespace faultline::test
