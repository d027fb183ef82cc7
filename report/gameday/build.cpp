// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <boost/describe.hpp>

#include "report/format.h"
#include "report/gameday/parts.h"

namespace faultline::report {
namespace gameday {
namespace {

std::string mean_words(std::string_view name, const api::DayMean& mean) {
  if (mean.of == 0) return "";
  const std::string of = " (" + std::to_string(mean.known) + " of " + std::to_string(mean.of) +
                         (mean.of == 1 ? " fault" : " faults") + ")";
  return std::string(name) + " " + (mean.seconds ? seconds_words(*mean.seconds) : "not known") + of;
}

std::string state_words(const api::GameDayReport& report) {
  std::string text = "The day ";
  switch (report.state) {
    case api::DayState::completed:
      text += "was completed";
      break;
    case api::DayState::aborted:
    case api::DayState::aborting:
      text += "was aborted";
      break;
    case api::DayState::failed:
      text += "failed";
      break;
    case api::DayState::checking:
    case api::DayState::waiting:
      text += "has not begun";
      break;
    case api::DayState::running:
      text += "is under way";
      break;
    case api::DayState::held:
      text += "is held";
      break;
  }
  if (report.seconds) text += " after " + seconds_words(*report.seconds);
  return text + (report.stateReason.empty() ? "" : ": " + report.stateReason) + ". ";
}

}  // namespace

std::string summary_of(const api::GameDayReport& report) {
  std::string text = state_words(report);
  std::uint64_t faults = 0, acted = 0, noticed = 0, told = 0, recovered = 0, recovery_known = 0;
  for (const api::DayRun& run : report.runs) {
    if (!run.fault) continue;
    ++faults;
    acted += run.firstInjectedAt.set() ? 1 : 0;
    told += run.noticed ? 1 : 0;
    noticed += run.noticed == true ? 1 : 0;
    recovery_known += run.recovered ? 1 : 0;
    recovered += run.recovered == true ? 1 : 0;
  }
  if (faults == 0) return text + "No fault was begun, so there is nothing that could be noticed.";
  text += "Of " + plural(faults, "fault run", "fault runs") + ", " + count_words(acted) +
          " acted; " + count_words(noticed) + " of the " + count_words(told) +
          " of which it is known " + (told == 1 ? "was" : "were") + " noticed";
  text += recovery_known == 0 ? "; of none it is known whether it recovered. "
                              : "; " + count_words(recovered) + " of " +
                                    count_words(recovery_known) + " recovered. ";
  std::vector<std::string> means;
  for (const auto& [name, mean] :
       {std::pair<std::string_view, const api::DayMean*>{"MTTD", &report.mttd},
        {"MTTA", &report.mtta},
        {"MTTR", &report.mttr}})
    means.push_back(mean_words(name, *mean));
  text += join(means, ", ") + ".";
  if (report.comparison)
    text += " Beside " + report.comparison->day + ": " + report.comparison->words + ".";
  return text;
}

}  // namespace gameday

api::GameDayReport gameday_report(const api::GameDayRecord& record,
                                  const std::map<std::string, api::Report>& runs,
                                  const std::vector<api::GameDayReport>& earlier, Names names,
                                  const std::map<std::string, std::string>& not_read) {
  const gameday::Steps steps(record.document);
  const gameday::People people(record, names);
  const gameday::Sources from{record, runs, steps, people, not_read};
  api::GameDayReport report;
  report.day = record.day;
  report.name = record.document.metadata.name;
  report.namespace_ = record.document.metadata.namespace_;
  report.title = record.document.spec.title;
  report.hypothesis = record.document.spec.hypothesis;
  report.owner = people.owner(record.document.spec.owner);
  report.names = names == Names::kShown;
  report.unattended = record.unattended;
  report.state = record.state;
  gameday::add_runs(from, report);
  gameday::add_figures(from, report);
  gameday::add_course(from, report);
  gameday::add_timeline(from, report);
  gameday::add_findings(from, report);
  gameday::add_gaps(from, report);
  gameday::add_comparison(from, earlier, report);
  report.summary = gameday::summary_of(report);
  return report;
}

}  // namespace faultline::report
