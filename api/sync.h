// SPDX-License-Identifier: Apache-2.0
// The conversation between an agent and the controller: POST /api/v1/nodes/{node}/sync, a long
// poll.
//
// The agent sends what it is, what pods it sees, and numbered batches of measurements; the
// controller answers with the desired state as soon as that is newer than `knownRevision`, or after
// `waitSeconds`. Batches are numbered from 1 per agent instance, sent again until acknowledged, and
// stored once. An answer renews the lease of every run in it; no answer within the lease and the
// kernel stops injecting. Level-triggered: each answer holds the whole desired state.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/experiment.h"
#include "api/histogram.h"
#include "api/selector.h"
#include "api/values.h"

namespace faultline::api {

// ---- what a node is
// -------------------------------------------------------------------------------------------------
// One mechanism of the kernel: "tcx", "cgroup/connect4 + bpf_set_retval", "tun" ...
struct Feature {
  std::string name;
  bool available = false;
  std::string reason;   // why not, in the kernel's own words; empty when available
  std::string enables;  // what it makes possible, in a few words
};
BOOST_DESCRIBE_STRUCT(Feature, (), (name, available, reason, enables))

// Whether this agent on this kernel can arm a fault, and how.
struct FaultSupport {
  std::string fault;  // networkLatency
  bool supported = false;
  std::string mechanism;  // "delay-line", "tcx", "cgroup"
  std::string reason;     // why not
};
BOOST_DESCRIBE_STRUCT(FaultSupport, (), (fault, supported, mechanism, reason))

struct NodeInfo {
  std::string name;
  std::string kernel;  // uname -r
  std::string arch;
  std::string agentVersion;
  std::int64_t cpus = 0;
  std::vector<Feature> features;
  std::vector<FaultSupport> faults;
};
BOOST_DESCRIBE_STRUCT(NodeInfo, (), (name, kernel, arch, agentVersion, cpus, features, faults))

// ---- what the controller wants
// --------------------------------------------------------------------------------------
enum class RunPhase { baseline, fault, recovery };
BOOST_DESCRIBE_ENUM(RunPhase, baseline, fault, recovery)

// connected: chosen as a control pod, and then seen to exchange packets with a target or an observed
// pod; only reports have it.
enum class PodRole { target, observed, control, connected };
BOOST_DESCRIBE_ENUM(PodRole, target, observed, control, connected)

struct RunPod {
  PodRef pod;
  PodRole role = PodRole::target;
  // With `follow: true`, on the controller's clock: when it joined a run under way, and when it was
  // found to be gone. Not set: it was there from the beginning, to the end.
  Timestamp joinedAt, leftAt;
};
BOOST_DESCRIBE_STRUCT(RunPod, (), (pod, role, joinedAt, leftAt))

// What the selector `peer` of one fault stands for now, in the whole cluster: addresses of pods, and
// of the Services that lead to them. Followed while the fault is armed.
struct PeerAddresses {
  std::int64_t index = 0;  // of the fault in the experiment's list
  bool except = false;     // of the filter's `except.peer`, else of its `peer`
  std::vector<std::string> addresses;
};
BOOST_DESCRIBE_STRUCT(PeerAddresses, (), (index, except, addresses))

// One run on one node. A run that is no longer in the desired state is taken down and its end
// reported (RunClosed).
struct DesiredRun {
  std::string run;        // unique id of the run, e.g. slow-payments-20261123T101502Z
  Experiment experiment;  // with the seed that was chosen
  RunPhase phase = RunPhase::baseline;
  std::vector<RunPod> pods;   // of this node
  std::int64_t matching = 0;  // pods that match the target selector in the whole cluster, for the
                              // agent's own limit check
  std::int64_t targets = 0;   // pods that were chosen in the whole cluster
  double leaseSeconds = 3;
  // Seconds from the answer to when the fault phase ends at the latest, whoever leads then. An
  // agent keeps the earliest end that it was ever told, and ends its faults then by itself. Not
  // set: the phase is another one, or the controller is older.
  std::optional<double> faultSecondsLeft;
  // One for each `peer` of the faults that has been resolved. A selector without one here: the
  // controller is older, and the agent resolves it among the pods of its own node.
  std::vector<PeerAddresses> peers;
};
BOOST_DESCRIBE_STRUCT(DesiredRun, (),
                      (run, experiment, phase, pods, matching, targets, leaseSeconds,
                       faultSecondsLeft, peers))

// ---- what the agent measured
// ----------------------------------------------------------------------------------------
enum class InjectionState { armed, blocked, disarmed };
BOOST_DESCRIBE_ENUM(InjectionState, armed, blocked, disarmed)

// Counters are totals since the run was armed on this pod; a batch carries the newest value, never
// a difference.
struct EventCount {
  std::uint64_t matched = 0;
  std::uint64_t injected = 0;
};
BOOST_DESCRIBE_STRUCT(EventCount, (), (matched, injected))

// Of a narrow link (networkBandwidth), both directions together.
struct LinkUse {
  std::uint64_t dropped = 0;  // packets that found its queue full
  // Of packets that waited behind another one that waited: their bytes with link-layer headers, and
  // the seconds from the departure before to theirs. bytes / seconds is how fast the link was.
  std::uint64_t bytes = 0;
  double seconds = 0;
};
BOOST_DESCRIBE_STRUCT(LinkUse, (), (dropped, bytes, seconds))

struct InjectionStatus {
  PodRef pod;
  std::string fault;       // networkLatency
  std::int64_t index = 0;  // of the fault in the experiment's list
  std::string mechanism;
  InjectionState state = InjectionState::armed;
  // Why blocked; of one that is disarmed, why it ended other than was planned; else empty.
  std::string reason;
  std::uint64_t matched = 0;
  std::uint64_t injected = 0;
  std::uint64_t errors =
      0;  // events our own helpers failed on: passed unchanged, or lost where `lost` says so
  std::uint64_t lost = 0;  // packets a latency fault lost (queue full): spoils the verdict
  // Packets that matched and passed at once, because the agent was stopped, late or had no memory.
  std::uint64_t stalled = 0;
  // Packets that wait in the line now: so many an agent that is killed takes with it.
  std::uint64_t held = 0;
  // Packets that were in the line when the fault ended and left it early: no part of addedLatency.
  std::uint64_t heldAtEnd = 0;
  // How long the kernel let the fault act on this pod, over all armings. Not set: the agent is
  // older than this figure.
  std::optional<double> armedSeconds;
  std::map<std::string, std::uint64_t> byErrno;  // what applications were told: {"ETIMEDOUT": 10}
  std::map<std::string, EventCount> byCall;      // system-call faults: {"openat": ...}
  Histogram addedLatency;       // measured, per injected event that was delayed; packets and calls
  std::optional<LinkUse> link;  // networkBandwidth only
  Timestamp armedAt;
  Timestamp disarmedAt;
  Timestamp firstInjectedAt;
  Timestamp lastInjectedAt;
};
BOOST_DESCRIBE_STRUCT(InjectionStatus, (),
                      (pod, fault, index, mechanism, state, reason, matched, injected, errors, lost,
                       stalled, held, heldAtEnd, armedSeconds, byErrno, byCall, addedLatency, link,
                       armedAt, disarmedAt, firstInjectedAt, lastInjectedAt))

// One metric of one pod in one window. Which of value, histogram, numerator/denominator is set
// follows from the metric.
struct EffectSample {
  std::string metric;
  std::map<std::string, std::string> labels;
  double value = 0;
  std::optional<Histogram> histogram;
  double numerator = 0;
  double denominator = 0;
};
BOOST_DESCRIBE_STRUCT(EffectSample, (), (metric, labels, value, histogram, numerator, denominator))

// A window never spans two phases: the agent closes it when the phase changes.
struct EffectWindow {
  PodRef pod;
  PodRole role = PodRole::target;
  RunPhase phase = RunPhase::baseline;
  Timestamp from;
  Timestamp to;
  std::vector<EffectSample> samples;
};
BOOST_DESCRIBE_STRUCT(EffectWindow, (), (pod, role, phase, from, to, samples))

// Something that could not be measured or was lost, in words; becomes a gap of the report.
struct Gap {
  std::string node;
  std::string pod;     // namespace/name or empty
  std::string metric;  // or empty
  Timestamp from;
  Timestamp to;
  std::string reason;
  // How much of the metric it is, where that is known: `missed` of `of` things (requests,
  // connections) were not measured. Null: nothing of the metric is known for that time.
  std::optional<std::uint64_t> missed{};
  std::optional<std::uint64_t> of{};
};
BOOST_DESCRIBE_STRUCT(Gap, (), (node, pod, metric, from, to, reason, missed, of))

enum class RunEventKind {
  measuring,
  armed,
  disarmed,
  pod_restarted,
  pod_gone,
  lease_expired,
  blocked,
  closed,
  connected
};
BOOST_DESCRIBE_ENUM(RunEventKind, measuring, armed, disarmed, pod_restarted, pod_gone,
                    lease_expired, blocked, closed, connected)

// measuring: the collectors of every pod of the node run. armed: every fault of the node is armed
// (or blocked). disarmed: none is left. closed: the run was taken down, `residue` says what was
// found of ours after it (empty: none). connected: the control pod `pod` exchanged packets over TCP
// with the target or observed pod that `text` names.
struct RunEvent {
  RunEventKind kind = RunEventKind::measuring;
  Timestamp at;
  std::string pod;  // or empty
  std::string text;
  std::vector<std::string> residue;
};
BOOST_DESCRIBE_STRUCT(RunEvent, (), (kind, at, pod, text, residue))

struct RunBatch {
  std::string run;
  RunPhase phase = RunPhase::baseline;
  std::vector<InjectionStatus> injections;
  std::vector<EffectWindow> windows;
  std::vector<Gap> gaps;
  std::vector<RunEvent> events;
};
BOOST_DESCRIBE_STRUCT(RunBatch, (), (run, phase, injections, windows, gaps, events))

struct NumberedBatch {
  std::uint64_t number = 0;
  RunBatch batch;
};
BOOST_DESCRIBE_STRUCT(NumberedBatch, (), (number, batch))

struct SyncRequest {
  std::string instance;  // random per agent process
  std::uint64_t knownRevision = 0;
  std::uint64_t term = 0;  // the highest of any answer so far
  double waitSeconds = 0;
  Timestamp sentAt;  // the agent's clock
  // What the agent learned from its last exchange, as NTP does (RFC 5905, section 8): t1 = its
  // sentAt, t2 = receivedAt, t3 = answeredAt, t4 = arrival of the answer by its clock. Seconds.
  std::optional<double> clockOffset;        // agent minus controller: ((t1 - t2) + (t4 - t3)) / 2
  std::optional<double> clockRoundTrip;     // (t4 - t1) - (t3 - t2)
  std::optional<NodeInfo> info;             // in the first request, and when it changed
  std::optional<std::vector<PodRef>> pods;  // likewise; the whole list
  std::vector<NumberedBatch> batches;
};
BOOST_DESCRIBE_STRUCT(SyncRequest, (),
                      (instance, knownRevision, term, waitSeconds, sentAt, clockOffset,
                       clockRoundTrip, info, pods, batches))

struct SyncResponse {
  std::uint64_t revision = 0;
  std::uint64_t ackedBatch = 0;  // all batches up to this number are stored
  bool sendInfo = false;  // the controller does not know this instance: send info and pods now
  Timestamp receivedAt;   // the controller's clock when the request arrived and when the answer
                          // left: the agent's
  Timestamp answeredAt;   // clock offset is computed from these two, sentAt and the time of arrival
                          // (as NTP does)
  // Of several controllers: grows with each change of leader. An answer of an earlier one than was
  // seen counts for nothing. 0: there is no election.
  std::uint64_t term = 0;
  std::vector<DesiredRun> runs;
};
BOOST_DESCRIBE_STRUCT(SyncResponse, (),
                      (revision, ackedBatch, sendInfo, receivedAt, answeredAt, term, runs))

}  // namespace faultline::api
