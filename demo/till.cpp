// SPDX-License-Identifier: Apache-2.0
#include "demo/till.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>

#include "agent/kernel/fd.h"

namespace faultline::demo {
namespace {

constexpr int kBacklog = 128;  // orders that wait; more are not taken
constexpr timeval kPatience{1, 0};

std::chrono::nanoseconds cpu_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

void work_for(std::chrono::microseconds work) {
  const auto end = cpu_time() + work;
  while (cpu_time() < end) {
  }
}

agent::Fd listen_on(std::uint16_t port) {
  agent::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_port = htons(port);
  if (!fd.valid() || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    std::perror("payments");
    return {};
  }
  return fd;
}

// The answer is the same for every order, so one read of what was asked is enough.
void serve(const agent::Fd& order, std::chrono::microseconds work, const agent::Fd& ledger) {
  setsockopt(order.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  char asked[4096];
  if (recv(order.get(), asked, sizeof asked, 0) <= 0) return;
  work_for(work);
  constexpr std::string_view kLine = "paid\n";
  const bool written =
      write(ledger.get(), kLine.data(), kLine.size()) == static_cast<ssize_t>(kLine.size());
  const std::string answer =
      std::string("HTTP/1.1 ") + (written ? "200 OK" : "500 Internal Server Error") +
      "\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\n" +
      (written ? "paid\n" : "lost\n");
  (void)send(order.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
}

}  // namespace

int serve_orders(std::uint16_t port, std::chrono::microseconds work, const std::string& ledger) {
  prctl(PR_SET_NAME, "payments");
  const agent::Fd listener = listen_on(port);
  const agent::Fd file(open(ledger.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!listener.valid() || !file.valid()) return 1;
  for (;;) {
    const agent::Fd order(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (order.valid()) serve(order, work, file);
  }
}

}  // namespace faultline::demo
