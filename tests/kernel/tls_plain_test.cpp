// SPDX-License-Identifier: Apache-2.0
// What tls_plain says of HTTP/1 in TLS, against the count and the stopwatch of the client.
#include "agent/effects/tls_plain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iostream>

#include "testbed/arm.h"
#include "testbed/emulated.h"
#include "testbed/needs.h"
#include "tests/kernel/tls_effects.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

constexpr std::uint16_t kPort = 8443;

TEST_F(TlsPlain, BothSidesCountAndTimeWhatTheClientCountsAndTimes) {
  const TlsServer server(server_, kPort, answers(milliseconds(20)));
  const TlsProcess client(client_, [&](Answers& said) {
    for (int connection = 0; connection < 3; ++connection) {
      TlsClient c(server_.ip4(), kPort);
      for (int i = 0; i < 10; ++i) said.add(c.ask(kGet));
    }
  });
  const auto of_server = measure(server_), of_client = measure(client_);
  client.go();
  const TlsSeen at_server = take(*of_server), at_client = take(*of_client);
  for (const auto& [side, seen] : {std::pair{"server", &at_server}, {"client", &at_client}}) {
    EXPECT_EQ(seen->counter("tls.request.rate", side), 30) << side;
    EXPECT_EQ(seen->counter("tls.request.responses", side), 30) << side;
    EXPECT_EQ(seen->errors(side), (std::pair{0.0, 30.0})) << side;
    EXPECT_EQ(seen->counter("tls.request.unanswered", side), 0) << side;
    EXPECT_THAT(seen->reasons(), IsEmpty()) << side;
    EXPECT_EQ(seen->histogram("tls.request.duration", side).count(), 30U) << side;
  }
  const double truth = client.said().median();
  std::cout << "client: " << truth * 1e3 << " ms; told: server "
            << at_server.median("tls.request.latency", "server") * 1e3 << " ms, client "
            << at_client.median("tls.request.latency", "client") * 1e3 << " ms\n";
  EXPECT_NEAR(at_server.median("tls.request.latency", "server"), 0.02, within_ms(1) * 1e-3);
  EXPECT_NEAR(at_client.median("tls.request.latency", "client"), truth, within_ms(1) * 1e-3);
  EXPECT_FALSE(at_server.has("client"));
  EXPECT_FALSE(at_client.has("server"));
}

TEST_F(TlsPlain, ADelayOnTheServerIsFeltByTheClientAlone) {
  const TlsServer server(server_, kPort, answers(milliseconds(10)));
  const TlsProcess client(client_, [&](Answers& said) {
    TlsClient c(server_.ip4(), kPort);
    for (int i = 0; i < 10; ++i) said.add(c.ask(kGet));
  });
  const auto of_server = measure(server_), of_client = measure(client_);
  api::NetworkLatency spec;
  spec.latency.value = milliseconds(50);
  const auto fault = arm(spec, server_.pod());
  client.go();
  EXPECT_GT(client.said().median(), 0.06) << "the client did not feel the fault";
  EXPECT_NEAR(take(*of_server).median("tls.request.latency", "server"), 0.01, within_ms(1) * 1e-3);
  EXPECT_NEAR(take(*of_client).median("tls.request.latency", "client"), client.said().median(),
              within_ms(2) * 1e-3);
}

TEST_F(TlsPlain, ANeighbourWithTheSameLibraryIsNotCounted) {
  const TlsServer server(server_, kPort, answers(milliseconds(1)));
  const TlsProcess client(client_, [&](Answers& said) {
    TlsClient c(server_.ip4(), kPort);
    for (int i = 0; i < 20; ++i) said.add(c.ask(kGet));
  });
  // A process of the neighbour has the library, so probes are there, and nobody asks.
  const TestPod other(net_, "o");
  const TlsServer idle(other, kPort, answers(milliseconds(1)));
  const auto of_other = measure(other);
  client.go();
  TlsClient ours(server_.ip4(), kPort);  // in no pod at all
  ours.ask(kGet);
  const TlsSeen seen = take(*of_other);
  EXPECT_THAT(seen.samples, IsEmpty());
  EXPECT_THAT(seen.reasons(), IsEmpty());
  EXPECT_EQ(client.said().count(), 20);
}

TEST_F(TlsPlain, StatusClassesAreTold) {
  const TlsServer server(server_, kPort, [](SSL* ssl, const std::string& piece) {
    return write_all(ssl, answer_of(piece.starts_with("POST")     ? "503 Busy"
                                    : piece.starts_with("DELETE") ? "404 Not Found"
                                                                  : "204 No Content",
                                    ""));
  });
  const TlsProcess client(client_, [&](Answers& said) {
    TlsClient c(server_.ip4(), kPort);
    for (int i = 0; i < 5; ++i) {
      said.add(c.ask("POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"));
      said.add(c.ask("DELETE /x HTTP/1.1\r\n\r\n"));
      said.add(c.ask(kGet));
      said.add(c.ask(kGet));
    }
  });
  const auto of_server = measure(server_), of_client = measure(client_);
  client.go();
  for (const auto& [side, collector] :
       {std::pair{"server", of_server.get()}, {"client", of_client.get()}}) {
    const TlsSeen seen = take(*collector);
    EXPECT_EQ(seen.counter("tls.request.responses", side, "2xx"), 10);
    EXPECT_EQ(seen.counter("tls.request.responses", side, "4xx"), 5);
    EXPECT_EQ(seen.counter("tls.request.responses", side, "5xx"), 5);
    EXPECT_EQ(seen.errors(side), (std::pair{5.0, 20.0}));
    EXPECT_THAT(seen.reasons(), IsEmpty());
  }
}

TEST_F(TlsPlain, CallsThatReturnTheLengthElsewhereAreTheSame) {
  const TlsServer server(server_, kPort, answers(milliseconds(5), answer_of("200 OK"), Calls::kEx),
                         Calls::kEx);
  const TlsProcess client(client_, [&](Answers& said) {
    TlsClient c(server_.ip4(), kPort);
    for (int i = 0; i < 10; ++i) said.add(c.ask(kGet, Calls::kEx));
  });
  const auto of_server = measure(server_), of_client = measure(client_);
  client.go();
  EXPECT_EQ(take(*of_server).counter("tls.request.rate", "server"), 10);
  const TlsSeen seen = take(*of_client);
  EXPECT_EQ(seen.counter("tls.request.rate", "client"), 10);
  EXPECT_THAT(seen.reasons(), IsEmpty());
}

TEST_F(TlsPlain, HeadsInPiecesAndInterimAnswersAreOneAnswer) {
  const std::string answer = "HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n" + answer_of("200 OK");
  std::string head;
  const TlsServer server(server_, kPort, [&](SSL* ssl, const std::string& piece) {
    if (!(head += piece).ends_with("\r\n\r\n")) return true;  // more is to come
    head.clear();
    std::this_thread::sleep_for(milliseconds(10));
    for (const char c : answer)
      if (!write_all(ssl, std::string(1, c))) return false;
    return true;
  });
  const TlsProcess client(client_, [&](Answers& said) {
    TlsClient c(server_.ip4(), kPort);
    for (int i = 0; i < 5; ++i) {
      for (const char one : kGet.substr(0, kGet.size() - 1))
        write_all(c.ssl(), std::string(1, one));
      said.add(c.ask("\n"));
      for (std::string text = c.answer(); !text.ends_with("ok");) text += read_some(c.ssl());
    }
  });
  const auto of_server = measure(server_), of_client = measure(client_);
  client.go();
  for (const auto& [side, collector] :
       {std::pair{"server", of_server.get()}, {"client", of_client.get()}}) {
    const TlsSeen seen = take(*collector);
    EXPECT_EQ(seen.counter("tls.request.rate", side), 5) << side;
    EXPECT_EQ(seen.counter("tls.request.responses", side, "2xx"), 5) << side;
    EXPECT_THAT(seen.reasons(), IsEmpty()) << side;
    EXPECT_GT(seen.median("tls.request.latency", side), 0.0095) << side;
  }
}

TEST_F(TlsPlain, PipelinedRequestsAreAGapWithTheirConnections) {
  const TlsServer server(server_, kPort, [](SSL* ssl, const std::string& piece) {
    for (std::size_t at = 0; (at = piece.find("GET ", at)) != std::string::npos; ++at)
      if (!write_all(ssl, answer_of("200 OK"))) return false;
    return true;
  });
  const TlsProcess client(client_, [&](Answers& said) {
    for (int connection = 0; connection < 3; ++connection) {
      TlsClient c(server_.ip4(), kPort);
      said.add(c.ask(std::string(kGet) + std::string(kGet)));
      while (c.answer().size() < 2 && !read_some(c.ssl()).empty()) continue;
    }
  });
  const auto of_server = measure(server_), of_client = measure(client_);
  client.go();
  for (agent::Collector* collector : {of_server.get(), of_client.get()}) {
    const TlsSeen seen = take(*collector);
    EXPECT_THAT(seen.samples, IsEmpty());
    EXPECT_THAT(seen.reasons(),
                testing::ElementsAre("3 of 3 connections: several requests at once in TLS"));
  }
}

TEST_F(TlsPlain, AConnectionThatEndsBeforeTheAnswerIsTheClientsError) {
  const TlsServer server(server_, kPort, [](SSL* ssl, const std::string& piece) {
    return !piece.starts_with("PUT") && write_all(ssl, answer_of("200 OK"));
  });
  const TlsProcess client(client_, [&](Answers& said) {
    for (int i = 0; i < 4; ++i) {
      TlsClient c(server_.ip4(), kPort);
      said.add(c.ask(kGet));
      c.ask("PUT /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi");
    }
  });
  const auto of_server = measure(server_), of_client = measure(client_);
  client.go();
  const TlsSeen at_client = take(*of_client), at_server = take(*of_server);
  EXPECT_EQ(at_client.errors("client"), (std::pair{4.0, 8.0}));
  EXPECT_EQ(at_client.counter("tls.request.unanswered", "client"), 4);
  EXPECT_EQ(at_client.counter("tls.request.rate", "client"), 4);
  EXPECT_EQ(at_server.errors("server"), (std::pair{0.0, 4.0}));
  EXPECT_EQ(at_server.counter("tls.request.unanswered", "server"), 4);
}

TEST_F(TlsPlain, TurnsOfAnUnknownProtocolAreTimedToo) {
  const TlsServer server(server_, kPort, answers(milliseconds(10), "\x01\x02\x03"));
  const TlsProcess client(client_, [&](Answers& said) {
    TlsClient c(server_.ip4(), kPort);
    for (int i = 0; i < 10; ++i) said.add(c.ask("\x07\x08"));
  });
  const auto of_server = measure(server_), of_client = measure(client_);
  client.go();
  const TlsSeen seen = take(*of_client);
  EXPECT_EQ(seen.counter("tls.request.rate", "client"), 10);
  EXPECT_EQ(seen.counter("tls.request.responses", "client"), 0);
  EXPECT_NEAR(seen.median("tls.request.latency", "client"), client.said().median(),
              within_ms(1) * 1e-3);
  EXPECT_EQ(take(*of_server).counter("tls.request.rate", "server"), 10);
}

// An upgrade makes it a stream.
TEST_F(TlsPlain, AWebSocketIsAGap) {
  const TlsServer server(server_, kPort, [](SSL* ssl, const std::string& piece) {
    return write_all(ssl,
                     piece.starts_with("GET") ? "HTTP/1.1 101 Switching Protocols\r\n\r\n" : "x");
  });
  const TlsProcess client(client_, [&](Answers& said) {
    TlsClient c(server_.ip4(), kPort);
    said.add(c.ask(kGet));
    for (int i = 0; i < 10; ++i) said.add(c.ask("frame"));
  });
  const auto of_client = measure(client_);
  client.go();
  const TlsSeen seen = take(*of_client);
  EXPECT_THAT(seen.samples, IsEmpty());
  EXPECT_THAT(seen.reasons(),
              testing::ElementsAre("1 of 1 connections: a stream in TLS: data without turns"));
}

}  // namespace
}  // namespace faultline::test
