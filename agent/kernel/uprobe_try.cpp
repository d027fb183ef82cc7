// SPDX-License-Identifier: Apache-2.0
// Whether programs may be attached to functions of user space, and whether processes bear it.
#include <bpf/bpf.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "agent/kernel/feature_tries.h"
#include "agent/kernel/uprobe.h"

namespace faultline::agent::tries {
namespace {

// Nobody else calls it, so that a probe on it costs nobody.
__attribute__((noinline)) int tried(int value) {
  asm volatile("" : "+r"(value));
  return value;
}

struct Place {
  std::string path;  // empty: not found
  std::uint64_t offset = 0;
};

// Where in its file a function of this process is.
Place place_of(const void* function) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(function);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::uint64_t begin = 0, end = 0, offset = 0, inode = 0;
    std::string rights, device;
    char dash = 0;
    words >> std::hex >> begin >> dash >> end >> rights >> offset >> device >> std::dec >> inode;
    // By this link, and not by its name, which may be another file's by now.
    if (wanted >= begin && wanted < end) return {"/proc/self/exe", wanted - begin + offset};
  }
  return {};
}

#if defined(__x86_64__)
// Linux 6.11 lets a function that has a uretprobe return by way of a system call of its own. Until
// 6.14 filters of seccomp were asked for it, and those of container runtimes do not know it: the
// process dies.
bool survives_seccomp() {
  constexpr std::uint32_t kUretprobe = 335;
  const pid_t child = ::fork();
  if (child == 0) {
    std::array filter{
        sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, kUretprobe},
        sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
        sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    const sock_fprog program{filter.size(), filter.data()};
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // its end leaves no core
    // Where there is no seccomp there are no filters either.
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
      ::_exit(0);
    ::_exit(tried(0));
  }
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}
#else
bool survives_seccomp() { return true; }
#endif

}  // namespace

Result<> uprobe() {
  constexpr std::array code{
      bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  const Fd program(
      bpf_prog_load(BPF_PROG_TYPE_KPROBE, "fl_probe", "GPL", code.data(), code.size(), nullptr));
  if (!program.valid()) return fail(from_errno(errno, "cannot load a uprobe program"));
  const Place place = place_of(reinterpret_cast<const void*>(&tried));
  if (place.path.empty()) return fail(Errc::kUnsupported, "cannot find a function of our own");
  std::vector<Link> links;
  for (const UprobeAt at : {UprobeAt::kEntry, UprobeAt::kReturn}) {
    auto link = attach_uprobes(program.get(), place.path, at, {{place.offset, 0}}, false);
    if (!link) return fail(link.error());
    links.push_back(std::move(link->front()));
  }
  if (tried(1) == 1 && survives_seccomp()) return {};
  return fail(Errc::kUnsupported,
              "a process with a filter of seccomp does not survive a uretprobe on this kernel");
}

}  // namespace faultline::agent::tries
