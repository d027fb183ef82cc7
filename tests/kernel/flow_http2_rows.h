// SPDX-License-Identifier: Apache-2.0
// What clients and servers of HTTP/2 say in the tables of packet_flow, and how a row is checked.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "tests/kernel/flow_rows.h"

namespace faultline::test::http2 {

using C = Conversation;
using Missed = std::map<std::uint32_t, std::uint64_t>;  // FL_GAP_* -> how many

inline constexpr int kDataFrame = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPromise = 5,
                     kPingFrame = 6, kGoAway = 7, kWindow = 8, kContinuation = 9;
inline constexpr int kEnds = 1, kWhole = 4, kPadded = 8, kPriority = 0x20;
inline const Bytes kFields = {"\x82\x86\x84\x41\x01s", 6};

inline Bytes get(std::uint32_t stream) { return frame(kHeaders, kWhole | kEnds, stream, kFields); }
inline Bytes post(std::uint32_t stream) { return frame(kHeaders, kWhole, stream, kFields); }
inline Bytes body(std::uint32_t stream, bool ends, std::size_t size = 5) {
  return frame(kDataFrame, ends ? kEnds : 0, stream, Bytes(size, 'b'));
}
// An answer's header block, of a status in each way to write it.
inline const Bytes kOkIndexed = "\x88", kErrorIndexed = "\x8e",
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
inline const Bytes kType =
    "\x5f\x10"
    "application/grpc";  // stored
inline const Bytes kGrpcName = "grpc-status";
inline Bytes grpc(const Bytes& code) {
  return Bytes{'\x40', '\x0b'} + kGrpcName + Bytes{static_cast<char>(code.size())} + code;
}
inline Bytes head(std::uint32_t stream, const Bytes& block, bool ends = false) {
  return frame(kHeaders, ends ? kWhole | kEnds : kWhole, stream, block);
}
inline Bytes answer(std::uint32_t stream, const Bytes& block = kOkIndexed) {
  return head(stream, block) + body(stream, true);
}
inline const Bytes kSettingsFrame = frame(kSettings, 0, 0, Bytes(12, '\0'));

// Both sides have said their settings.
inline void open(C& c) {
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

inline void check(const std::vector<Row>& rows) {
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

inline const Figures kOneOk{1, 1, 0, 0, 1, 0}, kTwoOk{2, 2, 0, 0, 2, 0},
    kOneFailed{1, 1, 1, 0, 0, 1};

}  // namespace faultline::test::http2
