// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/undo_journal.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/kernel/link.h"
#include "agent/kernel/netns.h"

namespace faultline::agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolder = "/run/faultline/undo";
constexpr std::string_view kFilter = "filter-", kQdisc = "qdisc-", kHalf = "half-";

// Empty: no such process, or one that has ended and was not waited for.
std::optional<std::uint64_t> start_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(in, text);
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream rest(text.substr(name_end + 1));
  std::string state, skipped;
  rest >> state;
  for (int field = 4; field < 22; ++field) rest >> skipped;
  std::uint64_t start = 0;
  if (!(rest >> start) || state == "Z" || state == "X") return {};
  return start;
}

bool is_netns(const std::string& path, NetnsId wanted) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && info.st_ino == number(wanted);
}

// By which path it can be entered; empty when nothing that we see keeps it.
std::string find_netns(NetnsId wanted) {
  if (const std::string own = "/proc/thread-self/ns/net"; is_netns(own, wanted)) return own;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator("/run/netns", gone))
    if (is_netns(entry.path(), wanted)) return entry.path();
  for (const auto& entry : fs::directory_iterator("/proc", gone))
    if (const std::string net = entry.path() / "ns/net";
        std::isdigit(static_cast<unsigned char>(entry.path().filename().c_str()[0])) != 0 &&
        is_netns(net, wanted))
      return net;
  return {};
}

bool is_gone(const Error& error) {
  return error.sys_errno == ENOENT || error.sys_errno == ENODEV || error.sys_errno == EINVAL;
}

std::string filter_file(const FilterRecord& record) {
  return std::string(kFilter) + std::to_string(record.owner.pid) + "-" +
         std::to_string(record.filter.handle);
}

std::string qdisc_file(const QdiscRecord& record) {
  return std::string(kQdisc) + std::to_string(number(record.netns)) + "-" +
         std::to_string(number(record.device));
}

using Fields = std::map<std::string, std::string>;

Fields read_fields(const fs::path& file) {
  Fields fields;
  std::ifstream in(file);
  for (std::string key, value; in >> key && std::getline(in >> std::ws, value);)
    fields[key] = value;
  return fields;
}

// 0 for what is not there or is no number; a record of zeros names nothing that exists.
std::uint64_t number_in(const Fields& fields, const char* key) {
  const auto found = fields.find(key);
  return found == fields.end() ? 0 : std::strtoull(found->second.c_str(), nullptr, 10);
}

FilterRecord filter_in(const Fields& f) {
  FilterRecord record;
  record.owner = {static_cast<pid_t>(number_in(f, "owner")), number_in(f, "owner_start")};
  record.netns = NetnsId{number_in(f, "netns")};
  record.filter.device = IfIndex{static_cast<std::uint32_t>(number_in(f, "device"))};
  record.filter.hook =
      f.contains("hook") && f.at("hook") == "egress" ? TcHook::kEgress : TcHook::kIngress;
  record.filter.pref = static_cast<std::uint16_t>(number_in(f, "pref"));
  record.filter.handle = static_cast<std::uint32_t>(number_in(f, "handle"));
  record.program_id = static_cast<std::uint32_t>(number_in(f, "program"));
  if (f.contains("device_name")) record.device_name = f.at("device_name");
  if (f.contains("program_tag")) record.program_tag = f.at("program_tag");
  return record;
}

QdiscRecord qdisc_in(const Fields& f) {
  QdiscRecord record;
  record.netns = NetnsId{number_in(f, "netns")};
  record.device = IfIndex{static_cast<std::uint32_t>(number_in(f, "device"))};
  if (f.contains("device_name")) record.device_name = f.at("device_name");
  return record;
}

}  // namespace

Owner Owner::self() { return {::getpid(), start_of(::getpid()).value_or(0)}; }

bool Owner::alive() const { return pid > 0 && start_of(pid) == start; }

UndoJournal UndoJournal::here() {
  const char* elsewhere = std::getenv("FAULTLINE_UNDO");  // NOLINT(concurrency-mt-unsafe)
  return UndoJournal(elsewhere != nullptr ? elsewhere : kFolder);
}

Fd UndoJournal::lock() const {
  Fd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return folder;
  for (int i = 0; i < 1000 && ::flock(folder.get(), LOCK_EX | LOCK_NB) != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return folder;
}

Result<> UndoJournal::put(const std::string& file, const std::string& text) const {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return fail(from_errno(error.value(), "cannot make " + folder_.string()));
  const fs::path half = folder_ / (std::string(kHalf) + file);
  std::ofstream out(half);
  out << text;
  out.close();
  if (!out) return fail(from_errno(errno, "cannot write " + half.string()));
  fs::rename(half, folder_ / file, error);
  if (error) return fail(from_errno(error.value(), "cannot write " + file));
  return {};
}

Result<> UndoJournal::write(const FilterRecord& record) const {
  std::ostringstream text;
  text << "owner " << record.owner.pid << "\nowner_start " << record.owner.start << "\nnetns "
       << number(record.netns) << "\ndevice " << number(record.filter.device) << "\ndevice_name "
       << record.device_name << "\nhook "
       << (record.filter.hook == TcHook::kEgress ? "egress" : "ingress") << "\npref "
       << record.filter.pref << "\nhandle " << record.filter.handle << "\nprogram "
       << record.program_id << "\nprogram_tag " << record.program_tag << "\n";
  return put(filter_file(record), text.str());
}

Result<> UndoJournal::write(const QdiscRecord& record) const {
  std::ostringstream text;
  text << "netns " << number(record.netns) << "\ndevice " << number(record.device)
       << "\ndevice_name " << record.device_name << "\n";
  return put(qdisc_file(record), text.str());
}

void UndoJournal::drop(const QdiscRecord& record) const {
  std::error_code gone;
  fs::remove(folder_ / qdisc_file(record), gone);
}

void UndoJournal::undo_qdisc(Netlink& netlink, const QdiscRecord& record) const {
  std::error_code none;
  if (!fs::exists(folder_ / qdisc_file(record), none)) return;
  const auto kind = netlink.ingress_qdisc(record.device);
  if ((kind && *kind != "clsact") || (!kind && is_gone(kind.error()))) return drop(record);
  const auto used = netlink.has_filters(record.device);
  if (!used || *used) return;
  if (auto done = netlink.remove_clsact(record.device); done || is_gone(done.error()))
    drop(record);
  else
    spdlog::warn("{}: {}", record.device_name, done.error().message);
}

Result<> UndoJournal::undo_locked(const FilterRecord& record) const {
  const QdiscRecord qdisc{record.netns, record.filter.device, record.device_name};
  const std::string path = find_netns(record.netns);
  if (path.empty()) {
    drop(qdisc);
    return {};
  }
  const auto inside = ScopedNetns::enter(path);
  if (!inside) return fail(inside.error());
  auto netlink = Netlink::open();
  if (!netlink) return fail(netlink.error());
  const auto program = netlink->filter_program(record.filter);
  if (!program && !is_gone(program.error())) return fail(program.error());
  if (program && *program == record.program_id && is_ours(*program))
    if (auto done = netlink->remove_filter(record.filter); !done && !is_gone(done.error()))
      return done;
  undo_qdisc(*netlink, qdisc);
  return {};
}

Result<> UndoJournal::undo(const FilterRecord& record) const {
  const Fd guard = lock();
  if (auto done = undo_locked(record); !done)
    return fail(done.error().with_context(record.device_name));
  std::error_code gone;
  fs::remove(folder_ / filter_file(record), gone);
  return {};
}

void UndoJournal::sweep_qdisc(const QdiscRecord& record) const {
  const Fd guard = lock();
  const std::string path = find_netns(record.netns);
  if (path.empty()) return drop(record);
  const auto inside = ScopedNetns::enter(path);
  auto netlink = Netlink::open();
  if (inside && netlink) undo_qdisc(*netlink, record);
}

std::size_t UndoJournal::sweep() const {
  std::error_code none;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder_, none)) files.push_back(entry.path());
  std::size_t undone = 0;
  for (const fs::path& file : files) {
    if (!file.filename().string().starts_with(kFilter)) continue;
    const FilterRecord record = filter_in(read_fields(file));
    if (record.owner.alive()) continue;
    if (auto done = undo(record); !done)
      spdlog::warn("cannot undo what process {} left: {}", record.owner.pid, done.error().message);
    else
      ++undone;
  }
  for (const fs::path& file : files)
    if (file.filename().string().starts_with(kQdisc)) sweep_qdisc(qdisc_in(read_fields(file)));
  return undone;
}

}  // namespace faultline::agent
