// SPDX-License-Identifier: Apache-2.0
#include "testbed/udp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

namespace faultline::testbed {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Address make_address(const std::string& text, std::uint16_t port) {
  Address a;
  if (text.find(':') != std::string::npos) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) != 1) throw std::runtime_error(text);
    std::memcpy(&a.storage, &v6, a.size = sizeof v6);
  } else {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) != 1) throw std::runtime_error(text);
    std::memcpy(&a.storage, &v4, a.size = sizeof v4);
  }
  return a;
}

void check(int rc, const char* what) {
  if (rc < 0) throw std::system_error(errno, std::generic_category(), what);
}

const sockaddr* as_sockaddr(const Address& a) {
  return reinterpret_cast<const sockaddr*>(&a.storage);
}

agent::Fd udp_socket(const Address& a) {
  agent::Fd fd(::socket(a.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  check(fd.get(), "socket");
  return fd;
}

}  // namespace

agent::Fd udp_receiver(const std::string& address, std::uint16_t port) {
  const Address a = make_address(address, port);
  agent::Fd fd = udp_socket(a);
  const int bytes = 256 << 20, on = 1;
  check(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes), "SO_RCVBUFFORCE");
  check(::setsockopt(fd.get(), SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on), "SO_RXQ_OVFL");
  check(::bind(fd.get(), as_sockaddr(a), a.size), "bind");
  return fd;
}

agent::Fd udp_sender(const std::string& address, std::uint16_t port, std::uint16_t source_port) {
  const Address a = make_address(address, port);
  agent::Fd fd = udp_socket(a);
  if (source_port != 0) {
    const Address any =
        make_address(a.storage.ss_family == AF_INET ? "0.0.0.0" : "::", source_port);
    check(::bind(fd.get(), as_sockaddr(any), any.size), "bind");
  }
  check(::connect(fd.get(), as_sockaddr(a), a.size), "connect");
  return fd;
}

std::uint64_t Delivery::lost() const {
  return static_cast<std::uint64_t>(std::ranges::count(arrived, false));
}

std::vector<std::uint64_t> Delivery::loss_runs() const {
  std::vector<std::uint64_t> runs;
  std::uint64_t run = 0;
  for (const bool ok : arrived) {
    if (!ok) ++run;
    if (ok && run > 0) runs.push_back(std::exchange(run, 0));
  }
  if (run > 0) runs.push_back(run);
  return runs;
}

Delivery send_numbered(const agent::Fd& sender, const agent::Fd& receiver, std::uint32_t count,
                       std::uint32_t at_once) {
  const int bytes = sizeof(std::uint32_t);
  if (at_once > 1)
    check(::setsockopt(sender.get(), SOL_UDP, UDP_SEGMENT, &bytes, sizeof bytes), "UDP_SEGMENT");
  Delivery delivery;
  std::uint32_t next = 0;
  delivery.arrived.resize(count);
  std::atomic<bool> sent = false;
  std::atomic<std::uint32_t> overflow = 0;
  std::thread reader([&] {
    for (;;) {
      pollfd p{receiver.get(), POLLIN, 0};
      const bool was_sent = sent;
      if (::poll(&p, 1, was_sent ? 200 : 20) == 0) {
        if (was_sent) return;
        continue;
      }
      std::uint32_t number = 0;
      iovec data{&number, sizeof number};
      alignas(cmsghdr) char control[64];
      msghdr message{};
      message.msg_iov = &data;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      if (::recvmsg(receiver.get(), &message, MSG_DONTWAIT) != sizeof number) continue;
      if (number < count) delivery.arrived[number] = true;
      if (number < next) ++delivery.overtaken;
      next = std::max(next, number + 1);
      for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c))
        if (c->cmsg_type == SO_RXQ_OVFL) {
          std::uint32_t n = 0;
          std::memcpy(&n, CMSG_DATA(c), sizeof n);
          overflow = n;
        }
    }
  });
  std::vector<std::uint32_t> numbers(at_once);
  for (std::uint32_t number = 0; number < count;) {
    numbers.resize(std::min(at_once, count - number));
    std::iota(numbers.begin(), numbers.end(), number);
    number += static_cast<std::uint32_t>(numbers.size());
    const auto size = static_cast<ssize_t>(numbers.size() * sizeof(std::uint32_t));
    if (::send(sender.get(), numbers.data(), static_cast<std::size_t>(size), 0) != size)
      ++delivery.send_failures;
  }
  sent = true;
  reader.join();
  if (overflow != 0) throw std::runtime_error("the receiver's buffer was too small");
  return delivery;
}

}  // namespace faultline::testbed
