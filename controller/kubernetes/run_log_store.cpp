// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/run_log_store.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <deque>
#include <map>
#include <set>

#include "api/codec.h"
#include "controller/kubernetes/run_log_object.h"
#include "controller/kubernetes/status.h"
#include "controller/routes/signal.h"
#include "kube/client.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;
using Instance = std::pair<std::string, std::string>;  // node, instance

constexpr milliseconds kTryAgain{500};
constexpr std::size_t kMostBytes = 1 << 20;  // of JSON in an entry: etcd takes 1.5 MiB an object
constexpr int kTakeOvers = 5;

// After a request that hangs there is time for another one within a lease.
kube::ClientSettings quick() {
  kube::ClientSettings settings;
  settings.connect_timeout = milliseconds(2000);
  settings.request_timeout = milliseconds(4000);
  settings.tries = 1;
  return settings;
}

}  // namespace

struct RunLogStore::Impl : std::enable_shared_from_this<RunLogStore::Impl> {
  struct Log {
    std::uint64_t next = 1;          // number of the entry to come
    std::vector<std::string> names;  // of the objects that are there
    std::optional<api::RunRecord> head;
    std::optional<api::RunState> ending;
    std::uint64_t asked = 0, written = 0;  // versions of the head
    std::deque<api::LoggedBatch> batches;
    SteadyTime due;
    bool over = false;       // its last head is told: what comes now goes into finish()
    bool finishing = false;  // nothing is written any more
    bool writing = false;
    [[nodiscard]] bool waits() const { return head || !batches.empty(); }
  };

  Impl(boost::asio::any_io_executor ex, kube::Config config, const Clock& time, RunLogOptions given)
      : executor(ex),
        client(ex, std::move(config), quick()),
        clock(time),
        options(std::move(given)),
        work(ex),
        done(ex) {}

  [[nodiscard]] kube::ResourceRef all() const { return run_logs().in(options.ns); }

  // ---- one object

  enum class Put { kDone, kOther, kNotYet };
  // kOther: another process has written this entry.
  awaitable<Put> put(RunLogObject entry) {
    const auto made = co_await client.create(all(), entry.object(options.ns));
    if (made) {
      last_error.clear();
      co_return Put::kDone;
    }
    if (made.error().reason == kube::Reason::kAlreadyExists) {
      // Perhaps it is ours, and the answer was lost.
      const auto there = co_await client.get(all().named(entry.name()));
      if (!there) last_error = there.error().message;
      if (!there) co_return Put::kNotYet;
      const auto read = RunLogObject::of(*there);
      last_error.clear();
      co_return read && read->writer == entry.writer && read->data == entry.data ? Put::kDone
                                                                                 : Put::kOther;
    }
    if (last_error != made.error().message) spdlog::warn("{}", made.error().message);
    last_error = made.error().message;
    co_return Put::kNotYet;
  }

  awaitable<Result<>> remove_all(std::vector<std::string> names) {
    Result<> out;
    for (const std::string& name : names) {
      kube::RemoveOptions how;
      const auto removed = co_await client.remove(all().named(name), std::move(how));
      if (!removed && removed.error().reason != kube::Reason::kNotFound)
        out = fail(removed.error());
    }
    co_return out;
  }

  void displaced(const std::string& by) {
    if (std::exchange(displaced_told, true)) return;
    spdlog::error("{}", by);
    closed = true;
    work.notify();
    done.notify();
    if (options.displaced) options.displaced(by);
  }

  // ---- writing in order

  awaitable<void> loop() {
    while (!closed) {
      SteadyTime next = SteadyTime::max();
      std::string chosen;
      for (const auto& [run, log] : logs) {
        if (!log.waits() || log.finishing || log.due >= next) continue;
        next = log.due;
        chosen = run;
      }
      if (chosen.empty() || next > clock.steady()) {
        co_await work.wait(std::min(next, clock.steady() + std::chrono::minutes(1)));
        continue;
      }
      co_await write_one(std::move(chosen));
    }
  }

  awaitable<void> write_one(std::string run) {
    api::RunLogEntry entry;
    std::uint64_t version = 0;
    RunLogObject object{.run = run, .writer = options.writer};
    {
      Log& log = logs.at(run);
      log.writing = true;
      log.due = clock.steady() + options.every;
      entry.at = {clock.utc()};
      entry.head = std::exchange(log.head, std::nullopt);
      entry.ending = log.ending;
      version = log.asked;
      std::size_t bytes = 0;
      while (!log.batches.empty() && bytes < kMostBytes) {
        bytes += api::to_json_text(log.batches.front().batch).size();
        entry.batches.push_back(std::move(log.batches.front()));
        log.batches.pop_front();
      }
      object.number = log.next;
    }
    object.data = pack(entry);
    for (Put put_so = Put::kNotYet; put_so != Put::kDone;) {
      put_so = co_await put(object);
      if (closed) co_return;
      if (put_so == Put::kOther)
        co_return displaced("another controller has written entry " +
                            std::to_string(object.number) + " of the run " + run);
      if (put_so == Put::kNotYet) {
        done.notify();  // whoever waits looks at the clock
        // Not `work`, which every sync of an agent notifies.
        co_await done.wait(clock.steady() + kTryAgain);
        if (closed) co_return;
      }
    }
    if (const auto log = logs.find(run); log != logs.end()) {
      log->second.writing = false;
      log->second.next = object.number + 1;
      log->second.names.push_back(object.name());
      if (entry.head) log->second.written = std::max(log->second.written, version);
    }
    for (const api::LoggedBatch& batch : entry.batches) settled(batch);
    done.notify();
  }

  void settled(const api::LoggedBatch& batch) {
    const auto waiting = pending.find({batch.node, batch.instance});
    if (waiting == pending.end()) return;
    waiting->second.erase(batch.number);
    if (waiting->second.empty()) pending.erase(waiting);
  }

  // ---- reading

  struct Listed {
    std::map<std::string, std::map<std::uint64_t, RunLogObject>> runs;  // by run, by number
    std::vector<std::string> foreign;                                   // unreadable
  };
  awaitable<Result<Listed>> list(const char* kind) {
    kube::ListOptions how;
    how.selection.labels = std::string(kLogLabel) + "=" + kind;
    how.limit = 100;
    auto listed = co_await client.list(all(), std::move(how));
    if (!listed) {
      last_error = listed.error().message;
      co_return fail(listed.error());
    }
    last_error.clear();
    Listed out;
    for (const auto& item : listed->items) {
      auto object = RunLogObject::of(item);
      if (!object) {
        out.foreign.push_back(object.error().message);
        continue;
      }
      // Finished runs: generations apart, and apart from each other.
      const std::uint64_t key = object->generation << 32 | object->number;
      out.runs[object->run][key] = std::move(*object);
    }
    for (const std::string& words : out.foreign) spdlog::warn("{}", words);
    co_return out;
  }

  // False: somebody wrote in between.
  awaitable<Result<bool>> fence(const std::string& run, std::uint64_t number) {
    api::RunLogEntry entry;
    entry.at = {clock.utc()};
    RunLogObject object{.run = run, .number = number, .writer = options.writer};
    object.data = pack(entry);
    const Put so = co_await put(object);
    if (so == Put::kNotYet) co_return fail(Errc::kUnavailable, last_error);
    if (so == Put::kDone) logs[run].names.push_back(object.name());
    co_return so == Put::kDone;
  }

  boost::asio::any_io_executor executor;
  kube::Client client;
  const Clock& clock;
  RunLogOptions options;
  Signal work, done;
  std::map<std::string, Log> logs;  // of runs that are not finished
  std::map<std::string, std::pair<std::uint64_t, std::vector<std::string>>>
      finished;  // by run: generation and names
  std::map<Instance, std::set<std::uint64_t>> pending;
  std::string last_error;
  bool closed = false, displaced_told = false, looping = false;
};

RunLogStore::RunLogStore(boost::asio::any_io_executor executor, kube::Config config,
                         const Clock& clock, RunLogOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(config), clock,
                                   std::move(options))) {}
RunLogStore::~RunLogStore() { close(); }

awaitable<Result<std::vector<api::RunLogEntry>>> RunLogStore::take_over() {
  const auto self = impl_;
  using Entries = std::vector<api::RunLogEntry>;
  for (int i = 0; i < kTakeOvers; ++i) {
    self->logs.clear();
    auto listed = co_await self->list(kLogOpen);
    if (!listed) co_return fail(std::move(listed.error()));
    Entries all;
    bool alone = true;
    for (const auto& [run, objects] : listed->runs) {
      Entries entries = entries_of(run, objects);
      if (entries.empty()) continue;
      Impl::Log& log = self->logs[run];
      for (const auto& [key, object] : objects) {
        log.next = object.number + 1;
        log.names.push_back(object.name());
      }
      const std::uint64_t next = log.next++;
      const auto mine = co_await self->fence(run, next);
      if (!mine) co_return fail(mine.error());
      alone = alone && *mine;
      std::ranges::move(entries, std::back_inserter(all));
    }
    if (!alone) continue;
    if (!std::exchange(self->looping, true))
      boost::asio::co_spawn(self->executor, self->loop(), [self](const std::exception_ptr& failed) {
        if (failed && !self->closed) std::rethrow_exception(failed);
      });
    co_return all;
  }
  co_return fail(Errc::kUnavailable, "another controller still writes the logs of runs");
}

awaitable<Result<>> RunLogStore::finished(std::function<void(api::RunLogEntry)> give) {
  const auto self = impl_;
  auto listed = co_await self->list(kLogFinished);
  if (!listed) co_return fail(std::move(listed.error()));
  for (const auto& [run, objects] : listed->runs) {
    // The newest generation that is whole; older ones are left-overs, newer ones were not ended.
    std::map<std::uint64_t, std::map<std::uint64_t, RunLogObject>> generations;
    std::vector<std::string> names;
    for (const auto& [key, object] : objects) {
      generations[object.generation][object.number] = object;
      names.push_back(object.name());
    }
    self->finished[run] = {generations.rbegin()->first, names};
    for (auto one = generations.rbegin(); one != generations.rend(); ++one) {
      if (one->second.size() != one->second.begin()->second.parts) continue;
      for (api::RunLogEntry& entry : entries_of(run, one->second)) give(std::move(entry));
      break;
    }
  }
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
  const auto so = co_await self->put(object);
  if (self->closed) co_return fail(Errc::kUnavailable, "the controller is ending");
  if (so == Impl::Put::kOther) co_return fail(Errc::kConflict, "the run " + run + " exists");
  // It may be there all the same: a run without an agent that knows of it, which the next
  // controller ends.
  if (so == Impl::Put::kNotYet) co_return fail(Errc::kUnavailable, self->last_error);
  Impl::Log& log = self->logs[run];
  log.next = 2;
  log.names.push_back(object.name());
  co_return Result<>{};
}

awaitable<bool> RunLogStore::update(api::RunRecord head, std::optional<api::RunState> ending) {
  const auto self = impl_;
  const std::string run = head.run;
  const auto known = self->logs.find(run);
  if (known == self->logs.end()) co_return true;  // finished meanwhile
  const std::uint64_t version = ++known->second.asked;
  known->second.over = is_final(head.state);
  known->second.head = std::move(head);
  known->second.ending = ending;
  self->work.notify();
  while (!self->closed) {
    const auto log = self->logs.find(run);
    if (log == self->logs.end() || log->second.written >= version) co_return true;
    co_await self->done.wait(self->clock.steady() + std::chrono::minutes(1));
  }
  co_return false;
}

void RunLogStore::append(const std::string& node, const std::string& instance,
                         const std::vector<api::NumberedBatch>& batches, UtcTime) {
  for (const auto& [number, batch] : batches) {
    impl_->pending[{node, instance}].insert(number);
    // Of a run that is over: it waits until the run is finished anew.
    if (const auto log = impl_->logs.find(batch.run); log != impl_->logs.end() && !log->second.over)
      log->second.batches.push_back({node, instance, number, batch});
  }
  impl_->work.notify();
}

awaitable<std::uint64_t> RunLogStore::acked(std::string node, std::string instance,
                                            std::uint64_t highest, SteadyTime until) {
  const auto self = impl_;
  while (true) {
    const auto waiting = self->pending.find({node, instance});
    if (waiting == self->pending.end()) co_return highest;
    const std::uint64_t written = std::min(highest, *waiting->second.begin() - 1);
    if (self->closed || self->clock.steady() >= until) co_return written;
    co_await self->done.wait(until);
  }
}

awaitable<Result<>> RunLogStore::finish(std::string run, std::vector<api::RunLogEntry> entries) {
  const auto self = impl_;
  if (const auto log = self->logs.find(run); log != self->logs.end()) log->second.finishing = true;
  // What is under way would come into being behind our back.
  for (auto log = self->logs.find(run);
       log != self->logs.end() && log->second.writing && !self->closed; log = self->logs.find(run))
    co_await self->done.wait(self->clock.steady() + kTryAgain);
  if (self->closed) co_return fail(Errc::kUnavailable, "the controller is ending");
  auto& [last, names] = self->finished[run];
  const std::uint64_t generation = names.empty() ? 1 : last + 1;
  const std::vector<std::string> before = names;
  std::vector<std::string> written;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    RunLogObject part{.run = run,
                      .number = i + 1,
                      .parts = entries.size(),
                      .generation = generation,
                      .writer = self->options.writer,
                      .data = pack(entries[i])};
    const auto so = co_await self->put(part);
    if (so != Impl::Put::kDone) {
      // The next try has a number of its own.
      auto& known = self->finished[run];
      known.first = generation;
      known.second.insert(known.second.end(), written.begin(), written.end());
      known.second.push_back(part.name());
      if (const auto log = self->logs.find(run); log != self->logs.end())
        log->second.finishing = false;
      co_return fail(Errc::kUnavailable, so == Impl::Put::kOther
                                             ? "the run " + run + " was finished by another one"
                                             : self->last_error);
    }
    written.push_back(part.name());
  }
  self->finished[run] = {generation, written};
  std::vector<std::string> old = before;
  if (const auto log = self->logs.find(run); log != self->logs.end()) {
    old.insert(old.end(), log->second.names.begin(), log->second.names.end());
    self->logs.erase(log);
  }
  for (const api::RunLogEntry& entry : entries)
    for (const api::LoggedBatch& batch : entry.batches) self->settled(batch);
  self->done.notify();
  co_return co_await self->remove_all(std::move(old));
}

awaitable<Result<>> RunLogStore::remove(std::string run) {
  const auto self = impl_;
  const auto known = self->finished.find(run);
  if (known == self->finished.end()) co_return Result<>{};
  std::vector<std::string> names = known->second.second;
  self->finished.erase(known);
  co_return co_await self->remove_all(std::move(names));
}

const std::string& RunLogStore::error() const { return impl_->last_error; }

void RunLogStore::close() {
  impl_->closed = true;
  impl_->work.notify();
  impl_->done.notify();
}

}  // namespace faultline::controller
