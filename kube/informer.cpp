// SPDX-License-Identifier: Apache-2.0
#include "kube/informer.h"

#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "kube/json.h"

namespace faultline::kube {
namespace asio = boost::asio;
namespace json = boost::json;
using asio::awaitable;
using std::chrono::milliseconds;
namespace {

// A watch that lasted at least this long, or brought something, was a good one: the next failure is
// a new one.
constexpr std::chrono::seconds kGoodWatch{5};
constexpr int kRefusals = 3;

}  // namespace

struct Informer::Impl : std::enable_shared_from_this<Informer::Impl> {
  Impl(asio::any_io_executor ex, Client& c, const Clock& cl, InformerOptions o, InformerHandlers h)
      : executor(std::move(ex)),
        client(c),
        clock(cl),
        options(std::move(o)),
        handlers(std::move(h)),
        random(std::random_device{}()),
        backoff(options.backoff, random()) {}

  // A handler may stop or destroy the informer: the later ones of the same answer are not called.
  void tell(const Change& change) {
    if (stopped) return;
    ++state.events;
    switch (change.type) {  // no default: a new type must be told too
      case Change::Type::kAdded:
        if (handlers.added) handlers.added(change.now);
        break;
      case Change::Type::kModified:
        if (handlers.modified) handlers.modified(change.before, change.now);
        break;
      case Change::Type::kDeleted:
        if (handlers.deleted) handlers.deleted(change.before);
        break;
    }
  }

  void in_touch() {
    if (state.out_of_touch_since && state.failures > 0 && !state.last_error.empty())
      spdlog::info("{}: in touch with the API server again", options.collection.words());
    state.out_of_touch_since.reset();
    state.last_error.clear();
  }
  void lost(const ApiError& error) {
    ++state.failures;
    if (state.last_error != error.message) spdlog::warn("{}", error.message);
    state.last_error = error.message;
    if (!state.out_of_touch_since) state.out_of_touch_since = last_touch;
  }

  awaitable<void> pause() {
    asio::steady_timer timer(executor, backoff.next());
    co_await timer.async_wait(asio::use_awaitable);
  }

  // The next list: the newest there is, or from the server's memory and then never older than what
  // we have seen.
  [[nodiscard]] std::string list_version() const {
    if (!options.from_cache || newest_only) return "";
    return version.empty() ? "0" : version;
  }

  awaitable<bool> list() {
    ListOptions how{options.selection, options.page, list_version(), options.trim};
    auto list = co_await client.list(options.collection, how);
    if (stopped) co_return false;
    if (!list) {
      // This server's memory does not reach back that far, or not yet (it was restarted, or it is
      // another one): etcd knows.
      newest_only = list.error().reason == Reason::kGone || list.error().version_too_large;
      lost(list.error());
      co_return false;
    }
    newest_only = false;
    refused_in_a_row = 0;
    last_touch = clock.steady();
    ++state.lists;
    version = list->resource_version;
    in_touch();
    cache.replace(std::move(list->items), [this](const Change& change) { tell(change); });
    if (!state.synced && !stopped) {
      state.synced = true;
      if (handlers.synced) handlers.synced();
    }
    co_return true;
  }

  bool on_event(WatchEvent event) {
    if (stopped) return false;
    last_touch = clock.steady();
    progress = true;
    const std::string next(meta(event.object, "resourceVersion"));
    if (event.type != WatchEvent::Type::kBookmark) {
      if (options.trim) options.trim(event.object);
      cache.apply(std::move(event), [this](const Change& change) { tell(change); });
    }
    if (!next.empty()) version = next;
    return !stopped;
  }

  // What to do after a watch: go on behind the last event, or list again.
  enum class Then { kResume, kList };
  awaitable<Then> watch() {
    std::uniform_int_distribution<std::int64_t> spread(0, options.watch_timeout.count());
    WatchOptions how{options.selection, version,
                     options.watch_timeout + std::chrono::seconds(spread(random)), options.idle};
    progress = opened = false;
    const SteadyTime began = clock.steady();
    const auto ended = co_await client.watch(
        options.collection, how,
        [this] {
          ++state.watches;
          opened = true;
          last_touch = clock.steady();
          in_touch();
        },
        [this](WatchEvent event) { return on_event(std::move(event)); });
    if (stopped) co_return Then::kResume;
    const bool good = progress || clock.steady() - began >= kGoodWatch;
    if (good) {
      backoff.reset();
      gone_in_a_row = 0;
    }
    if (ended) {
      if (!good) co_await pause();  // a server that hangs up at once is not asked in a circle
      co_return Then::kResume;
    }
    // Nothing happened for long and the server sent no bookmark either, which it need not: perhaps
    // it is gone, perhaps not. The next watch tells.
    if (opened && ended.error().status == 0 &&
        clock.steady() - last_touch >= options.idle - milliseconds(100))
      co_return Then::kResume;
    // History may be gone, or what the server said cannot be understood: only a list helps. It
    // shows what changed meanwhile.
    if (ended.error().reason == Reason::kGone) {
      spdlog::info("{}; listing again", ended.error().message);
      if (gone_in_a_row++ > 0) co_await pause();
      co_return Then::kList;
    }
    lost(ended.error());
    const bool answered = ended.error().status != 0;
    refused_in_a_row = answered && !opened ? refused_in_a_row + 1 : 0;
    co_await pause();
    // An error in mid-watch, or a server that does not take this version again and again.
    const bool again = (answered && opened) || refused_in_a_row >= kRefusals;
    co_return again ? Then::kList : Then::kResume;
  }

  asio::any_io_executor executor;
  Client& client;
  const Clock& clock;
  InformerOptions options;
  InformerHandlers handlers;
  std::mt19937_64 random;
  Backoff backoff;
  ObjectCache cache;
  InformerState state;
  asio::cancellation_signal cancel;
  std::string version;      // of the last list, event or bookmark
  SteadyTime last_touch{};  // when the server last said something
  bool started = false, stopped = false;
  bool newest_only = false;  // the next list is not from memory
  bool opened = false;       // the server accepted this watch
  bool progress = false;     // this watch brought something
  int gone_in_a_row = 0, refused_in_a_row = 0;
};

namespace {

awaitable<void> run(std::shared_ptr<Informer::Impl> self) {
  while (!self->stopped) {
    const bool newest_only = self->newest_only;
    if (!co_await self->list()) {
      if (self->stopped) break;
      // From the server's memory to etcd without a pause.
      if (newest_only || !self->newest_only) co_await self->pause();
      continue;
    }
    while (!self->stopped && co_await self->watch() == Informer::Impl::Then::kResume) {
    }
  }
}

}  // namespace

Informer::Informer(asio::any_io_executor executor, Client& client, const Clock& clock,
                   InformerOptions options, InformerHandlers handlers)
    : impl_(std::make_shared<Impl>(std::move(executor), client, clock, std::move(options),
                                   std::move(handlers))) {}

Informer::~Informer() { stop(); }

void Informer::start() {
  if (std::exchange(impl_->started, true)) return;
  impl_->last_touch = impl_->clock.steady();
  impl_->state.out_of_touch_since = impl_->last_touch;
  asio::co_spawn(impl_->executor, run(impl_),
                 asio::bind_cancellation_slot(impl_->cancel.slot(),
                                              [self = impl_](const std::exception_ptr&) {}));
}

void Informer::stop() {
  if (std::exchange(impl_->stopped, true)) return;
  impl_->cancel.emit(asio::cancellation_type::all);
}

const ObjectCache::Objects& Informer::objects() const { return impl_->cache.objects(); }
const json::object* Informer::find(const std::string& ns, const std::string& name) const {
  return impl_->cache.find({ns, name});
}
const InformerState& Informer::state() const { return impl_->state; }

}  // namespace faultline::kube
