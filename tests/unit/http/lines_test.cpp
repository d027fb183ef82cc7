// SPDX-License-Identifier: Apache-2.0
// What a client of Kubernetes needs besides TLS: bodies read by lines, PATCH, tokens that change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/http/misbehaving.h"

namespace faultline::http {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kChunked =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string chunk(std::string_view bytes) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return size + std::string(bytes) + "\r\n";
}

struct Read {
  std::vector<std::string> lines;
  Result<int> result;
};

Read read_lines(ClientOptions options, milliseconds idle = seconds(5), std::size_t most = 1000) {
  asio::io_context io(1);
  Client client(io.get_executor(), std::move(options));
  Read read;
  read.result = run(io, client.lines(
                            "/watch",
                            [&](std::string_view line) {
                              read.lines.emplace_back(line);
                              return read.lines.size() < most;
                            },
                            idle));
  return read;
}

TEST(Lines, AreTheSameHoweverTheChunksAreCut) {
  const std::string body = "{\"a\":1}\n\n{\"long\":\"" + std::string(40, 'x') + "\"}\nlast";
  for (const std::size_t piece : {1u, 2u, 7u, 8u, 9u, 1000u}) {
    Script server([&](int fd, int) {
      Script::read_request(fd);
      Script::write(fd, kChunked);
      for (std::size_t at = 0; at < body.size(); at += piece)
        Script::write(fd, chunk(std::string_view(body).substr(at, piece)));
      Script::write(fd, "0\r\n\r\n");
    });
    const Read read = read_lines(server.options());
    ASSERT_TRUE(read.result) << read.result.error().message;
    EXPECT_EQ(*read.result, 200);
    EXPECT_THAT(read.lines,
                ElementsAre("{\"a\":1}", "", "{\"long\":\"" + std::string(40, 'x') + "\"}", "last"))
        << piece;
  }
}

TEST(Lines, ArriveBeforeTheNextOneIsSent) {
  std::atomic<int> seen{0};
  std::atomic<bool> in_time{true};
  Script server([&](int fd, int) {
    Script::read_request(fd);
    Script::write(fd, kChunked);
    for (int i = 1; i <= 5; ++i) {
      Script::write(fd, chunk("line\n"));
      for (int wait = 0; seen < i && wait < 2000; ++wait)
        std::this_thread::sleep_for(milliseconds(1));
      if (seen < i) in_time = false;
    }
    Script::write(fd, "0\r\n\r\n");
  });
  asio::io_context io(1);
  Client client(io.get_executor(), server.options());
  const auto result = run(io, client.lines(
                                  "/", [&](std::string_view) { return ++seen > 0; }, seconds(9)));
  EXPECT_TRUE(result);
  EXPECT_TRUE(in_time);
  EXPECT_EQ(seen, 5);
}

TEST(Lines, TheBeginningOfAnAnswerIsToldBeforeItsFirstLine) {
  std::atomic<int> opened{0};
  Script server([&](int fd, int number) {
    Script::read_request(fd);
    if (number == 2) return Script::write(fd, "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n");
    Script::write(fd, kChunked);
    for (int wait = 0; opened == 0 && wait < 2000; ++wait)
      std::this_thread::sleep_for(milliseconds(1));
    Script::write(fd, opened == 1 ? chunk("told\n") + "0\r\n\r\n" : "");
  });
  asio::io_context io(1);
  Client client(io.get_executor(), server.options());
  const auto read = [&] {
    return run(io, client.lines(
                       "/", [](std::string_view line) { return line == "told"; }, seconds(9),
                       [&] { ++opened; }));
  };
  EXPECT_TRUE(read());
  EXPECT_EQ(opened, 1);
  EXPECT_FALSE(read());
  EXPECT_EQ(opened, 1) << "told of a refusal";
}

TEST(Lines, OfSeveralMegabytesComeWhole) {
  std::string body(8'000'000, 'x');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
  Script server([&](int fd, int) {
    Script::read_request(fd);
    Script::write(fd, std::string(kChunked) + chunk(body + "\nnext\n") + "0\r\n\r\n");
  });
  const Read read = read_lines(server.options());
  ASSERT_TRUE(read.result) << read.result.error().message;
  ASSERT_EQ(read.lines.size(), 2u);
  EXPECT_TRUE(read.lines[0] == body);
  EXPECT_EQ(read.lines[1], "next");
}

TEST(Lines, ThatAreTooLongAreAnErrorAndAreNotCollected) {
  Script server([](int fd, int) {
    Script::read_request(fd);
    Script::write(fd, kChunked);
    for (int i = 0; i < 100; ++i) Script::write(fd, chunk(std::string(1000, 'x')));
  });
  ClientOptions options = server.options();
  options.max_line = 5000;
  const Read read = read_lines(options);
  ASSERT_FALSE(read.result);
  EXPECT_THAT(read.result.error().message, HasSubstr("longer than 5000 bytes"));
  EXPECT_THAT(read.lines, ElementsAre());
}

TEST(Lines, EndWhenTheReaderHasEnough) {
  Script server([](int fd, int) {
    Script::read_request(fd);
    Script::write(fd, std::string(kChunked) + chunk("1\n2\n3\n4\n"));
    Script::read_request(fd);  // until the client hangs up
  });
  const Read read = read_lines(server.options(), seconds(5), 2);
  ASSERT_TRUE(read.result);
  EXPECT_THAT(read.lines, ElementsAre("1", "2"));
}

TEST(Lines, SilenceIsAnErrorButALongStreamIsNot) {
  Script server([](int fd, int) {
    Script::read_request(fd);
    Script::write(fd, kChunked);
    for (int i = 0; i < 8; ++i) {
      std::this_thread::sleep_for(milliseconds(100));
      Script::write(fd, chunk("line\n"));
    }
    Script::read_request(fd);  // says no more, until the client hangs up
  });
  const auto begin = std::chrono::steady_clock::now();
  const Read read = read_lines(server.options(), milliseconds(500));
  ASSERT_FALSE(read.result);
  EXPECT_EQ(read.result.error().code, Errc::kUnavailable);
  EXPECT_THAT(read.result.error().message, HasSubstr("within 0.5 s"));
  EXPECT_EQ(read.lines.size(), 8u);
  EXPECT_GT(std::chrono::steady_clock::now() - begin, milliseconds(1250));
}

TEST(Lines, OfABodyThatBreaksOffGiveNoHalfLine) {
  Script server([](int fd, int) {
    Script::read_request(fd);
    Script::write(fd, std::string(kChunked) + chunk("whole\nha"));
  });
  const Read read = read_lines(server.options());
  ASSERT_FALSE(read.result);
  EXPECT_EQ(read.result.error().code, Errc::kUnavailable);
  EXPECT_EQ(read.result.error().http_status, 0);
  EXPECT_THAT(read.lines, ElementsAre("whole"));
}

TEST(Lines, AnErrorStatusIsWhatKubernetesSaysAndGoneIsNotNotFound) {
  // As kube-apiserver 1.20 answers, but for the status line.
  const std::string status =
      R"x({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)x"
      R"x("message":"too old resource version: 1 (4711)","reason":"Expired","code":410})x";
  for (const int code : {410, 404, 403, 500}) {
    Script server([&](int fd, int) {
      Script::read_request(fd);
      Script::write(fd, "HTTP/1.1 " + std::to_string(code) + " X\r\nContent-Length: " +
                            std::to_string(status.size()) + "\r\n\r\n" + status);
    });
    const Read read = read_lines(server.options());
    ASSERT_FALSE(read.result);
    EXPECT_EQ(read.result.error().http_status, code);
    EXPECT_EQ(read.result.error().with_context("watch").http_status, code);
    EXPECT_EQ(read.result.error().message, "too old resource version: 1 (4711)");
    EXPECT_THAT(read.lines, ElementsAre());
  }
}

TEST(ExpectOk, TakesTheReasonOfAStatusWithoutAMessage) {
  ClientResponse response;
  response.status = 409;
  response.body = R"({"kind":"Status","reason":"AlreadyExists","code":409})";
  const auto result = expect_ok(response);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kConflict);
  EXPECT_EQ(result.error().message, "AlreadyExists");
  EXPECT_EQ(result.error().http_status, 409);
}

void mirror(Server& server) {
  for (const char* method : {"GET", "PATCH", "PUT", "DELETE"})
    server.route(method, "/mirror", {},
                 [](Request request) -> asio::awaitable<Response> {
                   co_return text(request.method + "|" + request.headers["content-type"] + "|" +
                                  request.headers["x-more"] + "|" +
                                  request.headers["authorization"] + "|" + request.body);
                 },
                 {.max_body = 1000});
}

TEST(HttpClient, SendsEveryMethodWithABodyItsTypeAndMoreHeaders) {
  Loopback server(mirror);
  asio::io_context io(1);
  Client client(io.get_executor(), server.client_options());
  for (const std::string method : {"PATCH", "PUT", "DELETE"}) {
    const auto answer = run(io, client.request(method, "/mirror", "{\"a\":1}", seconds(5),
                                               {.content_type = "application/merge-patch+json",
                                                .headers = {{"X-More", "yes"}}}));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->body, method + "|application/merge-patch+json|yes||{\"a\":1}");
  }
}

TEST(HttpClient, DoesNotSendAHeaderThatWouldBeTwo) {
  Loopback server(mirror);
  asio::io_context io(1);
  Client client(io.get_executor(), server.client_options());
  for (const RequestExtras& extras : {RequestExtras{.headers = {{"X-A", "1\r\nX-B: 2"}}},
                                      RequestExtras{.headers = {{"X-A: 1\r\nX-B", "2"}}},
                                      RequestExtras{.content_type = "a\r\nX-B: 2"}}) {
    const auto answer = run(io, client.request("GET", "/mirror", "", seconds(5), extras));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::kInvalid);
  }
}

TEST(HttpClient, AsksForTheTokenBeforeEachRequest) {
  Loopback server(mirror);
  asio::io_context io(1);
  ClientOptions options = server.client_options();
  options.bearer_token = "never";
  int asked = 0;
  options.token = [&] { return asked < 2 ? "token-" + std::to_string(++asked) : ""; };
  Client client(io.get_executor(), options);
  std::vector<std::string> got;
  for (int i = 0; i < 3; ++i)
    got.push_back(run(io, client.request("GET", "/mirror", "", seconds(5)))->body);
  EXPECT_THAT(got, ElementsAre("GET|||Bearer token-1|", "GET|||Bearer token-2|", "GET||||"));
  options.token = [] { return "two\nlines"; };
  Client wrong(io.get_executor(), options);
  EXPECT_EQ(run(io, wrong.request("GET", "/mirror", "", seconds(5))).error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace faultline::http
