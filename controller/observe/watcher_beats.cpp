// SPDX-License-Identifier: Apache-2.0
// What a Watcher asks during the run, again and again.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controller/observe/watcher_impl.h"

namespace faultline::controller::observe {
namespace {

namespace asio = boost::asio;
using asio::awaitable;

constexpr std::size_t kMostSignals = 50'000;
constexpr std::chrono::hours kForever{24 * 365};

// An awaitable in a coroutine of its own: what the function holds lives until it has ended.
awaitable<void> call(Watcher::Impl::Beat beat) { co_await beat(); }

awaitable<void> wait_for(SteadyTime at) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_at(at);
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace

awaitable<void> together(std::vector<Watcher::Impl::Beat> all, bool first) {
  if (all.empty()) co_return;
  const auto executor = co_await asio::this_coro::executor;
  using Operation = decltype(asio::co_spawn(executor, call(all.front()), asio::deferred));
  std::vector<Operation> operations;
  for (Watcher::Impl::Beat& one : all)
    operations.push_back(asio::co_spawn(executor, call(std::move(one)), asio::deferred));
  auto group = asio::experimental::make_parallel_group(std::move(operations));
  std::vector<std::exception_ptr> errors;
  if (first) {
    auto [order, thrown] =
        co_await group.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
    // What the others throw is that they were cancelled.
    errors.push_back(thrown[order.front()]);
  } else {
    auto [order, thrown] =
        co_await group.async_wait(asio::experimental::wait_for_one_error(), asio::use_awaitable);
    for (const std::size_t i : order) errors.push_back(thrown[i]);
  }
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

awaitable<void> together_until(std::vector<Watcher::Impl::Beat> all, SteadyTime until) {
  std::vector<Watcher::Impl::Beat> either;
  either.emplace_back([all = std::move(all)] { return together(all, false); });
  either.emplace_back([until] { return wait_for(until); });
  co_await together(std::move(either), true);
}

std::vector<Watcher::Impl::Beat> Watcher::Impl::abort_looks() {
  std::vector<Beat> all;
  for (const auto& query : abort_queries)
    all.emplace_back([this, of = query.get()] { return poll_abort(*of); });
  return all;
}

std::vector<Watcher::Impl::Beat> Watcher::Impl::looks() {
  std::vector<Beat> all;
  const auto add = [&](auto& side) {
    all.emplace_back([this, &side]() -> awaitable<void> {
      side.looking = clock.steady();
      co_await poll(side);
      side.looking.reset();
    });
  };
  for (const auto& side : prometheus) add(*side);
  for (const auto& side : alertmanager) add(*side);
  return all;
}

awaitable<void> Watcher::Impl::again(Beat look) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    const SteadyTime next = clock.steady() + kBeat;
    co_await look();
    timer.expires_at(next);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

awaitable<void> Watcher::poll() {
  std::vector<Impl::Beat> all = impl_->abort_looks();
  for (Impl::Beat& look : impl_->looks()) all.push_back(std::move(look));
  return together(std::move(all), false);
}

awaitable<void> Watcher::follow(std::function<awaitable<void>()> until,
                                std::function<awaitable<void>()> first) {
  Impl& impl = *impl_;
  const auto again = [&impl](std::vector<Impl::Beat> looks) {
    std::vector<Impl::Beat> out;
    for (Impl::Beat& look : looks)
      out.emplace_back([&impl, look = std::move(look)] { return impl.again(look); });
    return out;
  };
  std::vector<Impl::Beat> all = again(impl.abort_looks());
  all.push_back(std::move(until));
  all.emplace_back([again, &impl, first = std::move(first)]() -> awaitable<void> {
    if (first) co_await first();
    std::vector<Impl::Beat> looks = again(impl.looks());
    co_await together(std::move(looks), false);
    co_await wait_for(impl.clock.steady() + kForever);  // no source ends nothing
  });
  co_await together(std::move(all), true);
}

void Watcher::Impl::keep_signal(const api::SignalSample& sample) {
  if (record.signals.size() < kMostSignals && rooms.signals.take(bytes_of(sample))) {
    record.signals.push_back(sample);
    return;
  }
  grow_gap("signals of " + prometheus.front()->client.options().name, "room", sample.at.value,
           sample.at.value,
           "more answers to queries than a run keeps: " + std::to_string(record.signals.size()));
}

// Whether the source is there is the business of poll(): one query that is slow is no source that
// is away.
awaitable<void> Watcher::Impl::poll_abort(AbortQuery& query) {
  const SteadyTime asked = clock.steady();
  const UtcTime now = clock.utc();
  std::string promql = experiment.spec.abortWhen[static_cast<std::size_t>(query.index)].promql;
  const auto answer = co_await query.client.number_in_part(
      std::move(promql), to_theirs(now, prometheus.front()->offset));
  const std::string& name = query.client.options().name;
  const bool whole = answer && answer->missing.empty();
  api::SignalSample sample{.index = query.index, .abortWhen = true, .at = {now}};
  if (whole) sample.value = answer->value;
  if (!answer) tell({answer.error().message});
  if (answer && !whole) grow_gap("signals of " + name, "partial", now, now, answer->missing);
  keep_signal(sample);
  if (!answer || !answer->value) co_return;
  AbortAnswer newest{query.index, *answer->value, asked, {}};
  const auto known = std::ranges::find(abort_answers, query.index, &AbortAnswer::index);
  if (whole)
    newest.arrived = clock.steady();
  else if (known != abort_answers.end())
    newest.arrived = known->arrived;
  if (known != abort_answers.end())
    *known = newest;
  else
    abort_answers.push_back(newest);
}

awaitable<void> Watcher::Impl::poll(PrometheusSide& side) {
  const auto& signals = experiment.spec.expect.signals;
  const bool queries = &side == prometheus.front().get() && !signals.empty();
  std::string missing;
  for (std::size_t i = 0; queries && i < signals.size(); ++i) {
    const UtcTime now = clock.utc();
    std::string promql = signals[i].promql;
    const auto answer =
        co_await side.client.number_in_part(std::move(promql), to_theirs(now, side.offset));
    api::SignalSample sample{.index = static_cast<std::int64_t>(i), .at = {now}};
    // What a part of the stores has is no value of the whole.
    if (answer && answer->missing.empty()) sample.value = answer->value;
    keep_signal(sample);
    if (answer && missing.empty()) missing = answer->missing;
    if (answer) continue;
    tell({answer.error().message});
    // A question that is refused, or whose answer is no value of now, is no source that is away.
    if (answer.error().code == Errc::kInvalid) continue;
    missed(side, answer.error());
    co_return;
  }
  if (!queries) {
    // Whether it evaluates its rules is not seen otherwise: what it missed leaves no trace.
    const Result<Offset> there = co_await side.client.clock_offset();
    if (!there) {
      missed(side, there.error());
      co_return;
    }
  }
  reached(side, missing);
}

}  // namespace faultline::controller::observe
