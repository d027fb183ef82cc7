// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/tls_libraries.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "base/printable.h"

namespace faultline::agent {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A process is new for so many looks, one a window: it may be a shell that is about to run the
// program that it was started for. Afterwards it is looked at again once in kAgain.
constexpr int kNewLooks = 4;
constexpr auto kAgain = seconds(10);
constexpr std::uint64_t kMostText = 64U << 20;  // of a program that is searched for TLS
constexpr std::size_t kMostPrograms = 4096;     // whose absence of TLS is remembered
constexpr std::size_t kMostWords = 64;          // of a name
// A look at all processes stops when it has taken so long, since faults of other pods wait for it;
// the next one goes on with those that were not looked at.
constexpr auto kLookTime = milliseconds(20);
constexpr std::size_t kMostFiles = 16;  // of one process; others are not looked into
constexpr const char* kOtherTls = "is another library of TLS, which is not followed";

constexpr std::array<std::string_view, 12> kFunctions = {
    "SSL_read",   "SSL_write",    "SSL_read_ex",          "SSL_write_ex",
    "SSL_accept", "SSL_connect",  "SSL_set_accept_state", "SSL_set_connect_state",
    "SSL_free",   "SSL_sendfile", "SSL_read_early_data",  "SSL_write_early_data"};

// Libraries with TLS that have other functions.
constexpr std::array<std::string_view, 6> kOthers = {"libgnutls.so",  "libssl3.so", "libmbedtls.so",
                                                     "libwolfssl.so", "libs2n.so",  "librustls.so"};

std::string base_name(std::string_view path) {
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string proc(pid_t pid, std::string_view file) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(file);
}

std::string link_text(const std::string& path) {
  std::array<char, 4096> text{};
  const ssize_t n = ::readlink(path.c_str(), text.data(), text.size());
  return n > 0 ? std::string(text.data(), static_cast<std::size_t>(n)) : std::string();
}

// Where nobody but this node's kernel answers, so that reading a file ends. virtiofs is a virtual
// machine's own root.
constexpr std::array<std::string_view, 20> kLocal = {
    "ext2", "ext3",     "ext4", "xfs",     "btrfs",    "bcachefs", "f2fs",
    "zfs",  "overlay",  "aufs", "tmpfs",   "ramfs",    "squashfs", "erofs",
    "jfs",  "reiserfs", "vfat", "iso9660", "virtiofs", "rootfs"};

// The type of the file system with this number among the mounts of a process; empty: it is not
// among them. fields: id parent major:minor root place options ... - type ...
std::string mounted_type(pid_t pid, const std::string& number) {
  std::ifstream mounts(proc(pid, "mountinfo"));
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string id, parent, of, type;
    words >> id >> parent >> of;
    const auto end = line.find(" - ");
    if (of != number || end == line.npos) continue;
    std::istringstream(line.substr(end + 3)) >> type;
    return type;
  }
  return "";
}

// The type of the file system that a mapping's file is in, read from lists of mounts, so that
// nobody is asked: of the process, and, as it may have changed its root or unmounted it, of the
// node. Empty: it is in neither.
std::string type_of(pid_t pid, const std::string& device) {
  unsigned major = 0, minor = 0;
  if (std::sscanf(device.c_str(), "%x:%x", &major, &minor) != 2) return "";
  const std::string number = std::to_string(major) + ":" + std::to_string(minor);
  const std::string type = mounted_type(pid, number);
  return type.empty() ? mounted_type(1, number) : type;
}

bool is_there(pid_t pid) { return ::access(proc(pid, "").c_str(), F_OK) == 0; }

// maps pads addresses with zeros, the names in map_files have none.
std::string without_zeros(const std::string& begin_end) {
  const auto dash = begin_end.find('-');
  const auto strip = [](std::string number) {
    number.erase(0, std::min(number.find_first_not_of('0'), number.size() - 1));
    return number;
  };
  if (dash == begin_end.npos || dash == 0 || dash + 1 == begin_end.size()) return begin_end;
  return strip(begin_end.substr(0, dash)) + "-" + strip(begin_end.substr(dash + 1));
}

bool is_library(const std::string& base) { return base.starts_with("libssl.so"); }
bool is_other(const std::string& base) {
  return std::ranges::any_of(kOthers,
                             [&](std::string_view other) { return base.starts_with(other); });
}

// The name of a source file that OpenSSL and BoringSSL keep for their error messages.
bool holds_tls_text(int fd) {
  static const std::string kText = std::string("ssl/") + "ssl_lib.c";  // not to find ourselves
  std::vector<char> piece((1U << 20) + kText.size());
  for (std::uint64_t at = 0; at < kMostText; at += 1U << 20) {
    const ssize_t n = ::pread(fd, piece.data(), piece.size(), static_cast<off_t>(at));
    if (n <= 0) return false;
    const std::string_view text(piece.data(), static_cast<std::size_t>(n));
    if (text.find(kText) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

std::vector<pid_t> processes_of(const std::string& cgroup_path) {
  std::vector<pid_t> pids;
  const auto read = [&](const fs::path& folder) {
    std::ifstream in(folder / "cgroup.procs");
    for (pid_t pid = 0; in >> pid;)
      if (pid > 0) pids.push_back(pid);  // 0: of a namespace that is not below ours
  };
  read(cgroup_path);
  std::error_code ec;
  for (fs::recursive_directory_iterator it(cgroup_path, ec), end; !ec && it != end;
       it.increment(ec)) {
    std::error_code gone;
    if (it->is_directory(gone)) read(it->path());
  }
  return pids;
}

std::span<const std::string_view> TlsLibraries::functions() { return kFunctions; }

FileVersion FileVersion::of(int fd) {
  struct stat now {};
  if (::fstat(fd, &now) != 0) return {};
  return {now.st_size, now.st_mtim.tv_sec, now.st_mtim.tv_nsec};
}

bool TlsLibraries::is_late() const { return clock_.steady() > late_; }

// Of the files that may have TLS: libraries by their names, and the program, each once.
std::vector<TlsLibraries::Mapping> TlsLibraries::mappings_of(pid_t pid,
                                                             const std::string& program) {
  std::vector<Mapping> found;
  std::set<std::string> keys;
  bool has_program = false;
  std::ifstream maps(proc(pid, "maps"));
  std::size_t lines = 0;
  for (std::string line; std::getline(maps, line);) {
    // A process may have tens of thousands of mappings, and few that are executable; each may have
    // a path of 60 KB.
    if (++lines % 64 == 0 && is_late()) {
      ++not_looked_at_;
      break;
    }
    const std::size_t rights_at = line.find(' ');
    if (rights_at == line.npos || line.size() < rights_at + 4 || line[rights_at + 3] != 'x')
      continue;
    const std::size_t path_at = line.find('/');
    if (path_at == line.npos) continue;
    const std::string_view path = std::string_view(line).substr(path_at);
    const std::string base = base_name(path);
    const bool library = is_library(base) || is_other(base);
    // Files that were deleted may all have the program's name.
    if (!library && (has_program || path != program)) continue;
    std::istringstream words(line.substr(0, path_at));
    Mapping m;
    std::string rights, offset;
    words >> m.begin_end >> rights >> offset >> m.device >> m.inode;
    if (!words || m.inode == "0") continue;
    m.base = base;
    m.is_program = !library;
    has_program = has_program || !library;
    if (!keys.insert(m.key()).second) continue;
    if (found.size() >= kMostFiles) {
      ++not_looked_at_;
      break;
    }
    // Libraries first: to search a program takes its time.
    found.insert(library ? found.begin() : found.end(), std::move(m));
  }
  return found;
}

void TlsLibraries::look_into(pid_t pid, const Process& process, const Mapping& mapping,
                             std::vector<TlsLibrary>& found) {
  const std::string key = mapping.key(), name = printable(mapping.base, kMostWords);
  const auto unfollowed = [&](std::string why) { files_[key] = {name, std::move(why)}; };
  ++opened_;
  const std::string type = type_of(pid, mapping.device);
  if (std::ranges::find(kLocal, type) == kLocal.end()) {
    unfollowed(type.empty() ? "is in a file system that is not mounted for it"
                            : "is in a file system of type " + printable(type, kMostWords) +
                                  ", which is not read, since others than this node answer");
    return;
  }
  // The file that is mapped, and not what has its name now: that may be one whose opening waits.
  const std::string path = proc(pid, "map_files/" + without_zeros(mapping.begin_end));
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid()) {
    const Error error = from_errno(errno, "cannot be opened");
    // A process that has ended is no news.
    if (is_there(pid)) unfollowed(error.message);
    return;
  }
  const FileVersion version = FileVersion::of(file.get());
  if (without_.contains({key, version})) return;
  auto functions = functions_in(file.get(), kFunctions);
  const bool whole =
      functions && functions->contains("SSL_read") && functions->contains("SSL_write");
  if (whole) {
    files_[key] = {name, ""};
    found.push_back({key, name, process.name + " (pid " + std::to_string(pid) + ")",
                     std::move(file), std::move(*functions), version});
  } else if (!mapping.is_program) {
    unfollowed(functions ? "has no symbol SSL_read" : functions.error().message);
  } else if (holds_tls_text(file.get())) {
    unfollowed("holds OpenSSL or BoringSSL itself, and has no symbol SSL_read");
  } else {
    if (without_.size() >= kMostPrograms) without_.clear();
    without_.emplace(key, version);
  }
}

void TlsLibraries::look_at(pid_t pid, Process& process, std::vector<TlsLibrary>& found) {
  std::string name;
  std::getline(std::ifstream(proc(pid, "comm")), name);
  process.name = printable(name, kMostWords);
  process.files.clear();
  for (const Mapping& m : mappings_of(pid, link_text(proc(pid, "exe")))) {
    const std::string key = m.key();
    if (is_other(m.base))
      files_.try_emplace(key, File{printable(m.base, kMostWords), kOtherTls});
    else if (!files_.contains(key) && opened_ > 0 && is_late())  // one at least, however late
      ++not_looked_at_;
    else if (!files_.contains(key))
      look_into(pid, process, m, found);
    if (files_.contains(key)) process.files.insert(key);
  }
}

std::vector<TlsLibrary> TlsLibraries::look() {
  std::vector<TlsLibrary> found;
  const SteadyTime now = clock_.steady();
  std::map<pid_t, Process> still;
  late_ = now + kLookTime;
  opened_ = not_looked_at_ = 0;
  bool some = false;  // one process at least is looked at, however late
  for (const pid_t pid : processes_of(cgroup_path_)) {
    const auto known = processes_.find(pid);
    Process process = known == processes_.end() ? Process{} : std::move(known->second);
    if (process.looks < kNewLooks || now >= process.next) {
      if (some && is_late()) {
        ++not_looked_at_;
        if (process.looks > 0) still.emplace(pid, std::move(process));
        continue;
      }
      some = true;
      look_at(pid, process, found);
      ++process.looks;
      process.next = now + kAgain;
    }
    still.emplace(pid, std::move(process));
  }
  processes_ = std::move(still);
  forget_unused();
  return found;
}

// A pod may have one file after the other. Those that are followed are few, and stay.
void TlsLibraries::forget_unused() {
  std::set<std::string> used;
  for (const auto& [pid, process] : processes_)
    used.insert(process.files.begin(), process.files.end());
  std::erase_if(files_, [&](const auto& entry) {
    return !entry.second.why.empty() && !used.contains(entry.first);
  });
}

void TlsLibraries::cannot_follow(const std::string& key, std::string why) {
  if (const auto file = files_.find(key); file != files_.end()) file->second.why = std::move(why);
}

std::vector<std::string> TlsLibraries::not_followed() const {
  std::map<std::string, pid_t> first;  // by name of the process and reason
  for (const auto& [pid, process] : processes_) {
    const bool followed = std::ranges::any_of(
        process.files, [&](const std::string& key) { return files_.at(key).why.empty(); });
    for (const std::string& key : process.files) {
      const File& file = files_.at(key);
      // Programs load other libraries for what they may be asked to do: who uses one that is
      // followed is not missed.
      if (file.why.empty() || (followed && !file.name.starts_with("libssl.so"))) continue;
      first.try_emplace(process.name + '\n' + file.name + " " + file.why, pid);
    }
  }
  std::vector<std::string> reasons;
  if (not_looked_at_ > 0)
    reasons.push_back(std::to_string(not_looked_at_) +
                      " processes of the pod were not, or not wholly, looked at in this window: "
                      "there were too many, or too many files");
  for (const auto& [what, pid] : first) {
    const auto end = what.find('\n');
    reasons.push_back(what.substr(0, end) + " (pid " + std::to_string(pid) +
                      "): " + what.substr(end + 1));
  }
  return reasons;
}

}  // namespace faultline::agent
