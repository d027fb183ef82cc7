// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/clsact.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <random>
#include <utility>

#include "agent/kernel/netns.h"
#include "agent/kernel/undo_journal.h"
#include "agent/kernel/watchdog.h"

namespace faultline::agent {
namespace {

constexpr const char* kName = "fl_clsact";  // of stub, array and filter
constexpr std::uint16_t kPrefHead = 1, kPrefBehind = 2;

class Undo {
 public:
  explicit Undo(FilterRecord record) : record_(std::move(record)) {}
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;
  ~Undo() {
    // A child that was forked has the memory, not the filter.
    if (record_.owner.pid != ::getpid()) return;
    if (auto done = UndoJournal::here().undo(record_); !done)
      spdlog::warn("clsact: {}", done.error().message);
  }

 private:
  FilterRecord record_;
};

// return array[0](skb), or -1 (the next filter decides) when it is empty.
Result<Fd> load_stub(int array) {
  const std::array code{
      bpf_insn{.code = BPF_LD | BPF_DW,
               .dst_reg = BPF_REG_2,
               .src_reg = BPF_PSEUDO_MAP_FD,
               .off = 0,
               .imm = array},
      bpf_insn{.code = 0, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K,
               .dst_reg = BPF_REG_3,
               .src_reg = 0,
               .off = 0,
               .imm = 0},
      bpf_insn{.code = BPF_JMP | BPF_CALL,
               .dst_reg = 0,
               .src_reg = 0,
               .off = 0,
               .imm = BPF_FUNC_tail_call},
      bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K,
               .dst_reg = BPF_REG_0,
               .src_reg = 0,
               .off = 0,
               .imm = -1},
      bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  const int fd =
      bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, kName, "GPL", code.data(), code.size(), nullptr);
  if (fd < 0) return fail(from_libbpf(fd, "cannot load the clsact stub"));
  return Fd(fd);
}

Result<Fd> array_of(int program_fd) {
  Fd array(bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, kName, sizeof(std::uint32_t),
                          sizeof(std::uint32_t), 1, nullptr));
  if (!array.valid()) return fail(from_errno(errno, "cannot make an array of programs"));
  const std::uint32_t first = 0;
  if (bpf_map_update_elem(array.get(), &first, &program_fd, BPF_ANY) != 0)
    return fail(from_errno(errno, "cannot put a program into an array of programs"));
  return array;
}

Result<> identify(int program_fd, FilterRecord& record) {
  bpf_prog_info info{};
  std::uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(program_fd, &info, &size) != 0)
    return fail(from_errno(errno, "cannot ask for a program's number"));
  record.program_id = info.id;
  char digits[3];
  for (const unsigned char byte : info.tag) {
    std::snprintf(digits, sizeof digits, "%02x", byte);
    record.program_tag += digits;
  }
  return {};
}

Result<> need_qdisc(Netlink& netlink, const UndoJournal& journal, const FilterRecord& record) {
  const auto kind = netlink.ingress_qdisc(record.filter.device);
  if (!kind) return fail(kind.error());
  if (*kind == "clsact" || (*kind == "ingress" && record.filter.hook == TcHook::kIngress))
    return {};
  if (!kind->empty())
    return fail(Errc::kUnsupported,
                record.device_name + " has the qdisc " + *kind + ", which has no egress side");
  if (auto done =
          journal.write(QdiscRecord{record.netns, record.filter.device, record.device_name});
      !done)
    return done;
  return netlink.add_clsact(record.filter.device);
}

}  // namespace

Result<Link> attach_clsact(int program_fd, IfIndex device, TcHook hook, TcPlace place) {
  if (auto watched = ensure_watchdog(); !watched) return fail(watched.error());
  auto netlink = Netlink::open();
  if (!netlink) return fail(netlink.error());
  const auto link = netlink->link(device);
  if (!link) return fail(link.error());
  const auto netns = netns_id("/proc/thread-self/ns/net");
  if (!netns) return fail(netns.error());
  auto array = array_of(program_fd);
  if (!array) return fail(array.error());
  const auto stub = load_stub(array->get());
  if (!stub) return fail(stub.error());

  FilterRecord record;
  record.owner = Owner::self();
  record.netns = *netns;
  record.device_name = link->name;
  std::random_device random;
  record.filter = {.device = device,
                   .hook = hook,
                   .pref = place == TcPlace::kBehindOurs ? kPrefBehind : kPrefHead,
                   .handle = (random() & 0x7fffffffU) | 1U};
  if (auto done = identify(stub->get(), record); !done) return fail(done.error());

  const UndoJournal journal = UndoJournal::here();
  if (auto done = journal.write(record); !done) return fail(done.error());
  auto undo = std::make_shared<Undo>(record);
  const Fd guard = journal.lock();
  auto added = need_qdisc(*netlink, journal, record);
  if (added) added = netlink->add_filter(record.filter, stub->get(), kName);
  if (added) return Link(std::move(*array), std::move(undo));
  return fail(added.error().with_context(hook == TcHook::kIngress ? "ingress" : "egress"));
}

}  // namespace faultline::agent
