// SPDX-License-Identifier: Apache-2.0
#include "tests/load/hostile.h"

#include <openssl/ssl.h>
#include <poll.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <memory>

namespace faultline::test {

namespace asio = boost::asio;
using boost::system::error_code;

struct RawTls::Impl {
  asio::io_context loop;
  asio::ssl::context context{asio::ssl::context::tls_client};
  asio::ssl::stream<asio::ip::tcp::socket> stream{loop, context};
  bool good = false;
};

RawTls::RawTls(const Target& target) : impl_(std::make_unique<Impl>()) {
  error_code ec;
  auto& socket = impl_->stream.next_layer();
  socket.connect({asio::ip::make_address("127.0.0.1"), target.port}, ec);
  if (ec) return;
  impl_->stream.handshake(asio::ssl::stream_base::client, ec);
  impl_->good = !ec;
}
RawTls::~RawTls() = default;
bool RawTls::good() const { return impl_->good; }
bool RawTls::send(const std::string& bytes) {
  error_code ec;
  if (impl_->good) asio::write(impl_->stream, asio::buffer(bytes), ec);
  impl_->good = impl_->good && !ec;
  return impl_->good;
}
int RawTls::status(std::chrono::milliseconds limit) {
  pollfd ready{impl_->stream.next_layer().native_handle(), POLLIN, 0};
  if (poll(&ready, 1, static_cast<int>(limit.count())) != 1) return 0;
  // What was sent may have been refused before its end: the answer is there all the same.
  char bytes[512];
  error_code ec;
  const std::size_t n = impl_->stream.read_some(asio::buffer(bytes), ec);
  const std::string line(bytes, n);
  return n >= 12 && line.starts_with("HTTP/1.1 ") ? std::stoi(line.substr(9, 3)) : 0;
}

namespace {

int ask(const Target& target, const std::string& method, const std::string& path,
        const std::string& body, const std::string& token) {
  http::ClientOptions options;
  options.base_url = "https://127.0.0.1:" + std::to_string(target.port);
  options.bearer_token = token;
  options.tls = target.tls;
  const auto answer = http::request_blocking(options, method, path, body, std::chrono::seconds(10));
  return answer ? answer->status : 0;
}

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

// Each line names the one before it nine times.
std::string alias_bomb() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 8; ++k) text += ", " + before;
    text += "]\n";
  }
  return text;
}

std::string header(const std::string& request, const std::string& token, const std::string& more) {
  return request + " HTTP/1.1\r\nHost: x\r\n" +
         (token.empty() ? "" : "Authorization: Bearer " + token + "\r\n") + more + "\r\n";
}

// As somebody without a name, with a wrong one, an agent, a person.
const std::string& token_of(const Target& target, int number) {
  static const std::string none, wrong = "wrong-token-wrong-token";
  switch (number % 4) {
    case 0:
      return none;
    case 1:
      return wrong;
    case 2:
      return target.agent_token;
    default:
      return target.person_token;
  }
}

Hostile experiment(const std::string& name, const std::string& body) {
  return {name, [body](const Target& target, int number) {
            return ask(target, "POST", "/api/v1/experiments", body, token_of(target, number));
          }};
}

Hostile sync(const std::string& name, const std::string& body) {
  return {name, [body](const Target& target, int number) {
            return ask(target, "POST", "/api/v1/nodes/none-" + std::to_string(number % 5) + "/sync",
                       body, number % 3 == 0 ? std::string() : target.agent_token);
          }};
}

// Waits for an answer at most `limit`: of what is not whole there is none for long.
Hostile raw(const std::string& name, const std::function<std::string(const Target&, int)>& bytes,
            std::chrono::milliseconds limit = std::chrono::seconds(2)) {
  return {name, [bytes, limit](const Target& target, int number) {
            RawTls connection(target);
            connection.send(bytes(target, number));
            return connection.status(limit);
          }};
}

}  // namespace

std::vector<Hostile> hostile_requests() {
  const std::string query = "/api/v1/";
  std::vector<Hostile> all = {
      experiment("comma", ","),
      experiment("commas", "[" + repeated(",", 200'000)),
      experiment("aliases", alias_bomb()),
      experiment("depth", repeated("[", 200'000)),
      experiment("mappings", repeated("a: ", 1) + "\n" + repeated("? ", 60'000)),
      experiment("keys", repeated("{a: 1},\n", 20'000)),
      experiment("size", std::string(3 << 20, 'x')),
      sync("sync depth", repeated("{\"a\":", 200'000)),
      sync("sync many", R"({"instance": "i", "batches": [)" + repeated("{},", 1'000'000) + "{}]}"),
      sync("sync size", std::string(6 << 20, ' ')),
  };
  all.push_back(raw("body of a probe", [](const Target&, int) {
    return header("GET /healthz", "", "Content-Length: 32505856\r\n") + std::string(1 << 20, ' ');
  }));
  all.push_back(raw("length in doubt", [](const Target& target, int number) {
    return header("POST /api/v1/stop?dryRun=true", token_of(target, number % 3),
                  "Transfer-Encoding: xchunked\r\n") +
           header("GET /metrics", "", "");
  }));
  all.push_back(raw(
      "part of a body",
      [](const Target& target, int number) {
        return header("POST /api/v1/nodes/none/sync", token_of(target, number),
                      "Content-Length: 4000000\r\n") +
               std::string(3'000'000, ' ');
      },
      std::chrono::milliseconds(200)));
  all.push_back(raw("fields", [](const Target&, int) {
    return header("GET /healthz", "", repeated("a: b\r\n", 1500));
  }));
  all.push_back(raw("pipeline", [](const Target&, int) {
    return repeated(header("GET /metrics", "", ""), 100);
  }));
  all.push_back(raw(
      "no request", [](const Target&, int) { return std::string("GET /healthz"); },
      std::chrono::milliseconds(50)));
  all.push_back({"denied", [](const Target& target, int number) {
                   return ask(target, "POST", "/api/v1/experiments/none/stop", "",
                              token_of(target, number));
                 }});
  all.push_back({"lists", [](const Target& target, int number) {
                   static const char* const kPaths[] = {"experiments?limit=1000", "nodes",
                                                        "reports/none", "experiments/none"};
                   return ask(target, "GET", std::string("/api/v1/") + kPaths[number % 4], "",
                              token_of(target, number / 4));
                 }});
  all.push_back({"no TLS", [](const Target& target, int) {
                   http::ClientOptions options;
                   options.base_url = "http://127.0.0.1:" + std::to_string(target.port);
                   const auto answer = http::request_blocking(options, "GET", "/healthz", "",
                                                              std::chrono::seconds(3));
                   return answer ? answer->status : 0;
                 }});
  return all;
}

}  // namespace faultline::test
