// SPDX-License-Identifier: Apache-2.0
#include "tests/kills/probes.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <thread>

namespace faultline::kills {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t kEchoPort = 7007, kConnectPort = 7008;
// Faults delay by 300 ms and more; what a busy machine delays stays below this nearly always.
constexpr auto kSlow = 250ms;

sockaddr_in address_of(const std::string& text, std::uint16_t port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  inet_pton(AF_INET, text.c_str(), &to.sin_addr);
  return to;
}
const sockaddr* raw(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// In the pod: sends back each datagram.
int echo(const std::string& address) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in here = address_of(address, kEchoPort);
  if (bind(fd, raw(here), sizeof here) != 0) return 1;
  char bytes[2000];
  for (;;) {
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t n =
        recvfrom(fd, bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (n > 0) sendto(fd, bytes, static_cast<std::size_t>(n), 0, raw(from), size);
  }
}

// On the host: a datagram of 1 200 bytes each 20 ms, felt when its echo takes kSlow or never comes.
int ask(const std::string& address, Diary& diary) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  const sockaddr_in to = address_of(address, kEchoPort);
  if (connect(fd, raw(to), sizeof to) != 0) return 1;
  std::map<std::uint64_t, Steady::time_point> open;
  std::uint64_t number = 0;
  auto next = Steady::now(), before = next;
  for (;;) {
    const auto now = Steady::now();
    // This process itself was away: what is open says nothing.
    if (now - before > 150ms) open.clear();
    before = now;
    if (now >= next) {
      char bytes[1200] = {};
      std::memcpy(bytes, &number, sizeof number);
      open[number++] = now;
      if (send(fd, bytes, sizeof bytes, 0) < 0 && errno == ECONNREFUSED) open.clear();
      next = now + 20ms;
    }
    pollfd ready{fd, POLLIN, 0};
    poll(&ready, 1, 5);
    char bytes[2000];
    while (recv(fd, bytes, sizeof bytes, 0) > 0) {
      std::uint64_t which = 0;
      std::memcpy(&which, bytes, sizeof which);
      const auto it = open.find(which);
      if (it == open.end()) continue;
      diary.add({it->second, Steady::now() - it->second >= kSlow});
      open.erase(it);
    }
    while (!open.empty() && Steady::now() - open.begin()->second > 1s) {
      diary.add({open.begin()->second, true});
      open.erase(open.begin());
    }
  }
}

// On the host: takes what the pod connects to it.
int take(const std::string& address) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in here = address_of(address, kConnectPort);
  if (bind(fd, raw(here), sizeof here) != 0 || listen(fd, 1024) != 0) return 1;
  for (;;) close(accept(fd, nullptr, nullptr));
}

// In the pod: connects each 10 ms, felt when that fails with ETIMEDOUT at once.
int connects(const std::string& address, Diary& diary) {
  const sockaddr_in to = address_of(address, kConnectPort);
  const linger at_once{1, 0};
  for (;; std::this_thread::sleep_for(10ms)) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    const auto began = Steady::now();
    const bool refused = connect(fd, raw(to), sizeof to) != 0 && errno == ETIMEDOUT;
    diary.add({began, refused});
    // What other faults delay is not waited for.
    pollfd open{fd, POLLOUT, 0};
    if (!refused) poll(&open, 1, 50);
    close(fd);
  }
}

// In the pod: opens a file each 10 ms, felt when that fails, or (in the other diary) takes kSlow.
int calls(Diary& failing, Diary& slow) {
  for (;; std::this_thread::sleep_for(10ms)) {
    const auto began = Steady::now();
    const int fd = open("/dev/null", O_RDONLY);
    failing.add({began, fd < 0});
    slow.add({began, Steady::now() - began >= kSlow});
    if (fd >= 0) close(fd);
  }
}

}  // namespace

void Diary::add(Sample sample) {
  const std::uint64_t n = count.load();
  samples[n % kRoom] = sample;
  if (sample.felt) ++felt;
  count.store(n + 1);
}

Probes::Probes(const testbed::TestPod& pod, const testbed::TestNetwork& network) {
  children_.push_back(testbed::Child([&] { return take(network.host4()); }));
  children_.push_back(pod.start([&] { return echo(pod.ip4()); }));
  children_.push_back(testbed::Child([&] { return ask(pod.ip4(), *packets_); }));
  children_.push_back(pod.start([&] { return connects(network.host4(), *connects_); }));
  children_.push_back(pod.start([&] { return calls(*calls_, *slow_calls_); }));
}

const Diary& Probes::diary(Feels kind) const {
  switch (kind) {
    case Feels::kPackets:
      return *packets_;
    case Feels::kConnects:
      return *connects_;
    case Feels::kCalls:
      return *calls_;
    case Feels::kSlowCalls:
      break;
  }
  return *slow_calls_;
}

std::vector<Sample> Probes::between(Feels kind, Steady::time_point from,
                                    Steady::time_point to) const {
  const Diary& all = diary(kind);
  std::vector<Sample> found;
  const std::uint64_t end = all.count;
  for (std::uint64_t i = end > Diary::kRoom / 2 ? end - Diary::kRoom / 2 : 0; i < end; ++i) {
    const Sample& sample = all.samples[i % Diary::kRoom];
    if (sample.at >= from && sample.at < to) found.push_back(sample);
  }
  std::ranges::sort(found, {}, &Sample::at);
  return found;
}

}  // namespace faultline::kills
