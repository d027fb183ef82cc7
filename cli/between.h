// SPDX-License-Identifier: Apache-2.0
// Two targets that talk with each other: a fault is at both, so that it comes twice between them.
// Pure and thread-safe.
#pragma once

#include <string>
#include <vector>

#include "api/experiment.h"

namespace faultline::cli {

// What comes of the fault between two of these targets; empty: nothing more than elsewhere, or the
// filters do not let it be known (addresses; ports of one end).
[[nodiscard]] std::string between_words(const api::Fault& fault,
                                        const std::vector<api::PodRef>& targets);

// The same before any pod is known: there may be two targets, and the peers are among the pods that
// are chosen from.
[[nodiscard]] std::string between_words(const api::Fault& fault, const api::ExperimentSpec& spec);

}  // namespace faultline::cli
