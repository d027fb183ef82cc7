// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/tcp_diag.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "agent/kernel/fd.h"
#include "agent/kernel/netns.h"

namespace faultline::agent {
namespace {

// include/net/tcp_states.h; <netinet/tcp.h> has them too, but not beside <linux/tcp.h>.
enum State : std::uint32_t {
  kEstablished = 1,
  kSynSent = 2,
  kFinWait1 = 4,
  kFinWait2 = 5,
  kCloseWait = 8,
  kLastAck = 9,
  kClosing = 11,
};

std::uint32_t mask_of(TcpDiagStates states) {
  if (states == TcpDiagStates::kConnecting) return 1U << kSynSent;
  return 1U << kEstablished | 1U << kFinWait1 | 1U << kFinWait2 | 1U << kCloseWait |
         1U << kLastAck | 1U << kClosing;
}

// Copies as much as both have: an older kernel has a shorter tcp_info.
template <class T>
T copy_of(const rtattr* attribute) {
  T value{};
  std::memcpy(&value, RTA_DATA(attribute),
              std::min<std::size_t>(sizeof value, RTA_PAYLOAD(attribute)));
  return value;
}

// NLMSG_DATA casts away const.
template <class T>
const T* payload(const nlmsghdr* message) {
  return reinterpret_cast<const T*>(reinterpret_cast<const char*>(message) + NLMSG_HDRLEN);
}

// Of a message that is too short to be one: zeros.
TcpDiagSocket read(const nlmsghdr* message) {
  TcpDiagSocket s;
  if (message->nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) return s;
  const auto* diag = payload<inet_diag_msg>(message);
  s.cookie = static_cast<std::uint64_t>(diag->id.idiag_cookie[1]) << 32 | diag->id.idiag_cookie[0];
  auto size = static_cast<int>(message->nlmsg_len - NLMSG_LENGTH(sizeof *diag));
  const auto* a = reinterpret_cast<const rtattr*>(diag + 1);
  for (; RTA_OK(a, size);) {
    if (a->rta_type == INET_DIAG_INFO) {
      const auto info = copy_of<tcp_info>(a);
      s.bytes_acked = info.tcpi_bytes_acked;
      s.retransmits = info.tcpi_total_retrans;
    } else if (a->rta_type == INET_DIAG_CGROUP_ID) {
      s.cgroup = CgroupId{copy_of<std::uint64_t>(a)};
    }
    const auto step = static_cast<int>(RTA_ALIGN(a->rta_len));
    size -= step;
    a = reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(a) + step);
  }
  return s;
}

Result<> dump_family(int fd, std::uint8_t family, std::uint32_t states,
                     std::vector<TcpDiagSocket>& out) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 body;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.sdiag_family = family;
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_ext = 1U << (INET_DIAG_INFO - 1);
  request.body.idiag_states = states;
  if (::send(fd, &request, sizeof request, 0) < 0)
    return fail(from_errno(errno, "cannot ask for TCP sockets"));

  alignas(nlmsghdr) char buffer[32768];
  for (;;) {
    const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(from_errno(errno, "cannot read TCP sockets"));
    auto size = static_cast<std::uint32_t>(got);
    const auto* message = reinterpret_cast<const nlmsghdr*>(buffer);
    for (; NLMSG_OK(message, size);) {
      if (message->nlmsg_type == NLMSG_DONE) return {};
      if (message->nlmsg_type == NLMSG_ERROR) {
        const auto* error = payload<nlmsgerr>(message);
        return fail(from_errno(-error->error, "the kernel does not list TCP sockets"));
      }
      out.push_back(read(message));
      const auto step = NLMSG_ALIGN(message->nlmsg_len);
      size -= std::min(size, step);
      message = reinterpret_cast<const nlmsghdr*>(reinterpret_cast<const char*>(message) + step);
    }
  }
}

Result<Fd> open_in(const std::string& netns_path) {
  const auto inside = ScopedNetns::enter(netns_path);
  if (!inside) return fail(inside.error());
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd.valid()) return fail(from_errno(errno, "cannot open sock_diag"));
  return fd;
}

}  // namespace

Result<std::vector<TcpDiagSocket>> dump_tcp(const std::string& netns_path, TcpDiagStates states) {
  // Not kept open: the socket would keep the namespace of a pod that is gone.
  const auto fd = open_in(netns_path);
  if (!fd) return fail(fd.error());
  std::vector<TcpDiagSocket> sockets;
  for (const std::uint8_t family : {AF_INET, AF_INET6})
    if (auto r = dump_family(fd->get(), family, mask_of(states), sockets); !r)
      return fail(r.error());
  return sockets;
}

}  // namespace faultline::agent
