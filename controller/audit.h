// SPDX-License-Identifier: Apache-2.0
// Who decided and changed what, when, from where, and by which right: one JSON object a line
// (docs/decisions/0018-audit.md). Not thread-safe. Writing never waits: what cannot be written is
// kept in memory and written first when it can be again.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/rates.h"
#include "base/result.h"

namespace faultline::controller {

struct AuditEntry {
  UtcTime at{};  // the epoch: when it is written
  // By which way: http, webhook, operator (an object of the cluster), signal, policy (the file),
  // leader (the election), store, restart; of a run's own course phases, agents, lease, abortWhen.
  std::string via;
  std::string verb;  // start, stop, stop-all, admit, state, ending ...
  std::string user;
  std::vector<std::string> groups;
  std::string from;            // address and port
  std::string ns, experiment;  // what it is about, as far as it is known
  std::string run;
  std::string requested_by;          // of the run
  std::set<std::string> namespaces;  // that are hit or seen
  std::optional<bool> allowed;       // of a decision
  std::string reason;
  std::string state;           // of the run, afterwards
  std::string ending;          // the state in which it will end
  std::uint64_t left_out = 0;  // lines of the same kind that were too many before this one
};

// Without the line's end, at most kLongestAuditLine bytes. What is empty is left out. Pure.
[[nodiscard]] std::string audit_line(const AuditEntry& entry, const std::string& controller);

// How many lines callers may cause that change nothing: whoever asks without end must not fill the
// disk, nor hide what others do. Not thread-safe.
class AuditBudget {
 public:
  // `each` caller, and `all` of them together.
  AuditBudget(Rates::Limits each, Rates::Limits all) : each_(each), all_(all) {}
  // Whether the line may be written; if so, it says how many of this caller were left out before.
  [[nodiscard]] bool take(AuditEntry& entry, const std::string& caller, SteadyTime now);

 private:
  Rates each_, all_;
};
// Whom a line is put down to: the user, or where nobody knows who it is the address without its
// port.
[[nodiscard]] std::string audit_caller(const AuditEntry& entry);

inline constexpr std::size_t kLongestAuditLine = 4000;  // below what a pipe takes in one piece

class AuditLog {
 public:
  // `path`: appended to, made with mode 0600; "-": standard output. `clock` outlives it.
  // `controller`: whose log it is, where several write. Errors: it cannot be opened.
  static Result<std::unique_ptr<AuditLog>> open(std::string path, const Clock& clock,
                                                std::string controller);
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // An error: it is not written yet.
  Result<> write(AuditEntry entry);
  // What is kept is tried again. Call it now and then while works() is false.
  Result<> flush();
  // After the file was moved away. An error: it stays with the old one.
  Result<> reopen();
  [[nodiscard]] bool works() const { return error_.empty(); }
  [[nodiscard]] std::uint64_t lost() const { return lost_; }  // more than kMostKept waited

  static constexpr std::size_t kMostKept = 10'000;  // lines

 private:
  AuditLog(std::string path, const Clock& clock, std::string controller, int fd);
  static Result<int> open_file(const std::string& path);
  Result<> write_front();

  std::string path_;
  const Clock& clock_;
  std::string controller_;
  int fd_;
  std::deque<std::string> kept_;  // not written yet, with line ends
  std::size_t done_ = 0;          // bytes of the first one that are
  std::uint64_t lost_ = 0, lost_told_ = 0;
  std::string error_;  // of the last write; empty: it was done
};

}  // namespace faultline::controller
