// SPDX-License-Identifier: Apache-2.0
#include "controller/routes/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <boost/describe/enum_to_string.hpp>
#include <set>

#include "base/printable.h"

namespace faultline::controller {

using prometheus::BuildCounter;
using prometheus::BuildGauge;

struct Metrics::Impl {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Gauge>& runs =
      BuildGauge().Name("faultline_runs").Help("Runs under way, by state").Register(registry);
  prometheus::Family<prometheus::Counter>& ended =
      BuildCounter()
          .Name("faultline_runs_ended_total")
          .Help("Runs that ended since the controller started, by ending")
          .Register(registry);
  prometheus::Gauge& nodes = BuildGauge()
                                 .Name("faultline_nodes_connected")
                                 .Help("Nodes whose agent is connected")
                                 .Register(registry)
                                 .Add({});
  prometheus::Histogram& sync =
      prometheus::BuildHistogram()
          .Name("faultline_sync_seconds")
          .Help("Time to answer an agent, without the time its request was held open on purpose")
          .Register(registry)
          .Add({}, prometheus::Histogram::BucketBoundaries{0.0005, 0.001, 0.0025, 0.005, 0.01,
                                                           0.025, 0.05, 0.1, 0.25, 1, 2.5});
  prometheus::Family<prometheus::Counter>& batches =
      BuildCounter()
          .Name("faultline_batches_total")
          .Help("Batches of measurements received, by what became of them")
          .Register(registry);
  prometheus::Counter& stored = batches.Add({{"result", "stored"}});
  prometheus::Counter& duplicate = batches.Add({{"result", "duplicate"}});
  prometheus::Counter& unknown = batches.Add({{"result", "unknown_run"}});
  prometheus::Counter& refused = BuildCounter()
                                     .Name("faultline_entries_refused_total")
                                     .Help(
                                         "Measurements and events of agents that were not theirs "
                                         "to write, could not be, or were too many")
                                     .Register(registry)
                                     .Add({});
  prometheus::Counter& store_errors = BuildCounter()
                                          .Name("faultline_store_errors_total")
                                          .Help("Writes that the store could not do")
                                          .Register(registry)
                                          .Add({});
  prometheus::Gauge& store_up = BuildGauge()
                                    .Name("faultline_store_up")
                                    .Help("1: the last write to the store was done")
                                    .Register(registry)
                                    .Add({});
  prometheus::Gauge& audit_up = BuildGauge()
                                    .Name("faultline_audit_up")
                                    .Help("1: the last line of the audit log was written")
                                    .Register(registry)
                                    .Add({});
  prometheus::Family<prometheus::Counter>& matched =
      BuildCounter()
          .Name("faultline_fault_events_matched_total")
          .Help("Events that matched the filter of a fault, as agents counted them")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& injected =
      BuildCounter()
          .Name("faultline_fault_events_injected_total")
          .Help("Events that a fault was injected into, as agents counted them")
          .Register(registry);

  prometheus::Family<prometheus::Counter>& http_refused =
      BuildCounter()
          .Name("faultline_http_refused_total")
          .Help("Requests and connections beyond a budget of the HTTP server, by which one")
          .Register(registry);

  std::set<std::string> alerts;  // those that have a value below
  prometheus::Family<prometheus::Gauge>& detection =
      BuildGauge()
          .Name("faultline_detection_seconds")
          .Help(
              "From the first injected event to the firing of an alert that was expected, in the "
              "newest run in which it fired")
          .Register(registry);

  std::set<std::string> shown;  // alerts that a run showed to fire
  prometheus::Family<prometheus::Gauge>& last_fired =
      BuildGauge()
          .Name("faultline_alert_last_fired_timestamp_seconds")
          .Help("When an alert was last shown to fire by a run")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& rules =
      BuildGauge()
          .Name("faultline_alert_rules")
          .Help(
              "Alert rules of the monitoring as it was asked last, by whether a run ever showed "
              "them to fire")
          .Register(registry);

  prometheus::Family<prometheus::Gauge>& journal_waiting =
      BuildGauge()
          .Name("faultline_journal_waiting_seconds")
          .Help("How long the oldest write to the journal of runs has waited")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& journal_bytes =
      BuildGauge()
          .Name("faultline_journal_waiting_bytes")
          .Help("Bytes of measurements that wait to be written to the journal of runs")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& journal_left_out =
      BuildCounter()
          .Name("faultline_journal_left_out_total")
          .Help("Batches that are not in the journal of runs, or not whole, and never will be")
          .Register(registry);

  prometheus::Family<prometheus::Counter>& events =
      BuildCounter()
          .Name("faultline_events_total")
          .Help(
              "Messages on runs to a chat or Grafana since the controller started, by what became "
              "of them")
          .Register(registry);

  static std::string word(api::RunState state) {
    return boost::describe::enum_to_string(state, "?");
  }
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {
  for (const auto state : {api::RunState::Completed, api::RunState::Aborted, api::RunState::Failed})
    impl_->ended.Add({{"state", Impl::word(state)}});
}
Metrics::~Metrics() = default;

void Metrics::run_ended(api::RunState state) {
  impl_->ended.Add({{"state", Impl::word(state)}}).Increment();
}
void Metrics::sync(double seconds) { impl_->sync.Observe(seconds); }
void Metrics::batches(std::size_t stored, std::size_t duplicate, std::size_t unknown) {
  impl_->stored.Increment(static_cast<double>(stored));
  impl_->duplicate.Increment(static_cast<double>(duplicate));
  impl_->unknown.Increment(static_cast<double>(unknown));
}
void Metrics::refused(std::size_t entries) {
  impl_->refused.Increment(static_cast<double>(entries));
}
// Names of alerts come from experiments and rules: there are not more of them than this.
constexpr std::size_t kMostAlerts = 500;

void Metrics::detection(const std::string& alert, double seconds) {
  const std::string name = printable(alert);
  if (!impl_->alerts.contains(name) && impl_->alerts.size() >= kMostAlerts) return;
  impl_->alerts.insert(name);
  impl_->detection.Add({{"alert", name}}).Set(seconds);
}

void Metrics::fired(const std::string& alert, api::Timestamp at) {
  const std::string name = printable(alert);
  if (!impl_->shown.contains(name) && impl_->shown.size() >= kMostAlerts) return;
  impl_->shown.insert(name);
  if (!at.set()) return;  // whoever may ask nothing reads this: an alert that nobody expected
  const double seconds = std::chrono::duration<double>(at.value.time_since_epoch()).count();
  prometheus::Gauge& gauge = impl_->last_fired.Add({{"alert", name}});
  gauge.Set(std::max(gauge.Value(), seconds));
}

void Metrics::rules(const std::vector<std::string>& names) {
  std::size_t shown = 0;
  for (const std::string& name : names) shown += impl_->shown.contains(printable(name)) ? 1 : 0;
  impl_->rules.Add({{"tested", "true"}}).Set(static_cast<double>(shown));
  impl_->rules.Add({{"tested", "false"}}).Set(static_cast<double>(names.size() - shown));
}

void Metrics::store_error() { impl_->store_errors.Increment(); }
void Metrics::journal(const JournalState& state) {
  impl_->journal_waiting.Add({}).Set(std::chrono::duration<double>(state.waiting).count());
  impl_->journal_bytes.Add({}).Set(static_cast<double>(state.waiting_bytes));
  auto& left_out = impl_->journal_left_out.Add({});
  left_out.Increment(static_cast<double>(state.left_out) - left_out.Value());
}
void Metrics::events(const std::string& destination, std::uint64_t told, std::uint64_t failed) {
  const auto raise = [&](const char* result, std::uint64_t total) {
    auto& counter = impl_->events.Add({{"destination", destination}, {"result", result}});
    counter.Increment(static_cast<double>(total) - counter.Value());
  };
  raise("told", told);
  raise("failed", failed);
}
void Metrics::fault(const FaultDelta& delta) {
  const std::string fault = printable(delta.fault);
  impl_->matched.Add({{"fault", fault}}).Increment(static_cast<double>(delta.matched));
  impl_->injected.Add({{"fault", fault}}).Increment(static_cast<double>(delta.injected));
}

void Metrics::http_refused(const http::Refusals& totals) {
  const auto raise = [&](const char* reason, std::uint64_t total) {
    prometheus::Counter& counter = impl_->http_refused.Add({{"reason", reason}});
    counter.Increment(static_cast<double>(total) - counter.Value());
  };
  raise("connections", totals.connections);
  raise("idle_closed", totals.idle);
  raise("handshakes", totals.handshakes);
  raise("caller", totals.callers);
  raise("rate", totals.rates);
  raise("bodies", totals.bodies);
  raise("answers", totals.answers);
}

std::string Metrics::text(const std::map<api::RunState, std::size_t>& runs, std::size_t connected,
                          bool store_works, bool audit_works) {
  for (const auto state : {api::RunState::Pending, api::RunState::Baseline,
                           api::RunState::Injecting, api::RunState::Recovering}) {
    const auto count = runs.find(state);
    impl_->runs.Add({{"state", Impl::word(state)}})
        .Set(count == runs.end() ? 0 : static_cast<double>(count->second));
  }
  impl_->nodes.Set(static_cast<double>(connected));
  impl_->store_up.Set(store_works ? 1 : 0);
  impl_->audit_up.Set(audit_works ? 1 : 0);
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace faultline::controller
