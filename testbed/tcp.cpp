// SPDX-License-Identifier: Apache-2.0
#include "testbed/tcp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace faultline::testbed {

using agent::Fd;

TcpAddress::TcpAddress(const std::string& text, std::uint16_t port) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_port = v6.sin6_port = htons(port);
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    std::memcpy(&storage, &v4, size = sizeof v4);
  } else if (inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    std::memcpy(&storage, &v6, size = sizeof v6);
  } else {
    throw std::runtime_error("not an address: " + text);
  }
}

Fd tcp_socket(const TcpAddress& to) {
  return Fd(socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

int try_connect(const Fd& fd, const TcpAddress& to) {
  return connect(fd.get(), to.get(), to.size) == 0 ? 0 : errno;
}
int try_connect(const TcpAddress& to) { return try_connect(tcp_socket(to), to); }

EchoServer::EchoServer(const TestPod& pod, std::uint16_t port)
    : child_(pod.start([this, port] { return serve(port); })) {
  if (!wait_for([this] { return ready_->load(); })) throw std::runtime_error("no echo server");
}

int EchoServer::serve(std::uint16_t port) const {
  const TcpAddress any("::", port);
  const Fd listener = tcp_socket(any);
  if (bind(listener.get(), any.get(), any.size) != 0 || listen(listener.get(), 1024) != 0) return 1;
  *ready_ = true;
  std::vector<pollfd> fds{{listener.get(), POLLIN, 0}};
  for (char buffer[65536];;) {
    poll(fds.data(), fds.size(), -1);
    for (std::size_t i = fds.size(); i-- > 1;) {
      if (fds[i].revents == 0) continue;
      const ssize_t got = recv(fds[i].fd, buffer, sizeof buffer, 0);
      if (got > 0) {
        send(fds[i].fd, buffer, static_cast<std::size_t>(got), MSG_NOSIGNAL);
        continue;
      }
      close(fds[i].fd);
      fds.erase(fds.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (fds[0].revents != 0) fds.push_back({accept(listener.get(), nullptr, nullptr), POLLIN, 0});
  }
}

KeptConnection::KeptConnection(const TestPod& from, const TcpAddress& to, Place place)
    : child_(place == Place::kInPod ? from.start([this, to] { return serve(to); }) : Child([&] {
        return from.in_netns([&] { return serve(to); });
      })) {
  if (!wait_for([this] { return state_->open.load(); })) throw std::runtime_error("no connection");
}

void KeptConnection::echo(int times) {
  state_->wanted += times;
  if (!wait_for([this] { return state_->done == state_->wanted; }))
    throw std::runtime_error("no answer");
}

int KeptConnection::serve(const TcpAddress& to) const {
  const Fd fd = tcp_socket(to);
  if (try_connect(fd, to) != 0) return 1;
  state_->open = true;
  for (char byte = 'x';;) {
    if (state_->done == state_->wanted) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    if (send(fd.get(), &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd.get(), &byte, 1, MSG_WAITALL) != 1)
      return 1;
    ++state_->done;
  }
}

}  // namespace faultline::testbed
