// SPDX-License-Identifier: Apache-2.0
// Rules of the status of an Experiment in a cluster.
#pragma once

#include "api/detail/rules.h"
#include "api/experiment_status.h"

namespace faultline::api::detail {

// As Kubernetes allows it for a condition's.
inline constexpr std::size_t kMostMessage = 32 << 10;

template <>
inline constexpr bool kLeavesOutEmpty<ExperimentStatus> = true;

template <>
struct Rules<ExperimentStatus> {
  static constexpr std::string_view help =
      "What became of the experiment; the controller writes it.";
  static constexpr FieldRule fields[] = {
      {.key = "phase", .help = "Where the run is."},
      {.key = "reason",
       .help = "Why it is Failed, Aborted or still Pending.",
       .max_length = kMostMessage},
      {.key = "run", .help = "Id of the run, for `faultline report`.", .max_length = 253},
      {.key = "observedGeneration",
       .help = "The generation of the spec that this is about.",
       .min = 0},
      {.key = "conditions",
       .help = "What has been reached, at most one of a type.",
       .max_items = 8},
      {.key = "pods", .help = "How many pods are targets.", .min = 0},
      {.key = "targets", .help = "The pods that are hit.", .max_items = 100},
      {.key = "injected", .help = "Events that were hit, over all faults and pods."},
      {.key = "injections",
       .help = "What was injected, for each fault on each pod.",
       .max_items = 100},
      {.key = "detections",
       .help =
           "Whether the monitoring noticed, for each expected alert and each that fired and was "
           "not expected. Absent until the run is over.",
       .max_items = 100},
      {.key = "verdict",
       .help = "met: every fault was real on every target, and every expectation held. partial: a "
               "fault "
               "acted, but not as asked or not on every target. Absent until the run is over."},
      {.key = "startedAt", .help = "When the run started."},
      {.key = "completedAt", .help = "When the run was over and nothing was left."},
      {.key = "report", .help = "Where the controller has the report.", .max_length = 1024}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<Condition> {
  static constexpr std::string_view help = "Something that has been reached, or not.";
  static constexpr FieldRule fields[] = {
      {.key = "type",
       .help = "Selected: the targets are chosen and allowed. Armed: every fault is armed on every "
               "target. Recovered: nothing is left on any node. Verdict: every fault was real and "
               "every expectation held.",
       .required = true},
      {.key = "status", .help = "Whether it is so.", .required = true},
      {.key = "reason",
       .help = "Why, in one word.",
       .max_length = 1024,
       .pattern = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
       .pattern_words = "one word"},
      {.key = "message", .help = "Why, in a sentence.", .max_length = kMostMessage},
      {.key = "lastTransitionTime", .help = "When its status last changed."},
      {.key = "observedGeneration",
       .help = "The generation of the spec that this is about.",
       .min = 0}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<StatusTarget> {
  static constexpr std::string_view help = "A pod that is hit.";
  static constexpr FieldRule fields[] = {
      {.key = "namespace", .help = "Its namespace.", .required = true, .max_length = 63},
      {.key = "name", .help = "Its name.", .required = true, .max_length = 253},
      {.key = "node", .help = "The node it is on.", .max_length = 253}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<StatusInjection> {
  static constexpr std::string_view help = "One fault on one pod.";
  static constexpr FieldRule fields[] = {
      {.key = "pod", .help = "Namespace and name of the pod.", .required = true, .max_length = 317},
      {.key = "fault", .help = "The name of the fault.", .required = true, .max_length = 63},
      {.key = "matched", .help = "Events that the fault's filters matched."},
      {.key = "injected", .help = "Events that were hit."},
      {.key = "rate", .help = "Injected of matched, a fraction.", .min = 0, .max = 1},
      {.key = "verdict", .help = "Whether the fault was real; absent until the run is over."}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<StatusDetection> {
  static constexpr std::string_view help = "One alert of the monitoring.";
  static constexpr FieldRule fields[] = {
      {.key = "alert", .help = "Its name.", .required = true, .max_length = 1024},
      {.key = "verdict", .help = "What became of it.", .required = true},
      {.key = "seconds", .help = "From the first injected event to its firing.", .min = 0},
      {.key = "floor",
       .help = "The same, the earliest that the settings of the monitoring allow.",
       .min = 0}};
  static constexpr std::string_view schema{};
};

}  // namespace faultline::api::detail
