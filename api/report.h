// SPDX-License-Identifier: Apache-2.0
// Report: what a run did, as report.json holds it. Durations are seconds, rates fractions, null
// means not measured.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/detection.h"
#include "api/experiment.h"
#include "api/sync.h"
#include "api/values.h"

namespace faultline::api {

enum class RunState { Pending, Baseline, Injecting, Recovering, Completed, Aborted, Failed };
BOOST_DESCRIBE_ENUM(RunState, Pending, Baseline, Injecting, Recovering, Completed, Aborted, Failed)

enum class InjectionVerdict { confirmed, partial, no_traffic, blocked };  // JSON: no-traffic
BOOST_DESCRIBE_ENUM(InjectionVerdict, confirmed, partial, no_traffic, blocked)

// The least of a run's parts. met: every fault acted as asked on every target, and every
// expectation held. partial: a fault acted, but not as asked, or not on every target. not_real: a
// fault acted on no target.
enum class RunVerdict { met, missed, partial, not_real, aborted, failed };
BOOST_DESCRIBE_ENUM(RunVerdict, met, missed, partial, not_real, aborted, failed)

struct Interval {
  double low = 0;
  double high = 0;
};
BOOST_DESCRIBE_STRUCT(Interval, (), (low, high))

struct LatencyQuantiles {
  std::optional<double> p50, p95, p99;
};
BOOST_DESCRIBE_STRUCT(LatencyQuantiles, (), (p50, p95, p99))

struct ReportNode {
  std::string name;
  std::string kernel;
  std::string arch;
  std::string agentVersion;
  std::vector<std::string> mechanisms;
  double clockOffset = 0;       // seconds, agent minus controller
  double clockUncertainty = 0;  // half the best round trip
};
BOOST_DESCRIBE_STRUCT(ReportNode, (),
                      (name, kernel, arch, agentVersion, mechanisms, clockOffset, clockUncertainty))

struct TimelineEntry {
  std::string key;   // t0 .. t11 of the design, or the name of another event
  std::string name;  // "first injected event"
  Timestamp at;
  std::optional<double> monotonic;  // seconds since t0
  std::string detail;
};
BOOST_DESCRIBE_STRUCT(TimelineEntry, (), (key, name, at, monotonic, detail))

// Of networkBandwidth: bits per second, asked and as measured while packets waited; null when too
// few did.
struct LinkReport {
  double asked = 0;
  std::optional<double> measured;
  std::uint64_t dropped = 0;  // packets that found the queue full
};
BOOST_DESCRIBE_STRUCT(LinkReport, (), (asked, measured, dropped))

struct InjectionReport {
  std::string pod;
  std::string node;
  std::string fault;
  std::string mechanism;
  std::string asked;  // in words: "50 ms +- 5 ms"
  std::optional<double> askedRate;
  std::optional<double> askedLatency;
  std::uint64_t matched = 0;
  std::uint64_t injected = 0;
  std::uint64_t errors = 0;
  std::uint64_t lost = 0;
  std::uint64_t stalled = 0;
  // Packets that were in the line when the fault ended, and left it early; of an agent that ended
  // with the fault armed: as many as it told last.
  std::uint64_t heldAtEnd = 0;
  // How long the fault could act on this pod, and how long it was to: null where it is not known.
  std::optional<double> armedSeconds, phaseSeconds;
  std::optional<double> rate;
  std::optional<Interval> rateCi95;
  std::optional<LatencyQuantiles> addedLatency;
  std::optional<LinkReport> link;  // networkBandwidth only
  std::map<std::string, std::uint64_t> byErrno;
  std::map<std::string, EventCount> byCall;
  Timestamp firstInjectedAt;
  Timestamp lastInjectedAt;
  InjectionVerdict verdict = InjectionVerdict::blocked;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(InjectionReport, (),
                      (pod, node, fault, mechanism, asked, askedRate, askedLatency, matched,
                       injected, errors, lost, stalled, heldAtEnd, armedSeconds, phaseSeconds, rate,
                       rateCi95, addedLatency, link, byErrno, byCall, firstInjectedAt,
                       lastInjectedAt, verdict, reason))

struct PhaseStats {
  std::uint64_t count = 0;  // values, events or windows behind the figures
  std::optional<double> p50, p90, p99, max;
  std::optional<double> rate;  // events per second; for gauges the mean; for fractions the fraction
};
BOOST_DESCRIBE_STRUCT(PhaseStats, (), (count, p50, p90, p99, max, rate))

struct EffectReport {
  std::string pod;
  PodRole role = PodRole::target;
  std::string metric;
  std::map<std::string, std::string> labels;
  std::string unit;
  std::optional<PhaseStats> baseline, fault, recovery;  // null: not measured
  std::optional<double> change;  // fault minus baseline: of p50 for histograms, else of rate
  std::optional<Interval> ci95;  // of change
  // Whether `change` holds among all intervals of the report (Benjamini and Hochberg at 5 %). Null:
  // a phase has too few windows to tell.
  std::optional<bool> significant{};
  // The same of the slow end of a histogram: its p99, or p90 where a phase has few values.
  std::optional<double> tailQuantile{};
  std::optional<double> changeTail{};
  std::optional<Interval> ci95Tail{};
  std::optional<bool> significantTail{};
  // `change` less what the control pods' figure of the same metric changed in the same time.
  std::optional<double> changeAgainstControls{};
  std::optional<Interval> ci95AgainstControls{};
};
BOOST_DESCRIBE_STRUCT(EffectReport, (),
                      (pod, role, metric, labels, unit, baseline, fault, recovery, change, ci95,
                       significant, tailQuantile, changeTail, ci95Tail, significantTail,
                       changeAgainstControls, ci95AgainstControls))

struct ExpectationReport {
  std::string text;  // "request.latency p99 of app=checkout below 1 s"
  bool met = false;
  std::string measured;
};
BOOST_DESCRIBE_STRUCT(ExpectationReport, (), (text, met, measured))

struct RecoveryReport {
  Timestamp recoveredAt;
  std::optional<double>
      seconds;  // from the last injected event until the effects are back in the baseline band
  std::string text;
};
BOOST_DESCRIBE_STRUCT(RecoveryReport, (), (recoveredAt, seconds, text))

struct Report {
  std::string run;
  RunState state = RunState::Pending;
  std::string stateReason;
  Experiment experiment;
  std::vector<ReportNode> nodes;
  std::vector<TimelineEntry> timeline;
  std::vector<InjectionReport> injections;
  std::vector<EffectReport> effects;
  std::vector<DetectionReport> detections;
  std::vector<SignalReport> signals;
  std::vector<ExpectationReport> expectations;
  RecoveryReport recovery;
  std::optional<std::vector<std::string>>
      residue;  // JSON: "none" when empty, null when it could not be checked
  std::vector<Gap> gaps;
  RunVerdict verdict = RunVerdict::failed;
};
BOOST_DESCRIBE_STRUCT(Report, (),
                      (run, state, stateReason, experiment, nodes, timeline, injections, effects,
                       detections, signals, expectations, recovery, residue, gaps, verdict))

}  // namespace faultline::api
