// SPDX-License-Identifier: Apache-2.0
// faultline alerts: which rules of the monitoring were ever shown to fire.
#include "api/alerts.h"

#include <boost/json.hpp>
#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/commands/commands.h"
#include "cli/controller_api.h"
#include "cli/text.h"
#include "report/format.h"
#include "report/noticed.h"

namespace faultline::cli {

Result<int> run_alerts(Invocation& call, Console& console) {
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  const auto list = api->alerts();
  if (!list) return fail(list.error());
  if (call.json()) {
    print_json(console.out, api::to_json(*list));
    return kExitMet;
  }
  std::vector<Row> rows{{"ALERT", "LAST SHOWN TO FIRE", "AFTER", "VERDICT", "RUN"}};
  for (const api::AlertRow& row : list->alerts) {
    if (!row.lastFiredAt.set()) {
      rows.push_back({row.alert, "never", "", "", ""});
      continue;
    }
    std::string verdict(row.verdict ? report::detection_word(*row.verdict) : "");
    // It was asked for, and is not there any more.
    if (list->rules && !row.known) verdict += ", no rule any more";
    rows.push_back({row.alert, row.lastFiredAt.format().substr(0, 19) + "Z",
                    row.seconds ? report::seconds_words(*row.seconds) : "", verdict, row.run});
  }
  if (rows.size() > 1)
    console.out << table(rows);
  else
    console.out << "no alert was shown to fire in a run that you may see\n";
  if (list->rules && list->tested && *list->rules > 0)
    console.out << "\n"
                << *list->tested << " of "
                << report::plural(*list->rules, "alert rule", "alert rules")
                << " ever shown to fire ("
                << report::percent_words(
                       static_cast<double>(*list->tested) / static_cast<double>(*list->rules), 2)
                << ")\n";
  for (const std::string& note : list->notes) console.out << "note: " << printable(note) << "\n";
  return kExitMet;
}

}  // namespace faultline::cli
