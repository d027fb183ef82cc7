// SPDX-License-Identifier: Apache-2.0
#include "demo/prober.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <future>
#include <iterator>
#include <stdexcept>

#include "agent/kernel/fd.h"
#include "agent/kernel/netns.h"

namespace faultline::demo {
namespace {

constexpr std::chrono::seconds kPatience{3};

// A request on a connection of its own, from connect() to the end of the answer.
class Flight {
 public:
  Flight(std::uint32_t address, std::uint16_t port)
      : begin_(Steady::now()), fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(port);
    peer.sin_addr.s_addr = address;
    over_ = !fd_.valid() ||
            (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof peer) != 0 &&
             errno != EINPROGRESS);
  }

  [[nodiscard]] pollfd wanted() const {
    return {fd_.get(), static_cast<short>(sent_ ? POLLIN : POLLOUT), 0};
  }

  void on_ready(const std::string& request) {
    if (!sent_) {
      sent_ = true;
      over_ = send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
              static_cast<ssize_t>(request.size());
      return;
    }
    char bytes[1024];
    const ssize_t n = recv(fd_.get(), bytes, sizeof bytes - 1, 0);
    if (n < 0 && errno == EAGAIN) return;
    over_ = n <= 0;
    if (n >= 12 && status_ == 0) {  // "HTTP/1.1 200"
      bytes[n] = 0;
      status_ = std::atoi(bytes + 9);
    }
    if (n < 0) status_ = 0;
  }

  [[nodiscard]] bool over(Steady::time_point now) const {
    return over_ || now - begin_ > kPatience;
  }
  [[nodiscard]] Probe probe(Steady::time_point now) const {
    return {begin_, now - begin_, over_ ? status_ : 0};
  }

 private:
  Steady::time_point begin_;
  agent::Fd fd_;
  bool sent_ = false, over_ = false;
  int status_ = 0;
};

}  // namespace

Prober::Prober(const std::string& netns_path, const std::string& address, std::uint16_t port,
               std::chrono::milliseconds interval)
    : request_("GET / HTTP/1.0\r\nHost: " + address + "\r\n\r\n"),
      port_(port),
      interval_(interval) {
  if (inet_pton(AF_INET, address.c_str(), &address_) != 1)
    throw std::runtime_error("not an IPv4 address: " + address);
  std::promise<void> entered;
  auto inside = entered.get_future();
  thread_ = std::thread([&entered, this, netns_path] {
    const auto netns = agent::ScopedNetns::enter(netns_path);
    if (!netns) {
      entered.set_exception(std::make_exception_ptr(std::runtime_error(netns.error().message)));
      return;
    }
    entered.set_value();
    run();
  });
  try {
    inside.get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

Prober::~Prober() {
  stop_ = true;
  thread_.join();
}

void Prober::keep(const Probe& probe) {
  const std::lock_guard lock(mutex_);
  probes_.push_back(probe);
}

void Prober::run() {
  std::vector<Flight> flights;
  std::vector<pollfd> wanted;
  auto next = Steady::now();
  while (!stop_) {
    auto now = Steady::now();
    if (now >= next) {
      flights.emplace_back(address_, port_);
      next = std::max(next + interval_, now);  // held up: no burst afterwards
    }
    wanted.clear();
    for (const Flight& flight : flights) wanted.push_back(flight.wanted());
    const auto rest = std::max(next - Steady::now(), Steady::duration::zero());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(rest);
    const timespec limit{seconds.count(), (rest - seconds).count()};
    if (ppoll(wanted.data(), wanted.size(), &limit, nullptr) < 0) continue;
    now = Steady::now();
    for (std::size_t i = 0; i < wanted.size(); ++i)
      if (wanted[i].revents != 0) flights[i].on_ready(request_);
    std::erase_if(flights, [&](const Flight& flight) {
      if (!flight.over(now)) return false;
      keep(flight.probe(now));
      return true;
    });
  }
}

std::vector<Probe> Prober::between(Steady::time_point from, Steady::time_point to) const {
  const std::lock_guard lock(mutex_);
  std::vector<Probe> result;
  std::copy_if(probes_.begin(), probes_.end(), std::back_inserter(result),
               [&](const Probe& p) { return p.begin >= from && p.begin < to; });
  return result;
}

std::chrono::nanoseconds median(const std::vector<Probe>& probes) {
  std::vector<std::chrono::nanoseconds> values;
  for (const Probe& p : probes)
    if (p.status != 0) values.push_back(p.took);
  if (values.empty()) return {};
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double failed_share(const std::vector<Probe>& probes) {
  if (probes.empty()) return 0;
  const auto failed =
      std::count_if(probes.begin(), probes.end(), [](const Probe& p) { return p.status != 200; });
  return static_cast<double>(failed) / static_cast<double>(probes.size());
}

}  // namespace faultline::demo
