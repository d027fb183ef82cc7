// SPDX-License-Identifier: Apache-2.0
// What the objects of a game day's journal say (day_log_store.h). Pure and thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/gameday_record.h"
#include "base/result.h"
#include "controller/kubernetes/run_log_object.h"

namespace faultline::controller {

[[nodiscard]] bool is_over(const api::GameDayRecord& record);

// Entries as texts of {"entries": [...]}, none of them larger than an object takes.
[[nodiscard]] std::vector<std::string> texts_of(const std::vector<api::DayEntry>& entries);

// Whether these parts, by their number, are all of what was put together at one time.
[[nodiscard]] bool is_whole(const std::map<std::uint64_t, RunLogObject>& parts);

struct ReadDay {
  // Nothing: the first object, which has the document, is not there or cannot be read. Else
  // everything up to what cannot be read, so at least one entry.
  std::optional<api::GameDayRecord> record;
  std::string broken;  // which object cannot be read, and why; empty: all could
};
// The day that these objects are, by their number; `day` is its id.
[[nodiscard]] ReadDay read_day(const std::string& day,
                               const std::map<std::uint64_t, RunLogObject>& objects);

// Adds what was said late, when the record had been put together; what it has already is no news.
// How many entries are new. kInvalid: the object cannot be read, or does not follow; the record is
// as before.
[[nodiscard]] Result<std::size_t> add_late(api::GameDayRecord& record, const RunLogObject& object);

// The entry that ends a day of which not everything can be read: nobody knows what came then, so
// that nothing of it may be done again. Its time is that of the last entry that can be read.
[[nodiscard]] api::DayEntry failed_entry(const api::GameDayRecord& record,
                                         const std::string& broken);

}  // namespace faultline::controller
