// SPDX-License-Identifier: Apache-2.0
// At which end of a NetworkChaos its faults are. Chaos Mesh puts rules at the pods that are
// selected and at those of `target`, each with the other pods' own addresses, so that behind a
// Service only those work that see such an address. Here a fault is put where one of theirs works;
// what a place cannot have without hitting more is left out, and what differs there is told.
#pragma once

#include <vector>

#include "cli/convert/kinds.h"

namespace faultline::cli {

struct Ends {
  std::vector<api::NetworkFilter> source;  // of faults at the pods that are selected
  std::vector<api::NetworkFilter>
      target;  // of faults at those of `target`: Draft::at_target is set
};

// Both are empty where nothing can be hit without hitting more; why was said. `partition`: the
// action drops packets at both ends; the others shape what a pod sends.
[[nodiscard]] Ends network_ends(const Node& spec, bool partition, Draft& draft);

}  // namespace faultline::cli
