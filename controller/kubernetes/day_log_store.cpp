// SPDX-License-Identifier: Apache-2.0
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>

#include "api/codec.h"
#include "controller/kubernetes/day_log_impl.h"
#include "controller/kubernetes/day_log_text.h"
#include "controller/kubernetes/journal_requests.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;

constexpr std::size_t kMostPacked = 1000 << 10;  // bytes of data that etcd takes in one object
constexpr std::chrono::minutes kTogether{1};     // at most so often for late words

}  // namespace

DayLogStore::Impl::Impl(boost::asio::any_io_executor executor, kube::Config config,
                        const Clock& clock, DayLogOptions options)
    : executor_(executor),
      client_(executor, std::move(config), journal_settings()),
      clock_(clock),
      options_(std::move(options)),
      ends_(executor),
      written_(executor) {}

DayLogStore::DayLogStore(boost::asio::any_io_executor executor, kube::Config config,
                         const Clock& clock, DayLogOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(config), clock,
                                   std::move(options))) {}
DayLogStore::~DayLogStore() { close(); }

awaitable<Result<>> DayLogStore::take_over(Give give) { return impl_->take_over(std::move(give)); }
awaitable<Result<>> DayLogStore::create(api::GameDayRecord record) {
  return impl_->create(std::move(record));
}
awaitable<Result<>> DayLogStore::append(std::string day, std::vector<api::DayEntry> entries) {
  return impl_->append(std::move(day), std::move(entries));
}
void DayLogStore::close() { impl_->close(); }

Error DayLogStore::Impl::displaced(const std::string& what) {
  closed_ = true;
  ends_.notify();
  written_.notify();
  Error error{Errc::kUnavailable, what, 0};
  if (std::exchange(told_, true)) return error;
  spdlog::error("{}", what);
  if (options_.displaced) options_.displaced(what);
  return error;
}

void DayLogStore::Impl::close() {
  closed_ = true;
  ends_.notify();
  written_.notify();
}

awaitable<Result<>> DayLogStore::Impl::put(RunLogObject object) {
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

awaitable<void> DayLogStore::Impl::remove_all(std::vector<std::string> names) {
  for (const std::string& name : names) {
    if (closed_) co_return;  // the next controller takes the rest away
    kube::RemoveOptions how;
    auto ref = run_logs().in(options_.ns).named(name);
    const auto removed = co_await client_.remove(std::move(ref), std::move(how));
    if (!removed && removed.error().reason != kube::Reason::kNotFound)
      spdlog::warn("{}", removed.error().message);
  }
}

// ---- writing

awaitable<Result<>> DayLogStore::Impl::create(api::GameDayRecord record) {
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

awaitable<Result<std::string>> DayLogStore::Impl::put_entry(std::string day, std::uint64_t number,
                                                            std::string text) {
  RunLogObject object{.run = day, .number = number, .writer = options_.writer};
  object.day = true;
  object.data = pack_text(text);
  std::string name = object.name();
  const auto written = co_await put(std::move(object));
  if (!written && written.error().code == Errc::kConflict)
    co_return fail(displaced("another controller writes the game day " + day));
  if (!written) co_return fail(written.error());
  co_return name;
}

awaitable<Result<>> DayLogStore::Impl::append(std::string day, std::vector<api::DayEntry> entries) {
  if (closed_) co_return fail(Errc::kUnavailable, "the controller is ending");
  // While a day is put together nothing changes its place: its entries go where they began to.
  const std::string of = day;
  writing_.insert(of);
  auto done = logs_.contains(day) ? append_entries(std::move(day), std::move(entries))
                                  : append_late(std::move(day), std::move(entries));
  auto appended = co_await std::move(done);
  writing_.erase(of);
  written_.notify();
  if (appended) begin_to_tidy(of);
  co_return appended;
}

// Of a long day it takes seconds: who follows the day is told of its end meanwhile.
void DayLogStore::Impl::begin_to_tidy(const std::string& day) {
  const auto log = logs_.find(day);
  const bool over = log == logs_.end() ? over_.contains(day) : is_over(log->second.record);
  if (!over) return;
  boost::asio::co_spawn(executor_, tidy(day),
                        [self = shared_from_this()](const std::exception_ptr& failed) {
                          if (failed) std::rethrow_exception(failed);
                        });
}

awaitable<void> DayLogStore::Impl::wait_for_entries(std::string day) {
  while (writing_.contains(day) && !closed_)
    co_await written_.wait(clock_.steady() + options_.try_again);
}

awaitable<Result<>> DayLogStore::Impl::append_entries(std::string day,
                                                      std::vector<api::DayEntry> entries) {
  const std::vector<std::string> texts = texts_of(entries);
  for (const std::string& text : texts) {
    std::string of = day, body = text;
    auto name = co_await put_entry(std::move(of), logs_.at(day).next, std::move(body));
    if (!name) co_return fail(std::move(name.error()));
    Log& log = logs_.at(day);
    ++log.next;
    log.names.push_back(std::move(*name));
  }
  Log& log = logs_.at(day);
  log.record.entries.insert(log.record.entries.end(), entries.begin(), entries.end());
  co_return Result<>{};
}

// What is said of a day that is over would write all of it again each time: once in a while is
// enough, and whoever takes over does it, too.
awaitable<void> DayLogStore::Impl::tidy(std::string day) {
  if (closed_ || !tidying_.insert(day).second) co_return;
  const std::string of = day;
  const auto is_due = [this](SteadyTime last) {
    return last == SteadyTime{} || clock_.steady() - last >= kTogether;
  };
  if (const auto over = over_.find(day);
      over != over_.end() && !over->second.late.empty() && is_due(over->second.together)) {
    over->second.together = clock_.steady();
    std::string again = day;
    const auto opened = co_await open_again(std::move(again));
    if (!opened) spdlog::warn("game day {}: not put together: {}", of, opened.error().message);
    if (opened) co_await put_together(std::move(day));
  } else if (const auto log = logs_.find(day);
             log != logs_.end() && is_over(log->second.record) && is_due(log->second.together)) {
    co_await put_together(std::move(day));
    co_await delete_oldest();
  }
  tidying_.erase(of);
}

awaitable<Result<>> DayLogStore::Impl::append_late(std::string day,
                                                   std::vector<api::DayEntry> entries) {
  const std::vector<std::string> texts = texts_of(entries);
  for (const std::string& text : texts) {
    const auto known = over_.find(day);
    if (known == over_.end()) co_return fail(Errc::kNotFound, "the journal has no day " + day);
    if (known->second.parts.empty())
      co_return fail(Errc::kInternal, "the journal's day " + day + " cannot be read");
    std::string of = day, body = text;
    auto name = co_await put_entry(std::move(of), known->second.next, std::move(body));
    if (!name) co_return fail(std::move(name.error()));
    const auto now = over_.find(day);
    if (now == over_.end()) {  // it was the oldest, and was deleted meanwhile
      std::vector<std::string> left{std::move(*name)};
      co_await remove_all(std::move(left));
      co_return fail(Errc::kNotFound, "the journal has no day " + day + " any more");
    }
    ++now->second.next;
    now->second.late.push_back(std::move(*name));
  }
  co_return Result<>{};
}

awaitable<Result<>> DayLogStore::Impl::open_again(std::string day) {
  const auto known = over_.find(day);
  if (known == over_.end()) co_return fail(Errc::kNotFound, "the journal has no day " + day);
  Over over = known->second;
  std::map<std::uint64_t, RunLogObject> parts, late;
  const std::vector<std::string>* const both[] = {&over.parts, &over.late};
  for (const auto* names : both)
    for (const std::string& name : *names) {
      auto ref = run_logs().in(options_.ns).named(name);
      const auto there = co_await client_.get(std::move(ref));
      if (!there) co_return fail(Errc::kUnavailable, there.error().message);
      auto part = RunLogObject::of(*there);
      if (!part) co_return fail(part.error());
      const std::uint64_t number = part->number;
      (names == &over.parts ? parts : late)[number] = std::move(*part);
    }
  ReadDay read = is_whole(parts) ? read_day(day, parts) : ReadDay{};
  if (!read.record || !read.broken.empty())
    co_return fail(Errc::kInternal, "the journal's day " + day + " cannot be read");
  for (const auto& [number, object] : late)
    if (auto added = add_late(*read.record, object); !added) co_return fail(added.error());
  std::string quiet = day;
  co_await wait_for_entries(std::move(quiet));
  const auto now = over_.find(day);
  if (logs_.contains(day) || now == over_.end()) co_return Result<>{};
  if (closed_) co_return fail(Errc::kUnavailable, "the controller is ending");
  if (now->second.next != over.next)
    co_return fail(Errc::kUnavailable, "something was said of it meanwhile");
  over.parts.insert(over.parts.end(), over.late.begin(), over.late.end());
  over.parts.insert(over.parts.end(), over.others.begin(), over.others.end());
  logs_[day] = {.next = over.next,
                .names = std::move(over.parts),
                .fences = std::move(over.fences),
                .generation = over.generation,
                .record = std::move(*read.record)};
  over_.erase(now);
  co_return Result<>{};
}

// What is over in as few objects as it fits into. That it is not done is no harm: the next
// controller does it.
awaitable<void> DayLogStore::Impl::put_together(std::string day) {
  std::string quiet = day;
  co_await wait_for_entries(std::move(quiet));
  const auto known = logs_.find(day);
  if (known == logs_.end() || closed_) co_return;
  std::vector<std::string> had = known->second.names;
  const std::uint64_t generation = ++known->second.generation;
  known->second.together = clock_.steady();
  api::GameDayRecord head = known->second.record;
  const std::vector<api::DayEntry> rest(head.entries.begin() + 1, head.entries.end());
  head.entries.resize(1);
  std::vector<std::string> texts = texts_of(rest);
  texts.insert(texts.begin(), api::to_json_text(head));
  Over over{.created = head.entries.front().at, .generation = generation};
  over.together = clock_.steady();
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
  std::string again = day;
  co_await wait_for_entries(std::move(again));
  const auto now = logs_.find(day);
  if (now == logs_.end() || closed_) co_return;
  // What was said meanwhile stands behind what was put together.
  const std::set<std::string> of_before(had.begin(), had.end());
  const std::set<std::string> parts(over.parts.begin(), over.parts.end());
  for (std::string& name : now->second.names)
    if (!of_before.contains(name) && !parts.contains(name)) over.late.push_back(std::move(name));
  over.fences = std::move(now->second.fences);
  over.next = now->second.next;
  logs_.erase(now);
  over_[day] = std::move(over);
  co_await remove_all(std::move(had));
}

awaitable<void> DayLogStore::Impl::delete_oldest() {
  while (over_.size() > options_.most_over) {
    const auto oldest = std::ranges::min_element(
        over_, [](const auto& a, const auto& b) { return a.second.created < b.second.created; });
    std::vector<std::string> names = std::move(oldest->second.parts);
    for (auto* more : {&oldest->second.others, &oldest->second.late, &oldest->second.fences})
      names.insert(names.end(), more->begin(), more->end());
    over_.erase(oldest);
    co_await remove_all(std::move(names));
  }
}

}  // namespace faultline::controller
