// SPDX-License-Identifier: Apache-2.0
// Of whom does an alert speak? Internal to report/detections, and for whoever works
// out what that judges. Pure and thread-safe.
#pragma once

#include <string>

#include "report/alert_episodes.h"
#include "report/detections.h"

namespace faultline::report {

// In the order in which they are taken for an expectation that several instances meet.
enum class Scope {
  run,             // of a pod of the run, or its labels name neither pod nor namespace
  other_pod,       // its labels name a pod that is no target and no observed pod of the run
  other_namespace  // its labels name namespaces alone in which the run has neither
};

// By the labels that Prometheus' usual configurations give to what is scraped in Kubernetes.
// Without `pods` nothing is known of the run's pods, and each alert may be of it.
[[nodiscard]] Scope scope_of(const AlertLabels& labels, const RunPods& pods);
// "it fired for shop/frontend-0, which ..."; empty for Scope::run.
[[nodiscard]] std::string scope_words(const AlertLabels& labels, const RunPods& pods);

// The labels of an alert of this rule that meets the expectation, as far as they are known: those
// of the rule, and those that are asked where the rule has a template or no such label.
[[nodiscard]] AlertLabels asked_labels(const api::AlertRule& rule, const api::ExpectAlert& expect);

}  // namespace faultline::report
