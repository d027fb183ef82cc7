// SPDX-License-Identifier: Apache-2.0
#include "testbed/bulk_tcp.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "agent/kernel/fd.h"
#include "testbed/tcp.h"

namespace faultline::testbed {
namespace {

constexpr std::uint16_t kPort = 7300;
constexpr std::size_t kBlock = 1 << 18;

// A byte that depends on its place.
unsigned char pattern(std::size_t i) { return static_cast<unsigned char>((i * 2654435761u) >> 13); }

void send_pattern(int socket, std::size_t bytes) {
  std::vector<unsigned char> block(kBlock);
  for (std::size_t at = 0; at < bytes; at += block.size()) {
    for (std::size_t i = 0; i < block.size(); ++i) block[i] = pattern(at + i);
    for (std::size_t done = 0; done < block.size();) {
      const ssize_t n = ::send(socket, block.data() + done, block.size() - done, MSG_NOSIGNAL);
      if (n <= 0) return;
      done += static_cast<std::size_t>(n);
    }
  }
  ::shutdown(socket, SHUT_WR);
}

// Until the end, or a byte that is wrong.
std::size_t receive_pattern(int socket) {
  std::vector<unsigned char> block(kBlock);
  std::size_t right = 0;
  for (ssize_t n; (n = ::recv(socket, block.data(), block.size(), 0)) > 0;)
    for (ssize_t i = 0; i < n; ++i, ++right)
      if (block[static_cast<std::size_t>(i)] != pattern(right)) {
        ::shutdown(socket, SHUT_RDWR);
        return right;
      }
  return right;
}

}  // namespace

std::size_t transfer(const TestPod& from, const TestPod& to, const std::string& address,
                     std::size_t bytes) {
  const TcpAddress at(address, kPort);
  const agent::Fd listener = to.in_netns([&] { return tcp_socket(at); });
  const int on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(listener.get(), at.get(), at.size) || ::listen(listener.get(), 1))
    throw std::runtime_error(std::string("listen: ") + std::strerror(errno));
  const agent::Fd sender = from.in_netns([&] { return tcp_socket(at); });
  std::thread writer([&] {
    if (try_connect(sender, at) == 0) send_pattern(sender.get(), bytes);
  });
  const agent::Fd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const std::size_t right = receive_pattern(connection.get());
  writer.join();
  return right;
}

long tcp_counter(const TestPod& pod, const std::string& name) {
  const auto r = pod.exec({"cat", "/proc/self/net/netstat", "/proc/self/net/snmp"});
  // Lines come in pairs: names, values.
  std::istringstream lines(r.output);
  for (std::string names, values; std::getline(lines, names) && std::getline(lines, values);) {
    std::istringstream n(names), v(values);
    for (std::string key, value; n >> key && v >> value;)
      if (key == name) return std::stol(value);
  }
  throw std::runtime_error("no counter " + name);
}

}  // namespace faultline::testbed
