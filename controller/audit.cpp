// SPDX-License-Identifier: Apache-2.0
#include "controller/audit.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <csignal>

#include "api/values.h"
#include "base/printable.h"
#include "http/address_key.h"

namespace faultline::controller {
namespace {

using Object = boost::json::object;

constexpr std::size_t kLongestText = 1000, kMostNames = 20;

// Whole characters of UTF-8, so that the line stays JSON.
std::string shortened(const std::string& text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

void add(Object& line, const char* key, const std::string& text, std::size_t most) {
  if (!text.empty()) line[key] = shortened(text, most);
}

template <class Names>
void add_names(Object& line, const char* key, const Names& names, std::size_t most) {
  boost::json::array list;
  for (const std::string& name : names) {
    if (list.size() == kMostNames) {
      list.emplace_back("... " + std::to_string(names.size() - kMostNames) + " more");
      break;
    }
    list.emplace_back(shortened(name, most));
  }
  if (!list.empty()) line[key] = std::move(list);
}

std::string line_of(const AuditEntry& entry, const std::string& controller, std::size_t most) {
  Object line{{"audit", true}, {"time", api::Timestamp{entry.at}.format()}};
  add(line, "controller", controller, most);
  add(line, "via", entry.via, most);
  add(line, "verb", entry.verb, most);
  add(line, "user", entry.user, most);
  add_names(line, "groups", entry.groups, most / 8);
  add(line, "from", entry.from, most);
  if (!entry.experiment.empty()) {
    add(line, "experiment", (entry.ns.empty() ? "" : entry.ns + "/") + entry.experiment, most);
  }
  add(line, "run", entry.run, most);
  add(line, "requestedBy", entry.requested_by, most);
  add_names(line, "namespaces", entry.namespaces, most / 8);
  if (entry.allowed) line["decision"] = *entry.allowed ? "allowed" : "denied";
  add(line, "reason", entry.reason, most);
  add(line, "state", entry.state, most);
  add(line, "ending", entry.ending, most);
  if (entry.left_out > 0) line["leftOut"] = entry.left_out;
  return printable_json(boost::json::serialize(line));
}

}  // namespace

std::string audit_line(const AuditEntry& entry, const std::string& controller) {
  std::string line;
  for (std::size_t most = kLongestText; most >= 8; most /= 2) {
    line = line_of(entry, controller, most);
    if (line.size() <= kLongestAuditLine) break;
  }
  return line;
}

std::string audit_caller(const AuditEntry& entry) {
  if (!entry.user.empty()) return "user " + entry.user;
  return "from " + http::address_key(entry.from);
}

bool AuditBudget::take(AuditEntry& entry, const std::string& caller, SteadyTime now) {
  if (!all_.has("", now)) {
    each_.refuse(caller, now);
    return false;
  }
  const Rates::Taken taken = each_.take(caller, now);
  if (!taken.allowed) return false;
  (void)all_.take("", now);
  entry.left_out = taken.refused;
  return true;
}

Result<int> AuditLog::open_file(const std::string& path) {
  if (path == "-") return STDOUT_FILENO;
  // Not to wait for the reader of a pipe; a file does not know the difference.
  const int fd = ::open(path.c_str(),
                        O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (fd < 0) return fail(from_errno(errno, "cannot open the audit log " + path));
  return fd;
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(std::string path, const Clock& clock,
                                                 std::string controller) {
  const auto fd = open_file(path);
  if (!fd) return fail(fd.error());
  // Whoever read our standard output may be gone: an error, not the end.
  if (path == "-") std::signal(SIGPIPE, SIG_IGN);
  return std::unique_ptr<AuditLog>(
      new AuditLog(std::move(path), clock, std::move(controller), *fd));
}

AuditLog::AuditLog(std::string path, const Clock& clock, std::string controller, int fd)
    : path_(std::move(path)), clock_(clock), controller_(std::move(controller)), fd_(fd) {}

AuditLog::~AuditLog() {
  (void)flush();
  if (!kept_.empty())
    spdlog::error("{} lines of the audit log could not be written: {}", kept_.size(), error_);
  if (fd_ != STDOUT_FILENO) ::close(fd_);
}

Result<> AuditLog::write(AuditEntry entry) {
  if (entry.at == UtcTime{}) entry.at = clock_.utc();
  if (kept_.size() < kMostKept)
    kept_.push_back(audit_line(entry, controller_) + "\n");
  else
    ++lost_;
  return flush();
}

Result<> AuditLog::flush() {
  while (!kept_.empty()) {
    if (auto written = write_front(); !written) {
      if (error_.empty())
        spdlog::error("{}; no run starts until it can be written again", written.error().message);
      error_ = written.error().message;
      return written;
    }
    kept_.pop_front();
    done_ = 0;
    if (!kept_.empty() || lost_ == lost_told_) continue;
    AuditEntry gap{.at = clock_.utc(), .via = "store", .verb = "lost"};
    gap.reason = std::to_string(lost_ - lost_told_) + " lines before this one could not be kept";
    lost_told_ = lost_;
    kept_.push_back(audit_line(gap, controller_) + "\n");
  }
  if (!error_.empty()) spdlog::info("the audit log is written again");
  error_.clear();
  return {};
}

Result<> AuditLog::write_front() {
  const std::string& line = kept_.front();
  const std::string what = path_ == "-" ? "standard output" : path_;
  while (done_ < line.size()) {
    // Standard output is shared, and not ours to set to O_NONBLOCK: a pipe that is ready takes a
    // whole line.
    pollfd ready{fd_, POLLOUT, 0};
    if (path_ == "-" && ::poll(&ready, 1, 0) == 0)
      return fail(Errc::kUnavailable, "the audit log cannot be written: nobody reads " + what);
    const ssize_t n = ::write(fd_, line.data() + done_, line.size() - done_);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      return fail(from_errno(n < 0 ? errno : EIO, "the audit log cannot be written: " + what));
    done_ += static_cast<std::size_t>(n);
  }
  return {};
}

Result<> AuditLog::reopen() {
  if (path_ == "-") return {};
  (void)flush();  // what began in the old file ends there, if it can
  const auto fd = open_file(path_);
  if (!fd) return fail(fd.error());
  ::close(fd_);
  fd_ = *fd;
  done_ = 0;
  return flush();
}

}  // namespace faultline::controller
