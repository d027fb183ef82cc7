// SPDX-License-Identifier: Apache-2.0
// faultline tune: what other settings of an alert rule would have made of runs.
#include "api/tune.h"

#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/commands/commands.h"
#include "cli/controller_api.h"
#include "cli/report_files.h"
#include "cli/text.h"
#include "report/format.h"
#include "report/promql.h"
#include "report/tune.h"

namespace faultline::cli {
namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kMostRows = 30;  // of them all are shown without --all
constexpr std::size_t kMostOwn = 3;    // runs that have a column each

// Of many runs: the slowest, and how many are detected.
Row summary_cells(const api::TuneSetting& setting) {
  std::size_t detected = 0, looked_at = 0;
  for (const api::TunePrediction& one : setting.runs) {
    if (one.outcome != api::TuneOutcome::gap) ++looked_at;
    if (one.outcome == api::TuneOutcome::detected) ++detected;
  }
  const auto slowest = report::slowest(setting);
  return {slowest ? report::seconds_words(*slowest) : "-",
          std::to_string(detected) + " of " + std::to_string(looked_at)};
}

std::string settings_table(const api::TuneReport& report, bool all) {
  const bool own = report.runs.size() <= kMostOwn;
  Row head{"FOR", "THRESHOLD", "WINDOW"};
  if (own) {
    for (std::size_t r = 1; r <= report.runs.size(); ++r)
      head.push_back(report.runs.size() == 1 ? "DETECTED" : "RUN " + std::to_string(r));
  } else {
    head.insert(head.end(), {"SLOWEST", "DETECTED"});
  }
  head.insert(head.end(), {"FALSE", "A DAY", "FIRING", ""});
  std::vector<Row> rows{std::move(head)};
  std::size_t left_out = 0;
  for (const api::TuneSetting& one : report.settings) {
    if (!all && report.settings.size() > kMostRows && !one.present && !one.best) {
      ++left_out;
      continue;
    }
    Row row{report::promql_duration_words(one.forSeconds), report::threshold_words(one.threshold),
            one.window ? report::promql_duration_words(*one.window) : "-"};
    if (own)
      for (const api::TunePrediction& run : one.runs) row.push_back(report::outcome_words(run));
    else
      for (std::string& cell : summary_cells(one)) row.push_back(std::move(cell));
    row.push_back(one.falseAlarms ? std::to_string(*one.falseAlarms) : "-");
    row.push_back(one.falsePerDay ? report::number_words(*one.falsePerDay) : "-");
    row.push_back(one.falseSeconds ? report::seconds_words(*one.falseSeconds) : "-");
    row.push_back(report::mark_words(one));
    rows.push_back(std::move(row));
  }
  std::string out = table(rows);
  if (left_out > 0)
    out += report::plural(left_out, "setting", "settings") +
           " that another one beats not shown: --all shows them\n";
  return out;
}

void show(const api::TuneReport& report, bool all, std::ostream& out) {
  const auto say = [&](const std::string& words) { out << wrapped(words, kWidth, 2) << "\n"; };
  say(printable(report.alert) + " of group " + printable(report.group) + " in " +
      printable(report.source) + ", evaluated every " +
      report::exact_seconds_words(report.evaluationInterval) + ": " +
      printable(report.expr, 2'000));
  if (const std::string words = report::history_words(report.history); !words.empty()) say(words);
  out << "\n" << settings_table(report, all) << "\n";
  if (const std::string plot = report::tune_plot(report); !plot.empty()) out << plot << "\n";
  const std::vector<std::string> runs = report::run_words(report);
  for (std::size_t r = 0; r < runs.size(); ++r)
    say("run " + std::to_string(r + 1) + ": " + runs[r]);
  for (const std::string& words : report::outcome_notes(report)) say(words);
  for (const std::string& note : report.notes) say("note: " + printable(note));
}

}  // namespace

Result<int> run_tune(Invocation& call, Console& console) {
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  std::vector<std::string> runs;
  for (std::size_t i = 0; i + 1 < call.arguments.size(); ++i) {
    auto run = api->run_to_read(call.arguments[i]);
    if (!run) return fail(run.error());
    runs.push_back(std::move(*run));
  }
  std::map<std::string, std::string> wish;
  for (const char* key : {"for", "threshold", "window", "history", "step"})
    if (const auto value = call.get(key)) wish[key] = *value;
  const auto report = api->tune(runs, call.arguments.back(), wish);
  if (!report) return fail(report.error());
  if (const auto file = call.get("html"))
    if (auto written = replace_file(*file, report::tune_html(*report)); !written)
      return fail(written.error());
  if (call.json())
    print_json(console.out, api::to_json(*report));
  else
    show(*report, call.has("all"), console.out);
  return kExitMet;
}

}  // namespace faultline::cli
