// SPDX-License-Identifier: Apache-2.0
// A table of packets: HTTP/2 in the clear.
#include <map>

#include "tests/kernel/flow_rows.h"

namespace faultline::test {
namespace {

using C = Conversation;
using Missed = std::map<std::uint32_t, std::uint64_t>;  // FL_GAP_* -> how many

constexpr int kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPromise = 5, kPingFrame = 6,
              kGoAway = 7, kWindow = 8, kContinuation = 9;
constexpr int kEnds = 1, kWhole = 4, kPadded = 8, kPriority = 0x20;
const Bytes kFields = {"\x82\x86\x84\x41\x01s", 6};

Bytes get(std::uint32_t stream) { return frame(kHeaders, kWhole | kEnds, stream, kFields); }
Bytes post(std::uint32_t stream) { return frame(kHeaders, kWhole, stream, kFields); }
Bytes body(std::uint32_t stream, bool ends, std::size_t size = 5) {
  return frame(kData, ends ? kEnds : 0, stream, Bytes(size, 'b'));
}
// An answer's header block, of a status in each way to write it.
const Bytes kOkIndexed = "\x88", kErrorIndexed = "\x8e",
            k503 =
                "\x08\x03"
                "503",
            k503Stored =
                "\x48\x03"
                "503",
            k503Huffman = "\x48\x83\x6c\x0c\xff",
            k204Name = Bytes(
                "\x00\x07:status\x03"
                "204",
                13),
            kNewest = "\xbe";
const Bytes kType =
    "\x5f\x10"
    "application/grpc";  // stored
const Bytes kGrpcName = "grpc-status";
Bytes grpc(const Bytes& code) {
  return Bytes{'\x40', '\x0b'} + kGrpcName + Bytes{static_cast<char>(code.size())} + code;
}
Bytes head(std::uint32_t stream, const Bytes& block, bool ends = false) {
  return frame(kHeaders, ends ? kWhole | kEnds : kWhole, stream, block);
}
Bytes answer(std::uint32_t stream, const Bytes& block = kOkIndexed) {
  return head(stream, block) + body(stream, true);
}
const Bytes kSettingsFrame = frame(kSettings, 0, 0, Bytes(12, '\0'));

// Both sides have said their settings.
void open(C& c) {
  c.client(kPreface);
  c.server(kSettingsFrame);
}

struct Row {
  const char* description;
  std::function<void(C&)> talk;
  Figures figures;
  Missed missed{};
  std::uint64_t unanswered = 0, early = 0;
};

void check(const std::vector<Row>& rows) {
  Conversation c;
  for (const Row& row : rows) {
    SCOPED_TRACE(row.description);
    c.connect();
    row.talk(c);
    EXPECT_EQ(c.state().kind, FL_KIND_HTTP2);
    EXPECT_EQ(c.state().gap, 0);
    EXPECT_EQ(c.figures(), row.figures);
    for (std::uint32_t gap = 1; gap < FL_GAPS; ++gap)
      EXPECT_EQ(c.missed(gap), row.missed.contains(gap) ? row.missed.at(gap) : 0) << "gap " << gap;
    EXPECT_EQ(c.unanswered(), row.unanswered);
    EXPECT_EQ(c.early(), row.early);
  }
}

const Figures kOneOk{1, 1, 0, 0, 1, 0}, kTwoOk{2, 2, 0, 0, 2, 0}, kOneFailed{1, 1, 1, 0, 0, 1};

TEST(PacketTable, Http2RequestsAndAnswers) {
  check({
      {"GET", [](C& c) { open(c), c.client(get(1)), c.server(answer(1)); }, kOneOk},
      {"preface and request in one segment",
       [](C& c) { c.client(kPreface + get(1)), c.server(kSettingsFrame + answer(1)); }, kOneOk},
      {"the server's settings come first",
       [](C& c) { c.server(kSettingsFrame), c.client(kPreface + get(1)), c.server(answer(1)); },
       kOneOk},
      {"settings, ping, window update and an unknown frame between",
       [](C& c) {
         open(c);
         const Bytes between = frame(kSettings, 1, 0, {}) + frame(kPingFrame, 0, 0, Bytes(8, 'p')) +
                               frame(kWindow, 0, 0, Bytes(4, 1)) + frame(0x10, 0, 0, Bytes(7, 'u'));
         c.client(between + get(1) + between + frame(kWindow, 0, 1, Bytes(4, 1)));
         c.server(between + head(1, kOkIndexed) + between + body(1, true) + between);
       },
       kOneOk},
      {"an answer without a body",
       [](C& c) { open(c), c.client(get(1)), c.server(head(1, k204Name, true)); }, kOneOk},
      {"an empty DATA frame ends the answer",
       [](C& c) {
         open(c), c.client(get(1)), c.server(head(1, kOkIndexed) + body(1, false)),
             c.server(body(1, true, 0));
       },
       kOneOk},
      {"POST",
       [](C& c) {
         open(c), c.client(post(1)), c.client(body(1, false)), c.client(body(1, true)),
             c.server(answer(1));
       },
       kOneOk},
      {"POST with trailers",
       [](C& c) {
         open(c), c.client(post(1) + body(1, false)), c.client(get(1)), c.server(answer(1));
       },
       kOneOk},
      {"POST that is answered before its end",
       [](C& c) { open(c), c.client(post(1)), c.server(answer(1, k503)), c.client(body(1, true)); },
       {0, 1, 1, 0, 0, 1},
       {{FL_GAP_EARLY, 1}},
       0,
       1},
      {"two at once, answered the other way round",
       [](C& c) { open(c), c.client(get(1) + get(3)), c.server(answer(3)), c.server(answer(1)); },
       kTwoOk},
      {"answers that take turns",
       [](C& c) {
         open(c), c.client(get(1)), c.client(get(3));
         c.server(head(1, kOkIndexed) + head(3, kOkIndexed) + body(1, false) + body(3, false));
         c.server(body(3, true) + body(1, true));
       },
       kTwoOk},
      {"a segment sent again",
       [](C& c) {
         open(c), c.client(get(1)), c.client_again(get(1)), c.server(answer(1)),
             c.back_server(static_cast<std::uint32_t>(answer(1).size())), c.server(answer(1));
       },
       kOneOk},
      {"padding and priority",
       [](C& c) {
         open(c);
         c.client(frame(kHeaders, kWhole | kEnds | kPadded | kPriority, 1,
                        Bytes{'\2'} + Bytes(5, 'p') + kFields + Bytes(2, '\0')));
         c.server(frame(kHeaders, kWhole | kPadded | kPriority, 1,
                        Bytes{'\3'} + Bytes(5, 'p') + k503 + Bytes(3, '\0')));
         c.server(frame(kData, kEnds | kPadded, 1, Bytes{'\2'} + "body" + Bytes(2, '\0')));
       },
       kOneFailed},
      {"CONTINUATION, cut in the status",
       [](C& c) {
         open(c);
         c.client(frame(kHeaders, kEnds, 1, kFields.substr(0, 2)) +
                  frame(kContinuation, kWhole, 1, kFields.substr(2)));
         c.server(frame(kHeaders, kEnds, 1, k503.substr(0, 3)) +
                  frame(kContinuation, 0, 1, k503.substr(3)) + frame(kContinuation, kWhole, 1, {}));
       },
       kOneFailed},
      {"interim answers",
       [](C& c) {
         open(c), c.client(get(1)),
             c.server(head(1,
                           "\x48\x03"
                           "103") +
                      head(1, kNewest));
         c.server(answer(1));
       },
       kOneOk},
      {"a promise, and what was promised",
       [](C& c) {
         open(c), c.client(get(1));
         c.server(frame(kPromise, kWhole, 1, Bytes("\0\0\0\2", 4) + k503Stored));
         c.server(answer(2) + answer(1, kNewest));  // the promise changed the table
       },
       kOneFailed},
  });
}

TEST(PacketTable, Http2Statuses) {
  const auto one = [](const Bytes& block) {
    return [block](C& c) { open(c), c.client(get(1)), c.server(answer(1, block)); };
  };
  check({
      {"500 of the static table", one(kErrorIndexed), kOneFailed},
      {"after two sizes of the table", one("\x20\x3f\xe1\x1f\x88"), kOneOk},
      {"503 in digits", one(k503), kOneFailed},
      {"503 in digits, never stored",
       one("\x18\x03"
           "503"),
       kOneFailed},
      {"503 in Huffman code", one(k503Huffman), kOneFailed},
      {"204 with its name", one(k204Name), kOneOk},
      {"404", one("\x8d"), {1, 1, 0, 0, 0, 0}},
      {"503 from the dynamic table",
       [](C& c) {
         open(c), c.client(get(1) + get(3));
         c.server(answer(1, k503Stored + kType)), c.server(answer(3, "\xbf"));
       },
       {2, 2, 2, 0, 0, 2}},
      {"503 from the dynamic table, after many other entries",
       [](C& c) {
         open(c), c.client(get(1) + get(3));
         Bytes others;
         for (int i = 0; i < 100; ++i) others += kType;
         c.server(answer(1, k503Stored + others));
         c.server(answer(3, "\xff\x23"));  // 62 + 100
       },
       {2, 2, 2, 0, 0, 2}},
      {"a status that is an entry which is none",
       [](C& c) {
         open(c), c.client(get(1) + get(3)), c.server(answer(1, kOkIndexed + kType)),
             c.server(answer(3, kNewest));
       },
       kOneOk,
       {{FL_GAP_STATUS, 1}}},
      {"gRPC that succeeds",
       [](C& c) {
         open(c), c.client(post(1) + body(1, true));
         c.server(head(1, kOkIndexed + kType) + body(1, false) + head(1, grpc("0"), true));
       },
       kOneOk},
      {"gRPC that fails, and again by entries of the table",
       [](C& c) {
         open(c), c.client(get(1) + get(3));
         c.server(head(1, kOkIndexed + kType) + body(1, false) + head(1, grpc("13"), true));
         c.server(head(3, kOkIndexed + "\xbf") + body(3, false) + head(3, kNewest, true));
       },
       {2, 2, 2, 0, 2, 0}},
      {"gRPC, a name from the table",
       [](C& c) {
         open(c), c.client(get(1) + get(3));
         c.server(head(1, kOkIndexed) + head(1, grpc("0"), true));
         c.server(head(3, kOkIndexed) + head(3,
                                             Bytes("\x0f\x2f\x02"
                                                   "14"),
                                             true));
       },
       {2, 2, 1, 0, 2, 0}},
      {"gRPC, trailers only",
       [](C& c) {
         open(c), c.client(get(1)), c.server(head(1, kOkIndexed + kType + grpc("12"), true));
       },
       {1, 1, 1, 0, 1, 0}},
      {"gRPC, the client's mistake is no error",
       [](C& c) { open(c), c.client(get(1)), c.server(head(1, kOkIndexed + grpc("5"), true)); },
       kOneOk},
      {"gRPC, the name in Huffman code",
       [](C& c) {
         open(c), c.client(get(1));
         c.server(head(1, kOkIndexed) +
                  head(1, Bytes("\x00\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x82\x0b\x3f", 13), true));
       },
       {1, 1, 1, 0, 1, 0}},
  });
}

TEST(PacketTable, Http2Ends) {
  const Bytes cancel(4, '\0');
  const auto goaway = [](std::uint32_t last) { return frame(kGoAway, 0, 0, be32(last) + be32(0)); };
  check({
      {"the client cancels",
       [=](C& c) {
         open(c), c.client(get(1)), c.client(frame(kReset, 0, 1, cancel)), c.server(answer(1));
       },
       {0, 0, 0, 1, 0, 0}},
      {"the client cancels during the answer",
       [=](C& c) {
         open(c), c.client(get(1)), c.server(head(1, kOkIndexed)),
             c.client(frame(kReset, 0, 1, cancel)), c.server(body(1, true));
       },
       {1, 0, 0, 0, 1, 0}},
      {"the server refuses",
       [=](C& c) { open(c), c.client(get(1)), c.server(frame(kReset, 0, 1, cancel)); },
       {0, 0, 1, 0, 0, 0}},
      {"the server cuts off its answer",
       [=](C& c) {
         open(c), c.client(get(1)), c.server(head(1, kOkIndexed)),
             c.server(frame(kReset, 0, 1, cancel));
       },
       {1, 0, 1, 0, 1, 0}},
      {"the server stops an upload after its answer",
       [=](C& c) {
         open(c), c.client(post(1)), c.server(answer(1) + frame(kReset, 0, 1, cancel)),
             c.client(body(1, true));
       },
       {0, 1, 0, 0, 1, 0},
       {{FL_GAP_EARLY, 1}},
       0,
       1},
      {"GOAWAY after all",
       [=](C& c) { open(c), c.client(get(1)), c.server(goaway(1) + answer(1)); }, kOneOk},
      {"GOAWAY before some",
       [=](C& c) {
         open(c), c.client(get(1) + get(3) + get(5)), c.server(goaway(1)), c.client(get(7)),
             c.server(answer(1)), c.server({}, kFin | kAck);
       },
       kOneOk,
       {},
       3},
      {"the server ends the connection",
       [](C& c) {
         open(c), c.client(get(1) + get(3) + get(5)), c.server(answer(1) + head(3, kOkIndexed)),
             c.server({}, kFin | kAck), c.client({}, kFin | kAck);
       },
       {2, 1, 2, 0, 2, 0}},
      {"the server resets the connection",
       [](C& c) { open(c), c.client(get(1) + get(3)), c.server({}, kRst); },
       {0, 0, 2, 0, 0, 0}},
      {"the client ends the connection",
       [](C& c) {
         open(c), c.client(get(1) + get(3)), c.client({}, kFin | kAck), c.server(answer(1)),
             c.server({}, kFin | kAck);
       },
       {0, 0, 0, 2, 0, 0}},
      {"the client ends an idle connection",
       [](C& c) {
         open(c), c.client(get(1)), c.server(answer(1)), c.client({}, kFin | kAck),
             c.server({}, kFin | kAck);
       },
       kOneOk},
      {"the ports are used again, without an end",
       [](C& c) {
         open(c), c.client(get(1) + get(3)), c.server(answer(1)), c.connect_again();
         open(c), c.client(get(1)), c.server(answer(1));
       },
       kTwoOk,
       {},
       1},
  });
}

TEST(PacketTable, Http2WhatIsMissing) {
  const Bytes big = frame(kData, kEnds, 1, Bytes(3000, 'b'));
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
