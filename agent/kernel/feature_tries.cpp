// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/feature_tries.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <span>

#include "agent/kernel/fd.h"
#include "agent/kernel/helper_process.h"
#include "agent/kernel/libbpf_log.h"
#include "agent/kernel/link.h"
#include "agent/kernel/netlink.h"
#include "agent/kernel/receive_steering.h"

namespace faultline::agent::tries {
namespace {

constexpr const char* kBtfFile = "/sys/kernel/btf/vmlinux";
#if defined(__aarch64__)
constexpr const char* kRareSyscall = "__arm64_sys_swapon";
#else
constexpr const char* kRareSyscall = "__x64_sys_swapon";
#endif

constexpr bpf_insn move(std::uint8_t reg, std::int32_t value) {
  return {
      .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = reg, .src_reg = 0, .off = 0, .imm = value};
}
constexpr bpf_insn call(std::int32_t helper) {
  return {.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = helper};
}
constexpr bpf_insn call_kernel(std::int32_t function_id) {
  return {.code = BPF_JMP | BPF_CALL,
          .dst_reg = 0,
          .src_reg = BPF_PSEUDO_KFUNC_CALL,
          .off = 0,
          .imm = function_id};
}
constexpr bpf_insn leave() {
  return {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0};
}

struct Spec {
  bpf_prog_type type;
  std::uint32_t attach_type = 0;
  std::uint32_t btf_id = 0;
  std::uint32_t flags = 0;
};

Result<Fd> load(const Spec& spec, std::span<const bpf_insn> code, const std::string& what) {
  LIBBPF_OPTS(bpf_prog_load_opts, opts,
              .expected_attach_type = static_cast<bpf_attach_type>(spec.attach_type),
              .prog_flags = spec.flags, .attach_btf_id = spec.btf_id);
  const auto attempt = [&] {
    return bpf_prog_load(spec.type, "fl_probe", "GPL", code.data(), code.size(), &opts);
  };
  int fd = attempt();
  if (fd >= 0) return Fd(fd);
  std::array<char, 16384> log{};
  opts.log_level = 1;
  opts.log_buf = log.data();
  opts.log_size = log.size();
  const Fd second(fd = attempt());
  Error error = from_libbpf(fd, what);
  if (const std::string reason = verifier_reason(log.data()); !reason.empty())
    error.message += ": " + reason;
  return fail(std::move(error));
}

Result<> only_load(const Spec& spec, std::span<const bpf_insn> code, const std::string& what) {
  const auto program = load(spec, code, what);
  if (!program) return fail(program.error());
  return {};
}

// What programs attach to, looked up together: reading the kernel's BTF takes 30 ms and 10 MB.
struct BtfIds {
  int tracepoint = -ENOENT, function = -ENOENT, lsm = -ENOENT, syscall = -ENOENT, iter = -ENOENT;
  int task_from_pid = -ENOENT, task_release = -ENOENT, task_work = -ENOENT;
};

const BtfIds& btf_ids() {
  static const BtfIds ids = [] {
    const LibbpfLog quiet;
    BtfIds found;
    const std::unique_ptr<::btf, decltype(&btf__free)> kernel(btf__load_vmlinux_btf(), btf__free);
    if (!kernel || libbpf_get_error(kernel.get()) != 0) return found;
    const auto function = [&](const char* name) {
      return btf__find_by_name_kind(kernel.get(), name, BTF_KIND_FUNC);
    };
    found.tracepoint =
        btf__find_by_name_kind(kernel.get(), "btf_trace_sched_process_exec", BTF_KIND_TYPEDEF);
    found.function = function("bpf_fentry_test1");  // net/bpf/test_run.c: there for such tests
    found.lsm = function("bpf_lsm_socket_socketpair");
    found.syscall = function(kRareSyscall);
    found.iter = function("bpf_iter_tcp");
    found.task_from_pid = function("bpf_task_from_pid");
    found.task_release = function("bpf_task_release");
    found.task_work = function("bpf_task_work_schedule_resume");
    if (found.task_work < 0) found.task_work = function("bpf_task_work_schedule_resume_impl");
    return found;
  }();
  return ids;
}

Result<Fd> load_tracing(bpf_prog_type type, std::uint32_t attach_type, int btf_id,
                        std::span<const bpf_insn> code, const std::string& what,
                        std::uint32_t flags = 0) {
  if (auto readable = btf(); btf_id < 0 && !readable) return fail(readable.error());
  if (btf_id < 0) return fail(Errc::kUnsupported, "the kernel's BTF does not name " + what);
  return load({.type = type,
               .attach_type = attach_type,
               .btf_id = static_cast<std::uint32_t>(btf_id),
               .flags = flags},
              code, "cannot load " + what);
}

Result<> load_and_attach(bpf_prog_type type, std::uint32_t attach_type, int btf_id,
                         const std::string& what, std::uint32_t flags = 0) {
  constexpr std::array code{move(0, 0), leave()};
  const auto program = load_tracing(type, attach_type, btf_id, code, what, flags);
  if (!program) return fail(program.error());
  const auto link = attach_tracing(program->get());
  if (!link) return fail(from_errno(link.error().sys_errno, "cannot attach " + what));
  return {};
}

Result<Fd> open_tap(std::string& name) {
  Fd tap(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!tap.valid()) return fail(from_errno(errno, "cannot open /dev/net/tun"));
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  std::strcpy(request.ifr_name, "fl-probe%d");
  if (::ioctl(tap.get(), TUNSETIFF, &request) != 0)
    return fail(from_errno(errno, "cannot make a TAP device"));
  name = request.ifr_name;
  return tap;
}

}  // namespace

Result<> btf() {
  if (::access(kBtfFile, R_OK) != 0)
    return fail(from_errno(errno, std::string("cannot read ") + kBtfFile));
  return {};
}

Result<> tcx() {
  constexpr std::array code{move(0, -1), leave()};  // TCX_NEXT
  const auto program = load({.type = BPF_PROG_TYPE_SCHED_CLS}, code, "cannot load a tc program");
  if (!program) return fail(program.error());
  const auto link = attach_tcx(program->get(), IfIndex{if_nametoindex("lo")}, TcHook::kIngress);
  if (!link) return fail(link.error());
  return {};
}

Result<> tun() {
  std::string name;
  const auto tap = open_tap(name);
  if (!tap) return fail(tap.error());
  return {};
}

Result<> cgroup_hook(std::uint32_t program_type, std::uint32_t attach_type) {
  constexpr std::array code{move(1, 0), call(BPF_FUNC_set_retval), move(0, 1), leave()};
  return only_load({.type = static_cast<bpf_prog_type>(program_type), .attach_type = attach_type},
                   code, "cannot load a cgroup program");
}

Result<> sockopt() {
  if (auto set = cgroup_hook(BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_CGROUP_SETSOCKOPT); !set) return set;
  return cgroup_hook(BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_CGROUP_GETSOCKOPT);
}

Result<> sock_ops() {
  constexpr std::array code{move(0, 1), leave()};
  return only_load({.type = BPF_PROG_TYPE_SOCK_OPS, .attach_type = BPF_CGROUP_SOCK_OPS}, code,
                   "cannot load a sockops program");
}

Result<> tp_btf() {
  return load_and_attach(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, btf_ids().tracepoint,
                         "a tp_btf program");
}

Result<> trampoline() {
  return load_and_attach(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, btf_ids().function,
                         "an fentry program");
}

// A kernel whose lsm= list lacks bpf attaches such programs and never calls them.
Result<> lsm() {
  const std::uint64_t self = (static_cast<std::uint64_t>(::getpid()) << 32) |
                             static_cast<std::uint64_t>(::syscall(SYS_gettid));
  const auto low = static_cast<std::int32_t>(self & 0xffffffff);
  const auto high = static_cast<std::int32_t>(self >> 32);
  const std::array code{
      call(BPF_FUNC_get_current_pid_tgid),
      bpf_insn{.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = 0, .off = 0, .imm = low},
      bpf_insn{.code = 0, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = high},
      bpf_insn{.code = BPF_JMP | BPF_JNE | BPF_X, .dst_reg = 0, .src_reg = 1, .off = 2, .imm = 0},
      move(0, -EXFULL),  // this thread gets what nothing else gives
      leave(),
      move(0, 0),
      leave()};
  const auto program =
      load_tracing(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, btf_ids().lsm, code, "an LSM program");
  if (!program) return fail(program.error());
  const auto link = attach_tracing(program->get());
  if (!link) return fail(from_errno(link.error().sys_errno, "cannot attach an LSM program"));
  int pair[2];
  const int rc = ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
  const int error = errno;
  if (rc == 0) {
    ::close(pair[0]);
    ::close(pair[1]);
  }
  if (rc != 0 && error == EXFULL) return {};
  return fail(Errc::kUnsupported, "LSM programs attach but are not called: bpf is not in lsm=");
}

Result<> read_kernel() {
  constexpr std::array code{
      bpf_insn{
          .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 10, .off = 0, .imm = 0},
      bpf_insn{
          .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1, .src_reg = 0, .off = 0, .imm = -8},
      move(2, 8),
      move(3, 0),
      call(BPF_FUNC_probe_read_kernel),
      move(0, 0),
      leave()};
  auto loaded = only_load({.type = BPF_PROG_TYPE_RAW_TRACEPOINT}, code,
                          "cannot load a program that reads kernel memory");
  // security/security.c: "none integrity [confidentiality]", what is in force in brackets.
  std::string words, word;
  for (std::ifstream state("/sys/kernel/security/lockdown"); state >> word;)
    if (word.starts_with('[') && word != "[none]") words = word;
  if (!loaded && !words.empty()) {
    Error error = loaded.error();
    error.message += ": the kernel is locked down " + words;
    return fail(std::move(error));
  }
  return loaded;
}

Result<> fmod_syscall() {
  return load_and_attach(BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, btf_ids().syscall,
                         std::string("an fmod_ret program on ") + kRareSyscall);
}

Result<> sleepable_hook(int function_id) {
  constexpr std::array code{move(0, 0), leave()};
  const auto program = load_tracing(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, function_id, code,
                                    "an LSM program that sleeps", BPF_F_SLEEPABLE);
  if (!program) return fail(program.error());
  return {};
}

Result<> sleepable_lsm() {
  if (auto called = lsm(); !called) return called;
  return sleepable_hook(btf_ids().lsm);
}

Result<> sleepable_syscall() {
  return load_and_attach(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, btf_ids().syscall,
                         std::string("an fentry program that sleeps on ") + kRareSyscall,
                         BPF_F_SLEEPABLE);
}

Result<> task_from_pid() {
  const BtfIds& ids = btf_ids();
  if (auto readable = btf(); !readable) return readable;
  if (ids.task_from_pid < 0 || ids.task_release < 0)
    return fail(Errc::kUnsupported, "the kernel's BTF does not name bpf_task_from_pid");
  const std::array code{
      move(1, 1),
      call_kernel(ids.task_from_pid),
      bpf_insn{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 2, .imm = 0},
      bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 0, .off = 0, .imm = 0},
      call_kernel(ids.task_release),
      move(0, 0),
      leave()};
  const auto program = load_tracing(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, ids.tracepoint, code,
                                    "a program that calls bpf_task_from_pid");
  if (!program) return fail(program.error());
  return {};
}

Result<> task_work() {
  if (auto readable = btf(); !readable) return readable;
  if (btf_ids().task_work < 0)
    return fail(Errc::kUnsupported, "the kernel's BTF does not name bpf_task_work_schedule_resume");
  return {};
}

Result<> fuse() {
  const Fd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!device.valid()) return fail(from_errno(errno, "cannot open /dev/fuse"));
  const Fd filesystem(static_cast<int>(::syscall(SYS_fsopen, "fuse", FSOPEN_CLOEXEC)));
  if (!filesystem.valid()) return fail(from_errno(errno, "cannot make a FUSE file system"));
  return {};
}

Result<> kprobe() {
  constexpr std::array code{move(0, 0), leave()};
  const auto program = load({.type = BPF_PROG_TYPE_KPROBE}, code, "cannot load a kprobe program");
  if (!program) return fail(program.error());
  std::ifstream type_file("/sys/bus/event_source/devices/kprobe/type");
  std::uint32_t type = 0;
  if (!(type_file >> type))
    return fail(Errc::kUnsupported, "the kernel has no kprobe events (CONFIG_KPROBE_EVENTS)");
  perf_event_attr attr{};
  attr.type = type;
  attr.size = sizeof attr;
  const char* function = "bpf_fentry_test1";
  std::memcpy(&attr.kprobe_func, &function, sizeof function);
  const Fd event(
      static_cast<int>(::syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event.valid()) return fail(from_errno(errno, "cannot make a kprobe"));
  if (::ioctl(event.get(), PERF_EVENT_IOC_SET_BPF, program->get()) != 0)
    return fail(from_errno(errno, "cannot attach to a kprobe"));
  return {};
}

Result<> fq() {
  std::string name;
  const auto tap = open_tap(name);
  if (!tap) return fail(tap.error().with_context("cannot try"));
  auto netlink = Netlink::open();
  if (!netlink) return fail(netlink.error());
  const auto link = netlink->link(name);
  if (!link) return fail(link.error());
  if (auto done = netlink->set_root_qdisc(link->index, "fq"); !done) return done;
  // What fq lets go keeps its order by this alone (docs/decisions/0011-edt.md).
  const auto steering = ReceiveSteering::of(name);
  return steering ? Result<>() : fail(steering.error());
}

Result<> clsact() {
  constexpr std::array code{move(0, -1), leave()};  // TC_ACT_UNSPEC: the next filter decides
  const auto program = load({.type = BPF_PROG_TYPE_SCHED_CLS}, code, "cannot load a tc program");
  if (!program) return fail(program.error());
  std::string name;
  const auto tap = open_tap(name);
  if (!tap) return fail(tap.error().with_context("cannot try"));
  auto netlink = Netlink::open();
  if (!netlink) return fail(netlink.error());
  const auto link = netlink->link(name);
  if (!link) return fail(link.error());
  if (auto done = netlink->add_clsact(link->index); !done) return done;
  return netlink->add_filter(
      {.device = link->index, .hook = TcHook::kIngress, .pref = 1, .handle = 1}, program->get(),
      "fl_probe");
}

Result<> iter_tcp() {
  constexpr std::array code{move(0, 0), leave()};
  const auto program = load_tracing(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, btf_ids().iter, code,
                                    "an iter/tcp program");
  if (!program) return fail(program.error());
  const Fd link(bpf_link_create(program->get(), 0, BPF_TRACE_ITER, nullptr));
  if (!link.valid()) return fail(from_errno(errno, "cannot attach an iter/tcp program"));
  return {};
}

Result<> sock_diag() {
  const Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd.valid()) return fail(from_errno(errno, "cannot open a sock_diag socket"));
  struct {
    nlmsghdr header;
    inet_diag_req_v2 query;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.query.sdiag_family = AF_INET;
  request.query.sdiag_protocol = IPPROTO_TCP;
  request.query.idiag_states = 0;  // no socket at all: the question alone is tried
  alignas(nlmsghdr) std::array<char, 8192> answer{};
  if (::send(fd.get(), &request, sizeof request, 0) < 0 ||
      ::recv(fd.get(), answer.data(), answer.size(), 0) < static_cast<ssize_t>(sizeof(nlmsghdr)))
    return fail(from_errno(errno, "cannot ask sock_diag"));
  const auto* header = reinterpret_cast<const nlmsghdr*>(answer.data());
  if (header->nlmsg_type != NLMSG_ERROR) return {};
  nlmsgerr error{};
  std::memcpy(&error, answer.data() + NLMSG_HDRLEN, sizeof error);
  return fail(from_errno(-error.error, "sock_diag refuses TCP"));
}

Result<> clone_into_cgroup() {
  constexpr int kNone = 0x3fffffff;  // no descriptor has this number
  int pidfd = -1;
  if (agent::clone_into_cgroup(kNone, pidfd) < 0 && errno != EBADF)
    return fail(from_errno(errno, "clone3 does not know CLONE_INTO_CGROUP"));
  return {};
}

Result<> psi() {
  constexpr const char* kFile = "/proc/pressure/cpu";
  const Fd fd(::open(kFile, O_RDONLY | O_CLOEXEC));
  char byte = 0;
  if (!fd.valid() || ::read(fd.get(), &byte, 1) != 1)
    return fail(from_errno(errno, std::string("cannot read ") + kFile));
  return {};
}

}  // namespace faultline::agent::tries
