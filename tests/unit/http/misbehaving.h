// SPDX-License-Identifier: Apache-2.0
// Servers that answer byte by byte what a test says, and a loop to run a client on.
#pragma once

#include <netdb.h>

#include <atomic>

#include "tests/unit/http/loopback.h"

namespace faultline::http {

// In a test of names: returns from it on a machine that knows none, as a bare chroot.
#define FAULTLINE_NEEDS_LOCALHOST                                                         \
  if (addrinfo* found = nullptr; getaddrinfo("localhost", nullptr, nullptr, &found) != 0) \
    GTEST_SKIP() << "needs: localhost in /etc/hosts";                                     \
  else                                                                                    \
    freeaddrinfo(found)

template <class T>
T run(asio::io_context& io, asio::awaitable<T> work) {
  auto future = asio::co_spawn(io, std::move(work), asio::use_future);
  io.restart();
  io.run();
  return future.get();
}

// A test double of a broken server: a listening socket on a thread that does to each connection
// what `behaviour` says; the number of the connection counts from 1.
class Script {
 public:
  explicit Script(std::function<void(int fd, int number)> behaviour)
      : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    listen(listener_, 16);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, behaviour = std::move(behaviour)] {
      for (int number = 1;; ++number) {
        const int fd = accept(listener_, nullptr, nullptr);
        if (fd < 0) return;
        ++connections_;
        behaviour(fd, number);
        close(fd);
      }
    });
  }
  ~Script() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  [[nodiscard]] ClientOptions options() const {
    ClientOptions options;
    options.base_url = "http://127.0.0.1:" + std::to_string(port_);
    return options;
  }
  [[nodiscard]] int connections() const { return connections_; }

  static void read_request(int fd) {
    std::string got;
    char byte;
    while (!got.ends_with("\r\n\r\n") && recv(fd, &byte, 1, 0) == 1) got += byte;
  }
  static void write(int fd, std::string_view bytes) {
    ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

 private:
  int listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::thread thread_;
};

}  // namespace faultline::http
