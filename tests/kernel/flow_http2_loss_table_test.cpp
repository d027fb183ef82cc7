// SPDX-License-Identifier: Apache-2.0
// A table of packets: HTTP/2 in the clear whose segments are cut, lost or overtaken.
#include "tests/kernel/flow_http2_rows.h"

namespace faultline::test {
namespace {

using namespace http2;  // NOLINT(google-build-using-namespace)

TEST(PacketTable, Http2WhatIsMissing) {
  const Bytes big = frame(kDataFrame, kEnds, 1, Bytes(3000, 'b'));
  const auto size = [](const Bytes& bytes) { return static_cast<std::uint32_t>(bytes.size()); };
  // Frames that begin in what is missing: two segments, so that it is not only overtaken.
  const Bytes ping = frame(kPingFrame, 0, 0, Bytes(8, 'p'));
  check({
      {"an answer that is lost",
       [=](C& c) {
         open(c), c.client(get(1) + get(3)), c.skip_server(20), c.server(ping), c.server(answer(3)),
             c.client(get(5)), c.server(answer(5));
       },
       kOneOk,
       {{FL_GAP_H2_LOST, 2}}},
      {"an answer that is overtaken",
       [=](C& c) {
         open(c), c.client(get(1) + get(3));
         c.skip_server(size(answer(1))), c.server(answer(3));
         c.back_server(2 * size(answer(1))), c.server(answer(1)), c.skip_server(size(answer(1)));
         c.client(get(5)), c.server(answer(5));
       },
       {3, 3, 0, 0, 3, 0}},
      {"parts of frames are overtaken, by one that ends a frame",
       [=](C& c) {
         const Bytes all = answer(1, k503) + answer(3, k503);
         open(c), c.client(get(1) + get(3)), c.server(all.substr(0, 7)), c.skip_server(5);
         c.server(all.substr(12)), c.back_server(size(all) - 7), c.server(all.substr(7, 5));
       },
       {2, 2, 2, 0, 0, 2}},
      {"a request that is overtaken",
       [=](C& c) {
         open(c), c.skip_client(size(get(1))), c.client(get(3)), c.back_client(2 * size(get(1)));
         c.client(get(1)), c.skip_client(size(get(3))), c.server(answer(3) + answer(1));
       },
       kTwoOk},
      {"what was overtaken comes after more was lost",
       [=](C& c) {
         open(c), c.client(get(1) + get(3));
         c.skip_server(size(answer(1))), c.server(answer(3)), c.server(ping);
         c.back_server(2 * size(answer(1)) + size(ping)), c.server(answer(1));
         c.skip_server(size(answer(1)) + size(ping)), c.client(get(5)), c.server(answer(5));
       },
       kOneOk,
       {{FL_GAP_H2_LOST, 2}}},
      {"the end of the connection overtakes the answer",
       [](C& c) { open(c), c.client(get(1)), c.skip_server(30), c.server({}, kFin | kAck); },
       {},
       {{FL_GAP_H2_LOST, 1}}},
      {"requests that are lost",
       [=](C& c) {
         open(c), c.client(get(1)), c.skip_client(30), c.client(ping), c.client(get(7)),
             c.server(answer(1)), c.server(answer(3) + answer(5) + answer(7));
       },
       kOneOk,
       {{FL_GAP_H2_LOST, 3}}},
      {"the first request is lost",
       [=](C& c) {
         open(c), c.skip_client(30), c.client(ping), c.client(get(5)), c.server(answer(1)),
             c.server(answer(3) + answer(5));
       },
       kOneOk,
       {{FL_GAP_H2_LOST, 2}}},
      {"a part of a body is missing",
       [=](C& c) {
         open(c), c.client(get(1)), c.server(head(1, kOkIndexed) + big.substr(0, 100));
         c.skip_server(1400), c.server(big.substr(1500)), c.client(get(3)), c.server(answer(3));
       },
       kTwoOk},
      {"the end of a body is missing, and what follows fills a segment",
       [=](C& c) {
         open(c), c.client(get(1)), c.server(head(1, kOkIndexed) + big.substr(0, 2900));
         c.skip_server(200), c.server(ping), c.server(answer(3)), c.client(get(5)),
             c.server(answer(5));
       },
       {2, 1, 0, 0, 2, 0},
       {{FL_GAP_H2_CUT, 1}}},
      {"it is not found again in the middle of a frame",
       [=](C& c) {
         open(c), c.client(get(1)), c.skip_server(50), c.server(ping),
             c.server(big.substr(0, 1000));
         c.server(big.substr(1000)), c.client(get(3)), c.server(Bytes(100, '\0'));
       },
       {},
       {{FL_GAP_H2_LOST, 2}}},
      {"more than can be held has overtaken",
       [=](C& c) { open(c), c.client(get(1)), c.skip_server(50), c.server(big.substr(0, 2100)); },
       {},
       {{FL_GAP_H2_LOST, 1}}},
      {"a status after a loss, by an entry of the table",
       [=](C& c) {
         open(c), c.client(get(1)), c.server(answer(1, k503Stored)), c.skip_server(50);
         c.server(ping), c.server(ping), c.client(get(3) + get(5));
         c.server(answer(3, kNewest)), c.server(answer(5));
       },
       {2, 2, 1, 0, 1, 1},
       {{FL_GAP_STATUS, 1}}},
      {"a status of gRPC after a loss, by an entry of the table",
       [=](C& c) {
         open(c), c.client(get(1)), c.server(head(1, kOkIndexed) + head(1, grpc("0"), true));
         c.skip_server(50), c.server(ping), c.server(ping), c.client(get(3));
         c.server(head(3, kOkIndexed) + head(3, kNewest, true));
       },
       kTwoOk,
       {{FL_GAP_TRAILER, 1}}},
      {"what is no frame",
       [](C& c) {
         open(c), c.client(get(1)), c.server(frame(kPingFrame, 0, 0, Bytes(9, 'p')) + answer(1));
         c.client(get(3)), c.server(answer(3)), c.client(get(5)), c.server(answer(5));
       },
       kOneOk,
       {{FL_GAP_H2_LOST, 2}}},
      {"a header block that is none",
       [](C& c) { open(c), c.client(get(1)), c.server(answer(1, "\x80")); },
       {},
       {{FL_GAP_H2_LOST, 1}}},
  });
}

// Each byte of both directions at which a segment can end.
TEST(PacketTable, Http2FramesSplitAtEveryOffset) {
  Conversation c;
  const Bytes from_client = kPreface + post(1) + get(3) + body(1, true) +
                            frame(kHeaders, kEnds, 5, kFields.substr(0, 3)) +
                            frame(kContinuation, kWhole, 5, kFields.substr(3));
  const Bytes from_server =
      kSettingsFrame + head(1, k503Huffman + kType) +
      frame(kHeaders, kWhole | kPadded | kPriority, 3,
            Bytes{'\1'} + Bytes(5, 'p') + kOkIndexed + "\xbe" + Bytes(1, '\0')) +
      body(1, false) + body(3, false) + head(3, grpc("13"), true) + body(1, true) +
      answer(5, "\xc0");  // 503 again
  const Figures all{3, 3, 3, 0, 1, 2};
  for (std::size_t at = 1; at < from_client.size(); ++at) {
    SCOPED_TRACE(at);
    c.connect();
    c.client(from_client.substr(0, at)), c.client(from_client.substr(at));
    c.server(from_server);
    EXPECT_EQ(c.figures(), all);
  }
  for (std::size_t at = 1; at < from_server.size(); ++at) {
    SCOPED_TRACE(at);
    c.connect();
    c.client(from_client);
    c.server(from_server.substr(0, at)), c.server(from_server.substr(at));
    EXPECT_EQ(c.figures(), all);
    EXPECT_EQ(c.state().gap, 0);
  }
  c.connect();
  // Less than 8 bytes might be requests of another protocol.
  c.client(from_client.substr(0, 8));
  for (const char byte : from_client.substr(8)) c.client(Bytes{byte});
  for (const char byte : from_server) c.server(Bytes{byte});
  EXPECT_EQ(c.figures(), all);
  for (std::uint32_t gap = 1; gap < FL_GAPS; ++gap) EXPECT_EQ(c.missed(gap), 0) << gap;
}

TEST(PacketTable, Http2ManyFramesInASegment) {
  Conversation c;
  c.connect();
  open(c);
  Bytes requests, answers;
  for (std::uint32_t i = 0; i < 100; ++i) {
    requests += get(2 * i + 1);
    answers += answer(2 * i + 1, k503);
  }
  c.client(requests);
  c.server(answers);
  EXPECT_EQ(c.figures(), (Figures{100, 100, 100, 0, 0, 100}));
  EXPECT_EQ(c.streams(), 0);
}

TEST(PacketTable, Http2MoreRequestsThanPlaces) {
  Conversation c;
  c.connect();
  open(c);
  for (std::uint32_t i = 0; i < FL_H2_STREAMS + 10; ++i) c.client(get(2 * i + 1));
  EXPECT_EQ(c.missed(FL_GAP_H2_FULL), 10);
  EXPECT_EQ(c.streams(), FL_H2_STREAMS);
  c.server(answer(1) + answer(2 * FL_H2_STREAMS + 1));
  EXPECT_EQ(c.figures(), kOneOk);
  // The sweep forgets the streams of a connection that has ended.
  c.client({}, kRst);
  EXPECT_EQ(c.figures().abandoned, FL_H2_STREAMS - 1);
  c.sweep();
  EXPECT_EQ(c.streams(), 0);
}

}  // namespace
}  // namespace faultline::test
