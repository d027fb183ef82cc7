// SPDX-License-Identifier: Apache-2.0
// How a controller takes over what the journal has of game days: everything is read, whoever wrote
// before is locked out, and of each day it is decided what it is.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "controller/kubernetes/day_log_impl.h"
#include "controller/kubernetes/day_log_text.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;

constexpr int kTakeOvers = 5;
constexpr int kPage = 20;  // objects that are read at once

}  // namespace

awaitable<Result<DayLogStore::Impl::AllFound>> DayLogStore::Impl::read_all() {
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
        spdlog::error("{}", object.error().message);
        found.strange = true;
        continue;
      }
      if (!object->day) continue;
      Found& day = found.days[object->run];
      if (object->parts == 0)
        day.open[object->number] = std::move(*object);
      else
        day.over[object->generation][object->number] = std::move(*object);
    }
  }
  co_return found;
}

awaitable<Result<bool>> DayLogStore::Impl::fence_all(AllFound& found) {
  bool alone = true;
  for (auto& [day, objects] : found.days) {
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

// What was put together last, and can be read, is the day; what was said late is behind it. Where
// there is none, the objects of the timeline are.
DayLogStore::Impl::Taken DayLogStore::Impl::sort_out(const std::string& day, const Found& objects) {
  Taken taken;
  Over& over = taken.over;
  ReadDay read, broken;
  for (const auto& [generation, parts] : objects.over) {
    over.generation = generation;
    std::vector<std::string> names;
    for (const auto& [number, part] : parts) names.push_back(part.name());
    ReadDay one = is_whole(parts) ? read_day(day, parts) : ReadDay{};
    if (one.record && one.broken.empty()) {
      read = std::move(one);
      names.swap(over.parts);  // those of the generation before go with it
    } else if (!one.broken.empty()) {
      broken = std::move(one);
    }
    over.others.insert(over.others.end(), names.begin(), names.end());
  }
  const bool together = read.record.has_value();
  if (together && !broken.broken.empty())
    spdlog::error("game day {}: what was put together later cannot be read: {}", day,
                  broken.broken);
  for (const auto& [number, object] : objects.open) {
    over.next = std::max(over.next, number + 1);
    if (object.fence) {
      over.fences.push_back(object.name());
      continue;
    }
    Result<std::size_t> late = 0;
    if (together && number > 1) late = add_late(*read.record, object);
    if (!late) {
      // It stays as long as the day: perhaps somebody can read it.
      spdlog::error("game day {}: object {} of its log, which was said late, cannot be read: {}",
                    day, number, late.error().message);
      over.others.push_back(object.name());
      continue;
    }
    taken.late = taken.late || *late > 0;
    taken.open.push_back(object.name());
  }
  if (!together) {
    read = read_day(day, objects.open);
    if (!read.record && !broken.broken.empty()) read = std::move(broken);
  }
  taken.broken = std::move(read.broken);
  taken.record = std::move(read.record);
  taken.together = together;
  return taken;
}

awaitable<Result<>> DayLogStore::Impl::take_over(Give give) {
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
  for (const auto& [day, objects] : found.days) {
    Taken taken = sort_out(day, objects);
    Over& over = taken.over;
    const auto all_names = [&taken] {
      std::vector<std::string> all = taken.open;
      for (const auto* more : {&taken.over.parts, &taken.over.others})
        all.insert(all.end(), more->begin(), more->end());
      return all;
    };
    if (!taken.broken.empty()) {
      // It is over, and stays as it is: whoever can read it may need it.
      spdlog::error("game day {}: it has failed, since not all of it can be read: {}", day,
                    taken.broken);
      over.others = all_names();
      over.parts.clear();
      if (taken.record) {
        over.created = taken.record->entries.front().at;
        if (!is_over(*taken.record))
          taken.record->entries.push_back(failed_entry(*taken.record, taken.broken));
        records.push_back(std::move(*taken.record));
      }
      over_[day] = std::move(over);
      continue;
    }
    if (!taken.record) {
      spdlog::warn("game day {}: its log has no beginning: it does not count", day);
      // Whoever deleted it ended before all was deleted; unless one that cannot be read is it.
      if (found.strange) continue;
      for (const auto& names : {all_names(), over.fences})
        left.insert(left.end(), names.begin(), names.end());
      continue;
    }
    if (taken.together && !taken.late) {
      // The one before may have ended when it had not yet taken the rest away.
      left.insert(left.end(), taken.open.begin(), taken.open.end());
      over.created = taken.record->entries.front().at;
      over.together = clock_.steady();
      over_[day] = std::move(over);
      records.push_back(std::move(*taken.record));
      continue;
    }
    logs_[day] = {.next = over.next,
                  .names = all_names(),
                  .fences = std::move(over.fences),
                  .generation = over.generation,
                  .record = *taken.record};
    if (is_over(*taken.record)) to_put_together.push_back(day);
    records.push_back(std::move(*taken.record));
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

}  // namespace faultline::controller
