// SPDX-License-Identifier: Apache-2.0
// Runs for whoever starts and follows them: the HTTP routes and the Kubernetes side.
#include <algorithm>

#include "controller/kubernetes/proof.h"
#include "controller/observe/others.h"
#include "controller/routes/service.h"
#include "report/report.h"

namespace faultline::controller {

boost::asio::awaitable<Result<std::string>> Service::start_run(api::Experiment experiment,
                                                               std::string who, std::string uid) {
  AuditEntry entry{.via = "operator", .verb = "start"};
  const auto& notes = experiment.metadata.annotations;
  if (const auto asked = notes.find(kRequestedBy); asked != notes.end()) entry.user = asked->second;
  describe(entry, experiment);
  auto run = co_await begin_run(std::move(experiment), std::move(who), std::move(uid), entry);
  audit_operator(std::move(entry), run ? nullptr : &run.error());
  co_return run;
}

boost::asio::awaitable<Result<std::string>> Service::begin_run(api::Experiment experiment,
                                                               std::string who, std::string uid,
                                                               AuditEntry& entry) {
  std::function<bool()> always = [] { return true; };
  co_return co_await begin_run(std::move(experiment), std::move(who), std::move(uid), entry,
                               std::move(always));
}

Result<> Service::can_begin() const {
  if (ending_) return fail(Errc::kUnavailable, "the controller is ending");
  if (!taken_over_) return fail(Errc::kUnavailable, "this controller does not lead yet");
  if (!store_error_.empty()) return fail(Errc::kUnavailable, "no run can start: " + store_error_);
  return {};
}

boost::asio::awaitable<Result<std::string>> Service::begin_run(api::Experiment experiment,
                                                               std::string who, std::string uid,
                                                               AuditEntry& entry,
                                                               std::function<bool()> still_wanted) {
  if (auto can = can_begin(); !can) co_return fail(std::move(can.error()));
  api::Experiment looked_at = experiment;
  auto watcher = co_await look_before(std::move(looked_at), who);
  if (!watcher) co_return fail(std::move(watcher.error()));
  // The monitoring may have taken its time.
  if (auto can = can_begin(); !can) co_return fail(std::move(can.error()));
  if (!still_wanted()) co_return fail(Errc::kConflict, "it is not wanted any more");

  Result<api::RunRecord> head = engine_.prepare(std::move(experiment), who, now(), uid);
  if (!head) co_return fail(head.error());
  entry.run = head->run;
  entry.allowed = true;
  entry.state = "Pending";
  if (auto written = audit(entry); !written) {
    engine_.drop(head->run);
    co_return fail(Errc::kUnavailable, "no run can start: " + written.error().message);
  }
  audited_[head->run].marks = 1;
  auto insert = [this, head = *head] { return store_->insert(head); };
  auto stored = co_await store_worker_.run(std::move(insert));
  if (stored && journal_) {
    stored = co_await journal_->create(*head);
    if (!stored) {
      // What is only here must not be taken for a run by whoever reads this store.
      auto drop = [this, run = head->run] { return store_->remove(run); };
      (void)co_await store_worker_.run(std::move(drop));
      engine_.drop(head->run);
      co_return fail(stored.error());
    }
  }
  // Ctrl-C in between: nothing has begun yet.
  if (stored && ending_) stored = fail(Errc::kUnavailable, "the controller is ending");
  if (!stored) {
    engine_.drop(head->run);
    audited_.erase(head->run);
    if (stored.error().code == Errc::kUnavailable && !ending_) store_failed(stored.error());
    co_return fail(stored.error());
  }
  if (*watcher) {
    // Whoever may read the run reads this, too, from now on.
    api::MonitoringRecord known = (*watcher)->record();
    observe::leave_out_others(known, head->experiment.spec.expect,
                              observe::own_namespaces(head->experiment));
    engine_.begin(head->run, now(), std::move(known));
    follow_monitoring(head->run, std::move(*watcher));
  } else {
    engine_.begin(head->run, now());
  }
  publish();
  co_return head->run;
}

std::string Service::active_run_of(const std::string& uid) const {
  for (const api::RunRecord* head : engine_.active_heads())
    if (head->experimentUid == uid) return head->run;
  return {};
}

boost::asio::awaitable<Result<std::string>> Service::run_of(std::string name, std::string uid) {
  if (std::string active = active_run_of(uid); !active.empty()) co_return active;
  auto read = [this, name = std::move(name), uid = std::move(uid)] {
    return reader_->find_of_experiment(name, uid);
  };
  auto found = co_await report_worker_.run(std::move(read));
  if (!found && found.error().code == Errc::kNotFound && !complete_)
    co_return fail(Errc::kUnavailable, "earlier runs are still being read");
  co_return found;
}

void Service::stop_run(const std::string& run, const std::string& reason) {
  const AuditEntry asked{.via = "operator", .verb = "stop", .reason = reason};
  const Run* found = in_memory(run);
  if (found == nullptr || found->over()) return;
  audit_stop(*found, asked);
  (void)engine_.stop(run, reason, Recovery::kShort, now());
  publish();
}

boost::asio::awaitable<Result<RunNow>> Service::run_now(std::string run) {
  if (const Run* active = in_memory(run); active != nullptr && !active->over()) {
    RunNow found{.head = active->recent()};
    for (api::NodeRecord& node : found.head.nodes) node.windows.clear();
    co_return found;
  }
  auto make = [this, read = reading_now(reading(std::move(run), Windows::kWith))] {
    return read(*reader_);
  };
  auto found = co_await report_worker_.run(std::move(make));
  if (!found && found.error().code == Errc::kNotFound && !complete_) co_return not_complete();
  co_return found;
}

std::function<Result<RunNow>(Store&)> Service::reading_now(ReadRun read) {
  return [read = std::move(read)](Store& store) -> Result<RunNow> {
    auto record = read(store);
    if (!record) return fail(std::move(record.error()));
    try {
      RunNow found{.report = report::build(*record)};
      for (api::NodeRecord& node : record->nodes) node.windows = {};
      found.head = std::move(*record);
      return found;
    } catch (const std::exception& e) {
      return fail(Errc::kInternal, std::string("the report cannot be made: ") + e.what());
    }
  };
}

std::vector<std::string> Service::obstacles(const api::Experiment& experiment) const {
  const Result<api::RunPlan> plan = engine_.plan(experiment, now());
  Result<> fine = plan ? require_supported(*plan) : fail(plan.error());
  // Without agents no pod is known: a follower never knows any.
  if (fine || fine.error().code == Errc::kUnavailable) return {};
  return {"as it is now it would be refused: " + fine.error().message};
}

Result<> Service::never_runs(const api::Experiment& experiment) const {
  return engine_.never_runs(experiment, now());
}

boost::asio::awaitable<void> Service::wait_for_change(std::uint64_t seen, SteadyTime until) {
  while (run_changes_ == seen && clock_.steady() < until && !closed_)
    co_await event_signal_.wait(until);
}

}  // namespace faultline::controller
