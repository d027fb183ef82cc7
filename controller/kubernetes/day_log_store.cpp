// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/day_log_store.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "api/codec.h"
#include "controller/kubernetes/journal_requests.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;

constexpr int kTakeOvers = 5;
constexpr int kPage = 20;                        // objects that are read at once
constexpr std::size_t kMostText = 512 << 10;     // of JSON in an object, but for the document
constexpr std::size_t kMostPacked = 1000 << 10;  // bytes of data that etcd takes in one object

bool is_over(const api::GameDayRecord& record) {
  return std::ranges::any_of(record.entries, [](const api::DayEntry& entry) {
    return entry.kind == api::EntryKind::over;
  });
}

// Entries as texts of {"entries": [...]}, none of them larger than an object takes.
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

// Adds what an object says to the record. The first object has the document. kInvalid: it is not
// what comes next.
Result<> add(api::GameDayRecord& record, bool first, const RunLogObject& object) {
  const auto text = unpack_text(object.data);
  if (!text) return fail(text.error());
  if (first) {
    auto read = api::from_json_text<api::GameDayRecord>(*text);
    if (!read) return fail(read.error());
    record = std::move(*read);
    return {};
  }
  const auto read = kube::parse_object(*text);
  const auto* list = read ? kube::array_at(*read, "entries") : nullptr;
  if (list == nullptr) return fail(Errc::kInvalid, "it has no entries");
  for (const auto& value : *list) {
    auto entry = api::from_json<api::DayEntry>(value);
    if (!entry) return fail(entry.error());
    if (entry->number != record.entries.size() + 1)
      return fail(Errc::kInvalid, "entry " + std::to_string(entry->number) + " comes after " +
                                      std::to_string(record.entries.size()));
    record.entries.push_back(std::move(*entry));
  }
  return {};
}

// The day that these objects are; nothing: they have no beginning. What comes behind one that
// cannot be read does not count.
std::optional<api::GameDayRecord> record_of(const std::map<std::uint64_t, RunLogObject>& objects) {
  if (objects.empty() || objects.begin()->first != 1 || objects.begin()->second.fence)
    return std::nullopt;
  api::GameDayRecord record;
  for (const auto& [number, object] : objects) {
    if (object.fence) continue;
    const auto added = add(record, number == 1, object);
    if (added) continue;
    spdlog::error("game day {}: object {} of its log: {}", object.run, number,
                  added.error().message);
    if (number == 1) return std::nullopt;
    break;
  }
  return record;
}

bool whole(const std::map<std::uint64_t, RunLogObject>& parts) {
  return !parts.empty() && parts.rbegin()->first == parts.size() &&
         parts.rbegin()->second.parts == parts.size();
}

}  // namespace

DayLogStore::DayLogStore(boost::asio::any_io_executor executor, kube::Config config,
                         const Clock& clock, DayLogOptions options)
    : client_(executor, std::move(config), journal_settings()),
      clock_(clock),
      options_(std::move(options)),
      ends_(executor) {}

Error DayLogStore::displaced(const std::string& what) {
  closed_ = true;
  ends_.notify();
  Error error{Errc::kUnavailable, what, 0};
  if (std::exchange(told_, true)) return error;
  spdlog::error("{}", what);
  if (options_.displaced) options_.displaced(what);
  return error;
}

void DayLogStore::close() {
  closed_ = true;
  ends_.notify();
}

awaitable<Result<>> DayLogStore::put(RunLogObject object) {
  for (std::string told; !closed_;) {
    auto collection = run_logs().in(options_.ns);
    auto made_of = object.object(options_.ns);
    const auto made = co_await client_.create(std::move(collection), std::move(made_of));
    if (made) co_return Result<>{};
    std::string why = made.error().message;
    if (made.error().reason == kube::Reason::kAlreadyExists) {
      // Perhaps it is ours, and the answer was lost.
      auto ref = run_logs().in(options_.ns).named(object.name());
      const auto there = co_await client_.get(std::move(ref));
      if (there) {
        const auto read = RunLogObject::of(*there);
        if (read && read->writer == object.writer && read->data == object.data)
          co_return Result<>{};
        co_return fail(Errc::kConflict, "the RunLog " + object.name() + " is another's");
      }
      why = there.error().message;
    } else if (is_refused_for_good(made.error())) {
      co_return fail(Errc::kInvalid, why);
    }
    if (told != why) spdlog::warn("game day {}: not written yet: {}", object.run, why);
    told = why;
    if (closed_) break;
    co_await ends_.wait(clock_.steady() + options_.try_again);
  }
  co_return fail(Errc::kUnavailable, "the controller is ending");
}

awaitable<void> DayLogStore::remove_all(std::vector<std::string> names) {
  for (const std::string& name : names) {
    kube::RemoveOptions how;
    auto ref = run_logs().in(options_.ns).named(name);
    const auto removed = co_await client_.remove(std::move(ref), std::move(how));
    if (!removed && removed.error().reason != kube::Reason::kNotFound)
      spdlog::warn("{}", removed.error().message);
  }
}

// ---- taking over

awaitable<Result<DayLogStore::AllFound>> DayLogStore::read_all() {
  AllFound found;
  for (const char* kind : {kDayLogOpen, kDayLogOver}) {
    kube::ListOptions options;
    options.selection.labels = kLogLabel + ("=" + std::string(kind));
    options.limit = kPage;
    auto collection = run_logs().in(options_.ns);
    const auto listed = co_await client_.list(std::move(collection), std::move(options));
    if (!listed) co_return fail(Errc::kUnavailable, listed.error().message);
    for (const auto& item : listed->items) {
      auto object = RunLogObject::of(item);
      if (!object) {
        spdlog::warn("{}", object.error().message);
        continue;
      }
      if (!object->day) continue;
      Found& day = found[object->run];
      if (object->parts == 0)
        day.open[object->number] = std::move(*object);
      else
        day.over[object->generation][object->number] = std::move(*object);
    }
  }
  co_return found;
}

awaitable<Result<bool>> DayLogStore::fence_all(AllFound& found) {
  bool alone = true;
  for (auto& [day, objects] : found) {
    const bool begins = !objects.open.empty() && objects.open.begin()->first == 1;
    if (!begins) continue;
    const RunLogObject& last = objects.open.rbegin()->second;
    // Of an earlier try of ours: nobody wrote behind it, and it holds.
    if (last.fence && last.writer == options_.writer) continue;
    RunLogObject fence{.run = day, .number = last.number + 1, .writer = options_.writer};
    fence.fence = fence.day = true;
    fence.data = pack_text("{}");
    RunLogObject copy = fence;
    const auto written = co_await put(std::move(copy));
    if (written)
      objects.open[fence.number] = std::move(fence);
    else if (written.error().code == Errc::kConflict)
      alone = false;
    else
      co_return fail(Errc::kUnavailable, written.error().message);
  }
  co_return alone;
}

awaitable<Result<>> DayLogStore::take_over(Give give) {
  AllFound found;
  bool alone = false;
  for (int i = 0; i < kTakeOvers && !alone; ++i) {
    auto read = co_await read_all();
    if (!read) co_return fail(read.error());
    found = std::move(*read);
    const auto fenced = co_await fence_all(found);
    if (!fenced) co_return fail(fenced.error());
    alone = *fenced;
  }
  if (!alone)
    co_return fail(Errc::kUnavailable, "another controller still writes the logs of game days");
  logs_.clear();
  over_.clear();
  std::vector<api::GameDayRecord> records;
  std::vector<std::string> left, to_put_together;
  for (auto& [day, objects] : found) {
    std::optional<api::GameDayRecord> record;
    Over over;
    for (const auto& [generation, parts] : objects.over) {
      over.generation = generation;
      std::vector<std::string> names;
      for (const auto& [number, part] : parts) names.push_back(part.name());
      if (!whole(parts)) {
        over.others.insert(over.others.end(), names.begin(), names.end());
        continue;
      }
      over.others.insert(over.others.end(), over.parts.begin(), over.parts.end());
      over.parts = std::move(names);
      record = record_of(parts);
    }
    std::vector<std::string> open;
    for (const auto& [number, object] : objects.open) {
      (object.fence ? over.fences : open).push_back(object.name());
      over.next = std::max(over.next, number + 1);
    }
    bool late = false;  // something was said when the day had been put together
    for (const auto& [number, object] : objects.open)
      if (record && number > 1 && !object.fence)
        late = add(*record, false, object).has_value() || late;
    if (record && !late) {
      // The one before may have ended when it had not yet taken the rest away.
      left.insert(left.end(), open.begin(), open.end());
      over.created = record->entries.front().at;
      over_[day] = std::move(over);
      records.push_back(std::move(*record));
      continue;
    }
    if (!record) record = record_of(objects.open);
    std::vector<std::string> all = std::move(open);
    all.insert(all.end(), over.parts.begin(), over.parts.end());
    all.insert(all.end(), over.others.begin(), over.others.end());
    if (!record || record->entries.empty()) {
      spdlog::warn("game day {}: its log has no beginning: it does not count", day);
      left.insert(left.end(), all.begin(), all.end());
      left.insert(left.end(), over.fences.begin(), over.fences.end());
      continue;
    }
    logs_[day] = {.next = over.next,
                  .names = std::move(all),
                  .fences = std::move(over.fences),
                  .generation = over.generation,
                  .record = *record};
    if (is_over(*record)) to_put_together.push_back(day);
    records.push_back(std::move(*record));
  }
  std::ranges::sort(records, [](const auto& a, const auto& b) {
    return a.entries.front().at < b.entries.front().at;
  });
  for (api::GameDayRecord& record : records) {
    auto given = co_await give(std::move(record));
    if (!given) co_return given;
  }
  co_await remove_all(std::move(left));
  for (std::string& day : to_put_together) co_await put_together(std::move(day));
  co_await delete_oldest();
  co_return Result<>{};
}

// ---- writing

awaitable<Result<>> DayLogStore::create(api::GameDayRecord record) {
  const std::string day = record.day;
  RunLogObject object{.run = day, .number = 1, .writer = options_.writer};
  object.day = true;
  object.data = pack_text(api::to_json_text(record));
  if (object.data.size() > kMostPacked)
    co_return fail(Errc::kInvalid, "the game day is larger than the cluster's store takes");
  std::string name = object.name();
  auto written = co_await put(std::move(object));
  if (!written && written.error().code == Errc::kConflict)
    co_return fail(Errc::kConflict, "there is a game day " + day + " already");
  if (!written) co_return written;
  Log& log = logs_[day];
  log.next = 2;
  log.names.push_back(std::move(name));
  log.record = std::move(record);
  co_return Result<>{};
}

awaitable<Result<>> DayLogStore::append(std::string day, std::vector<api::DayEntry> entries) {
  if (closed_) co_return fail(Errc::kUnavailable, "the controller is ending");
  if (!logs_.contains(day)) {
    std::string late = day;
    auto opened = co_await open_again(std::move(late));
    if (!opened) co_return opened;
  }
  const std::vector<std::string> texts = texts_of(entries);
  for (const std::string& text : texts) {
    RunLogObject object{.run = day, .number = logs_.at(day).next, .writer = options_.writer};
    object.day = true;
    object.data = pack_text(text);
    std::string name = object.name();
    const auto written = co_await put(std::move(object));
    if (!written && written.error().code == Errc::kConflict)
      co_return fail(displaced("another controller writes the game day " + day));
    if (!written) co_return written;
    Log& log = logs_.at(day);
    ++log.next;
    log.names.push_back(std::move(name));
  }
  Log& log = logs_.at(day);
  log.record.entries.insert(log.record.entries.end(), entries.begin(), entries.end());
  if (is_over(log.record)) {
    co_await put_together(std::move(day));
    co_await delete_oldest();
  }
  co_return Result<>{};
}

awaitable<Result<>> DayLogStore::open_again(std::string day) {
  const auto known = over_.find(day);
  if (known == over_.end()) co_return fail(Errc::kNotFound, "the journal has no day " + day);
  Over over = known->second;
  std::map<std::uint64_t, RunLogObject> parts;
  for (const std::string& name : over.parts) {
    auto ref = run_logs().in(options_.ns).named(name);
    const auto there = co_await client_.get(std::move(ref));
    if (!there) co_return fail(Errc::kUnavailable, there.error().message);
    auto part = RunLogObject::of(*there);
    if (!part) co_return fail(part.error());
    const std::uint64_t number = part->number;
    parts[number] = std::move(*part);
  }
  auto record = whole(parts) ? record_of(parts) : std::nullopt;
  if (!record) co_return fail(Errc::kInternal, "the journal's day " + day + " cannot be read");
  if (logs_.contains(day)) co_return Result<>{};
  over.parts.insert(over.parts.end(), over.others.begin(), over.others.end());
  logs_[day] = {.next = over.next,
                .names = std::move(over.parts),
                .fences = std::move(over.fences),
                .generation = over.generation,
                .record = std::move(*record)};
  over_.erase(day);
  co_return Result<>{};
}

// What is over in as few objects as it fits into. That it is not done is no harm: the next
// controller does it.
awaitable<void> DayLogStore::put_together(std::string day) {
  const auto known = logs_.find(day);
  if (known == logs_.end()) co_return;
  const std::uint64_t generation = ++known->second.generation;
  api::GameDayRecord head = known->second.record;
  const std::vector<api::DayEntry> rest(head.entries.begin() + 1, head.entries.end());
  head.entries.resize(1);
  std::vector<std::string> texts = texts_of(rest);
  texts.insert(texts.begin(), api::to_json_text(head));
  Over over{.created = head.entries.front().at, .generation = generation};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    RunLogObject part{.run = day,
                      .number = i + 1,
                      .parts = texts.size(),
                      .generation = generation,
                      .writer = options_.writer};
    part.day = true;
    part.data = pack_text(texts[i]);
    over.parts.push_back(part.name());
    // What is written of it has to go with the next one, whole or not.
    known->second.names.push_back(part.name());
    const auto written = co_await put(std::move(part));
    if (!written) {
      spdlog::warn("game day {}: not put together: {}", day, written.error().message);
      co_return;
    }
  }
  const auto now = logs_.find(day);
  if (now == logs_.end()) co_return;
  std::vector<std::string> old = std::move(now->second.names);
  std::erase_if(old, [&](const std::string& name) {
    return std::ranges::find(over.parts, name) != over.parts.end();
  });
  over.fences = std::move(now->second.fences);
  over.next = now->second.next;
  logs_.erase(now);
  over_[day] = std::move(over);
  co_await remove_all(std::move(old));
}

awaitable<void> DayLogStore::delete_oldest() {
  while (over_.size() > options_.most_over) {
    const auto oldest = std::ranges::min_element(
        over_, [](const auto& a, const auto& b) { return a.second.created < b.second.created; });
    std::vector<std::string> names = std::move(oldest->second.parts);
    for (auto* more : {&oldest->second.others, &oldest->second.fences})
      names.insert(names.end(), more->begin(), more->end());
    over_.erase(oldest);
    co_await remove_all(std::move(names));
  }
}

}  // namespace faultline::controller
