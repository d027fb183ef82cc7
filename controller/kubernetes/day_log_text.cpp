// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/day_log_text.h"

#include <algorithm>
#include <iterator>

#include "api/codec.h"
#include "controller/gameday/words.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

constexpr std::size_t kMostText = 512 << 10;  // of JSON in an object, but for the document

Result<std::vector<api::DayEntry>> entries_of(const RunLogObject& object) {
  const auto text = unpack_text(object.data);
  if (!text) return fail(text.error());
  const auto read = kube::parse_object(*text);
  const auto* list = read ? kube::array_at(*read, "entries") : nullptr;
  if (list == nullptr) return fail(Errc::kInvalid, "it has no entries");
  std::vector<api::DayEntry> entries;
  for (const auto& value : *list) {
    auto entry = api::from_json<api::DayEntry>(value);
    if (!entry) return fail(entry.error());
    entries.push_back(std::move(*entry));
  }
  return entries;
}

Result<api::GameDayRecord> beginning_of(const std::string& day, const RunLogObject& object) {
  const auto text = unpack_text(object.data);
  if (!text) return fail(text.error());
  auto read = api::from_json_text<api::GameDayRecord>(*text);
  if (!read) return read;
  if (read->day != day) return fail(Errc::kInvalid, "it is of the day \"" + read->day + "\"");
  if (read->entries.empty()) return fail(Errc::kInvalid, "it has no entries");
  for (std::size_t i = 0; i < read->entries.size(); ++i)
    if (read->entries[i].number != i + 1) return fail(Errc::kInvalid, "its entries have a gap");
  return read;
}

tl::unexpected<Error> does_not_follow(const api::DayEntry& entry,
                                      const api::GameDayRecord& record) {
  return fail(Errc::kInvalid, "entry " + std::to_string(entry.number) + " comes after " +
                                  std::to_string(record.entries.size()));
}

}  // namespace

bool is_over(const api::GameDayRecord& record) {
  return std::ranges::any_of(record.entries, [](const api::DayEntry& entry) {
    return entry.kind == api::EntryKind::over;
  });
}

std::vector<std::string> texts_of(const std::vector<api::DayEntry>& entries) {
  std::vector<std::string> texts;
  std::string text;
  for (const api::DayEntry& entry : entries) {
    const std::string one = api::to_json_text(entry);
    if (!text.empty() && text.size() + one.size() > kMostText) {
      texts.push_back(text + "]}");
      text.clear();
    }
    text += (text.empty() ? "{\"entries\":[" : ",") + one;
  }
  if (!text.empty()) texts.push_back(text + "]}");
  return texts;
}

bool is_whole(const std::map<std::uint64_t, RunLogObject>& parts) {
  return !parts.empty() && parts.rbegin()->first == parts.size() &&
         parts.rbegin()->second.parts == parts.size();
}

ReadDay read_day(const std::string& day, const std::map<std::uint64_t, RunLogObject>& objects) {
  ReadDay read;
  if (objects.empty() || objects.begin()->first != 1 || objects.begin()->second.fence) return read;
  const auto broken_at = [&read](std::uint64_t number, const Error& error) {
    read.broken = "object " + std::to_string(number) + " of its log: " + error.message;
  };
  for (const auto& [number, object] : objects) {
    if (object.fence) continue;
    if (number == 1) {
      auto begins = beginning_of(day, object);
      if (begins) {
        read.record = std::move(*begins);
        continue;
      }
      broken_at(number, begins.error());
      return read;
    }
    auto entries = entries_of(object);
    if (!entries) {
      broken_at(number, entries.error());
      return read;
    }
    for (api::DayEntry& entry : *entries) {
      if (entry.number != read.record->entries.size() + 1) {
        broken_at(number, does_not_follow(entry, *read.record).value());
        return read;
      }
      read.record->entries.push_back(std::move(entry));
    }
  }
  return read;
}

Result<std::size_t> add_late(api::GameDayRecord& record, const RunLogObject& object) {
  auto entries = entries_of(object);
  if (!entries) return fail(entries.error());
  std::erase_if(*entries, [known = record.entries.size()](const api::DayEntry& entry) {
    return entry.number <= known;
  });
  std::size_t next = record.entries.size();
  for (const api::DayEntry& entry : *entries)
    if (entry.number != ++next) return does_not_follow(entry, record);
  std::ranges::move(*entries, std::back_inserter(record.entries));
  return entries->size();
}

api::DayEntry failed_entry(const api::GameDayRecord& record, const std::string& broken) {
  api::DayEntry entry{.number = record.entries.size() + 1, .kind = api::EntryKind::over};
  entry.at = entry.recordedAt = record.entries.back().recordedAt;
  entry.word = gameday::word_of(api::DayState::failed);
  entry.text =
      "what came then cannot be read from the journal, so that the day cannot go on: " + broken;
  return entry;
}

}  // namespace faultline::controller
