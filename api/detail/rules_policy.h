// SPDX-License-Identifier: Apache-2.0
// Rules of the policy document.
#pragma once

#include "api/detail/rules_experiment.h"
#include "api/policy.h"

namespace faultline::api::detail {

template <>
inline constexpr bool kStrict<Policy> = true;

template <>
struct Rules<Policy> {
  static constexpr std::string_view help = "What is allowed on this cluster, whoever asks.";
  static constexpr FieldRule fields[] = {
      {.key = "protectedNamespaces",
       .help = "Namespaces whose pods are never targets.",
       .max_items = 1000,
       .max_length = 63,
       .pattern = kDnsLabel,
       .pattern_words = kDnsLabelWords,
       .example = "[\"kube-system\", \"faultline\"]"},
      {.key = "namespaceAccess",
       .help = "opt-out: every namespace but those labelled faultline.dev/experiments=disabled; "
               "opt-in: only those labelled faultline.dev/experiments=enabled."},
      {.key = "maxDuration",
       .help = "The longest fault phase.",
       .min = 0,
       .more_than_min = true,
       .example = "\"1h\""},
      {.key = "maxRunDuration",
       .help = "The longest run: baseline, fault and recovery together.",
       .min = 0,
       .more_than_min = true,
       .example = "\"2h\""},
      {.key = "maxPods",
       .help = "Targets of all runs under way, with those that are asked for.",
       .min = 1,
       .max = 10000},
      {.key = "maxPercentOfWorkload",
       .help =
           "Percent of a workload's pods that all runs together may hit; one is always allowed.",
       .min = 0,
       .max = 100,
       .more_than_min = true},
      {.key = "allowAllReadyPods",
       .help = "Whether spec.limits.allReadyPods may be asked for: every ready pod of a workload."},
      {.key = "ttlAfterFinished",
       .help = "How long a finished Experiment is kept that does not say it itself, or never to "
               "keep it until somebody deletes it.",
       .pattern = kTtl,
       .pattern_words = kTtlWords,
       .example = "\"7d\""}};
  static constexpr std::string_view schema{};
};

}  // namespace faultline::api::detail
