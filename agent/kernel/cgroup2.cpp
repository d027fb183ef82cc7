// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/cgroup2.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "agent/kernel/cgroup_mounts.h"
#include "agent/kernel/fd.h"

namespace faultline::agent {

Result<std::string> find_cgroup2_mount(std::string_view mountinfo) {
  for (const CgroupMount& mount : cgroup_mounts(mountinfo))
    if (mount.is_v2) return mount.point;
  return fail(Errc::kNotFound,
              "no cgroup2 is mounted; try: mount -t cgroup2 none /sys/fs/cgroup/unified");
}

Result<std::string> find_cgroup2_mount() {
  std::ifstream in("/proc/self/mountinfo");
  if (!in) return fail(from_errno(errno, "cannot read /proc/self/mountinfo"));
  return find_cgroup2_mount(std::string(std::istreambuf_iterator<char>(in), {}));
}

Result<CgroupId> cgroup_id(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return fail(from_errno(errno, "cannot open cgroup " + path));
  struct statfs filesystem {};
  struct stat info {};
  if (::fstatfs(fd.get(), &filesystem) != 0 || ::fstat(fd.get(), &info) != 0)
    return fail(from_errno(errno, "cannot stat cgroup " + path));
  if (filesystem.f_type != CGROUP2_SUPER_MAGIC) {
    const auto mount = find_cgroup2_mount();
    return fail(Errc::kInvalid, path + " is not a directory of cgroup2" +
                                    (mount ? ", which is mounted at " + *mount : std::string()));
  }
  if (!S_ISDIR(info.st_mode)) return fail(Errc::kInvalid, path + " is not a directory");
  // The inode number is the id since Linux 5.5 (commit 743210386c03), on 64-bit machines.
  return CgroupId{info.st_ino};
}

Result<std::uint32_t> cgroup_level(const std::string& path) {
  const auto mount = find_cgroup2_mount();
  if (!mount) return fail(mount.error());
  struct stat root {};
  if (::stat(mount->c_str(), &root) != 0)
    return fail(from_errno(errno, "cannot look at " + *mount));
  std::uint32_t above = 0;
  if (root.st_ino != 1) {
    const auto level = level_above_us(CgroupId{root.st_ino});
    if (!level)
      return fail(
          level.error().with_context(*mount + " does not show the root of the cgroup hierarchy"));
    above = *level;
  }
  std::error_code error;
  const auto below = std::filesystem::relative(path, *mount, error);
  if (error || below.empty() || *below.begin() == "..")
    return fail(Errc::kInvalid, path + " is not below " + *mount);
  if (*below.begin() == ".") return above;
  return above + static_cast<std::uint32_t>(std::distance(below.begin(), below.end()));
}

// A raw tracepoint's program that is never attached: the kernel runs it for us, as ourselves.
Result<std::uint32_t> level_above_us(CgroupId cgroup) {
  constexpr auto kLoad = static_cast<std::uint8_t>(BPF_LDX | BPF_MEM | BPF_DW);
  const bpf_insn code[] = {
      {.code = kLoad, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1, .off = 8, .imm = 0},
      {.code = kLoad, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_1, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_CALL,
       .dst_reg = 0,
       .src_reg = 0,
       .off = 0,
       .imm = BPF_FUNC_get_current_ancestor_cgroup_id},
      {.code = BPF_ALU64 | BPF_RSH | BPF_X,
       .dst_reg = BPF_REG_0,
       .src_reg = BPF_REG_6,
       .off = 0,
       .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  const Fd program(bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "fl_level", "GPL", code,
                                 std::size(code), nullptr));
  if (!program.valid())
    return fail(from_libbpf(program.get(), "cannot ask the kernel for our cgroups"));
  // Half of an id a run: its answer has 32 bits.
  const auto half = [&](std::uint64_t level, std::uint64_t shift) -> Result<std::uint64_t> {
    const std::uint64_t arguments[2] = {level, shift};
    LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = arguments, .ctx_size_in = sizeof arguments);
    if (const int rc = bpf_prog_test_run_opts(program.get(), &run); rc != 0)
      return fail(from_libbpf(rc, "cannot ask the kernel for our cgroups"));
    return run.retval;
  };
  constexpr std::uint32_t kDeepest = 255;
  for (std::uint32_t level = 0; level <= kDeepest; ++level) {
    const auto low = half(level, 0), high = half(level, 32);
    if (!low || !high) return fail(low ? high.error() : low.error());
    const std::uint64_t id = *high << 32 | *low;
    if (id == number(cgroup)) return level;
    if (id == 0) break;  // deeper than we are
  }
  return fail(Errc::kUnsupported, "this process is in no cgroup below it");
}

Result<> put_cgroup(int map_fd, const std::string& cgroup_path) {
  const Fd cgroup(::open(cgroup_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup.valid()) return fail(from_errno(errno, "cannot open cgroup " + cgroup_path));
  const std::uint32_t zero = 0;
  const int fd = cgroup.get();
  if (const int rc = bpf_map_update_elem(map_fd, &zero, &fd, BPF_ANY); rc != 0)
    return fail(from_libbpf(rc, "cannot put the cgroup into the map"));
  return {};
}

}  // namespace faultline::agent
