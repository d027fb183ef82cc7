// SPDX-License-Identifier: Apache-2.0
#include "controller/routes/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <boost/describe/enum_to_string.hpp>

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
void Metrics::store_error() { impl_->store_errors.Increment(); }
void Metrics::fault(const FaultDelta& delta) {
  impl_->matched.Add({{"fault", delta.fault}}).Increment(static_cast<double>(delta.matched));
  impl_->injected.Add({{"fault", delta.fault}}).Increment(static_cast<double>(delta.injected));
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
