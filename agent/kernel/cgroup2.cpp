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
#include <sstream>

#include "agent/kernel/fd.h"

namespace faultline::agent {
namespace {

// mountinfo writes space, tab, newline and backslash as \040 and the like.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](std::size_t at) { return text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && i + 3 < text.size() && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// How much of the hierarchy a mount shows whose root mountinfo gives as `root`. A process in a
// cgroup namespace of its own sees the namespace's root as "/", which is only its own container,
// and what is above it, where the node's mount was given to the container, as "/../..".
int view(std::string_view root) {
  int above = 0;
  for (; root.starts_with("/.."); root.remove_prefix(3)) ++above;
  if (!root.empty() && root != "/") return 0;
  return 1 + above;
}

}  // namespace

Result<std::string> find_cgroup2_mount(std::string_view mountinfo) {
  std::istringstream lines{std::string(mountinfo)};
  std::string best;
  int most = -1;
  for (std::string line; std::getline(lines, line);) {
    // id parent major:minor root mountpoint options [optional...] - type source options
    const auto separator = line.find(" - ");
    if (separator == std::string::npos) continue;
    std::istringstream left(line.substr(0, separator)), right(line.substr(separator + 3));
    std::string skip, root, mountpoint, type;
    if (!(left >> skip >> skip >> skip >> root >> mountpoint) || !(right >> type)) continue;
    if (type != "cgroup2") continue;
    if (view(root) <= most) continue;
    most = view(root);
    best = unescape(mountpoint);
  }
  if (best.empty())
    return fail(Errc::kNotFound,
                "no cgroup2 is mounted; try: mount -t cgroup2 none /sys/fs/cgroup/unified");
  return best;
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
