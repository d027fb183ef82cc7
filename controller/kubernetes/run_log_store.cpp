// SPDX-License-Identifier: Apache-2.0
// Taking over what other controllers wrote, and putting together runs that are over.
#include "controller/kubernetes/run_log_store.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "controller/kubernetes/run_log_impl.h"
#include "http/target.h"
#include "kube/json.h"

namespace faultline::controller {

using boost::asio::awaitable;

namespace {

constexpr int kTakeOvers = 5;
constexpr int kPage = 20;                    // objects that are read at once: up to 25 MB
constexpr std::size_t kSmallest = 32 << 10;  // of data: what is refused below is not too large

// The last part knows how many there are. Earlier controllers knew it in each.
bool whole(const std::map<std::uint64_t, RunLogObject>& parts) {
  return !parts.empty() && parts.rbegin()->first == parts.size() &&
         parts.rbegin()->second.parts == parts.size();
}

}  // namespace

RunLogStore::RunLogStore(boost::asio::any_io_executor executor, kube::Config config,
                         const Clock& clock, RunLogOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(config), clock,
                                   std::move(options))) {}
RunLogStore::~RunLogStore() { close(); }

awaitable<Result<>> RunLogStore::Impl::remove_all(std::vector<std::string> names) {
  Result<> out;
  for (const std::string& name : names) {
    kube::RemoveOptions how;
    const auto removed = co_await client.remove(all().named(name), std::move(how));
    if (!removed && removed.error().reason != kube::Reason::kNotFound) out = fail(removed.error());
  }
  co_return out;
}

awaitable<Result<>> RunLogStore::Impl::list(std::string kind,
                                            std::function<void(RunLogObject)> give) {
  const std::string first = all().path() +
                            "?labelSelector=" + http::percent_encode(kLogLabel + ("=" + kind)) +
                            "&limit=" + std::to_string(kPage);
  for (std::string more, target = first;;) {
    auto page = co_await client.raw("GET", target, "");
    if (!page) {
      last_error = page.error().message;
      co_return fail(page.error());
    }
    last_error.clear();
    const std::string next(kube::meta(*page, "continue"));
    if (auto* items = page->if_contains("items"); items != nullptr && items->is_array())
      for (auto& item : items->get_array()) {
        if (!item.is_object()) continue;
        auto object = RunLogObject::of(item.get_object());
        if (object)
          give(std::move(*object));
        else
          spdlog::warn("{}", object.error().message);
      }
    if (next.empty()) co_return Result<>{};
    if (next == more) co_return fail(Errc::kUnavailable, "the API server's list has no end");
    more = next;
    target = first + "&continue=" + http::percent_encode(more);
  }
}

awaitable<Result<bool>> RunLogStore::Impl::fence(std::string run, std::uint64_t number) {
  api::RunLogEntry entry;
  entry.at = {clock.utc()};
  RunLogObject object{.run = run, .number = number, .writer = options.writer};
  object.fence = true;
  object.data = pack(entry);
  const Put so = co_await put(object);
  if (so == Put::kNotYet || so == Put::kRefused) co_return fail(Errc::kUnavailable, last_error);
  if (so == Put::kDone) fences[run].push_back(object.name());
  co_return so == Put::kDone;
}

awaitable<Result<>> RunLogStore::take_over(Give give) {
  const auto self = impl_;
  // What is packed takes a tenth of what comes out of it, which is never whole in memory.
  std::map<std::string, std::map<std::uint64_t, RunLogObject>> runs;
  bool alone = false;
  for (int i = 0; i < kTakeOvers && !alone; ++i) {
    self->logs.clear();
    self->fences.clear();
    self->left_overs.clear();
    runs.clear();
    auto listed = co_await self->list(kLogOpen, [&](RunLogObject object) {
      if (object.fence) self->fences[object.run].push_back(object.name());
      runs[object.run][object.number] = std::move(object);
    });
    if (!listed) co_return listed;
    alone = true;
    for (const auto& [run, objects] : runs) {
      LogReader beginning(run);
      (void)beginning.take(objects.begin()->first, objects.begin()->second.data);
      if (!beginning.has_beginning()) {
        // The run is over and its fences are left; or somebody was replaced and did not know.
        for (const auto& [number, object] : objects)
          if (!object.fence) self->left_overs[run].push_back(object.name());
        if (self->left_overs.contains(run))
          spdlog::warn("run {}: entries of its log have no beginning: they do not count", run);
        continue;
      }
      Impl::Log& log = self->logs[run];
      for (const auto& [number, object] : objects)
        if (!object.fence) log.names.push_back(object.name());
      const std::uint64_t number = objects.rbegin()->first + 1;
      log.next = number;
      // Of an earlier try of ours: nobody wrote behind it, and it holds.
      const RunLogObject& last = objects.rbegin()->second;
      if (last.fence && last.writer == self->options.writer) continue;
      log.next = number + 1;
      const auto mine = co_await self->fence(run, number);
      if (!mine) co_return fail(mine.error());
      alone = alone && *mine;
    }
  }
  if (!alone)
    co_return fail(Errc::kUnavailable, "another controller still writes the logs of runs");
  for (auto& [run, objects] : runs) {
    if (!self->logs.contains(run)) continue;
    LogReader reader(run);
    for (auto& [number, object] : objects) {
      auto entry = reader.take(number, object.data);
      object.data = {};
      if (!entry) continue;
      auto given = co_await give(std::move(*entry));
      if (!given) co_return given;
    }
    if (auto last = reader.end()) {
      auto given = co_await give(std::move(*last));
      if (!given) co_return given;
    }
  }
  self->leads = true;
  co_return Result<>{};
}

awaitable<Result<>> RunLogStore::Impl::read_parts(std::string run, std::vector<std::string> names,
                                                  Give give) {
  LogReader reader(run);
  std::uint64_t number = 0;
  for (const std::string& name : names) {
    ++number;
    const auto there = co_await client.get(all().named(name));
    if (!there && there.error().reason == kube::Reason::kNotFound) continue;
    if (!there) co_return fail(there.error());
    const auto object = RunLogObject::of(*there);
    auto entry = reader.take(number, object ? object->data : std::string());
    if (!entry) continue;
    auto given = co_await give(std::move(*entry));
    if (!given) co_return given;
  }
  if (!reader.has_beginning()) spdlog::error("run {}: it is over, and cannot be read", run);
  if (auto last = reader.end()) co_return co_await give(std::move(*last));
  co_return Result<>{};
}

awaitable<Result<>> RunLogStore::finished(Give give) {
  const auto self = impl_;
  // By run and generation, without data: one run is read at a time.
  std::map<std::string, std::map<std::uint64_t, std::map<std::uint64_t, RunLogObject>>> runs;
  auto listed = co_await self->list(kLogFinished, [&](RunLogObject object) {
    object.data = {};
    runs[object.run][object.generation][object.number] = std::move(object);
  });
  if (!listed) co_return listed;
  for (const auto& [run, generations] : runs) {
    // The newest generation that is whole; older ones are left-overs, newer ones were not ended.
    auto& [newest, names] = self->finished[run];
    newest = generations.rbegin()->first;
    names.clear();
    if (const auto late = self->left_overs.find(run); late != self->left_overs.end())
      names = late->second;
    std::vector<std::string> parts;
    for (const auto& [generation, objects] : generations) {
      for (const auto& [number, object] : objects) names.push_back(object.name());
      if (!whole(objects)) continue;
      parts.clear();
      for (const auto& [number, object] : objects) parts.push_back(object.name());
    }
    auto read = co_await self->read_parts(run, std::move(parts), give);
    if (!read) co_return read;
  }
  self->knows_finished = true;
  // Of runs of which nothing else is left.
  std::vector<std::string> names;
  for (const auto& [run, of_run] : self->fences)
    if (!runs.contains(run) && !self->logs.contains(run) && !self->left_overs.contains(run))
      names.insert(names.end(), of_run.begin(), of_run.end());
  (void)co_await self->remove_all(std::move(names));
  co_return Result<>{};
}

awaitable<Result<>> RunLogStore::create(api::RunRecord head) {
  const auto self = impl_;
  const std::string run = head.run;
  api::RunLogEntry entry;
  entry.at = {self->clock.utc()};
  entry.head = std::move(head);
  RunLogObject object{.run = run, .number = 1, .writer = self->options.writer};
  object.data = pack(entry);
  const auto so = object.data.size() > kMostData ? Impl::Put::kRefused : co_await self->put(object);
  if (self->closed) co_return fail(Errc::kUnavailable, "the controller is ending");
  if (so == Impl::Put::kOther) co_return fail(Errc::kConflict, "the run " + run + " exists");
  if (so == Impl::Put::kRefused)
    co_return fail(Errc::kInvalid, "the experiment and its pods are larger than the journal takes");
  // It may be there all the same: a run without an agent that knows of it, which the next
  // controller ends.
  if (so == Impl::Put::kNotYet) co_return fail(Errc::kUnavailable, self->last_error);
  Impl::Log& log = self->logs[run];
  log.next = 2;
  log.names.push_back(object.name());
  co_return Result<>{};
}

// Parts as they come; the last one says how many there are, so one is held back.
awaitable<Result<>> RunLogStore::Impl::write_parts(std::string run, std::uint64_t generation,
                                                   Next next, std::vector<std::string>& written,
                                                   std::vector<api::LoggedBatch>& had) {
  std::deque<std::string> pieces;
  std::optional<api::RunLogEntry> newest_head;
  std::size_t lost = 0;
  for (bool more = true; more || !pieces.empty();) {
    if (more && pieces.size() < 2) {
      auto entry = co_await next();
      if (!entry) co_return fail(entry.error());
      if (*entry) {
        for (const api::LoggedBatch& batch : (*entry)->batches)
          had.push_back({batch.node, batch.instance, batch.number, {}});
        if ((*entry)->head) {
          newest_head.emplace();
          newest_head->at = (*entry)->at;
          newest_head->head = (*entry)->head;
          newest_head->ending = (*entry)->ending;
        }
        Fitted fitted = fit(std::move(**entry));
        lost += fitted.left_out;
        for (std::string& data : fitted.data) pieces.push_back(std::move(data));
        continue;
      }
      more = false;
      if (lost > 0 && newest_head) {
        newest_head->head->gaps.push_back(
            {.from = newest_head->at,
             .to = newest_head->at,
             .reason = std::to_string(lost) +
                       " batches of measurements were larger than the journal takes"});
        pieces.push_back(pack(*newest_head));
      }
      continue;
    }
    const bool last = !more && pieces.size() == 1;
    const std::uint64_t number = written.size() + 1;
    RunLogObject part{.run = run,
                      .number = number,
                      .parts = last ? number : number + 1,
                      .generation = generation,
                      .writer = options.writer,
                      .data = pieces.front()};
    const Put so = co_await put(part);
    if (closed) co_return fail(Errc::kUnavailable, "the controller is ending");
    if (so == Put::kDone) {
      written.push_back(part.name());
      pieces.pop_front();
    } else if (so == Put::kOther) {
      // Generations are counted on from what is there: whoever wrote this one leads as we do.
      const std::string who = "another controller has put together the run " + run;
      displaced(who);
      co_return fail(Errc::kConflict, who);
    } else if (so == Put::kNotYet) {
      written.push_back(part.name());  // perhaps
      co_return fail(Errc::kUnavailable, last_error);
    } else {
      pieces.pop_front();
      auto entry = unpack(part.data);
      if (!entry || part.data.size() <= kSmallest)
        co_return fail(Errc::kInvalid, "a part of the run " + run + " is refused for good");
      Fitted smaller = fit(std::move(*entry), part.data.size() / 2);
      lost += smaller.left_out;
      left_out += smaller.left_out;
      pieces.insert(pieces.begin(), std::make_move_iterator(smaller.data.begin()),
                    std::make_move_iterator(smaller.data.end()));
    }
  }
  co_return Result<>{};
}

awaitable<Result<>> RunLogStore::finish(std::string run, Next next) {
  const auto self = impl_;
  if (!self->knows_finished)
    co_return fail(Errc::kUnavailable, "what an earlier controller put together is not known yet");
  if (const auto log = self->logs.find(run); log != self->logs.end()) log->second.finishing = true;
  // What is under way would come into being behind our back.
  for (auto log = self->logs.find(run);
       log != self->logs.end() && log->second.writing && !self->closed; log = self->logs.find(run))
    co_await self->done.wait(self->clock.steady() + Impl::kTryAgain);
  if (self->closed) co_return fail(Errc::kUnavailable, "the controller is ending");
  std::uint64_t generation = 1;
  std::vector<std::string> old;
  if (const auto known = self->finished.find(run); known != self->finished.end()) {
    generation = known->second.first + 1;
    old = known->second.second;
  }
  std::vector<std::string> written;
  std::vector<api::LoggedBatch> had;
  auto put_together = co_await self->write_parts(run, generation, std::move(next), written, had);
  if (!put_together) {
    // The next try has a number of its own.
    auto& known = self->finished[run];
    known.first = generation;
    known.second.insert(known.second.end(), written.begin(), written.end());
    if (const auto log = self->logs.find(run); log != self->logs.end())
      log->second.finishing = false;
    self->wake(run);
    co_return put_together;
  }
  self->finished[run] = {generation, written};
  if (const auto log = self->logs.find(run); log != self->logs.end()) {
    // Fences stay: see RunLogObject::fence.
    old.insert(old.end(), log->second.names.begin(), log->second.names.end());
    self->waiting_bytes -= std::min(self->waiting_bytes, log->second.bytes);
    self->logs.erase(log);
  }
  for (const api::LoggedBatch& batch : had) self->settled(batch);
  self->done.notify();
  co_return co_await self->remove_all(std::move(old));
}

awaitable<Result<>> RunLogStore::remove(std::string run) {
  const auto self = impl_;
  std::vector<std::string> names;
  if (const auto known = self->finished.find(run); known != self->finished.end()) {
    names = std::move(known->second.second);
    self->finished.erase(known);
  }
  // Last, when nothing is left that a late write could add to.
  if (const auto known = self->fences.find(run); known != self->fences.end()) {
    names.insert(names.end(), known->second.begin(), known->second.end());
    self->fences.erase(known);
  }
  co_return co_await self->remove_all(std::move(names));
}

}  // namespace faultline::controller
