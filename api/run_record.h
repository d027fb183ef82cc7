// SPDX-License-Identifier: Apache-2.0
// Everything that is known of one run: what the controller stores and what report/ turns into a
// Report. Also the JSON of GET /api/v1/experiments/{run}.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/monitoring_record.h"
#include "api/report.h"
#include "api/sync.h"

namespace faultline::api {

struct PhaseMark {
  RunState state = RunState::Pending;
  Timestamp at;
  std::string reason;
  // Of a phase that has a length: when it ends by the controller's clock as it is now. Written anew
  // when that clock is set, so that whoever goes on with the run does not lengthen the phase.
  Timestamp until;
};
BOOST_DESCRIBE_STRUCT(PhaseMark, (), (state, at, reason, until))

// What one node contributed. Timestamps in it are already corrected by the clock offset.
struct NodeRecord {
  std::string node;
  NodeInfo info;
  double clockOffset = 0;
  double clockUncertainty = 0;
  std::vector<InjectionStatus> injections;  // newest status of each (pod, index)
  std::vector<EffectWindow> windows;
  std::vector<RunEvent> events;
  std::vector<Gap> gaps;
  bool closed = false;   // the node reported the end of the run
  std::string instance;  // the agent's process that took part; empty until it was heard of
  bool lost = false;     // nothing was heard of it for a lease, or it was started anew too late
};
BOOST_DESCRIBE_STRUCT(NodeRecord, (),
                      (node, info, clockOffset, clockUncertainty, injections, windows, events, gaps,
                       closed, instance, lost))

struct RunRecord {
  std::string run;
  Experiment experiment;
  std::string requestedBy;
  // The uid of the Experiment in the cluster that this run is of, which no other object ever has;
  // the operator follows and stops a run by it alone. Empty: asked for over HTTP. Its namespace and
  // name are those of `experiment`.
  std::string experimentUid;
  RunState state = RunState::Pending;
  std::string stateReason;
  std::vector<PhaseMark> history;  // the first is the time it was asked (t0)
  std::vector<RunPod> pods;        // all pods of the run on all nodes
  std::int64_t matching = 0;
  std::vector<NodeRecord> nodes;
  std::vector<Gap> gaps;  // of the controller itself: restart, lost node
  std::optional<MonitoringRecord> monitoring;  // null: the run had no monitoring to ask
};
BOOST_DESCRIBE_STRUCT(RunRecord, (),
                      (run, experiment, requestedBy, experimentUid, state, stateReason, history,
                       pods, matching, nodes, gaps, monitoring))

// The short form: GET /api/v1/experiments, and each "state" event of the event stream.
struct RunSummary {
  std::string run;
  std::string name;
  std::string namespace_;  // key "namespace": of the experiment; empty: it has none
  RunState state = RunState::Pending;
  std::string stateReason;
  Timestamp startedAt;
  std::optional<double> phaseElapsed;  // seconds
  std::optional<double> phaseTotal;
  std::vector<InjectionStatus> injections;  // newest, live figures
  std::vector<EffectWindow> effects;        // newest window of each pod
};
BOOST_DESCRIBE_STRUCT(RunSummary, (),
                      (run, name, namespace_, state, stateReason, startedAt, phaseElapsed,
                       phaseTotal, injections, effects))

}  // namespace faultline::api
