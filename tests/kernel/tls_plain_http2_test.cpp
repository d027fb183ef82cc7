// SPDX-License-Identifier: Apache-2.0
// What tls_plain says of HTTP/2 in TLS: nginx, asked by h2load and curl, by their own count and
// stopwatch; and frames in pieces of any size.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iostream>

#include "testbed/emulated.h"
#include "testbed/program.h"
#include "tests/kernel/tls_effects.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using std::chrono::milliseconds;
using testing::IsEmpty;

namespace {

constexpr std::uint16_t kPort = 8443;

// ---- frames of our own

std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                  const std::string& payload) {
  const auto size = static_cast<std::uint32_t>(payload.size());
  std::string text;
  for (const int shift : {16, 8, 0}) text += static_cast<char>(size >> shift);
  text += static_cast<char>(type);
  text += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) text += static_cast<char>(stream >> shift);
  return text + payload;
}
constexpr std::uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kContinuation = 9;
constexpr std::uint8_t kEndStream = 1, kEndHeaders = 4, kPadded = 8, kPriority = 0x20;

const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(kSettings, 0, 0, "");
const std::string kAskFields = "\x82\x84\x87";          // GET, /, https
const std::string kOk = "\x88", kServerError = "\x8e";  // 200, 500
const std::string kBusy = "\x48\x03\x35\x30\x33";       // :status 503, put into the table

// Both sides read from and write to OpenSSL in pieces of `piece` bytes. The server answers all that
// `asked` says with all that `answered` says, once it has read it all.
void talk(const TestPod& server_pod, const TlsProcess*& client, std::uint16_t port,
          const std::string& asked, const std::string& answered, std::size_t piece,
          std::unique_ptr<TlsServer>& server, std::unique_ptr<TlsProcess>& process,
          const TestPod& client_pod) {
  auto in_pieces = [piece](SSL* ssl, const std::string& text) {
    for (std::size_t at = 0; at < text.size(); at += piece)
      if (!write_all(ssl, text.substr(at, piece))) return false;
    return true;
  };
  auto read = std::make_shared<std::size_t>(0);
  server = std::make_unique<TlsServer>(server_pod, port, [=](SSL* ssl, const std::string& text) {
    *read += text.size();
    if (*read < asked.size()) return true;
    std::this_thread::sleep_for(milliseconds(10));
    in_pieces(ssl, answered);
    return false;
  });
  const std::string ip = server_pod.ip4();
  process = std::make_unique<TlsProcess>(client_pod, [=](Answers& said) {
    TlsClient c(ip, port);
    in_pieces(c.ssl(), asked);
    std::size_t got = 0;
    for (std::string text; !(text = read_some(c.ssl())).empty();) got += text.size();
    said.add(static_cast<double>(got));
  });
  client = process.get();
}

class TlsPlainHttp2 : public TlsPlain {
 protected:
  // What both sides say of it, when each piece has so many bytes: the two must agree.
  TlsSeen said_of(const std::string& asked, const std::string& answered, std::size_t piece) {
    std::unique_ptr<TlsServer> server;
    std::unique_ptr<TlsProcess> process;
    const TlsProcess* client = nullptr;
    talk(server_, client, port_, asked, answered, piece, server, process, client_);
    ++port_;
    const auto of_server = measure(server_), of_client = measure(client_);
    client->go();
    TlsSeen at_server = take(*of_server), at_client = take(*of_client);
    for (const char* metric : {"tls.request.rate", "tls.request.responses"})
      EXPECT_EQ(at_server.counter(metric, "server"), at_client.counter(metric, "client"))
          << metric << " in pieces of " << piece;
    EXPECT_EQ(at_server.reasons(), at_client.reasons()) << "in pieces of " << piece;
    return at_client;
  }

 private:
  std::uint16_t port_ = kPort;
};

TEST_F(TlsPlainHttp2, FramesAreFollowedHoweverTheyAreCut) {
  const std::string asked =
      kPreface + frame(kHeaders, kEndStream | kEndHeaders, 1, kAskFields) +
      frame(kHeaders, kEndHeaders | kPriority, 3, std::string(5, '\0') + kAskFields) +
      frame(kData, 0, 3, std::string(300, 'd')) + frame(kData, kEndStream, 3, "d") +
      frame(kHeaders, kEndStream, 5, kAskFields.substr(0, 1)) +
      frame(kContinuation, kEndHeaders, 5, kAskFields.substr(1)) +
      frame(kHeaders, kEndStream | kEndHeaders, 7, kAskFields);
  const std::string answered =
      frame(kSettings, 0, 0, "") +
      // Padding, then data.
      frame(kHeaders, kEndHeaders | kPadded, 3, "\x02" + kOk + std::string(2, '\0')) +
      frame(kData, kEndStream, 3, std::string(300, 'a')) +
      // A field of another name, then an answer without data; its status is put into the table.
      frame(kHeaders, kEndHeaders | kEndStream, 1, kBusy) +
      // An interim answer, then one that is told by the table, over two frames.
      frame(kHeaders, kEndHeaders, 5, "\x08\x03\x31\x30\x33") +
      frame(kHeaders, kEndStream, 5, "\x40\x01x\x01y") +
      frame(kContinuation, kEndHeaders, 5, "\xbf") +
      frame(kHeaders, kEndHeaders | kEndStream, 7, kServerError);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{8}, std::size_t{9},
                                  std::size_t{100}, std::size_t{16000}}) {
    const TlsSeen seen = said_of(asked, answered, piece);
    EXPECT_EQ(seen.counter("tls.request.rate", "client"), 4) << piece;
    EXPECT_EQ(seen.counter("tls.request.responses", "client", "2xx"), 1) << piece;
    EXPECT_EQ(seen.counter("tls.request.responses", "client", "5xx"), 3) << piece;
    EXPECT_EQ(seen.errors("client"), (std::pair{3.0, 4.0})) << piece;
    EXPECT_EQ(seen.histogram("tls.request.duration", "client").count(), 4U) << piece;
    EXPECT_GT(seen.median("tls.request.latency", "client"), 0.0095) << piece;
    EXPECT_THAT(seen.reasons(), IsEmpty()) << piece;
  }
}

TEST_F(TlsPlainHttp2, StreamsThatAreResetAreErrorsOfWhoeverResetsThem) {
  const std::string ask = frame(kHeaders, kEndStream | kEndHeaders, 1, kAskFields);
  const std::string cancel(4, '\x08');
  const TlsSeen by_server = said_of(kPreface + ask, frame(kReset, 0, 1, cancel), 16000);
  EXPECT_EQ(by_server.errors("client"), (std::pair{1.0, 1.0}));
  EXPECT_EQ(by_server.counter("tls.request.unanswered", "client"), 1);
  const TlsSeen by_client =
      said_of(kPreface + ask + frame(kReset, 0, 1, cancel), frame(kSettings, 0, 0, ""), 16000);
  EXPECT_EQ(by_client.errors("client"), (std::pair{0.0, 0.0}));
  EXPECT_EQ(by_client.counter("tls.request.unanswered", "client"), 1);
}

TEST_F(TlsPlainHttp2, WhatIsNoFrameIsAGap) {
  const TlsSeen seen =
      said_of(kPreface + frame(kHeaders, kEndStream, 1, kAskFields) + frame(kData, 0, 1, ""),
              frame(kSettings, 0, 0, ""), 16000);
  EXPECT_THAT(
      seen.reasons(),
      testing::ElementsAre("1 of 1 connections: HTTP/2 in TLS whose frames could not be followed"));
}

// ---- real programs

std::string nginx_config(const std::string& folder) {
  return "daemon off; user root; worker_processes 1; pid " + folder + "/pid; error_log " + folder +
         "/error.log;\nevents { worker_connections 1024; }\nhttp { access_log " + folder +
         "/access.log; keepalive_requests 1000000; client_body_temp_path " + folder +
         "/t1; proxy_temp_path " + folder + "/t2; fastcgi_temp_path " + folder +
         "/t3; uwsgi_temp_path " + folder + "/t4; scgi_temp_path " + folder +
         "/t5;\n server { listen 8443 ssl http2; ssl_certificate " + folder +
         "/cert.pem; ssl_certificate_key " + folder +
         "/key.pem; ssl_protocols TLSv1.3;\n location /ok { return 200 ok; } location /bad { "
         "return "
         "503; } } }\n";
}

class TlsPlainNginx : public TlsPlainHttp2 {
 protected:
  void SetUp() override {
    TlsPlainHttp2::SetUp();
    if (IsSkipped()) return;
    must({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
          "-nodes", "-keyout", folder_.path() + "/key.pem", "-out", folder_.path() + "/cert.pem",
          "-subj", "/CN=s", "-days", "2"});
    std::ofstream(folder_.path() + "/nginx.conf") << nginx_config(folder_.path());
    nginx_.push_back(server_.start([&] {
      become({"nginx", "-e", folder_.path() + "/error.log", "-c", folder_.path() + "/nginx.conf"},
             {folder_.path() + "/log"});
      return 0;
    }));
    ASSERT_TRUE(wait_for([&] { return try_connect(TcpAddress(server_.ip4(), kPort)) == 0; }));
    // So that probes are there when the clients begin.
    nginx_.push_back(client_.start([] {
      become({"/usr/bin/python3", "-c", "import ssl, time; time.sleep(100)"}, {});
      return 0;
    }));
    std::this_thread::sleep_for(milliseconds(500));
  }
  [[nodiscard]] std::string url(const std::string& path) const {
    return "https://" + server_.ip4() + ":" + std::to_string(kPort) + path;
  }
  TestFolder folder_;
  std::vector<Child> nginx_;
};

TEST_F(TlsPlainNginx, ManyStreamsAtOnceAreCountedAndTimedAsTheClientDoes) {
  const auto of_server = measure(server_), of_client = measure(client_);
  const std::string log = folder_.path() + "/h2load.log";
  const CommandResult load =
      client_.exec({"h2load", "-n", "2000", "-c", "2", "-m", "8", "--log-file=" + log, url("/ok")});
  ASSERT_EQ(load.status, 0) << load.output;
  std::this_thread::sleep_for(milliseconds(50));
  std::vector<double> seconds;
  double begin = 0, status = 0, duration = 0;
  for (std::ifstream in(log); in >> begin >> status >> duration;) seconds.push_back(duration / 1e6);
  ASSERT_EQ(seconds.size(), 2000U);
  std::ranges::sort(seconds);
  for (const auto& [side, collector] :
       {std::pair{"server", of_server.get()}, {"client", of_client.get()}}) {
    const TlsSeen seen = take(*collector);
    EXPECT_EQ(seen.counter("tls.request.rate", side), 2000) << side;
    EXPECT_EQ(seen.counter("tls.request.responses", side, "2xx"), 2000) << side;
    EXPECT_EQ(seen.errors(side), (std::pair{0.0, 2000.0})) << side;
    EXPECT_EQ(seen.histogram("tls.request.duration", side).count(), 2000U) << side;
    EXPECT_THAT(seen.reasons(), IsEmpty()) << side;
    std::cout << side << ": h2load p50 " << seconds[1000] * 1e3 << " ms, told "
              << seen.median("tls.request.duration", side) * 1e3 << " ms\n";
    // What waits for the server is the client's time.
    const double told = seen.median("tls.request.duration", side);
    if (std::string(side) == "client") {
      EXPECT_NEAR(told, seconds[1000], within_ms(0.2) * 1e-3);
    } else {
      EXPECT_LT(told, seconds[1000]);
    }
  }
}

TEST_F(TlsPlainNginx, AnswersOf503AreErrors) {
  const auto of_server = measure(server_), of_client = measure(client_);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(client_.exec({"curl", "-sk", "--http2", url("/ok"), url("/bad")}).status, 0);
  }
  std::this_thread::sleep_for(milliseconds(50));
  for (const auto& [side, collector] :
       {std::pair{"server", of_server.get()}, {"client", of_client.get()}}) {
    const TlsSeen seen = take(*collector);
    EXPECT_EQ(seen.counter("tls.request.responses", side, "2xx"), 5) << side;
    EXPECT_EQ(seen.errors(side), (std::pair{5.0, 10.0})) << side;
    EXPECT_THAT(seen.reasons(), IsEmpty()) << side;
  }
}

}  // namespace
}  // namespace faultline::test
