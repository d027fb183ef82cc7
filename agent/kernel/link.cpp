// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/link.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <vector>

#include "agent/kernel/netns.h"

namespace faultline::agent {
namespace {

// Linux 6.6, include/uapi/linux/bpf.h (commits e420bed02507 "bpf: Add fd-based tcx multi-prog infra
// with link support" and 053c8e1f235d "bpf: Add generic attach/detach/query API for multi-progs").
// Debian 12's headers are those of 6.1.
constexpr std::uint32_t kTcxIngress = 46, kTcxEgress = 47;
// Before or behind the one that is named; with none named, before or behind all.
constexpr std::uint32_t kBefore = 1U << 3, kAfter = 1U << 4;
constexpr std::uint32_t kRelativeIsId = 1U << 5;

struct TcxLinkCreate {  // union bpf_attr, link_create, with tcx of 6.6
  std::uint32_t program_fd = 0;
  std::uint32_t target_ifindex = 0;
  std::uint32_t attach_type = 0;
  std::uint32_t flags = 0;
  std::uint32_t relative = 0;  // a program's descriptor, or its id with kRelativeIsId
  std::uint32_t pad = 0;
  std::uint64_t expected_revision = 0;
};
static_assert(sizeof(TcxLinkCreate) == 32);

struct TcxQuery {  // union bpf_attr, query, with tcx of 6.6
  std::uint32_t target_ifindex = 0;
  std::uint32_t attach_type = 0;
  std::uint32_t query_flags = 0;
  std::uint32_t attach_flags = 0;
  std::uint64_t program_ids = 0;  // address of an array of u32
  std::uint32_t count = 0;
  std::uint32_t pad = 0;
  std::uint64_t program_attach_flags = 0, link_ids = 0, link_attach_flags = 0;
  std::uint64_t revision = 0;
};
static_assert(sizeof(TcxQuery) == 64);

std::uint32_t attach_type_of(TcHook hook) {
  return hook == TcHook::kIngress ? kTcxIngress : kTcxEgress;
}

// The ids of the programs in the chain, in order. Nothing where the kernel has no tcx.
std::vector<std::uint32_t> chain_of(IfIndex device, std::uint32_t attach_type) {
  std::array<std::uint32_t, 64> ids{};  // as many as the kernel allows on one hook
  TcxQuery attr;
  attr.target_ifindex = number(device);
  attr.attach_type = attach_type;
  attr.program_ids = reinterpret_cast<std::uint64_t>(ids.data());
  attr.count = ids.size();
  if (::syscall(__NR_bpf, BPF_PROG_QUERY, &attr, sizeof attr) != 0) return {};
  return {ids.begin(), ids.begin() + std::min<std::ptrdiff_t>(attr.count, ids.size())};
}

// The last program of ours in the chain; 0: none.
std::uint32_t last_of_ours(IfIndex device, std::uint32_t attach_type) {
  const auto chain = chain_of(device, attach_type);
  const auto last = std::find_if(chain.rbegin(), chain.rend(), is_ours);
  return last == chain.rend() ? 0 : *last;
}

// Empty: it has gone.
std::string program_name(std::uint32_t id) {
  const Fd fd(bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  if (!fd.valid() || bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return "";
  return info.name;
}

bool goes_first(std::uint32_t program_id) {
  return program_name(program_id).starts_with("fl_flow_out_fr");
}

// The last of those that go first and that the chain begins with; 0: it begins with none.
std::uint32_t last_of_first(IfIndex device, std::uint32_t attach_type) {
  const auto chain = chain_of(device, attach_type);
  const auto other = std::ranges::find_if_not(chain, goes_first);
  return other == chain.begin() ? 0 : *std::prev(other);
}

}  // namespace

bool is_ours(std::uint32_t program_id) { return program_name(program_id).starts_with("fl_"); }

bool is_before_ours(int program_fd, IfIndex device, TcHook hook) {
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(program_fd, &info, &size) != 0) return false;
  for (const std::uint32_t id : chain_of(device, attach_type_of(hook))) {
    if (id == info.id) return true;
    if (is_ours(id) && !goes_first(id)) return false;
  }
  return false;
}

std::string foreign_before_ours(IfIndex device, TcHook hook) {
  const auto chain = chain_of(device, attach_type_of(hook));
  if (chain.empty() || is_ours(chain.front()) || std::ranges::none_of(chain, is_ours)) return "";
  const std::string name = program_name(chain.front());
  return name.empty() ? "without a name" : name;
}

Result<Link> attach_tcx(int program_fd, IfIndex device, TcHook hook, TcPlace place) {
  TcxLinkCreate attr;
  attr.program_fd = static_cast<std::uint32_t>(program_fd);
  attr.target_ifindex = number(device);
  attr.attach_type = attach_type_of(hook);
  attr.flags = kBefore;
  if (place == TcPlace::kBehindOurs) attr.relative = last_of_ours(device, attr.attach_type);
  if (place == TcPlace::kHead) attr.relative = last_of_first(device, attr.attach_type);
  if (attr.relative != 0) attr.flags = kAfter | kRelativeIsId;
  const long fd = ::syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof attr);
  if (fd >= 0) return Link(Fd(static_cast<int>(fd)));
  Error error = from_errno(errno, "cannot attach to device " + std::to_string(number(device)) +
                                      (hook == TcHook::kIngress ? " ingress" : " egress"));
  // A kernel without tcx does not know the attach type.
  if (error.sys_errno == EINVAL) {
    error.code = Errc::kUnsupported;
    error.message += " (tcx needs Linux 6.6)";
  }
  if (error.sys_errno == ENODEV) error.code = Errc::kNotFound;
  return fail(std::move(error));
}

Result<Link> attach_tcx(int program_fd, IfIndex device, TcHook hook, const std::string& netns_path,
                        TcPlace place) {
  auto inside = ScopedNetns::enter(netns_path);
  if (!inside) return fail(inside.error());
  return attach_tcx(program_fd, device, hook, place);
}

Result<Link> attach_cgroup(int program_fd, const std::string& cgroup_path,
                           std::uint32_t attach_type) {
  const Fd cgroup(::open(cgroup_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup.valid()) return fail(from_errno(errno, "cannot open cgroup " + cgroup_path));
  const int fd = bpf_link_create(program_fd, cgroup.get(),
                                 static_cast<enum bpf_attach_type>(attach_type), nullptr);
  if (fd < 0) return fail(from_libbpf(fd, "cannot attach to cgroup " + cgroup_path));
  return Link(Fd(fd));
}

Result<Link> attach_tracing(int program_fd) {
  const int fd = bpf_raw_tracepoint_open(nullptr, program_fd);
  if (fd < 0) return fail(from_libbpf(fd, "cannot attach the tracing program"));
  return Link(Fd(fd));
}

}  // namespace faultline::agent
