// SPDX-License-Identifier: Apache-2.0
#include "demo/prober.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace faultline::demo {
namespace {

// One request on one new connection; the status of the answer, 0 without one.
int ask(const sockaddr_in& peer, const std::string& request) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  const timeval limit{2, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  int status = 0;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&peer), sizeof peer) == 0 &&
      send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size())) {
    char answer[512] = {};
    // "HTTP/1.1 200": the first bytes hold the status, the rest up to the end is read so that the close is clean.
    const ssize_t n = recv(fd, answer, sizeof answer - 1, 0);
    if (n >= 12) status = std::atoi(answer + 9);
    while (n > 0 && recv(fd, answer, sizeof answer, 0) > 0) {
    }
  }
  close(fd);
  return status;
}

}  // namespace

Prober::Prober(std::string netns_path, std::string address, std::uint16_t port,
               std::chrono::milliseconds interval)
    : thread_([this, netns_path = std::move(netns_path), address = std::move(address), port,
               interval] { run(netns_path, address, port, interval); }) {}

Prober::~Prober() {
  stop_ = true;
  thread_.join();
}

void Prober::run(const std::string& netns_path, const std::string& address, std::uint16_t port,
                 std::chrono::milliseconds interval) {
  const int netns = open(netns_path.c_str(), O_RDONLY | O_CLOEXEC);
  if (netns < 0 || setns(netns, CLONE_NEWNET) != 0) {
    std::perror("prober: cannot enter the network namespace");
    if (netns >= 0) close(netns);
    return;
  }
  close(netns);
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &peer.sin_addr);
  const std::string request = "GET / HTTP/1.0\r\nHost: " + address + "\r\n\r\n";
  while (!stop_) {
    const auto begin = std::chrono::steady_clock::now();
    const int status = ask(peer, request);
    const auto end = std::chrono::steady_clock::now();
    {
      const std::lock_guard lock(mutex_);
      probes_.push_back({begin, end - begin, status});
    }
    std::this_thread::sleep_until(begin + interval);
  }
}

std::vector<Probe> Prober::since(std::chrono::steady_clock::time_point from) const {
  const std::lock_guard lock(mutex_);
  std::vector<Probe> result;
  std::copy_if(probes_.begin(), probes_.end(), std::back_inserter(result),
               [&](const Probe& p) { return p.begin >= from; });
  return result;
}

std::chrono::nanoseconds Prober::median(std::chrono::steady_clock::time_point from,
                                        std::chrono::steady_clock::time_point to) const {
  std::vector<std::chrono::nanoseconds> values;
  for (const Probe& p : since(from))
    if (p.status != 0 && p.begin < to) values.push_back(p.took);
  if (values.empty()) return {};
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace faultline::demo
