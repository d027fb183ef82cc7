// SPDX-License-Identifier: Apache-2.0
// ExperimentStatus: what `kubectl get experiment -o yaml` shows of a run, and the Experiment as the
// cluster keeps it. Counts are events since the faults were armed; rates are fractions of 1.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/experiment.h"
#include "api/report.h"
#include "api/values.h"

namespace faultline::api {

// Selected: the targets are chosen and allowed. Armed: every fault is armed on every target.
// Recovered: nothing is left on any node. Verdict: every fault was real and every expectation met.
enum class ConditionType { Selected, Armed, Recovered, Verdict };
BOOST_DESCRIBE_ENUM(ConditionType, Selected, Armed, Recovered, Verdict)

enum class ConditionStatus { True, False, Unknown };
BOOST_DESCRIBE_ENUM(ConditionStatus, True, False, Unknown)

// The fields and their meaning are those of Kubernetes' metav1.Condition.
struct Condition {
  ConditionType type = ConditionType::Selected;
  ConditionStatus status = ConditionStatus::Unknown;
  std::string reason;  // one word: "TooManyPods"
  std::string message;
  Timestamp lastTransitionTime;  // when `status` last changed
  std::int64_t observedGeneration = 0;
};
BOOST_DESCRIBE_STRUCT(Condition, (),
                      (type, status, reason, message, lastTransitionTime, observedGeneration))

struct StatusTarget {
  std::string namespace_;  // key "namespace"
  std::string name;
  std::string node;
};
BOOST_DESCRIBE_STRUCT(StatusTarget, (), (namespace_, name, node))

// One fault on one pod.
struct StatusInjection {
  std::string pod;  // namespace/name
  std::string fault;
  std::uint64_t matched = 0;
  std::uint64_t injected = 0;
  std::optional<double> rate;               // injected of matched; absent where nothing matched
  std::optional<InjectionVerdict> verdict;  // absent until the run is over
};
BOOST_DESCRIBE_STRUCT(StatusInjection, (), (pod, fault, matched, injected, rate, verdict))

// One expected alert, or one that fired and was not expected.
struct StatusDetection {
  std::string alert;
  DetectionVerdict verdict = DetectionVerdict::unknown;
  std::optional<double> seconds;  // from the first injected event to the firing
  std::optional<double> floor;    // the same, the earliest that the settings allow
};
BOOST_DESCRIBE_STRUCT(StatusDetection, (), (alert, verdict, seconds, floor))

struct ExperimentStatus {
  RunState phase = RunState::Pending;
  std::string reason;  // why it is Failed, Aborted or still Pending; empty otherwise
  std::string run;     // id of the run, empty before it starts
  std::int64_t observedGeneration = 0;
  std::vector<Condition> conditions;  // at most one of a type
  std::int64_t pods = 0;              // how many are targets
  std::vector<StatusTarget> targets;
  std::uint64_t injected = 0;  // over all faults and pods
  std::vector<StatusInjection> injections;
  std::vector<StatusDetection> detections;  // empty until the run is over
  std::optional<RunVerdict> verdict;        // absent until the run is over
  Timestamp startedAt;
  Timestamp completedAt;
  std::string report;  // path at the controller: "/api/v1/runs/<run>/report"
};
BOOST_DESCRIBE_STRUCT(ExperimentStatus, (),
                      (phase, reason, run, observedGeneration, conditions, pods, targets, injected,
                       injections, detections, verdict, startedAt, completedAt, report))

// What the API server says of an object beyond its name and labels. Unknown keys are ignored.
struct OwnerReference {
  std::string apiVersion;
  std::string kind;
  std::string name;
  std::string uid;
  bool controller = false;
};
BOOST_DESCRIBE_STRUCT(OwnerReference, (), (apiVersion, kind, name, uid, controller))

struct ObjectMeta {
  std::string uid;
  std::string resourceVersion;  // opaque; only ever sent back
  std::int64_t generation = 0;  // counts changes of the spec
  Timestamp creationTimestamp;
  Timestamp deletionTimestamp;  // set: the object is being deleted
  std::vector<std::string> finalizers;
  std::vector<OwnerReference> ownerReferences;
};
BOOST_DESCRIBE_STRUCT(ObjectMeta, (),
                      (uid, resourceVersion, generation, creationTimestamp, deletionTimestamp,
                       finalizers, ownerReferences))

// An Experiment as the API server returns it.
struct ClusterExperiment {
  Experiment experiment;
  ObjectMeta object;
  ExperimentStatus status;
  // Why what is there as `status` cannot be read, in which case `status` is empty: another version
  // wrote it, so that nothing may be concluded but that the Experiment has begun.
  std::string status_problem;
};

}  // namespace faultline::api
