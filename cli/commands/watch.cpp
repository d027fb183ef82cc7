// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>
#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/cluster/choice.h"
#include "cli/commands/commands.h"
#include "cli/follow.h"
#include "cli/outcome.h"
#include "cli/progress.h"
#include "report/report.h"

namespace faultline::cli {

Result<int> run_watch(Invocation& call, Console& console) {
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  const auto chosen = api->run_to_read(call.arguments[0]);
  if (!chosen) return fail(chosen.error());
  const auto record = api->run(*chosen);
  if (!record) return fail(record.error());
  const std::string run = record->run;
  api::RunSummary now;
  now.run = run;
  now.namespace_ = record->experiment.metadata.namespace_;
  now.name = record->experiment.metadata.name;
  now.state = record->state;
  now.stateReason = record->stateReason;

  Interrupt interrupt;
  Progress progress(console, record->experiment, false);
  FollowOptions options;
  options.stop_on_interrupt = false;
  options.patience = api->way().patience();
  const bool json = call.json();
  const auto followed = follow(
      *api, now, interrupt, options,
      [&](const api::RunSummary& summary) {
        if (json)  // one line each
          console.out << api::to_json_text(summary) << "\n" << std::flush;
        else
          progress.show(summary);
      },
      [&](const std::string& line) { progress.say(line); });
  progress.finish();
  if (!followed) return fail(followed.error());
  if (!ended(followed->last.state)) {
    console.err << "  "
                << printable(run + " goes on; '" + same_controller(call, console, "stop " + run) +
                             "' ends it")
                << "\n";
    return kExitMet;
  }
  if (json) {
    const auto report = api->report(run);
    return report ? Result<int>(report::exit_code(*report)) : fail(report.error());
  }
  const auto finished = finish_run(*api, run, "", Print::kText, console);
  return finished ? Result<int>(finished->code) : fail(finished.error());
}

}  // namespace faultline::cli
