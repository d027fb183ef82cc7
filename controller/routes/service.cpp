// SPDX-License-Identifier: Apache-2.0
// Start, loops and end.
#include "controller/routes/service.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/describe/enum_to_string.hpp>
#include <random>

#include "api/codec.h"
#include "controller/routes/gamedays.h"
#include "http/token.h"

namespace faultline::controller {
namespace {

constexpr std::chrono::milliseconds kIdleTick{250};
constexpr std::chrono::seconds kStoreRetry{1};
constexpr std::chrono::minutes kPruneEvery{5};
constexpr std::size_t kLoggedEvents = 256;

std::string state_word(api::RunState state) { return boost::describe::enum_to_string(state, "?"); }

std::uint64_t microseconds(UtcTime t) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(t.time_since_epoch()).count());
}

EngineOptions engine_options(const ServiceOptions& options, const Clock& clock) {
  return {.times = options.times, .first_revision = microseconds(clock.utc()), .random = [] {
            std::random_device device;
            return (std::uint64_t{device()} << 32) | device();
          }};
}

}  // namespace

Service::Service(boost::asio::any_io_executor executor, const Clock& clock, ServiceOptions options)
    : executor_(std::move(executor)),
      clock_(clock),
      options_(std::move(options)),
      engine_(engine_options(options_, clock)),
      monitoring_(executor_, clock_, &answer_worker_),
      announcer_(executor_, clock_, *this),
      finish_signal_(executor_),
      tick_signal_(executor_),
      store_signal_(executor_),
      event_signal_(executor_),
      last_event_(microseconds(clock.utc())),
      gamedays_(std::make_unique<GameDays>(*this)) {}

Service::~Service() = default;

Result<std::shared_ptr<Service>> Service::open(boost::asio::any_io_executor executor,
                                               const Clock& clock, ServiceOptions options) {
  const StoreReserve reserve(options.store_path);
  const auto held = reserve.hold();
  auto service = open_once(executor, clock, options);
  const bool released = !service && service.error().code == Errc::kUnavailable && reserve.release();
  if (released) {
    spdlog::error("{}; tried again with the room that was kept for it", service.error().message);
    service = open_once(std::move(executor), clock, std::move(options));
  }
  if (!service) return service;
  if (auto room = released ? reserve.hold() : held; !room) {
    (*service)->lacks_reserve_ = true;
    (*service)->store_failed(room.error());
  }
  return service;
}

Result<std::shared_ptr<Service>> Service::open_once(boost::asio::any_io_executor executor,
                                                    const Clock& clock, ServiceOptions options) {
  std::shared_ptr<Service> service(new Service(std::move(executor), clock, std::move(options)));
  const ServiceOptions& o = service->options_;
  auto store = Store::open(
      {.path = o.store_path, .max_pages = o.max_store_pages, .max_run_bytes = o.max_run_bytes});
  if (!store) return fail(std::move(store.error()));
  auto reader = Store::open({.path = o.store_path, .read_only = true});
  if (!reader) return fail(std::move(reader.error()));
  service->store_ = std::move(*store);
  service->reader_ = std::move(*reader);
  if (o.journaled) return service;
  auto taken = service->take_over_stored("the controller was restarted");
  if (taken) taken = service->gamedays_->take_over();
  if (!taken) return fail(std::move(taken.error()));
  service->taken_over_ = true;
  return service;
}

void Service::start() {
  const auto spawn = [this](awaitable<void> loop) {
    boost::asio::co_spawn(executor_, std::move(loop),
                          [self = shared_from_this()](const std::exception_ptr& error) {
                            if (!error) return;
                            // A controller whose runs stand still would let faults go on until the
                            // lease of a node ends: better to end at once.
                            spdlog::critical("an internal loop failed");
                            std::rethrow_exception(error);
                          });
  };
  spawn(tick_loop());
  spawn(store_loop());
  spawn(tell_detections());
  watch_again();
  if (journal_) spawn(finish_loop());
  announcer_.start(shared_from_this());
  // With a journal they begin when this controller has taken over.
  if (!journal_) gamedays_->start();
}

boost::asio::awaitable<void> Service::tick_loop() {
  while (!closed_) {
    engine_.tick(now());
    check_queries();
    publish();
    const SteadyTime t = clock_.steady();
    const SteadyTime next = std::clamp<SteadyTime>(engine_.next_deadline() - machine_slept(),
                                                   t + std::chrono::milliseconds(1), t + kIdleTick);
    co_await tick_signal_.wait(next);
  }
}

// ---- the store

boost::asio::awaitable<void> Service::store_loop() {
  SteadyTime prune_at = clock_.steady();
  while (!closed_) {
    bool works = true;
    for (const std::string& run : engine_.unsaved())
      if (works && !closed_) works = co_await store_run(run);
    if (closed_) break;
    if (works && !store_error_.empty()) {
      auto check = [this, at = clock_.utc()]() -> Result<> {
        if (auto written = store_->check(at); !written) return written;
        return reserve_.hold();
      };
      const auto checked = co_await store_worker_.run(std::move(check));
      works = checked.has_value();
      if (works) {
        lacks_reserve_ = false;
        store_works();
      }
    }
    if (works && !closed_ && clock_.steady() >= prune_at) {
      prune_at = clock_.steady() + kPruneEvery;
      co_await prune();
    }
    if (closed_) break;
    if (!works)
      co_await store_signal_.wait(clock_.steady() + kStoreRetry);
    else if (engine_.unsaved().empty())
      co_await store_signal_.wait(clock_.steady() + kPruneEvery);
  }
}

boost::asio::awaitable<bool> Service::store_run(const std::string& run) {
  const Run* found = in_memory(run);
  if (found == nullptr) co_return true;
  const std::uint64_t version = found->head_version();
  const bool over = found->over();
  const api::RunState state = found->head().state;
  api::RunRecord head = found->head();
  const auto ending = found->ending();
  auto update = [this, head, ending] { return store_->update(head, ending); };
  const auto stored = co_await store_worker_.run(std::move(update));
  if (!stored) {
    store_failed(stored.error());
    co_return false;
  }
  store_works();
  if (journal_) {
    const bool written = co_await journal_->update(std::move(head), ending);
    if (!written) co_return false;
    if (over) {
      to_finish_.insert(run);
      finish_signal_.notify();
    }
  }
  engine_.saved(run, version);
  if (over) metrics_.run_ended(state);
  if (over && engine_.find(run) == nullptr) {
    audited_.erase(run);
    causes_.erase(run);
  }
  co_return true;
}

boost::asio::awaitable<void> Service::prune() {
  for (bool more = true; more && !closed_;) {
    auto delete_old = [this, at = clock_.utc()] { return store_->prune(options_.retention, at); };
    const auto pruned = co_await store_worker_.run(std::move(delete_old));
    if (!pruned) {
      store_failed(pruned.error());
      co_return;
    }
    more = !pruned->empty();
    if (more) spdlog::info("deleted {} runs beyond the retention", pruned->size());
    for (const std::string& run : *pruned) {
      gamedays_->run_deleted(run);
      if (!journal_) continue;
      const auto removed = co_await journal_->remove(run);
      if (!removed) spdlog::warn("run {}: {}", run, removed.error().message);
    }
  }
}

void Service::store_failed(const Error& error) {
  metrics_.store_error();
  if (store_error_ != error.message) spdlog::error("{}; all runs are ended", error.message);
  store_error_ = error.message;
  note_cause_of_all("store");
  engine_.fail_all("the controller cannot store what is measured: " + error.message, now());
  publish();
}

void Service::store_works() {
  if (store_error_.empty() || lacks_reserve_) return;
  spdlog::info("the store works again");
  store_error_.clear();
}

// ---- what changed

Signal& Service::node_signal(const std::string& node) {
  std::unique_ptr<Signal>& signal = node_signals_[node];
  if (!signal) signal = std::make_unique<Signal>(executor_);
  return *signal;
}

void Service::services(std::vector<KnownService> services) {
  engine_.services(std::move(services), now());
  publish();
}

void Service::publish() {
  if (options_.audit != nullptr && !options_.audit->works()) (void)options_.audit->flush();
  const Changes changes = engine_.take_changes();
  if (!changes.runs.empty()) ++run_changes_;
  for (const std::string& node : changes.nodes) node_signal(node).notify();
  for (const std::string& id : changes.runs) {
    const Run* run = engine_.find(id);
    if (run == nullptr) continue;
    audit_run(*run);
    const api::RunSummary summary = run->summary(now());
    const std::string words =
        state_word(summary.state) + (summary.stateReason.empty() ? "" : ": " + summary.stateReason);
    const auto before = std::find_if(events_.rbegin(), events_.rend(),
                                     [&](const LoggedEvent& e) { return e.run == id; });
    if (before == events_.rend() || before->words != words) spdlog::info("run {}: {}", id, words);
    events_.push_back({++last_event_, id, words, api::to_json_text(summary), run->over()});
    if (events_.size() > kLoggedEvents) events_.pop_front();
  }
  if (changes.nodes.empty() && changes.runs.empty()) return;
  tick_signal_.notify();
  store_signal_.notify();
  event_signal_.notify();
}

// ---- the end

boost::asio::awaitable<void> Service::end_runs(std::chrono::milliseconds grace,
                                               std::string reason) {
  ending_ = true;
  note_cause_of_all("signal");
  engine_.stop_all(reason, Recovery::kNone, now());
  stop_watching();
  publish();
  const SteadyTime until = clock_.steady() + grace;
  constexpr std::chrono::milliseconds kLook{20};
  while (engine_.active() > 0 && clock_.steady() < until)
    co_await event_signal_.wait(std::min<SteadyTime>(until, clock_.steady() + kLook));
  if (engine_.active() > 0)
    spdlog::warn("{} runs have not reported their end yet; their faults end with the lease",
                 engine_.active());
  while (((!engine_.unsaved().empty() && store_error_.empty()) || !announcer_.idle()) &&
         clock_.steady() < until + std::chrono::seconds(1))
    co_await event_signal_.wait(clock_.steady() + kLook);
}

void Service::close() {
  closed_ = true;
  gamedays_->stop();
  announcer_.stop();
  stop_watching();
  tick_signal_.notify();
  store_signal_.notify();
  event_signal_.notify();
  finish_signal_.notify();
  if (journal_) journal_->close();
  if (day_journal_) day_journal_->close();
  store_worker_.join();
  report_worker_.join();
  parse_worker_.join();
  sync_worker_.join();
  answer_worker_.join();
}

}  // namespace faultline::controller
