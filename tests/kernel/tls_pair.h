// SPDX-License-Identifier: Apache-2.0
// A server and clients that speak TLS by this machine's OpenSSL, as processes of a pod, with a
// stopwatch of their own. Failures throw std::runtime_error, or end the process with a code.
#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "agent/kernel/fd.h"
#include "testbed/shell.h"
#include "testbed/tcp.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using Ssl = std::unique_ptr<SSL, decltype(&SSL_free)>;

// The functions that a program uses; others of them mean the same.
enum class Calls { kPlain, kEx };

// Reads what there is; empty: the connection has ended.
inline std::string read_some(SSL* ssl, Calls calls = Calls::kPlain) {
  std::string text(20000, '\0');
  std::size_t n = 0;
  if (calls == Calls::kEx) {
    if (SSL_read_ex(ssl, text.data(), text.size(), &n) != 1) n = 0;
  } else {
    const int got = SSL_read(ssl, text.data(), static_cast<int>(text.size()));
    n = got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  text.resize(n);
  return text;
}

inline bool write_all(SSL* ssl, std::string_view text, Calls calls = Calls::kPlain) {
  std::size_t n = 0;
  if (calls == Calls::kEx)
    return SSL_write_ex(ssl, text.data(), text.size(), &n) == 1 && n == text.size();
  return SSL_write(ssl, text.data(), static_cast<int>(text.size())) ==
         static_cast<int>(text.size());
}

inline std::string answer_of(std::string_view status, std::string_view body = "ok") {
  return "HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

// What a server does with each piece that it reads; false: it closes the connection.
using Answer = std::function<bool(SSL*, const std::string& piece)>;

// Answers 200 after `think`.
inline Answer answers(std::chrono::milliseconds think, std::string text = answer_of("200 OK"),
                      Calls calls = Calls::kPlain) {
  return [=](SSL* ssl, const std::string&) {
    std::this_thread::sleep_for(think);
    return write_all(ssl, text, calls);
  };
}

// A process of the pod that serves until it is destroyed, a thread a connection.
class TlsServer {
 public:
  TlsServer(const testbed::TestPod& pod, std::uint16_t port, Answer answer,
            Calls calls = Calls::kPlain)
      : child_(pod.start([this, port, answer, calls] { return serve(port, answer, calls); })) {
    if (!testbed::wait_for([this] { return ready_->load(); }))
      throw std::runtime_error("the TLS server does not begin");
  }
  [[nodiscard]] const testbed::Child& process() const { return child_; }

 private:
  int serve(std::uint16_t port, const Answer& answer, Calls calls) {
    std::signal(SIGPIPE, SIG_IGN);  // a client may go before its answer
    const testbed::TestFolder folder;
    const std::string key = folder.path() + "/key.pem", cert = folder.path() + "/cert.pem";
    testbed::must({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-subj",
                   "/CN=s", "-days", "2"});
    SSL_CTX* context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_file(context, cert.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1)
      return 2;
    const testbed::TcpAddress any("0.0.0.0", port);
    const agent::Fd listening = testbed::tcp_socket(any);
    const int yes = 1;
    ::setsockopt(listening.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::bind(listening.get(), any.get(), any.size) != 0 || ::listen(listening.get(), 64) != 0)
      return 3;
    *ready_ = true;
    while (true) {
      const int fd = ::accept(listening.get(), nullptr, nullptr);
      if (fd < 0) return 4;
      std::thread([=] {
        const agent::Fd connection(fd);
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        const Ssl ssl(SSL_new(context), &SSL_free);
        SSL_set_fd(ssl.get(), fd);
        if (SSL_accept(ssl.get()) != 1) return;
        for (std::string piece; !(piece = read_some(ssl.get(), calls)).empty();)
          if (!answer(ssl.get(), piece)) break;
        SSL_shutdown(ssl.get());
      }).detach();
    }
  }
  testbed::Shared<std::atomic<bool>> ready_;
  testbed::Child child_;
};

// One connection, of the calling process.
class TlsClient {
 public:
  TlsClient(const std::string& ip, std::uint16_t port)
      : fd_(testbed::tcp_socket(testbed::TcpAddress(ip, port))) {
    const int yes = 1;
    ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (testbed::try_connect(fd_, testbed::TcpAddress(ip, port)) != 0)
      throw std::runtime_error("cannot connect");
    static SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
    ssl_.reset(SSL_new(context));
    SSL_set_fd(ssl_.get(), fd_.get());
    if (SSL_connect(ssl_.get()) != 1) throw std::runtime_error("no TLS");
  }
  // Seconds from before the request is written until its answer is there.
  double ask(std::string_view request, Calls calls = Calls::kPlain) {
    const auto begin = std::chrono::steady_clock::now();
    if (!write_all(ssl_.get(), request, calls)) throw std::runtime_error("cannot write");
    answer_ = read_some(ssl_.get(), calls);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  [[nodiscard]] const std::string& answer() const { return answer_; }
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }

 private:
  agent::Fd fd_;
  Ssl ssl_{nullptr, &SSL_free};
  std::string answer_;
};

inline constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: s\r\n\r\n";

}  // namespace faultline::test
