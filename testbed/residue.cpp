// SPDX-License-Identifier: Apache-2.0
#include "testbed/residue.h"

#include <bpf/bpf.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

#include "agent/kernel/own_processes.h"
#include "agent/kernel/undo_journal.h"

namespace faultline::testbed {
namespace {

namespace fs = std::filesystem;

template <class Info, class Next, class Open, class Name>
void collect(std::set<std::string>& found, const std::string& kind, Next next, Open open,
             Name name) {
  for (__u32 id = 0; next(id, &id) == 0;) {
    const int fd = open(id);
    if (fd < 0) continue;  // gone meanwhile
    Info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0) {
      const std::string text = name(info);
      if (text.starts_with("fl_")) found.insert(kind + " " + std::to_string(id) + " " + text);
    }
    close(fd);
  }
}

std::string program_name(__u32 id) {
  const int fd = bpf_prog_get_fd_by_id(id);
  if (fd < 0) return {};
  bpf_prog_info info{};
  __u32 size = sizeof info;
  const bool ok = bpf_obj_get_info_by_fd(fd, &info, &size) == 0;
  close(fd);
  return ok ? info.name : "";
}

pid_t parent_of(pid_t pid, std::string* state = nullptr) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text, own;
  std::getline(stat, text);
  std::istringstream rest(text.substr(text.rfind(')') + 1));
  pid_t parent = 0;
  rest >> (state != nullptr ? *state : own) >> parent;
  return parent;
}

// Processes of faults inside pods, whoever started them, that have not ended.
std::vector<pid_t> workers() {
  std::vector<pid_t> pids;
  std::error_code ec;
  for (const auto& process : fs::directory_iterator("/proc", ec)) {
    const std::string number = process.path().filename();
    if (number.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string name, state;
    if (!(std::ifstream(process.path() / "comm") >> name) || name != agent::kOwnProcessName)
      continue;
    const auto pid = static_cast<pid_t>(std::stol(number));
    parent_of(pid, &state);
    if (state != "Z" && state != "X" && !state.empty()) pids.push_back(pid);
  }
  return pids;
}

// What the kernel calls a device whatever its name, which the next one may get again.
std::string index_of(const fs::path& device) {
  std::string index;
  std::ifstream(device / "ifindex") >> index;
  return index;
}

std::set<std::string> objects() {
  std::set<std::string> found;
  collect<bpf_prog_info>(found, "program", bpf_prog_get_next_id, bpf_prog_get_fd_by_id,
                         [](const bpf_prog_info& i) { return std::string(i.name); });
  collect<bpf_link_info>(found, "link", bpf_link_get_next_id, bpf_link_get_fd_by_id,
                         [](const bpf_link_info& i) { return program_name(i.prog_id); });
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator("/sys/class/net", ec))
    if (entry.path().filename().string().starts_with("fl-"))
      found.insert("device " + entry.path().filename().string() + " " + index_of(entry.path()));
  for (const auto& entry : fs::directory_iterator(agent::UndoJournal::here().folder(), ec))
    found.insert("record " + entry.path().filename().string());
  for (const pid_t pid : workers())
    found.insert("process " + std::to_string(pid) + " " + agent::kOwnProcessName);
  return found;
}

// "map 4", whosever it is. Not opened: to look at an array of programs is to open and close it, and
// a close while its clearing is still queued makes the kernel keep it for ever
// (prog_array_map_clear() takes a reference before schedule_work(), which says no then; 5 of 5 that
// were looked at while they ended stayed, on 6.18).
std::set<std::string> maps() {
  std::set<std::string> found;
  for (__u32 id = 0; bpf_map_get_next_id(id, &id) == 0;) found.insert("map " + std::to_string(id));
  return found;
}

// "map 4 fl_slots" of "map 4", when it is ours and still there.
std::string named_map(const std::string& map) {
  const int fd = bpf_map_get_fd_by_id(static_cast<__u32>(std::stoul(map.substr(4))));
  if (fd < 0) return {};
  bpf_map_info info{};
  __u32 size = sizeof info;
  const bool ours = bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
                    std::string_view(info.name).starts_with("fl_");
  close(fd);
  return ours ? map + " " + info.name : "";
}

// Looks at those maps that are still there without a name, and forgets those of others.
void name_maps(std::vector<std::string>& objects) {
  for (std::string& object : objects)
    if (object.starts_with("map ")) object = named_map(object);
  std::erase(objects, "");
}

bool family(pid_t pid) {
  for (; pid > 1; pid = parent_of(pid))
    if (pid == getpid()) return true;
  return false;
}

// Of "fl-e19c-0", a device of our veth pairs: of process 0x19c. 0: none.
pid_t owner_of(const std::string& device) {
  unsigned pid = 0, number = 0;
  return std::sscanf(device.c_str(), "fl-e%x-%x", &pid, &number) == 2 ? static_cast<pid_t>(pid) : 0;
}

// "program 12", "link 3", "map 4", "device fl-delay0", "process 9", "record filter-7-1" of
// processes that are not ours.
std::set<std::string> held_by_others() {
  std::set<std::string> held;
  std::error_code ec;
  for (const auto& process : fs::directory_iterator("/proc", ec)) {
    const std::string name = process.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (family(static_cast<pid_t>(std::stol(name)))) continue;
    std::error_code gone;
    for (fs::directory_iterator it(process.path() / "fdinfo", gone), end; !gone && it != end;
         it.increment(gone)) {
      std::ifstream in(it->path());
      for (std::string key, value; in >> key >> value;) {
        if (key == "prog_id:") held.insert("program " + value);
        if (key == "map_id:") held.insert("map " + value);
        if (key == "link_id:") held.insert("link " + value);
        if (key == "iff:") held.insert("device " + value);
      }
    }
  }
  for (const auto& entry : fs::directory_iterator("/sys/class/net", ec)) {
    const std::string name = entry.path().filename();
    if (const pid_t pid = owner_of(name); pid > 0 && kill(pid, 0) == 0 && !family(pid))
      held.insert("device " + name);
  }
  for (const pid_t pid : workers())
    if (parent_of(pid) > 1 && !family(pid)) held.insert("process " + std::to_string(pid));
  for (const auto& entry : fs::directory_iterator(agent::UndoJournal::here().folder(), ec)) {
    const std::string name = entry.path().filename();  // filter-PID-HANDLE
    const auto pid = static_cast<pid_t>(std::atoi(name.c_str() + std::strlen("filter-")));
    if (name.starts_with("filter-") && kill(pid, 0) == 0 && !family(pid))
      held.insert("record " + name);
  }
  return held;
}

}  // namespace

ResidueCheck::ResidueCheck() : before_(objects()) { before_.merge(maps()); }

// Maps without their names.
std::vector<std::string> ResidueCheck::unnamed() const {
  std::vector<std::string> left;
  auto all = objects();
  all.merge(maps());
  for (const std::string& object : all)
    if (!before_.contains(object)) left.push_back(object);
  if (left.empty()) return left;
  const auto others = held_by_others();
  std::erase_if(left, [&](const std::string& object) {
    const auto second_space = object.find(' ', object.find(' ') + 1);
    return others.contains(object.substr(0, second_space));
  });
  return left;
}

std::vector<std::string> ResidueCheck::now() const {
  std::vector<std::string> left = unnamed();
  name_maps(left);
  return left;
}

std::vector<std::string> ResidueCheck::left() const {
  std::vector<std::string> left = unnamed();
  for (int i = 0; i < 100 && !left.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const std::vector<std::string> still = unnamed();
    std::erase_if(left, [&](const std::string& object) {
      return std::find(still.begin(), still.end(), object) == still.end();
    });
  }
  name_maps(left);
  return left;
}

}  // namespace faultline::testbed
