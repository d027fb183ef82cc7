// SPDX-License-Identifier: Apache-2.0
// The conversation with agents: docs/http-api.md.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "api/codec.h"
#include "controller/routes/service.h"

namespace faultline::controller {
namespace {

using http::Response;

// How long an answer waits for the journal. Short beside a lease: what is not written then is
// acknowledged with a later one.
constexpr std::chrono::milliseconds kJournalWait{300};
constexpr std::size_t kShortMessage = 32 << 10;  // bytes
constexpr std::chrono::seconds kTellRefused{10};

double seconds(std::chrono::nanoseconds d) { return std::chrono::duration<double>(d).count(); }

// Counts the node as connected while its request is held, however the wait ends.
class Held {
 public:
  Held(Engine& engine, const std::string& node) : engine_(engine), node_(node) {
    engine_.hold(node_);
  }
  ~Held() { engine_.release(node_); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  Engine& engine_;
  const std::string& node_;
};

Response unavailable(const Error& error) {
  Response response = http::problem(503, error.message);
  response.headers["Retry-After"] = "1";
  return response;
}

}  // namespace

boost::asio::awaitable<Response> Service::sync(http::Request request) {
  const Instant arrived = now();
  const SteadyTime began = clock_.steady();
  const std::string node = request.params.at("node");
  auto message = co_await parse_sync(request);
  if (!message) co_return http::problem(message.error());
  if (auto there = elsewhere(message->term)) co_return std::move(*there);
  const Result<bool> send_info = engine_.hello(node, *message, arrived);
  publish();
  if (!send_info && send_info.error().code == Errc::kInvalid)
    co_return http::problem(send_info.error());

  // Also those of an agent that another one has replaced: they are its last.
  std::uint64_t acked = 0;
  // Of a run that is over this store does not know yet whether it has it: later.
  if (!complete_)
    message->batches.erase(std::ranges::find_if(message->batches,
                                                [this](const api::NumberedBatch& numbered) {
                                                  return engine_.find(numbered.batch.run) ==
                                                         nullptr;
                                                }),
                           message->batches.end());
  if (!message->batches.empty()) {
    for (api::NumberedBatch& numbered : message->batches)
      engine_.correct(node, numbered.batch, arrived);
    tell_refused(node, engine_.admit(node, message->batches, arrived));
    auto append = [this, node, instance = message->instance, at = arrived.utc,
                   batches = std::move(message->batches)] {
      return store_->append(node, instance, batches, at);
    };
    auto appended = co_await store_worker_.run(std::move(append));
    // No wait between here and apply(): what is stored is applied, even when the agent is gone.
    if (!appended) {
      store_failed(appended.error());
      co_return unavailable(appended.error());
    }
    store_works();
    metrics_.batches(appended->fresh.size(), appended->duplicates, appended->unknown);
    if (journal_) {
      std::vector<api::NumberedBatch> kept = appended->fresh;
      for (auto& [number, batch] : kept)
        if (appended->cut.contains(number)) batch.windows.clear();
      journal_->append(node, message->instance, kept, arrived.utc);
      for (const auto& [number, batch] : appended->fresh)
        if (const Run* run = engine_.find(batch.run); run == nullptr) to_finish_.insert(batch.run);
      if (!to_finish_.empty()) finish_signal_.notify();
    }
    for (const FaultDelta& delta : engine_.apply(node, message->instance, appended->fresh, now()))
      metrics_.fault(delta);
    publish();
    acked = appended->acked;
    if (send_info) acked_[node] = {message->instance, acked};
  } else if (const auto known = acked_.find(node);
             known != acked_.end() && known->second.first == message->instance) {
    acked = known->second.second;
  }
  if (!send_info) co_return http::problem(send_info.error());
  if (journal_)
    acked = co_await journal_->acked(node, message->instance, acked, began + kJournalWait);

  const SteadyTime handled = clock_.steady();
  if (!*send_info) {
    const auto wait = std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(message->waitSeconds));
    co_await wait_for_news(node, *message,
                           began + std::min<std::chrono::nanoseconds>(wait, kLongestPoll));
  }
  const SteadyTime woken = clock_.steady();
  if (!engine_.is_current(node, message->instance))
    co_return http::problem(409, "another agent took over as " + node);

  if (auto there = elsewhere(message->term)) co_return std::move(*there);  // meanwhile
  api::SyncResponse answer{.revision = engine_.revision(node),
                           .ackedBatch = acked,
                           .sendInfo = *send_info,
                           .receivedAt = {arrived.utc},
                           .term = leadership_ ? leadership_().term : 0,
                           .runs = engine_.desired(node, message->instance, now())};
  engine_.answered(node, message->instance, now());
  publish();
  answer.answeredAt = {clock_.utc()};
  Response response{.body = api::to_json_text(answer)};
  metrics_.sync(seconds(handled - began) + seconds(clock_.steady() - woken));
  co_return response;
}

// Short ones, which are most, are read here: another thread would cost more.
boost::asio::awaitable<Result<api::SyncRequest>> Service::parse_sync(http::Request& request) {
  if (request.body.size() <= kShortMessage) {
    auto message = api::from_json_text<api::SyncRequest>(request.body);
    request.body = {};
    request.held.reset();
    co_return message;
  }
  const auto held = std::move(request.held);  // given back on this thread
  auto parse = [body = std::move(request.body)]() -> Result<api::SyncRequest> {
    try {
      return api::from_json_text<api::SyncRequest>(body);
    } catch (const std::exception& e) {  // of the worker's thread: nobody else would catch it
      return fail(Errc::kInvalid, std::string("the message cannot be read: ") + e.what());
    }
  };
  co_return co_await sync_worker_.run(std::move(parse));
}

// An agent that sends what it may not would fill the log as well.
void Service::tell_refused(const std::string& node, const Refused& refused) {
  if (refused.entries == 0) return;
  metrics_.refused(refused.entries);
  ++refusals_;
  const SteadyTime t = clock_.steady();
  if (t < next_refusal_) return;
  next_refusal_ = t + kTellRefused;
  spdlog::warn(
      "{}: {} entries of a batch are not taken: {} ({} such requests since the last of "
      "these lines)",
      node, refused.entries, refused.why, std::exchange(refusals_, 0));
}

boost::asio::awaitable<void> Service::wait_for_news(const std::string& node,
                                                    const api::SyncRequest& message,
                                                    SteadyTime until) {
  const Held held(engine_, node);
  // Unequal, not greater: a revision that we never gave is of another controller.
  while (engine_.revision(node) == message.knownRevision &&
         engine_.is_current(node, message.instance) && clock_.steady() < until && !closed_)
    co_await node_signal(node).wait(until);
}

}  // namespace faultline::controller
