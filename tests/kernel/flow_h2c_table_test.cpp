// SPDX-License-Identifier: Apache-2.0
// A table of packets: HTTP/2 in the clear that begins as HTTP/1 (RFC 7540 section 3.2).
#include "tests/kernel/flow_http2_rows.h"

namespace faultline::test {
namespace {

using namespace http2;  // NOLINT(google-build-using-namespace)

const Bytes kAsks =
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
const Bytes kAgrees =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

TEST(PacketTable, H2c) {
  check({
      {"the server agrees",
       [](C& c) {
         c.client(kAsks), c.server(kAgrees), c.server(kSettingsFrame), c.client(kPreface);
         c.server(answer(1)), c.client(get(3)), c.server(answer(3));
       },
       kTwoOk},
      {"the answer comes before the preface",
       [](C& c) {
         c.client(kAsks), c.server(kAgrees + kSettingsFrame + answer(1, k503));
         c.client(kPreface + get(3) + get(5)), c.server(answer(5) + answer(3));
       },
       {3, 3, 1, 0, 2, 1}},
      {"in small letters, after an interim answer",
       [](C& c) {
         c.client(kAsks);
         c.server(kContinue + "HTTP/1.1 101 Any\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n");
         c.server(kSettingsFrame), c.client(kPreface), c.server(answer(1));
       },
       kOneOk},
      {"after requests of HTTP/1",
       [](C& c) {
         c.client(kGet), c.server(kOk), c.client(kAsks), c.server(kAgrees + kSettingsFrame);
         c.client(kPreface), c.server(answer(1));
       },
       kTwoOk},
      {"the server ends it before the answer",
       [](C& c) {
         c.client(kAsks), c.server(kAgrees + kSettingsFrame), c.client(kPreface);
         c.server({}, kFin | kAck);
       },
       {0, 0, 1, 0, 0, 0}},
      {"the client gives up",
       [](C& c) {
         c.client(kAsks), c.server(kAgrees + kSettingsFrame), c.client(kPreface);
         c.client(frame(kReset, 0, 1, Bytes(4, '\0'))), c.server(answer(1));
       },
       {0, 0, 0, 1, 0, 0}},
  });
}

TEST(PacketTable, H2cWhereTheServerDoesNotAgreeIsHttp1) {
  Conversation c;
  c.connect();
  c.client(kAsks), c.server(kOk), c.client(kGet), c.server(kOk);
  EXPECT_EQ(c.state().kind, FL_KIND_HTTP1);
  EXPECT_EQ(c.state().gap, 0);
  EXPECT_EQ(c.figures(), (Figures{2, 1, 0, 0, 2, 0}));
}

TEST(PacketTable, H2cSplitAtEveryOffset) {
  Conversation c;
  const Bytes said = kAgrees + kSettingsFrame + answer(1), more = kPreface + get(3);
  for (std::size_t at = 1; at < said.size(); ++at) {
    SCOPED_TRACE(at);
    c.connect();
    c.client(kAsks);
    c.server(said.substr(0, at)), c.server(said.substr(at));
    c.client(more.substr(0, at % more.size())), c.client(more.substr(at % more.size()));
    c.server(answer(3));
    EXPECT_EQ(c.state().kind, FL_KIND_HTTP2);
    EXPECT_EQ(c.state().gap, 0);
    EXPECT_EQ(c.figures(), kTwoOk);
  }
}

}  // namespace
}  // namespace faultline::test
