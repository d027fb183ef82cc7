// SPDX-License-Identifier: Apache-2.0
// The most that is read of one text, by what it is: docs/decisions/0020-input-budgets.md. What a
// caller without rights can send is the smallest.
#pragma once

#include "document/tree.h"

namespace faultline::api {

// An Experiment of a person: the largest of docs/ has 3 KiB and 100 values.
inline constexpr document::Budget kExperimentBudget{256 << 10, 10'000, 32};
// A GameDay: a score of experiments, and the runbooks that were put into it.
inline constexpr document::Budget kGameDayBudget{1 << 20, 40'000, 48};
inline constexpr document::Budget kPolicyBudget{256 << 10, 10'000, 32};
// A machine of a few thousand pods; read from a file of root.
inline constexpr document::Budget kPodsFileBudget{4 << 20, 200'000, 32};

}  // namespace faultline::api
