// SPDX-License-Identifier: Apache-2.0
// Rules of the experiment and what it is made of; faults are in rules_faults.h.
#pragma once

#include "api/detail/rules_names.h"
#include "api/experiment.h"
#include "api/metrics.h"

namespace faultline::api::detail {

template <>
inline constexpr bool kStrict<Experiment> = true;
template <>
inline constexpr bool kStrict<Selector> = true;

inline constexpr std::string_view kApiVersions[] = {"faultline.dev/v1alpha1"};
inline constexpr std::string_view kKinds[] = {"Experiment"};

inline constexpr auto kMetricWords = [] {
  std::array<std::string_view, kMetrics.size()> words{};
  for (std::size_t i = 0; i < kMetrics.size(); ++i) words[i] = kMetrics[i].name;
  return words;
}();

inline constexpr std::string_view kTtl = "^(never|(0|[1-9][0-9]{0,6})[smhd])$";
inline constexpr std::string_view kTtlWords =
    "a whole number of s, m, h or d like \"12h\" or \"7d\", or never";

template <>
struct Rules<Experiment> {
  static constexpr std::string_view help =
      "A chaos experiment: which pods are hit, by which faults, what is measured and expected.";
  static constexpr FieldRule fields[] = {
      {.key = "apiVersion",
       .help = "Version of this language.",
       .required = true,
       .words = kApiVersions},
      {.key = "kind", .help = "What this document is.", .required = true, .words = kKinds},
      {.key = "metadata", .help = "Name and labels of the experiment.", .required = true},
      {.key = "spec", .help = "The experiment itself.", .required = true}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<Metadata> {
  static constexpr std::string_view help = "Name and labels, as Kubernetes has them.";
  static constexpr FieldRule fields[] = {
      {.key = "name",
       .help = "Name of the experiment; its runs are named after it.",
       .required = true,
       .max_length = 63,
       .pattern = kDnsLabel,
       .pattern_words = kDnsLabelWords,
       .example = "\"slow-payments\""},
      {.key = "namespace",
       .help = "For kubectl; without Kubernetes it has no meaning.",
       .max_length = 63,
       .pattern = kDnsLabel,
       .pattern_words = kDnsLabelWords},
      {.key = "labels",
       .help = "For people and kubectl; kept, not interpreted.",
       .max_items = 256,
       .keys = &kLabelKey,
       .values = &kLabelValue},
      {.key = "annotations",
       .help = "For people and kubectl; kept, not interpreted.",
       .max_items = 256,
       .keys = &kLabelKey,
       .values = &kAnnotationValue}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<ExperimentSpec> {
  static constexpr std::string_view help = "What the experiment does and expects.";
  static constexpr FieldRule fields[] = {
      {.key = "purpose",
       .help = "What the experiment is to show, in a sentence; printed on reports.",
       .max_length = 1024,
       .example = "\"Checkout stays under 1 s when payments is 200 ms slower\""},
      {.key = "target", .help = "The pods that are hit.", .required = true},
      {.key = "faults",
       .help = "What is done to the targets; several run together. Empty: only measure.",
       .max_items = 16},
      {.key = "observe", .help = "Pods that are measured and never touched.", .max_items = 16},
      {.key = "phases", .help = "How long it is measured before, during and after the faults."},
      {.key = "seed",
       .help = "Same seed, same choice of pods and same dice. 0: chosen at start and reported.",
       .example = "42"},
      {.key = "expect", .help = "What should be seen; decides the verdict."},
      {.key = "abortWhen", .help = "Conditions that end the faults at once.", .max_items = 32},
      {.key = "limits", .help = "The most that may be hit; more is refused."},
      {.key = "ttlAfterFinished",
       .help =
           "In Kubernetes: how long the object is kept when it is finished, or never to keep it "
           "until somebody deletes it. Left out: as the policy says.",
       .max_length = 16,
       .pattern = kTtl,
       .pattern_words = kTtlWords,
       .example = "\"7d\""}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<Target> {
  static constexpr std::string_view help = "Which pods are hit.";
  static constexpr FieldRule fields[] = {
      {.key = "selector", .help = "The pods to choose from.", .required = true},
      {.key = "containerNames",
       .help = "Only these containers of the pods; goes with faults of sockets and system calls. "
               "Left out: all of them.",
       .not_empty = true,
       .max_items = 32,
       .max_length = 63,
       .pattern = kDnsLabel,
       .pattern_words = kDnsLabelWords,
       .example = "[\"app\"]"},
      {.key = "mode",
       .help = "How many of the pods that match: one (by chance), all, a fixed number, a fixed "
               "percentage, or a random percentage up to a maximum."},
      {.key = "value",
       .help = "The number of mode fixed, or the percentage (1 to 100) of the percent modes.",
       .number_ok = true,
       .max_length = 9,
       .pattern = "^[1-9][0-9]{0,8}$",
       .pattern_words = "a whole number of at least 1",
       .example = "\"50\""},
      {.key = "follow",
       .help = "A target that goes away during the fault is replaced by another pod that matches, "
               "within the same limits; with mode all every new one joins."}};
  static constexpr std::string_view schema = R"({
    "if": {"properties": {"mode": {"enum": ["fixed", "fixed-percent", "random-max-percent"]}},
           "required": ["mode"]},
    "then": {"required": ["value"]}, "else": {"not": {"required": ["value"]}}})";
};

template <>
struct Rules<Selector> {
  static constexpr std::string_view help =
      "Which pods; all given parts must match. An empty selector matches nothing.";
  static constexpr FieldRule fields[] = {
      {.key = "namespaces",
       .help = "The pod is in one of these.",
       .not_empty = true,
       .max_items = 64,
       .max_length = 63,
       .pattern = kDnsLabel,
       .pattern_words = kDnsLabelWords,
       .example = "[\"shop\"]"},
      {.key = "labelSelectors",
       .help = "The pod has all of these labels with these values.",
       .not_empty = true,
       .max_items = 32,
       .example = "{\"app\": \"payments\"}",
       .keys = &kLabelKey,
       .values = &kLabelValue},
      {.key = "pods",
       .help = "Names of pods by namespace.",
       .not_empty = true,
       .max_items = 16,
       .example = "{\"shop\": [\"payments-0\"]}",
       .keys = &kNamespaceKey,
       .values = &kPodNames},
      {.key = "nodes",
       .help = "The pod is on one of these nodes.",
       .not_empty = true,
       .max_items = 100,
       .max_length = 253,
       .pattern = kHostName,
       .pattern_words = kHostNameWords}};
  static constexpr std::string_view schema = R"({"minProperties": 1})";
};

template <>
struct Rules<Phases> {
  static constexpr std::string_view help =
      "Lengths of the phases. Without faults, fault is still the measuring time.";
  static constexpr FieldRule fields[] = {
      {.key = "baseline",
       .help = "Measured before the faults; 0s: none, and the faults come first.",
       .example = "\"10s\""},
      {.key = "fault",
       .help = "How long the faults last, counted from when the last was armed.",
       .min = 0,
       .more_than_min = true,
       .example = "\"30s\""},
      {.key = "recovery", .help = "Measured after the faults; 0s: none.", .example = "\"10s\""}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<Expect> {
  static constexpr std::string_view help = "What should be seen; decides the verdict.";
  static constexpr FieldRule fields[] = {
      {.key = "alerts", .help = "Alerts that should fire.", .max_items = 32},
      {.key = "effects", .help = "Bounds on what is measured in the fault phase.", .max_items = 64},
      {.key = "signals",
       .help = "Queries of the monitoring that should agree with the kernel.",
       .max_items = 32}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<ExpectAlert> {
  static constexpr std::string_view help = "An alert that should fire.";
  static constexpr FieldRule fields[] = {
      {.key = "name",
       .help = "The alert's name in the monitoring.",
       .required = true,
       .not_empty = true,
       .max_length = 253,
       .example = "\"CheckoutSlow\""},
      {.key = "within",
       .help = "Fires at most this long after the first injected event.",
       .required = true,
       .min = 0,
       .more_than_min = true,
       .example = "\"60s\""},
      {.key = "labels",
       .help = "Only an instance of the alert that has all of these labels counts.",
       .not_empty = true,
       .max_items = 32,
       .example = "{\"service\": \"checkout\"}",
       .keys = &kMonitoringLabelKey,
       .values = &kMonitoringLabelValue},
      {.key = "receiver",
       .help = "The receiver of Alertmanager that should be told. Left out: any that has an "
               "integration.",
       .not_empty = true,
       .max_length = 253,
       .example = "\"pager\""}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<ExpectEffect> {
  static constexpr std::string_view help =
      "A bound on a measured effect in the fault phase: exactly one of below and above.";
  static constexpr FieldRule fields[] = {
      {.key = "selector",
       .help = "Pods it is about, among those measured. Left out: all that are measured.",
       .not_empty = true},
      {.key = "metric",
       .help = "What is measured.",
       .required = true,
       .words = kMetricWords,
       .example = "\"request.latency\""},
      {.key = "quantile",
       .help = "For metrics with a distribution; 0.99 is p99.",
       .min = 0,
       .max = 1,
       .example = "0.99"},
      {.key = "below",
       .help = "Upper bound in the metric's unit: a duration, a percentage or a number.",
       .number_ok = true,
       .max_length = kMostBound,
       .example = "\"1s\""},
      {.key = "above",
       .help = "Lower bound, written like below.",
       .number_ok = true,
       .max_length = kMostBound,
       .example = "\"10ms\""}};
  static constexpr std::string_view schema =
      R"({"oneOf": [{"required": ["below"]}, {"required": ["above"]}]})";
};

template <>
struct Rules<ExpectSignal> {
  static constexpr std::string_view help =
      "A query of the monitoring whose answer should agree with what the kernel measured.";
  static constexpr FieldRule fields[] = {{.key = "promql",
                                          .help = "The query.",
                                          .required = true,
                                          .not_empty = true,
                                          .max_length = kMostQuery},
                                         {.key = "equals",
                                          .help = "The metric it should agree with.",
                                          .required = true,
                                          .words = kMetricWords,
                                          .example = "\"request.latency\""},
                                         {.key = "quantile",
                                          .help = "For metrics with a distribution; 0.99 is p99.",
                                          .min = 0,
                                          .max = 1,
                                          .example = "0.99"},
                                         {.key = "tolerance",
                                          .help = "How far they may differ, of the measured value.",
                                          .example = "\"20%\""}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<AbortCondition> {
  static constexpr std::string_view help =
      "Ends the faults when it holds: exactly one of promql and effect, exactly one of above and "
      "below.";
  static constexpr FieldRule fields[] = {
      {.key = "promql",
       .help = "A query of the monitoring; its bound is a number.",
       .max_length = kMostQuery},
      {.key = "effect",
       .help = "A metric that Faultline measures itself.",
       .words = kMetricWords,
       .example = "\"request.errors\""},
      {.key = "quantile",
       .help = "For metrics with a distribution; 0.99 is p99.",
       .min = 0,
       .max = 1,
       .example = "0.99"},
      {.key = "above",
       .help = "Holds above this: for an effect a duration, a percentage or a number in its unit.",
       .number_ok = true,
       .max_length = kMostBound,
       .example = "\"50%\""},
      {.key = "below",
       .help = "Holds below this, written like above.",
       .number_ok = true,
       .max_length = kMostBound}};
  static constexpr std::string_view schema = R"({"allOf": [
    {"oneOf": [{"required": ["promql"]}, {"required": ["effect"]}]},
    {"oneOf": [{"required": ["above"]}, {"required": ["below"]}]}]})";
};

template <>
struct Rules<Limits> {
  static constexpr std::string_view help =
      "The most that may be hit. An experiment that chooses more is refused, never trimmed.";
  static constexpr FieldRule fields[] = {
      {.key = "maxPods", .help = "Pods that may be targets.", .min = 1, .max = 10000},
      {.key = "maxPercent",
       .help = "Percent of the pods that match the target's selector; one pod is always allowed.",
       .min = 0,
       .max = 100,
       .more_than_min = true},
      {.key = "allReadyPods",
       .help = "In Kubernetes: whether every ready pod of a workload may be hit at once."}};
  static constexpr std::string_view schema{};
};

}  // namespace faultline::api::detail
