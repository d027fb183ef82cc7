// SPDX-License-Identifier: Apache-2.0
// The functions behind the table in commands.cpp, one file each.
#pragma once

#include "cli/command.h"

namespace faultline::cli {

Result<int> run_run(Invocation& call, Console& console);
Result<int> run_sweep(Invocation& call, Console& console);
Result<int> run_validate(Invocation& call, Console& console);
Result<int> run_explain(Invocation& call, Console& console);
Result<int> run_get(Invocation& call, Console& console);
Result<int> run_watch(Invocation& call, Console& console);
Result<int> run_stop(Invocation& call, Console& console);
Result<int> run_report(Invocation& call, Console& console);
Result<int> run_nodes(Invocation& call, Console& console);
Result<int> run_monitoring(Invocation& call, Console& console);
Result<int> run_alerts(Invocation& call, Console& console);
Result<int> run_rule_test(Invocation& call, Console& console);
Result<int> run_tune(Invocation& call, Console& console);
Result<int> run_probe(Invocation& call, Console& console);
Result<int> run_schema(Invocation& call, Console& console);
Result<int> run_convert(Invocation& call, Console& console);
Result<int> run_completion(Invocation& call, Console& console);
Result<int> run_version(Invocation& call, Console& console);

// `gameday`, with its verbs.
[[nodiscard]] Command gameday_command();
// Options of those that may have a private controller and agent.
[[nodiscard]] Option pods_option(std::string_view help);
[[nodiscard]] Option prometheus_option();
[[nodiscard]] Option alertmanager_option();
[[nodiscard]] Option monitoring_option();

}  // namespace faultline::cli
