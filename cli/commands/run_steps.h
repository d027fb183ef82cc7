// SPDX-License-Identifier: Apache-2.0
// Steps of `faultline run` that its ways have in common.
#pragma once

#include <boost/json/value.hpp>
#include <string_view>

#include "cli/command.h"
#include "cli/interrupt.h"

namespace faultline::cli {

// Asks on a terminal, unless --yes or JSON. kUnavailable: a signal came meanwhile.
[[nodiscard]] Result<bool> confirmed(const Invocation& call, Console& console,
                                     const Interrupt& interrupt);
// How often a plan is shown again because the pods have changed since the one before.
inline constexpr int kMostPlans = 3;
inline constexpr std::string_view kPlanChanged =
    "\nThe pods have changed since this plan was made, and nothing was started. It is now:\n\n";

// The end of --dry-run: what a program reads. `plan` is an object or null.
void print_dry_run(const Invocation& call, Console& console, boost::json::value plan);

}  // namespace faultline::cli
