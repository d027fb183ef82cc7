// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/tls_libraries.h"

#include <fcntl.h>
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
constexpr std::size_t kMostFiles = 16;  // with TLS, of one process; others are not looked into
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

// Is the device one of FUSE, where a process of the pod may answer, or not? Read from its mounts,
// so that nobody is asked. fields: id parent major:minor root place options ... - type ...
bool is_fuse(pid_t pid, const std::string& device) {
  std::ifstream mounts(proc(pid, "mountinfo"));
  unsigned major = 0, minor = 0;
  if (std::sscanf(device.c_str(), "%x:%x", &major, &minor) != 2) return false;
  const std::string number = std::to_string(major) + ":" + std::to_string(minor);
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string id, parent, of;
    words >> id >> parent >> of;
    if (of == number && line.find(" - fuse") != std::string::npos) return true;
  }
  return false;
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

std::vector<TlsLibraries::Mapping> TlsLibraries::mappings_of(pid_t pid) {
  std::vector<Mapping> found;
  std::ifstream maps(proc(pid, "maps"));
  for (std::string line; std::getline(maps, line);) {
    // A process may have tens of thousands of mappings, and few that are executable.
    const std::size_t rights_at = line.find(' ');
    if (rights_at == line.npos || line.size() < rights_at + 4 || line[rights_at + 3] != 'x')
      continue;
    std::istringstream words(line);
    Mapping m;
    std::string rights, offset;
    words >> m.begin_end >> rights >> offset >> m.device >> m.inode;
    if (!words || m.inode == "0") continue;
    std::getline(words >> std::ws, m.path);
    if (m.path.starts_with('/')) found.push_back(std::move(m));
  }
  return found;
}

void TlsLibraries::look_into(pid_t pid, const Process& process, const Mapping& mapping,
                             bool is_program, std::vector<TlsLibrary>& found) {
  const std::string key = mapping.key();
  const std::string name = printable(base_name(mapping.path), kMostWords);
  const auto unfollowed = [&](std::string why) { files_[key] = {name, std::move(why)}; };
  if (is_fuse(pid, mapping.device)) {
    if (!is_program) unfollowed("is in a FUSE file system, which is not read");
    return;
  }
  // The file that is mapped, and not what has its name now: that may be one whose opening waits.
  Fd file(::open(proc(pid, "map_files/" + mapping.begin_end).c_str(),
                 O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid()) {
    // A process that has ended is no news.
    if (!is_program && errno != ENOENT) unfollowed(from_errno(errno, "cannot be opened").message);
    return;
  }
  auto functions = functions_in(file.get(), kFunctions);
  const bool whole =
      functions && functions->contains("SSL_read") && functions->contains("SSL_write");
  if (whole) {
    files_[key] = {name, ""};
    found.push_back({key, name, process.name + " (pid " + std::to_string(pid) + ")",
                     std::move(file), std::move(*functions)});
  } else if (!is_program) {
    unfollowed(functions ? "has no symbol SSL_read" : functions.error().message);
  } else if (holds_tls_text(file.get())) {
    unfollowed("holds OpenSSL or BoringSSL itself, and has no symbol SSL_read");
  } else {
    if (without_.size() >= kMostPrograms) without_.clear();
    without_.insert(key + mapping.path);
  }
}

void TlsLibraries::look_at(pid_t pid, Process& process, std::vector<TlsLibrary>& found) {
  std::string name;
  std::getline(std::ifstream(proc(pid, "comm")), name);
  process.name = printable(name, kMostWords);
  process.files.clear();
  const std::string program = link_text(proc(pid, "exe"));
  for (const Mapping& m : mappings_of(pid)) {
    const std::string key = m.key(), base = base_name(m.path);
    const bool is_library = base.starts_with("libssl.so"), is_program = m.path == program;
    const bool is_other = std::ranges::any_of(
        kOthers, [&](std::string_view other) { return base.starts_with(other); });
    if (process.files.size() >= kMostFiles) {
      ++not_looked_at_;
      return;
    }
    if (is_other)
      files_.try_emplace(key, File{printable(base, kMostWords), kOtherTls});
    else if ((is_library || is_program) && !files_.contains(key) &&
             !without_.contains(key + m.path))
      look_into(pid, process, m, !is_library, found);
    if (files_.contains(key)) process.files.insert(key);
  }
}

std::vector<TlsLibrary> TlsLibraries::look() {
  std::vector<TlsLibrary> found;
  const SteadyTime now = clock_.steady();
  std::map<pid_t, Process> still;
  not_looked_at_ = 0;
  for (const pid_t pid : processes_of(cgroup_path_)) {
    const auto known = processes_.find(pid);
    Process process = known == processes_.end() ? Process{} : std::move(known->second);
    if (process.looks < kNewLooks || now >= process.next) {
      if (clock_.steady() > now + kLookTime) {
        ++not_looked_at_;
        if (process.looks > 0) still.emplace(pid, std::move(process));
        continue;
      }
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

void TlsLibraries::cannot_follow(const TlsLibrary& library, std::string why) {
  files_[library.key].why = std::move(why);
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
