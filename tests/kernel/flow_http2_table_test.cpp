// SPDX-License-Identifier: Apache-2.0
// A table of packets: HTTP/2 in the clear.
#include "tests/kernel/flow_http2_rows.h"

namespace faultline::test {
namespace {

using namespace http2;  // NOLINT(google-build-using-namespace)

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
         c.server(frame(kDataFrame, kEnds | kPadded, 1, Bytes{'\2'} + "body" + Bytes(2, '\0')));
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
       {1, 0, 0, 0, 1, 0},
       {{FL_GAP_H2_CUT, 1}}},
      {"the server refuses",
       [=](C& c) { open(c), c.client(get(1)), c.server(frame(kReset, 0, 1, cancel)); },
       {0, 0, 1, 0, 0, 0}},
      {"the server cuts off its answer",
       [=](C& c) {
         open(c), c.client(get(1)), c.server(head(1, kOkIndexed)),
             c.server(frame(kReset, 0, 1, cancel));
       },
       {1, 0, 1, 0, 1, 0},
       {{FL_GAP_H2_CUT, 1}}},
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
      {"GOAWAY again and again, each time of more",
       [=](C& c) {
         open(c), c.client(get(1) + get(3) + get(5) + get(7)), c.server(goaway(5) + goaway(5)),
             c.server(goaway(3) + goaway(1)), c.server(goaway(1)), c.server(answer(1));
       },
       kOneOk,
       {},
       3},
      {"GOAWAY that takes back what an earlier one said",
       [=](C& c) {
         open(c), c.client(get(1) + get(3)), c.server(goaway(1)), c.server(goaway(99)),
             c.client(get(5)), c.server(answer(1));
       },
       kOneOk,
       {},
       2},
      {"GOAWAY to a client whose streams leap: beyond what is looked for, the connection's end "
       "tells",
       [=](C& c) {
         open(c), c.client(get(1) + get(3) + get(2'000'000'001)), c.server(goaway(1)),
             c.server(answer(1)), c.server({}, kFin | kAck);
       },
       {1, 1, 1, 0, 1, 0},
       {},
       1},
      {"the server ends the connection",
       [](C& c) {
         open(c), c.client(get(1) + get(3) + get(5)), c.server(answer(1) + head(3, kOkIndexed)),
             c.server({}, kFin | kAck), c.client({}, kFin | kAck);
       },
       {2, 1, 2, 0, 2, 0},
       {{FL_GAP_H2_CUT, 1}}},
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

}  // namespace
}  // namespace faultline::test
