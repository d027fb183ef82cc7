// SPDX-License-Identifier: Apache-2.0
// The verbs of `faultline gameday`, and what they have in common.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "cli/command.h"
#include "cli/gameday/day_api.h"

namespace faultline::cli {

Result<int> run_gameday_plan(Invocation& call, Console& console);
Result<int> run_gameday_manifest(Invocation& call, Console& console);
Result<int> run_gameday_run(Invocation& call, Console& console);
Result<int> run_gameday_watch(Invocation& call, Console& console);
Result<int> run_gameday_list(Invocation& call, Console& console);
Result<int> run_gameday_show(Invocation& call, Console& console);
Result<int> run_gameday_report(Invocation& call, Console& console);
// start, next, done, hold, resume, skip, abort, note, tick, missing, ack, mitigated, found, action:
// what the verb of the call says.
Result<int> run_gameday_word(Invocation& call, Console& console);

// --wait: how long a controller may be away.
[[nodiscard]] Result<std::chrono::milliseconds> patience_of(const Invocation& call);
// --as, else $FAULTLINE_AS; empty: the person of the token.
[[nodiscard]] std::string speaker_of(const Invocation& call, const Console& console);
// --at: a time, or HH:MM[:SS] in UTC, the last one before `now`. kInvalid: none, or one that is to
// come.
[[nodiscard]] Result<api::Timestamp> time_of(const std::string& text, UtcTime now);
// Prints a line on `err`, for what waits.
[[nodiscard]] std::function<void(const std::string&)> sayer(Console& console);

}  // namespace faultline::cli
