// SPDX-License-Identifier: Apache-2.0
// Which namespaces an Experiment of the cluster is about. Pure and thread-safe.
#pragma once

#include <set>
#include <string>

#include "api/experiment.h"
#include "api/gameday.h"

namespace faultline::controller {

// In a cluster a selector that names neither namespaces nor pods means the Experiment's own
// namespace, as in Chaos Mesh; on a machine without Kubernetes it means every namespace.
[[nodiscard]] api::Experiment in_own_namespace(api::Experiment experiment);

struct Scope {
  std::set<std::string> hit, seen;  // of targets; of observed pods and peers
  // It has PromQL, which the monitoring answers with the controller's credentials, so of whatever
  // namespace the query names: needs the verb `query` in all of them.
  bool queries = false;
};
inline constexpr const char* kQueryVerb = "query";
inline constexpr const char* kQueryWhy =
    "a query (expect.signals, abortWhen.promql) can read the metrics of every namespace";
// After in_own_namespace(): what the document names. What a plan chose is a part of it.
[[nodiscard]] Scope scope_of(const api::Experiment& experiment);
// All experiments of the steps, each in the day's own namespace where it names none, and the day's
// own queries.
[[nodiscard]] Scope scope_of(const api::GameDay& day);

}  // namespace faultline::controller
