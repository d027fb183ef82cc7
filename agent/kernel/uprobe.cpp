// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/uprobe.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>

namespace faultline::agent {
namespace {

// Of the PMU: its number, and by which bit of `config` a probe is one of returns ("config:0").
struct Pmu {
  std::uint32_t type = 0;
  std::uint32_t return_bit = 0;
};

std::optional<Pmu> uprobe_pmu() {
  const std::string folder = "/sys/bus/event_source/devices/uprobe/";
  Pmu pmu;
  std::string format;
  if (!(std::ifstream(folder + "type") >> pmu.type)) return std::nullopt;
  if (std::ifstream(folder + "format/retprobe") >> format && format.starts_with("config:"))
    pmu.return_bit = static_cast<std::uint32_t>(std::atoi(format.c_str() + 7)) & 63;
  return pmu;
}

Result<Link> attach_one(int program_fd, const std::string& path, UprobeAt at,
                        const UprobePlace& place) {
  const auto pmu = uprobe_pmu();
  if (!pmu)
    return fail(Errc::kUnsupported, "the kernel has no uprobe events (CONFIG_UPROBE_EVENTS)");
  perf_event_attr attr{};
  attr.type = pmu->type;
  attr.size = sizeof attr;
  if (at == UprobeAt::kReturn) attr.config = 1ULL << pmu->return_bit;
  const char* file = path.c_str();
  std::memcpy(&attr.uprobe_path, &file, sizeof file);
  attr.probe_offset = place.offset;
  const Fd event(
      static_cast<int>(::syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event.valid()) return fail(from_errno(errno, "cannot make a uprobe"));
  LIBBPF_OPTS(bpf_link_create_opts, opts, .perf_event = {.bpf_cookie = place.cookie});
  const int link = bpf_link_create(program_fd, event.get(), BPF_PERF_EVENT, &opts);
  if (link < 0) return fail(from_libbpf(link, "cannot attach to a uprobe"));
  return Link(Fd(link));  // which keeps the event
}

struct UprobeMultiCreate {  // union bpf_attr, link_create, with uprobe_multi of 6.6
  std::uint32_t program_fd = 0;
  std::uint32_t target_fd = 0;
  std::uint32_t attach_type = kUprobeMulti;
  std::uint32_t flags = 0;
  std::uint64_t path = 0, offsets = 0, counters = 0, cookies = 0;  // addresses
  std::uint32_t count = 0;
  std::uint32_t multi_flags = 0;  // 1: at returns
  std::uint32_t pid = 0;
  std::uint32_t pad = 0;
};
static_assert(sizeof(UprobeMultiCreate) == 64);

Result<Link> attach_many(int program_fd, const std::string& path, UprobeAt at,
                         const std::vector<UprobePlace>& places) {
  std::vector<std::uint64_t> offsets, cookies;
  for (const UprobePlace& place : places) {
    offsets.push_back(place.offset);
    cookies.push_back(place.cookie);
  }
  UprobeMultiCreate attr;
  attr.program_fd = static_cast<std::uint32_t>(program_fd);
  attr.path = reinterpret_cast<std::uint64_t>(path.c_str());
  attr.offsets = reinterpret_cast<std::uint64_t>(offsets.data());
  attr.cookies = reinterpret_cast<std::uint64_t>(cookies.data());
  attr.count = static_cast<std::uint32_t>(places.size());
  attr.multi_flags = at == UprobeAt::kReturn ? 1 : 0;
  const long fd = ::syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof attr);
  if (fd < 0) return fail(from_errno(errno, "cannot attach to uprobes"));
  return Link(Fd(static_cast<int>(fd)));
}

// Asked for no place, a kernel that knows the attach type finds the path first, which is none.
bool try_one_link() {
  constexpr std::array code{
      bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  LIBBPF_OPTS(bpf_prog_load_opts, opts,
              .expected_attach_type = static_cast<bpf_attach_type>(kUprobeMulti));
  const Fd program(
      bpf_prog_load(BPF_PROG_TYPE_KPROBE, "fl_probe", "GPL", code.data(), code.size(), &opts));
  if (!program.valid()) return false;
  const auto link = attach_many(program.get(), "/", UprobeAt::kEntry, {UprobePlace{}});
  return !link && link.error().sys_errno == EBADF;
}

}  // namespace

bool uprobes_by_one_link() {
  static const bool can = try_one_link();
  return can;
}

Result<std::vector<Link>> attach_uprobes(int program_fd, const std::string& path, UprobeAt at,
                                         const std::vector<UprobePlace>& places, bool by_one_link) {
  std::vector<Link> links;
  if (places.empty()) return links;
  if (by_one_link) {
    auto link = attach_many(program_fd, path, at, places);
    if (!link) return fail(link.error());
    links.push_back(std::move(*link));
    return links;
  }
  for (const UprobePlace& place : places) {
    auto link = attach_one(program_fd, path, at, place);
    if (!link) return fail(link.error());
    links.push_back(std::move(*link));
  }
  return links;
}

}  // namespace faultline::agent
