// SPDX-License-Identifier: Apache-2.0
// TCP clients and servers of a test, as processes of a pod.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "agent/kernel/fd.h"
#include "testbed/child.h"
#include "testbed/test_pod.h"

namespace faultline::testbed {

// IPv4 or IPv6 by the text.
struct TcpAddress {
  TcpAddress(const std::string& text, std::uint16_t port);
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// A socket that fits the address, of the calling process.
agent::Fd tcp_socket(const TcpAddress& to);
// errno of connect(), 0 when it worked.
int try_connect(const agent::Fd& fd, const TcpAddress& to);
int try_connect(const TcpAddress& to);

// False: `done` did not become true in time.
template <class F>
bool wait_for(F done, std::chrono::milliseconds patience = std::chrono::seconds(30)) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// Sends back what it gets, on IPv4 and IPv6. A process of the pod.
class EchoServer {
 public:
  EchoServer(const TestPod& pod, std::uint16_t port);

 private:
  [[nodiscard]] int serve(std::uint16_t port) const;
  Shared<std::atomic<bool>> ready_;
  Child child_;
};

// A process that keeps one connection to an EchoServer and echoes a byte on demand. Throws when it
// cannot connect.
class KeptConnection {
 public:
  enum class Place { kInPod, kInNetnsOnly };  // the latter is not in the pod's cgroup
  KeptConnection(const TestPod& from, const TcpAddress& to, Place place = Place::kInPod);
  // Waits for the answers; throws when there are none in 30 s.
  void echo(int times);

 private:
  struct State {
    std::atomic<bool> open = false;
    std::atomic<int> wanted = 0, done = 0;
  };
  [[nodiscard]] int serve(const TcpAddress& to) const;
  Shared<State> state_;
  Child child_;
};

}  // namespace faultline::testbed
