// SPDX-License-Identifier: Apache-2.0
// Whoever may read a run may not know what fires elsewhere in the cluster. Pure and thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "api/experiment.h"
#include "api/monitoring_record.h"

namespace faultline::controller::observe {

// Of whom labels tell, by `namespace`, `exported_namespace` and `kubernetes_namespace`: the one may
// be that of the exporter, the other that of the pod that it exports. So they are of others when
// any of them names a namespace that is none of `namespaces`; without one of them they are of the
// whole cluster, and of nobody. `namespaces` empty: everybody may know everything, all are own.
enum class Whose { own, nobody, others };
[[nodiscard]] Whose whose(const std::map<std::string, std::string>& labels,
                          const std::set<std::string>& namespaces);
[[nodiscard]] inline bool of_others(const std::map<std::string, std::string>& labels,
                                    const std::set<std::string>& namespaces) {
  return whose(labels, namespaces) == Whose::others;
}

// Takes out of `record` what it holds of alerts that `expect` does not name and that are
// of_others(); and of the names of all rules what is neither expected nor the nearest to it.
// Returns how many alerts that were, by their labels.
std::size_t leave_out_others(api::MonitoringRecord& record, const api::Expect& expect,
                             const std::set<std::string>& namespaces);
// What a run of this Experiment may tell of before its pods are known: its own namespace. Empty:
// it has none.
[[nodiscard]] std::set<std::string> own_namespaces(const api::Experiment& experiment);

}  // namespace faultline::controller::observe
