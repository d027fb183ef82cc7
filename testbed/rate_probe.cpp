// SPDX-License-Identifier: Apache-2.0
#include "testbed/rate_probe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "testbed/child.h"

namespace faultline::testbed {
namespace {

constexpr std::uint32_t kHeaders = 14 + 20 + 8;  // Ethernet, IPv4, UDP

// When the kernel got the datagram, whatever keeps the reader from it; by the clock of start.
struct Stamped {
  ssize_t size;
  double at;
};
Stamped receive(int socket, std::vector<char>& data, double start) {
  iovec place{data.data(), data.size()};
  alignas(cmsghdr) char control[64];
  msghdr message{};
  message.msg_iov = &place;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  Stamped got{::recvmsg(socket, &message, MSG_DONTWAIT), 0};
  if (got.size < 0) return got;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c))
    if (c->cmsg_type == SCM_TIMESTAMPNS) {
      timespec t{};
      std::memcpy(&t, CMSG_DATA(c), sizeof t);
      got.at = static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9 - start;
    }
  return got;
}

double real_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double iperf3(const TestPod& pod, const std::string& address, const IperfOptions& options) {
  const std::string port = std::to_string(options.port);
  Child server([&] {
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(null, 1);
    ::execlp("iperf3", "iperf3", "-s", "-1", "-B", address.c_str(), "-p", port.c_str(), nullptr);
    return 127;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  std::vector<std::string> words{"iperf3",
                                 "-c",
                                 address,
                                 "-p",
                                 port,
                                 "-t",
                                 options.seconds,
                                 "-O",
                                 "1",
                                 "-P",
                                 std::to_string(options.flows),
                                 "-J"};
  if (options.reverse) words.emplace_back("-R");
  const auto r = pod.exec(words);
  server.signal(SIGTERM);
  server.wait();
  boost::system::error_code error;
  const auto json = boost::json::parse(r.output, error);
  const auto* bits =
      error ? nullptr : json.find_pointer("/end/sum_received/bits_per_second", error);
  if (bits == nullptr) throw std::runtime_error("iperf3: " + r.output);
  return bits->to_number<double>();
}

std::uint64_t Flood::overtaken() const {
  std::uint64_t n = 0;
  std::uint32_t newest = 0;
  for (const std::uint32_t x : number) {
    if (x < newest) ++n;
    newest = std::max(newest, x);
  }
  return n;
}

double Flood::bits_per_second(std::size_t skip) const {
  if (at.size() < skip + 2) throw std::runtime_error("too few datagrams arrived");
  return static_cast<double>(at.size() - 1 - skip) * bytes * 8 / (at.back() - at[skip]);
}

Flood flood(const agent::Fd& sender, const agent::Fd& receiver, const FloodOptions& options) {
  Flood flood;
  flood.bytes = options.payload + kHeaders;
  std::atomic<bool> sent = false;
  const int on = 1;
  if (::setsockopt(receiver.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0)
    throw std::runtime_error("SO_TIMESTAMPNS");
  const auto start = std::chrono::steady_clock::now();
  const double start_real = real_time();
  std::thread reader([&] {
    ::prctl(PR_SET_TIMERSLACK, 1UL);
    std::vector<char> data(options.payload);
    while (flood.at.size() < options.count) {
      pollfd p{receiver.get(), POLLIN, 0};
      const bool was_sent = sent;
      if (::poll(&p, 1, was_sent ? static_cast<int>(options.patience.count()) : 20) == 0) {
        if (was_sent) return;
        continue;
      }
      const Stamped got = receive(receiver.get(), data, start_real);
      if (got.size != static_cast<ssize_t>(data.size())) continue;
      std::uint32_t number = 0;
      std::memcpy(&number, data.data(), sizeof number);
      flood.at.push_back(got.at);
      flood.number.push_back(number);
    }
  });
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  std::vector<char> data(options.payload);
  for (std::uint32_t number = 0; number < options.count; ++number) {
    std::memcpy(data.data(), &number, sizeof number);
    if (::send(sender.get(), data.data(), data.size(), 0) != static_cast<ssize_t>(data.size()))
      ++flood.send_failures;
    if (number == options.count / 2 && options.during) options.during();
    if (options.bits_per_second <= 0) continue;
    const double next = (number + 1) * 8.0 * flood.bytes / options.bits_per_second;
    if (const double left = next - seconds_since(start); left > 0)
      std::this_thread::sleep_for(std::chrono::duration<double>(left));
  }
  flood.sent = options.count - flood.send_failures;
  sent = true;
  reader.join();
  return flood;
}

}  // namespace faultline::testbed
