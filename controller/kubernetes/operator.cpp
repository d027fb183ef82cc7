// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/operator.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "api/codec.h"
#include "controller/engine/scope.h"
#include "controller/kubernetes/experiment_object.h"
#include "controller/kubernetes/experiment_writer.h"
#include "controller/kubernetes/experiments.h"
#include "controller/kubernetes/object_loops.h"
#include "controller/kubernetes/proof.h"
#include "controller/kubernetes/status.h"
#include "kube/json.h"
#include "kube/times.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;
using Object = boost::json::object;

constexpr std::chrono::seconds kLookAgain{1};
// An answer with our final status comes by the watch within that.
constexpr std::chrono::seconds kEcho{5};

bool same(const api::ExperimentStatus& a, const api::ExperimentStatus& b) {
  return api::to_json(a) == api::to_json(b);
}

std::string state_word(const api::ExperimentStatus& status) {
  return std::string(api::to_json(status).as_object().at("phase").as_string());
}

}  // namespace

struct Operator::Impl : ObjectLoops {
  // What is known of one Experiment beside the object, by its uid; forgotten when it is finished.
  struct Entry {
    kube::ObjectKey key;
    std::string run;                               // whose record has this uid
    bool begun = false;                            // by us: a run may come
    std::optional<api::ExperimentStatus> written;  // newer than what the informer has
    SteadyTime first_seen, written_at, next_write;
    std::uint64_t seen = 0;  // changes() when it was last written
    bool told_injecting = false, told_ended = false;
  };

  Impl(boost::asio::any_io_executor ex, kube::Client& api_client, const Clock& time,
       RunControl& control, OperatorOptions given)
      : ObjectLoops(std::move(ex), api_client, time,
                    {.kind = {experiments(), "experiment", finished_at},
                     .trim = keep_what_is_needed,
                     .kept_for = given.kept_for}),
        runs(control),
        options(std::move(given)),
        began(time.steady()),
        writer(api_client, time) {}

  void changed(const Object& object) override {
    const std::string uid = uid_of(object);
    // A status that says so while the run goes on is somebody else's.
    const bool over =
        is_finished(object) && !entries.contains(uid) && runs.active_run_of(uid).empty();
    if (over)
      finished.keep(object);
    else
      queue.add(kube::key_of(object), clock.steady());
    woken.notify();
  }

  // At once, and without waiting for anything that is being written.
  void gone(const Object& last) override {
    const std::string uid = uid_of(last);
    const auto known = entries.find(uid);
    const std::string run = known != entries.end() && !known->second.run.empty()
                                ? known->second.run
                                : runs.active_run_of(uid);
    if (!run.empty()) runs.stop_run(run, "the Experiment " + name_of(last) + " was deleted");
    queue.remove(kube::key_of(last));
    finished.forget(kube::key_of(last));
    if (known == entries.end()) return;
    entries.erase(known);
  }

  [[nodiscard]] bool follows(const std::string& uid) const override {
    return entries.contains(uid);
  }
  awaitable<bool> may_go(Object object) override { co_return is_finished(object); }
  [[nodiscard]] std::uint64_t changes() const override { return runs.changes(); }
  awaitable<void> wait_for_change(std::uint64_t seen, SteadyTime until) override {
    return runs.wait_for_change(seen, until);
  }
  void followed_changed(SteadyTime now) override {
    for (const auto& [uid, entry] : entries)
      if (!entry.run.empty()) queue.add(entry.key, std::max(now, entry.next_write));
  }

  // ---- one Experiment

  awaitable<void> reconcile(kube::ObjectKey key) override {
    const Object* found = informer.find(key.ns, key.name);
    if (found == nullptr) co_return;
    const Object object = *found;  // the informer goes on while we write
    const std::string uid = uid_of(object);
    if (uid.empty()) co_return;
    const SeenStatus seen = status_of(object);
    const bool leaving = !kube::meta(object, "deletionTimestamp").empty();
    auto known = entries.find(uid);
    if (known == entries.end() || known->second.run.empty())
      if (const std::string active = runs.active_run_of(uid); !active.empty())
        known = follows(object, uid, active);
    if (known != entries.end() && !known->second.run.empty()) {
      // Somebody else's finalizer holds it: for us it is gone.
      if (leaving)
        runs.stop_run(known->second.run, "the Experiment " + name_of(object) + " is being deleted");
      co_return co_await follow(object, uid, seen.status);
    }
    const bool refused =
        known != entries.end() && known->second.written && is_final(known->second.written->phase);
    if (seen.problem.empty() && is_final(seen.status.phase)) {
      entries.erase(uid);
      finished.keep(object);
      co_return;
    }
    if (refused) co_return wait_for_echo(uid);
    // What has not begun does not begin any more.
    if (leaving) co_return;
    if (known != entries.end() && known->second.begun)
      co_return co_await begin(object, uid, *known->second.written);
    if (seen.fresh) co_return co_await begin(object, uid, seen.status);
    co_await begun_before(object, uid, seen);
  }

  std::map<std::string, Entry>::iterator follows(const Object& object, const std::string& uid,
                                                 const std::string& run) {
    Entry& entry = entry_of(object, uid);
    entry.run = run;
    return entries.find(uid);
  }
  Entry& entry_of(const Object& object, const std::string& uid) {
    const auto [at, made] = entries.try_emplace(uid);
    if (made) at->second.key = kube::key_of(object);
    if (made) at->second.first_seen = clock.steady();
    return at->second;
  }

  // What we wrote last is final, and the watch has not told it yet. If it never does, somebody else
  // wrote after us: it is looked at anew.
  void wait_for_echo(const std::string& uid) {
    const auto known = entries.find(uid);
    if (known == entries.end() || clock.steady() - known->second.written_at < kEcho) return;
    queue.add(known->second.key, clock.steady() + kLookAgain);
    entries.erase(known);
  }

  // It has a status, and no run of it is under way: the status is right, or another's word.
  awaitable<void> begun_before(Object object, std::string uid, SeenStatus seen) {
    const auto own = co_await runs.run_of(std::string(kube::meta(object, "name")), uid);
    if (stopped || is_gone(object)) co_return;
    if (own) {
      follows(object, uid, *own);
      co_return co_await follow(object, uid, seen.status);
    }
    if (own.error().code != Errc::kNotFound) {
      queue.add(kube::key_of(object), clock.steady() + kLookAgain);
      co_return;
    }
    if (!seen.problem.empty()) co_return co_await tell_unreadable(object, std::move(seen.problem));
    // A run of that id that is not ours is none of ours to tell about.
    bool another = false;
    if (std::string named = seen.status.run; !named.empty()) {
      const auto other = co_await runs.run_now(std::move(named));
      if (stopped || is_gone(object)) co_return;
      another = other.has_value();
    }
    auto told = another ? forged_status(generation_of(object), now())
                        : lost_status(seen.status, generation_of(object), now());
    spdlog::warn("experiment {}: {}", name_of(object), told.reason);
    entry_of(object, uid);
    co_await write(object, uid, std::move(told));
  }

  // It is left as it is: who can read it may need it.
  awaitable<void> tell_unreadable(const Object& object, std::string problem) {
    const std::string text = "the status cannot be read by this version of the controller (" +
                             problem +
                             "): the Experiment counts as begun, and does not begin again. To run "
                             "it anew create another";
    if (unreadable.size() > kMostTold) unreadable.clear();
    if (!unreadable.insert(uid_of(object)).second) co_return;
    spdlog::warn("experiment {}: {}", name_of(object), text);
    kube::EventText event{true, "StatusUnreadable", text};
    event.once = event.reason;
    co_await writer.tell(object, std::move(event));
  }

  awaitable<void> begin(Object object, std::string uid, api::ExperimentStatus before) {
    entry_of(object, uid);
    if (std::string why = too_large(object); !why.empty()) {
      Error error{Errc::kInvalid, std::move(why), 0};
      co_return co_await refuse(object, uid, before, std::move(error));
    }
    auto read = api::from_cluster_json(object);
    if (!read) co_return co_await refuse(object, uid, before, read.error());
    if (!entries[uid].begun) {
      // Its status may have been taken away: what has run does not run again.
      const auto own = co_await runs.run_of(read->experiment.metadata.name, uid);
      if (stopped || is_gone(object)) co_return;
      if (own) {
        follows(object, uid, *own);
        co_return co_await follow(object, uid, before);
      }
      if (own.error().code != Errc::kNotFound) co_return;
      if (std::string why = too_late(object); !why.empty()) {
        Error error{Errc::kDenied, std::move(why), 0};
        co_return co_await refuse(object, uid, before, std::move(error));
      }
    }
    if (options.admitted) {
      const auto admitted = co_await options.admitted(object, read->experiment);
      if (stopped || is_gone(object)) co_return;
      if (!admitted) {
        if (admitted.error().code == Errc::kUnavailable) co_return;  // another time
        co_return co_await refuse(object, uid, before, admitted.error());
      }
    }
    if (!entries[uid].begun) {
      api::ExperimentStatus starting = before;
      starting.reason = "starting";
      starting.observedGeneration = generation_of(object);
      // Only if the object is still what we saw: of two controllers one is first.
      std::string version(kube::meta(object, "resourceVersion"));
      const bool first = co_await write(object, uid, starting, std::move(version));
      if (!first || stopped || is_gone(object)) co_return;
      before = starting;
      entries[uid].begun = true;
    }
    co_await start(object, uid, std::move(read->experiment), std::move(before));
  }

  awaitable<void> start(Object object, std::string uid, api::Experiment experiment,
                        api::ExperimentStatus before) {
    const std::string name = name_of(object);
    std::string who = "the Experiment " + name;
    if (const auto asked = experiment.metadata.annotations.find(kRequestedBy);
        asked != experiment.metadata.annotations.end())
      who = asked->second + ", by " + who;
    experiment = in_own_namespace(std::move(experiment));
    auto run = co_await runs.start_run(std::move(experiment), who, uid);
    if (is_gone(object)) {  // while it was being started
      if (run) runs.stop_run(*run, "the Experiment " + name + " was deleted");
      co_return;
    }
    Entry& entry = entry_of(object, uid);
    if (run) {
      entry.run = *run;
      spdlog::info("experiment {}: run {}", name, *run);
      co_await follow(object, uid, before);
    } else if (is_early(run.error(), clock.steady() - entry.first_seen)) {
      if (before.reason == run.error().message) co_return;
      before.reason = run.error().message;
      co_await write(object, uid, before);
    } else {
      co_await refuse(object, uid, before, run.error());
    }
  }

  [[nodiscard]] std::string too_late(const Object& object) const {
    const auto created = kube::parse_time(kube::meta(object, "creationTimestamp"));
    if (!created || now() - *created < options.latest_begin) return {};
    return "the Experiment was created at " + kube::format_time(*created) +
           ", and did not begin within " + api::Duration{options.latest_begin}.format() +
           ": create it anew";
  }

  awaitable<void> refuse(const Object& object, std::string uid, api::ExperimentStatus before,
                         Error error) {
    spdlog::warn("experiment {} is refused: {}", name_of(object), error.message);
    auto refused = refused_status(error, before, generation_of(object), now());
    const bool told = co_await write(object, uid, std::move(refused));
    if (!told) co_return;
    kube::EventText text{true, reason_word(error.code), error.message};
    co_await writer.tell(object, std::move(text));
  }

  // `there`: the status that the object has.
  awaitable<void> follow(Object object, std::string uid, api::ExperimentStatus there) {
    api::ExperimentStatus before = there;
    {
      const Entry& entry = entries[uid];
      if (entry.written) {
        const bool as_written = same(there, *entry.written);
        if (is_final(entry.written->phase)) {
          // Of a finished one no more than that is kept.
          if (there.phase != entry.written->phase || there.run != entry.written->run)
            co_return wait_for_echo(uid);
          entries.erase(uid);
          finished.keep(object);
          co_return;
        }
        if (entry.seen == runs.changes() && as_written) co_return;
        if (clock.steady() < entry.next_write) co_return;
        before = *entry.written;
      }
    }
    const std::uint64_t seen = runs.changes();
    const auto run = co_await runs.run_now(entries[uid].run);
    if (is_gone(object)) co_return;
    if (!run && run.error().code != Errc::kNotFound) co_return;  // the store: another time
    const api::ExperimentStatus status =
        run ? run_status(run->head, run->report ? &*run->report : nullptr, before,
                         generation_of(object), now())
            : lost_status(before, generation_of(object), now());
    // A run is over when its report can be made: until then its end is not told.
    if (run && is_final(status.phase) && !run->report) co_return;
    if (!same(status, before) || !same(status, there)) {
      const bool told = co_await write(object, uid, status);
      if (!told) co_return;
    }
    const auto known = entries.find(uid);
    if (known == entries.end()) co_return;
    Entry& entry = known->second;
    entry.written = status;
    entry.seen = seen;
    entry.next_write = clock.steady() + options.status_every;
    const bool ended = is_final(status.phase) && !std::exchange(entry.told_ended, true);
    const bool injecting =
        status.phase == api::RunState::Injecting && !std::exchange(entry.told_injecting, true);
    if (!injecting && !ended) co_return;
    kube::EventText text{injecting || status.verdict != api::RunVerdict::met,
                         ended ? state_word(status) : "FaultInjected", words(object, status)};
    text.once = text.reason + " " + status.run;
    if (ended && status.completedAt.set()) text.at = status.completedAt.value;
    co_await writer.tell(object, std::move(text));
  }

  // ---- words

  // Agents that are not connected yet, all or some, and pods that were made a moment ago.
  [[nodiscard]] bool is_early(const Error& error, std::chrono::nanoseconds age) const {
    if (error.code != Errc::kInvalid && clock.steady() - began < options.settling) return true;
    return (error.code == Errc::kUnavailable && age < options.patience) ||
           (error.code == Errc::kNotFound && age < options.new_pods);
  }

  static std::string words(const Object& object, const api::ExperimentStatus& status) {
    std::string text = "experiment " + name_of(object) + ": ";
    std::set<std::string> faults;
    for (const api::StatusInjection& injection : status.injections) faults.insert(injection.fault);
    for (const std::string& fault : faults) text += fault + " ";
    text += "run " + status.run;
    if (is_final(status.phase)) text += ", " + std::to_string(status.injected) + " events injected";
    return text;
  }

  // False: it was not written; the object is looked at again.
  awaitable<bool> write(const Object& object, std::string uid, api::ExperimentStatus status,
                        std::string only_if_version = {}) {
    const bool written = co_await writer.write(object, status, std::move(only_if_version));
    if (!written) co_return false;
    if (const auto entry = entries.find(uid); entry != entries.end()) {
      entry->second.written = std::move(status);
      entry->second.written_at = clock.steady();
    }
    co_return true;
  }

  [[nodiscard]] UtcTime now() const { return clock.utc(); }

  static constexpr std::size_t kMostTold = 10'000;

  RunControl& runs;
  OperatorOptions options;
  SteadyTime began;
  ExperimentWriter writer;
  std::map<std::string, Entry> entries;  // by uid
  std::set<std::string> unreadable;      // uids, told already
};

Operator::Operator(boost::asio::any_io_executor executor, kube::Client& client, const Clock& clock,
                   RunControl& runs, OperatorOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), client, clock, runs, std::move(options))) {}

Operator::~Operator() { stop(); }

void Operator::start() { impl_->begin_loops(); }
void Operator::stop() { impl_->end_loops(); }

OperatorState Operator::state() const {
  const kube::InformerState& seen = impl_->seen();
  return {.synced = seen.synced,
          .out_of_touch_since = seen.out_of_touch_since,
          .last_error = seen.out_of_touch_since ? seen.last_error : impl_->writer.last_error(),
          .status_writes = impl_->writer.writes(),
          .status_errors = impl_->writer.errors(),
          .looks = impl_->looks(),
          .followed = impl_->entries.size(),
          .deleted = impl_->deleted()};
}

}  // namespace faultline::controller
