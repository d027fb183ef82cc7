// SPDX-License-Identifier: Apache-2.0
// Writing entries in order.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>

#include "api/codec.h"
#include "controller/kubernetes/journal_requests.h"
#include "controller/kubernetes/run_log_impl.h"
#include "controller/kubernetes/status.h"

namespace faultline::controller {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kMostBytes = 1 << 20;  // of JSON in an entry
constexpr std::size_t kSmallest = 32 << 10;  // of data: what is refused below is not too large

}  // namespace

RunLogStore::Impl::Impl(boost::asio::any_io_executor ex, kube::Config config, const Clock& time,
                        RunLogOptions given)
    : executor(ex),
      client(ex, std::move(config), journal_settings()),
      clock(time),
      options(std::move(given)),
      done(ex),
      ends(ex) {}

awaitable<RunLogStore::Impl::Put> RunLogStore::Impl::put(RunLogObject entry) {
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
  if (is_refused_for_good(made.error())) {
    spdlog::error("run {}: {}", entry.run, made.error().message);
    co_return Put::kRefused;
  }
  if (last_error != made.error().message) spdlog::warn("{}", made.error().message);
  last_error = made.error().message;
  co_return Put::kNotYet;
}

void RunLogStore::Impl::displaced(const std::string& by) {
  if (std::exchange(displaced_told, true)) return;
  spdlog::error("{}", by);
  closed = true;
  ends.notify();
  done.notify();
  if (options.displaced) options.displaced(by);
}

void RunLogStore::Impl::wake(const std::string& run) {
  const auto log = logs.find(run);
  if (log == logs.end() || closed || !leads || log->second.writing || log->second.finishing ||
      !log->second.waits())
    return;
  log->second.writing = true;
  boost::asio::co_spawn(executor, drain(run),
                        [self = shared_from_this()](const std::exception_ptr& failed) {
                          if (failed && !self->closed) std::rethrow_exception(failed);
                        });
}

awaitable<void> RunLogStore::Impl::drain(std::string run) {
  while (!closed) {
    const auto log = logs.find(run);
    if (log == logs.end() || log->second.finishing || !log->second.waits()) break;
    if (log->second.due > clock.steady())
      co_await ends.wait(log->second.due);
    else
      co_await write_one(run);
  }
  if (const auto log = logs.find(run); log != logs.end()) log->second.writing = false;
  done.notify();
}

// `how_much` batches or heads of the run will never be in the journal.
void RunLogStore::Impl::leave_out(Log& log, const std::string& run, std::size_t how_much,
                                  const std::string& why) {
  if (how_much == 0) return;
  left_out += how_much;
  log.left_out += how_much;
  const api::Timestamp now{clock.utc()};
  if (!log.gap) {
    spdlog::error("run {}: the journal goes on without a part of it: {}", run, why);
    log.gap = api::Gap{.from = now};
  }
  log.gap->to = now;
  log.gap->reason = std::to_string(log.left_out) +
                    " batches of measurements are not in the journal, or not whole: " + why;
}

awaitable<void> RunLogStore::Impl::write_one(std::string run) {
  api::RunLogEntry entry;
  std::vector<api::LoggedBatch> keys;  // without what was measured
  std::uint64_t version = 0;
  std::size_t bytes = 0;
  bool has_head = false;
  std::deque<std::string> pieces;
  {
    Log& log = logs.at(run);
    log.due = clock.steady() + options.every;
    entry.at = {clock.utc()};
    entry.head = std::exchange(log.head, std::nullopt);
    has_head = entry.head.has_value();
    if (has_head && log.gap) entry.head->gaps.push_back(*log.gap);
    entry.ending = log.ending;
    version = log.asked;
    while (!log.batches.empty() && bytes < kMostBytes) {
      Waiting next = std::move(log.batches.front());
      log.batches.pop_front();
      bytes += next.bytes;
      keys.push_back({next.batch.node, next.batch.instance, next.batch.number, {}});
      entry.batches.push_back(std::move(next.batch));
    }
    Fitted fitted = fit(std::move(entry));
    leave_out(log, run, fitted.left_out, "larger than an entry may be");
    pieces.assign(std::make_move_iterator(fitted.data.begin()),
                  std::make_move_iterator(fitted.data.end()));
  }
  while (!pieces.empty()) {
    RunLogObject object{.run = run, .number = logs.at(run).next, .writer = options.writer};
    object.data = pieces.front();
    const Put so = co_await put(object);
    if (closed) co_return;
    Log& log = logs.at(run);
    switch (so) {
      case Put::kDone:
        log.next = object.number + 1;
        log.names.push_back(object.name());
        pieces.pop_front();
        break;
      case Put::kOther:
        co_return displaced("another controller has written entry " +
                            std::to_string(object.number) + " of the run " + run);
      case Put::kNotYet:
        done.notify();  // whoever waits looks at the clock
        co_await ends.wait(clock.steady() + kTryAgain);
        if (closed) co_return;
        break;
      case Put::kRefused: {
        pieces.pop_front();
        auto whole = unpack(object.data);
        if (!whole || object.data.size() <= kSmallest) {
          leave_out(log, run, 1, "refused by the API server");
          break;
        }
        Fitted smaller = fit(std::move(*whole), object.data.size() / 2);
        leave_out(log, run, smaller.left_out, "refused by the API server as too large");
        pieces.insert(pieces.begin(), std::make_move_iterator(smaller.data.begin()),
                      std::make_move_iterator(smaller.data.end()));
        break;
      }
    }
  }
  Log& log = logs.at(run);
  log.bytes -= std::min(log.bytes, bytes);
  waiting_bytes -= std::min(waiting_bytes, bytes);
  log.since = log.waits() ? std::optional(clock.steady()) : std::nullopt;
  if (has_head) log.written = std::max(log.written, version);
  for (const api::LoggedBatch& batch : keys) settled(batch);
  done.notify();
}

void RunLogStore::Impl::settled(const api::LoggedBatch& batch) {
  const auto waiting = pending.find({batch.node, batch.instance});
  if (waiting == pending.end()) return;
  waiting->second.erase(batch.number);
  if (waiting->second.empty()) pending.erase(waiting);
}

awaitable<bool> RunLogStore::update(api::RunRecord head, std::optional<api::RunState> ending) {
  const auto self = impl_;
  const std::string run = head.run;
  const auto known = self->logs.find(run);
  if (known == self->logs.end()) co_return true;  // finished meanwhile
  const std::uint64_t version = ++known->second.asked;
  known->second.over = controller::is_final(head.state);
  known->second.head = std::move(head);
  known->second.ending = ending;
  if (!known->second.since) known->second.since = self->clock.steady();
  self->wake(run);
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
    const auto log = impl_->logs.find(batch.run);
    if (log == impl_->logs.end() || log->second.over) continue;
    Impl::Waiting waiting{{node, instance, number, batch}, api::to_json_text(batch).size()};
    if (log->second.bytes + waiting.bytes > impl_->options.most_waiting_of_run ||
        impl_->waiting_bytes + waiting.bytes > impl_->options.most_waiting) {
      // It is in this controller's store, and comes into the journal when the run is put together.
      impl_->leave_out(log->second, batch.run, 1,
                       "too much waits to be written" +
                           (impl_->last_error.empty() ? "" : ": " + impl_->last_error));
      impl_->settled(waiting.batch);
      continue;
    }
    log->second.bytes += waiting.bytes;
    impl_->waiting_bytes += waiting.bytes;
    if (!log->second.since) log->second.since = impl_->clock.steady();
    log->second.batches.push_back(std::move(waiting));
    impl_->wake(batch.run);
  }
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

JournalState RunLogStore::state() const {
  JournalState state{.error = impl_->last_error,
                     .waiting_bytes = impl_->waiting_bytes,
                     .left_out = impl_->left_out};
  const SteadyTime now = impl_->clock.steady();
  for (const auto& [run, log] : impl_->logs)
    if (log.since && !log.finishing)
      state.waiting = std::max<std::chrono::nanoseconds>(state.waiting, now - *log.since);
  return state;
}

void RunLogStore::close() {
  impl_->closed = true;
  impl_->ends.notify();
  impl_->done.notify();
}

}  // namespace faultline::controller
