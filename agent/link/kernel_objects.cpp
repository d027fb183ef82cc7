// SPDX-License-Identifier: Apache-2.0
#include "agent/link/kernel_objects.h"

#include <bpf/bpf.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <fstream>
#include <string_view>

#include "agent/kernel/fd.h"
#include "agent/kernel/own_processes.h"
#include "agent/kernel/shared_objects.h"

namespace faultline::agent {
namespace {

namespace fs = std::filesystem;

template <class Info>
std::optional<Info> info_of(const Fd& fd) {
  if (!fd.valid()) return std::nullopt;
  Info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return std::nullopt;
  return info;
}

std::optional<bpf_prog_info> program(std::uint32_t id) {
  return info_of<bpf_prog_info>(Fd(bpf_prog_get_fd_by_id(id)));
}
std::optional<bpf_map_info> map(std::uint32_t id) {
  return info_of<bpf_map_info>(Fd(bpf_map_get_fd_by_id(id)));
}
std::optional<bpf_link_info> link(std::uint32_t id) {
  return info_of<bpf_link_info>(Fd(bpf_link_get_fd_by_id(id)));
}

bool ours(std::string_view name) { return name.starts_with("fl_"); }

// Device names of the agent's network namespace that begin with fl-.
std::vector<std::pair<std::uint32_t, std::string>> devices() {
  std::vector<std::pair<std::uint32_t, std::string>> found;
  struct if_nameindex* all = if_nameindex();
  for (struct if_nameindex* i = all; i != nullptr && i->if_index != 0; ++i)
    if (std::string_view(i->if_name).starts_with("fl-"))
      found.emplace_back(i->if_index, i->if_name);
  if (all != nullptr) if_freenameindex(all);
  return found;
}

// Of a process that is one of those that we run inside pods and has not ended: its parent.
std::optional<pid_t> parent_of_worker(const fs::path& process) {
  std::ifstream in(process / "stat");  // "12 (fl-cpu) R 7 ..."
  std::string pid, name, state;
  pid_t parent = 0;
  if (!(in >> pid >> name >> state >> parent)) return std::nullopt;
  if (name != "(" + std::string(kOwnProcessName) + ")" || state == "Z" || state == "X")
    return std::nullopt;
  return parent;
}

// By pid, the parents of all workers of the node.
std::map<std::uint32_t, pid_t> workers(const fs::path& proc) {
  std::map<std::uint32_t, pid_t> found;
  std::error_code ec;
  for (fs::directory_iterator it(proc, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    if (const auto parent = parent_of_worker(it->path()))
      found[static_cast<std::uint32_t>(std::stoul(name))] = *parent;
  }
  return found;
}

std::uint32_t number(std::string_view text) {
  const std::size_t first = text.find_first_of("0123456789");
  std::uint32_t value = 0;
  if (first != text.npos) std::from_chars(text.data() + first, text.data() + text.size(), value);
  return value;
}

// One line of an fdinfo file.
void add_line(std::string_view line, ObjectSet& held) {
  if (line.starts_with("prog_id:") || line.starts_with("link_id:") || line.starts_with("map_id:")) {
    const ObjectKind kind = line[0] == 'p'   ? ObjectKind::program
                            : line[0] == 'l' ? ObjectKind::link
                                             : ObjectKind::map;
    held.insert({kind, number(line.substr(line.find(':')))});
  } else if (line.starts_with("iff:")) {  // of /dev/net/tun: the device
    const std::size_t at = line.find_first_not_of(" \t", 4);
    if (at == line.npos) return;
    if (const unsigned index = if_nametoindex(std::string(line.substr(at)).c_str()); index != 0)
      held.insert({ObjectKind::device, index});
  }
}

// What an open file is called in /proc/<pid>/fd.
constexpr std::string_view kProgram = "anon_inode:bpf-prog", kMap = "anon_inode:bpf-map",
                           kLink = "anon_inode:bpf_link", kTun = "/net/tun";

template <class Info>
void add_id(ObjectKind kind, int fd, std::uint32_t Info::*id, ObjectSet& held) {
  Info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0) held.insert({kind, info.*id});
}

// A descriptor of this process; false: what it holds is not known by that.
bool add_own(std::string_view file, int fd, ObjectSet& held) {
  if (file == kProgram)
    add_id(ObjectKind::program, fd, &bpf_prog_info::id, held);
  else if (file == kMap)
    add_id(ObjectKind::map, fd, &bpf_map_info::id, held);
  else if (file == kLink)
    add_id(ObjectKind::link, fd, &bpf_link_info::id, held);
  else
    return false;
  return true;
}

ObjectKey key_of(const SharedObject::Said& said) {
  switch (said.kind) {  // no default: a new kind must be thought about here
    case SharedKind::kProgram:
      return {ObjectKind::program, said.id};
    case SharedKind::kMap:
      return {ObjectKind::map, said.id};
    case SharedKind::kLink:
      return {ObjectKind::link, said.id};
  }
  return {};
}

}  // namespace

ObjectSet LiveKernelObjects::named_ours() const {
  ObjectSet found;
  for (__u32 id = 0; bpf_prog_get_next_id(id, &id) == 0;)
    if (const auto info = program(id); info && ours(info->name))
      found.insert({ObjectKind::program, id});
  for (__u32 id = 0; bpf_map_get_next_id(id, &id) == 0;)
    if (const auto info = map(id); info && ours(info->name)) found.insert({ObjectKind::map, id});
  for (__u32 id = 0; bpf_link_get_next_id(id, &id) == 0;)
    if (const auto info = link(id);
        info && found.contains(ObjectKey{ObjectKind::program, info->prog_id}))
      found.insert({ObjectKind::link, id});
  for (const auto& [index, name] : devices()) found.insert({ObjectKind::device, index});
  for (const auto& [pid, parent] : workers(proc_)) found.insert({ObjectKind::process, pid});
  return found;
}

// Of this process the kernel is asked by descriptor where it can be: fdinfo says all that a person
// may want to know, and takes several times as long.
void LiveKernelObjects::held_by(const fs::path& process, ObjectSet& held) const {
  const bool own = process == "/proc/self";
  std::error_code ec;
  std::array<char, PATH_MAX> target{};
  for (fs::directory_iterator it(process / "fd", ec), end; !ec && it != end; it.increment(ec)) {
    const ssize_t size = ::readlink(it->path().c_str(), target.data(), target.size());
    const std::string_view to(target.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    // Reading every fdinfo would be slow: only these can name something of ours.
    if (!to.starts_with("anon_inode:bpf") && to.find(kTun) == to.npos) continue;
    if (own && add_own(to, static_cast<int>(number(it->path().filename().native())), held))
      continue;
    std::ifstream in(process / "fdinfo" / it->path().filename());
    ObjectSet of_descriptor;
    for (std::string line; std::getline(in, line);) add_line(line, of_descriptor);
    held.merge(of_descriptor);
  }
}

ObjectSet LiveKernelObjects::held_here() const {
  ObjectSet held;
  held_by(proc_ / "self", held);
  for (const pid_t pid : OwnProcesses::here().all())
    held.insert({ObjectKind::process, static_cast<std::uint32_t>(pid)});
  return held;
}

ObjectSet LiveKernelObjects::shared_here() const {
  ObjectSet shared;
  for (const SharedObject::Said& said : SharedObject::all()) shared.insert(key_of(said));
  return shared;
}

ObjectSet LiveKernelObjects::shared_by_measured() const {
  ObjectSet shared;
  for (const SharedObject::Said& said : SharedObject::all())
    if (said.by == SharedBy::kMeasured) shared.insert(key_of(said));
  return shared;
}

ObjectSet LiveKernelObjects::held_elsewhere(const ObjectSet& wanted) const {
  ObjectSet held;
  std::error_code ec;
  const std::string self = std::to_string(getpid());
  for (fs::directory_iterator it(proc_, ec), end; !ec && it != end; it.increment(ec)) {
    const std::string name = it->path().filename().string();
    if (name.find_first_not_of("0123456789") != name.npos || name == self) continue;
    held_by(it->path(), held);
  }
  // The first process takes those whose parent has ended.
  for (const auto& [pid, parent] : workers(proc_))
    if (parent > 1 && parent != getpid()) held.insert({ObjectKind::process, pid});
  ObjectSet found;
  for (const ObjectKey& key : wanted)
    if (held.contains(key)) found.insert(key);
  return found;
}

std::optional<std::string> LiveKernelObjects::describe(const ObjectKey& object) const {
  const std::string id = ", id " + std::to_string(object.id);
  switch (object.kind) {
    case ObjectKind::program:
      if (const auto info = program(object.id))
        return "BPF program " + std::string(info->name) + id;
      return std::nullopt;
    case ObjectKind::map:
      if (const auto info = map(object.id)) return "BPF map " + std::string(info->name) + id;
      return std::nullopt;
    case ObjectKind::link: {
      const auto info = link(object.id);
      if (!info) return std::nullopt;
      const auto of = program(info->prog_id);
      return "BPF link of program " + (of ? std::string(of->name) : std::to_string(info->prog_id)) +
             id;
    }
    case ObjectKind::device:
      for (const auto& [index, name] : devices())
        if (index == object.id)
          return "network device " + name + ", index " + std::to_string(index);
      return std::nullopt;
    case ObjectKind::process:
      if (!parent_of_worker(proc_ / std::to_string(object.id))) return std::nullopt;
      return "process " + std::string(kOwnProcessName) + ", pid " + std::to_string(object.id);
  }
  return std::nullopt;
}

}  // namespace faultline::agent
