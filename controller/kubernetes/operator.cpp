// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/operator.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <map>
#include <optional>
#include <set>

#include "api/codec.h"
#include "controller/engine/scope.h"
#include "controller/kubernetes/experiments.h"
#include "controller/kubernetes/proof.h"
#include "controller/kubernetes/status.h"
#include "controller/routes/signal.h"
#include "kube/events.h"
#include "kube/informer.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;
using Object = boost::json::object;

constexpr std::chrono::seconds kLookAgain{1};
constexpr std::chrono::milliseconds kSoon{50};

// With a null for what is empty: a merge patch leaves alone what it does not name.
Object whole(const api::ExperimentStatus& status) {
  Object written = api::to_json(status).as_object();
  using Members =
      boost::describe::describe_members<api::ExperimentStatus, boost::describe::mod_any_access>;
  boost::mp11::mp_for_each<Members>([&](auto member) {
    if (!written.contains(member.name)) written[member.name] = nullptr;
  });
  return written;
}

std::string state_word(const api::ExperimentStatus& status) {
  return std::string(api::to_json(status).as_object().at("phase").as_string());
}

}  // namespace

struct Operator::Impl : std::enable_shared_from_this<Operator::Impl> {
  // What is known of one Experiment beside the object, by its uid.
  struct Entry {
    std::string run;
    bool begun = false;                            // by us: a run may come
    std::optional<api::ExperimentStatus> written;  // newer than what the informer has
    SteadyTime first_seen, next_write;
    std::uint64_t seen = 0;  // changes() when it was last written
    bool told_injecting = false, told_ended = false;
  };

  Impl(boost::asio::any_io_executor ex, kube::Client& api_client, const Clock& time,
       RunControl& control, OperatorOptions given)
      : executor(ex),
        client(api_client),
        clock(time),
        runs(control),
        options(given),
        began(time.steady()),
        woken(ex),
        recorder(api_client, time, {.component = "faultline-controller"}),
        informer(ex, api_client, time, {.collection = experiments()},
                 {.added = [this](const Object&) { woken.notify(); },
                  .modified = [this](const Object&, const Object&) { woken.notify(); },
                  .deleted = [this](const Object& last) { gone(last); },
                  .synced = [this] { woken.notify(); }}) {}

  // At once, and without waiting for anything that is being written.
  void gone(const Object& last) {
    const auto known = entries.find(std::string(kube::meta(last, "uid")));
    if (known == entries.end()) return;
    if (!known->second.run.empty())
      runs.stop_run(known->second.run, "the Experiment " + name_of(last) + " was deleted");
    deleted.insert(known->first);
    woken.notify();
  }

  static std::string name_of(const Object& object) {
    return std::string(kube::meta(object, "namespace")) + "/" +
           std::string(kube::meta(object, "name"));
  }

  awaitable<void> loop() {
    while (!stopped) {
      const std::uint64_t seen = runs.changes();
      std::vector<kube::ObjectKey> keys;
      if (informer.state().synced)
        for (const auto& [key, object] : informer.objects()) keys.push_back(key);
      for (const kube::ObjectKey& key : keys) {
        if (stopped) co_return;
        co_await reconcile(key);
      }
      for (const std::string& uid : std::exchange(deleted, {})) entries.erase(uid);
      if (stopped) co_return;
      // Changes of runs come in bursts: one look for all of them.
      if (runs.changes() == seen) co_await wait(seen, clock.steady() + kLookAgain);
      if (!stopped) co_await woken.wait(clock.steady() + kSoon);
    }
  }

  awaitable<void> wait(std::uint64_t seen, SteadyTime until) {
    if (active() > 0)
      co_await runs.wait_for_change(seen, until);
    else
      co_await woken.wait(until);
  }
  [[nodiscard]] std::size_t active() const {
    std::size_t n = 0;
    for (const auto& [uid, entry] : entries) n += entry.run.empty() ? 0 : 1;
    return n;
  }

  awaitable<void> reconcile(kube::ObjectKey key) {
    const Object* found = informer.find(key.ns, key.name);
    if (found == nullptr) co_return;
    const Object object = *found;  // the informer goes on while we write
    const std::string uid(kube::meta(object, "uid"));
    if (uid.empty() || deleted.contains(uid)) co_return;
    const auto known = entries.find(uid);
    const auto read = api::from_cluster_json(object);
    const api::ExperimentStatus before = known != entries.end() && known->second.written
                                             ? *known->second.written
                                         : read ? read->status
                                                : api::ExperimentStatus{};
    if (is_final(before.phase)) co_return;
    if (!kube::meta(object, "deletionTimestamp").empty()) {
      // Somebody else's finalizer holds it: for us it is gone.
      if (known != entries.end() && !known->second.run.empty())
        runs.stop_run(known->second.run, "the Experiment " + name_of(object) + " is being deleted");
      // What has not begun does not begin any more.
      if (known == entries.end() || known->second.run.empty()) co_return;
    }
    Entry& entry = entries.try_emplace(uid).first->second;
    if (entry.first_seen == SteadyTime{}) entry.first_seen = clock.steady();
    if (!read) {
      auto refused = refused_status(read.error(), before, generation(object), now());
      co_await write(object, uid, std::move(refused));
      co_return;
    }
    if (entry.run.empty()) entry.run = before.run;
    if (!entry.run.empty())
      co_await follow(object, uid, before);
    else if (before.observedGeneration == 0 || entry.begun)
      co_await begin(object, uid, *read, before);
    else {
      auto lost = lost_status(before, generation(object), now());
      co_await write(object, uid, std::move(lost));
    }
  }

  awaitable<void> begin(const Object& object, std::string uid, api::ClusterExperiment read,
                        api::ExperimentStatus before) {
    if (!entries[uid].begun) {
      if (options.admitted) {
        const auto admitted = co_await options.admitted(object, read.experiment);
        if (!admitted) {
          if (admitted.error().code == Errc::kUnavailable) co_return;  // another time
          if (deleted.contains(uid)) co_return;
          co_await refuse(object, uid, before, admitted.error());
          co_return;
        }
      }
      api::ExperimentStatus starting = before;
      starting.reason = "starting";
      starting.observedGeneration = generation(object);
      // Only if the object is still what we saw: of two controllers one is first.
      std::string version(kube::meta(object, "resourceVersion"));
      const bool first = co_await write(object, uid, starting, std::move(version));
      if (!first) co_return;
      before = starting;
      entries[uid].begun = true;
    }
    if (deleted.contains(uid)) co_return;  // while that was written
    const std::string name = name_of(object);
    std::string who = "the Experiment " + name;
    if (const auto asked = read.experiment.metadata.annotations.find(kRequestedBy);
        asked != read.experiment.metadata.annotations.end())
      who = asked->second + ", by " + who;
    api::Experiment experiment = in_own_namespace(std::move(read.experiment));
    auto run = co_await runs.start_run(std::move(experiment), who);
    // Deleted while it was being started.
    if (deleted.contains(uid)) {
      if (run) runs.stop_run(*run, "the Experiment " + name + " was deleted");
      co_return;
    }
    Entry& entry = entries[uid];
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

  awaitable<void> refuse(const Object& object, std::string uid, api::ExperimentStatus before,
                         Error error) {
    spdlog::warn("experiment {} is refused: {}", name_of(object), error.message);
    auto refused = refused_status(error, before, generation(object), now());
    const bool told = co_await write(object, uid, std::move(refused));
    if (!told) co_return;
    kube::EventText text{true, reason_word(error.code), error.message};
    co_await tell(object, std::move(text));
  }

  awaitable<void> follow(const Object& object, std::string uid, api::ExperimentStatus before) {
    {
      const Entry& entry = entries[uid];
      if (entry.seen == runs.changes() && entry.written) co_return;
      if (entry.written && clock.steady() < entry.next_write) co_return;
    }
    const std::uint64_t seen = runs.changes();
    const auto run = co_await runs.run_now(entries[uid].run);
    if (!run && run.error().code != Errc::kNotFound) co_return;  // the store: another time
    const api::ExperimentStatus status =
        run ? run_status(run->head, run->report ? &*run->report : nullptr, before,
                         generation(object), now())
            : lost_status(before, generation(object), now());
    // A run is over when its report can be made: until then its end is not told.
    if (run && is_final(status.phase) && !run->report) co_return;
    const bool news = api::to_json(status) != api::to_json(before);
    if (news) {
      const bool told = co_await write(object, uid, status);
      if (!told) co_return;
    }
    Entry& entry = entries[uid];
    entry.seen = seen;
    entry.next_write = clock.steady() + options.status_every;
    const bool ended = is_final(status.phase) && !std::exchange(entry.told_ended, true);
    const bool injecting =
        status.phase == api::RunState::Injecting && !std::exchange(entry.told_injecting, true);
    kube::EventText text{injecting, injecting ? "FaultInjected" : "FaultEnded",
                         words(object, status)};
    if (injecting || ended) co_await tell_pods(status, text);
    text.reason = ended ? state_word(status) : text.reason;
    text.warning = injecting || status.verdict != api::RunVerdict::met;
    if (injecting || ended) co_await tell(object, text);
  }

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

  // Events are for people: one that cannot be written changes nothing.
  awaitable<void> tell(const Object& object, kube::EventText text) {
    kube::ObjectReference about =
        kube::reference_to(object, "faultline.dev/v1alpha1", "Experiment");
    (void)co_await recorder.record(std::move(about), std::move(text));
  }
  awaitable<void> tell_pods(const api::ExperimentStatus& status, kube::EventText text) {
    for (const api::StatusTarget& target : status.targets) {
      auto ref = kube::pods().in(target.namespace_).named(target.name);
      const auto pod = co_await client.get(std::move(ref));
      if (!pod) continue;
      kube::ObjectReference about = kube::reference_to(*pod, "v1", "Pod");
      (void)co_await recorder.record(std::move(about), text);
    }
  }

  // False: it was not written; the object is looked at again.
  awaitable<bool> write(const Object& object, std::string uid, api::ExperimentStatus status,
                        std::string only_if_version = {}) {
    Object metadata;
    metadata["uid"] = uid;  // never another one's
    if (!only_if_version.empty()) metadata["resourceVersion"] = only_if_version;
    Object patch;
    patch["metadata"] = std::move(metadata);
    patch["status"] = whole(status);
    const auto ref = experiments()
                         .in(std::string(kube::meta(object, "namespace")))
                         .named(std::string(kube::meta(object, "name")))
                         .status();
    const auto written = co_await client.merge_patch(ref, std::move(patch));
    if (!written) {
      ++status_errors;
      const bool stale = written.error().reason == kube::Reason::kConflict ||
                         written.error().reason == kube::Reason::kNotFound;
      if (!stale && last_error != written.error().message)
        spdlog::warn("experiment {}: {}", name_of(object), written.error().message);
      if (!stale) last_error = written.error().message;
      co_return false;
    }
    last_error.clear();
    ++status_writes;
    if (const auto entry = entries.find(uid); entry != entries.end())
      entry->second.written = std::move(status);
    co_return true;
  }

  static std::int64_t generation(const Object& object) {
    const auto* metadata = kube::object_at(object, "metadata");
    return metadata == nullptr ? 0 : kube::number_at(*metadata, "generation").value_or(0);
  }
  [[nodiscard]] UtcTime now() const { return clock.utc(); }

  boost::asio::any_io_executor executor;
  kube::Client& client;
  const Clock& clock;
  RunControl& runs;
  OperatorOptions options;
  SteadyTime began;
  Signal woken;
  kube::EventRecorder recorder;
  kube::Informer informer;
  std::map<std::string, Entry> entries;  // by uid
  std::set<std::string> deleted;         // uids, until the loop comes by
  std::string last_error;
  std::uint64_t status_writes = 0, status_errors = 0;
  bool stopped = false;
};

Operator::Operator(boost::asio::any_io_executor executor, kube::Client& client, const Clock& clock,
                   RunControl& runs, OperatorOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), client, clock, runs, options)) {}

Operator::~Operator() { stop(); }

void Operator::start() {
  impl_->informer.start();
  boost::asio::co_spawn(impl_->executor, impl_->loop(),
                        [self = impl_](const std::exception_ptr& error) {
                          if (!error || self->stopped) return;
                          spdlog::critical("the loop of experiments failed");
                          std::rethrow_exception(error);
                        });
}

void Operator::stop() {
  impl_->stopped = true;
  impl_->informer.stop();
  impl_->woken.notify();
}

OperatorState Operator::state() const {
  const kube::InformerState& seen = impl_->informer.state();
  return {.synced = seen.synced,
          .out_of_touch_since = seen.out_of_touch_since,
          .last_error = seen.out_of_touch_since ? seen.last_error : impl_->last_error,
          .status_writes = impl_->status_writes,
          .status_errors = impl_->status_errors};
}

}  // namespace faultline::controller
