// SPDX-License-Identifier: Apache-2.0
// What of ours in the kernel would outlive us: one file for each, written before the change and
// removed after its undo, in /run/faultline/undo or where $FAULTLINE_UNDO says. Three may undo: the
// owner; a watchdog process (watchdog.h), at once when the owner has ended however it ended; and
// whoever arms or starts next (sweep). A file appears whole, by rename; it is not synced, because
// /run ends with the kernel as what it speaks of does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "agent/kernel/fd.h"
#include "agent/kernel/ids.h"
#include "agent/kernel/netlink.h"
#include "base/result.h"

namespace faultline::agent {

// Who made the change. A number alone may be somebody else's by now.
struct Owner {
  pid_t pid = 0;
  std::uint64_t start = 0;  // clock ticks since boot, field 22 of /proc/PID/stat
  static Owner self();
  [[nodiscard]] bool alive() const;
  friend bool operator==(const Owner&, const Owner&) = default;
};

struct FilterRecord {
  Owner owner;
  NetnsId netns{};
  std::string device_name;  // for people: the index and the program's number tell whose it is
  TcFilter filter;
  std::uint32_t program_id = 0;
  std::string program_tag;
};

// A clsact qdisc that we made. It is of all who have filters there and goes with the last one, so
// it has no owner.
struct QdiscRecord {
  NetnsId netns{};
  IfIndex device{};
  std::string device_name;
};

// Thread-safe.
class UndoJournal {
 public:
  // Of this process, as the environment says.
  static UndoJournal here();
  explicit UndoJournal(std::filesystem::path folder) : folder_(std::move(folder)) {}
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  // Among all processes with this folder. A holder that is stopped is not waited for longer than a
  // second: what is guarded is whether the qdisc goes with its last filter.
  [[nodiscard]] Fd lock() const;
  Result<> write(const FilterRecord& record) const;
  Result<> write(const QdiscRecord& record) const;
  // Takes the lock. Removes the filter if it is there and is ours, then the qdisc if it was made by
  // us and has no filter left on either side, then the record. A record whose namespace or device
  // is gone is dropped. Enters the namespace. Errors: what stays, and its record with it.
  Result<> undo(const FilterRecord& record) const;
  // All of owners that have ended. Returns how many; logs what failed.
  std::size_t sweep() const;

 private:
  Result<> undo_locked(const FilterRecord& record) const;
  void undo_qdisc(Netlink& netlink, const QdiscRecord& record) const;
  void sweep_qdisc(const QdiscRecord& record) const;
  void drop(const QdiscRecord& record) const;
  Result<> put(const std::string& file, const std::string& text) const;
  std::filesystem::path folder_;
};

}  // namespace faultline::agent
