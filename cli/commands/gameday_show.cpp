// SPDX-License-Identifier: Apache-2.0
// faultline gameday list, show, watch and report.
#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/cluster/choice.h"
#include "cli/commands/gameday.h"
#include "cli/gameday/display.h"
#include "cli/gameday/files.h"
#include "cli/gameday/follow.h"
#include "cli/gameday/view.h"
#include "cli/one_run.h"
#include "cli/report_files.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

std::string day_time(const api::Timestamp& time) {
  return time.set() ? time.format().substr(0, 19) + "Z" : "-";
}

Result<int> write_files_of(const DayApi& days, const std::string& id, const std::string& format,
                           const std::string& folder, bool names, const std::string& as, bool json,
                           Console& console) {
  std::string written = folder;
  if (format == "incident") {
    const auto files = days.incident(id, names, as);
    if (!files) return fail(files.error());
    if (auto good = write_incident(*files, folder); !good) return fail(good.error());
  } else if (format.empty()) {
    const auto text = days.report(id, "json", names, as);
    if (!text) return fail(text.error());
    const auto page = write_day_report(days, id, folder, names, *text, as);
    if (!page) return fail(page.error());
    written = *page;
  } else {
    const auto text = days.report(id, format, names, as);
    if (!text) return fail(text.error());
    std::error_code ec;
    std::filesystem::create_directories(folder, ec);
    written = folder + "/report." + format;
    if (auto good = replace_file(written, *text); !good) return fail(good.error());
  }
  if (json)
    print_json(console.out, boost::json::object{{"day", id}, {"folder", folder}});
  else
    console.out << printable(written) << "\n";
  return kExitMet;
}

}  // namespace

Result<int> run_gameday_list(Invocation& call, Console& console) {
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  const auto days = DayApi(*api).days(api->home(), "", speaker_of(call, console));
  if (!days) return fail(days.error());
  if (call.json()) {
    print_json(console.out, boost::json::object{{"gamedays", api::to_json(*days)}});
    return kExitMet;
  }
  if (days->empty()) {
    console.out << "no game days yet\n";
    return kExitMet;
  }
  std::vector<Row> rows{{"DAY", "NAMESPACE", "STATE", "CREATED", "OVER", "TITLE"}};
  for (const api::GameDaySummary& day : *days)
    rows.push_back({day.day, day.namespace_.empty() ? "-" : day.namespace_, state_word(day.state),
                    day_time(day.createdAt), day_time(day.overAt), printable_prose(day.title)});
  console.out << table(rows);
  return kExitMet;
}

Result<int> run_gameday_show(Invocation& call, Console& console) {
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  const DayApi days(*api);
  const auto id = days.id_of(call.arguments[0]);
  if (!id) return fail(id.error());
  const auto view = days.day(*id, 0, speaker_of(call, console));
  if (!view) return fail(view.error());
  if (call.json())
    print_json(console.out, api::to_json(*view));
  else
    console.out << day_text(*view);
  return kExitMet;
}

Result<int> run_gameday_watch(Invocation& call, Console& console) {
  const auto patience = patience_of(call);
  if (!patience) return fail(patience.error());
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  const Interrupt interrupt;
  const auto id = patiently<std::string>([&] { return DayApi(*api).id_of(call.arguments[0]); },
                                         *patience, interrupt, sayer(console));
  if (!id) return fail(id.error());
  DayDisplay display(console, call.json() ? DayDisplay::Form::kEntries : DayDisplay::Form::kPeople);
  DayFollowOptions options;
  options.as = speaker_of(call, console);
  options.patience = *patience;
  const auto followed = follow_day(
      *api, *id, {}, interrupt, options,
      [&](const auto& view, const auto& fresh, const auto& all) { display.show(view, fresh, all); },
      [&](const std::string& line) { display.say(line); });
  display.finish();
  if (!followed) return fail(followed.error());
  if (!ended(followed->last.state)) {
    console.err << "  "
                << printable(*id + " goes on; '" +
                             same_controller(call, console, "gameday abort " + *id) + "' ends it")
                << "\n";
    return kExitMet;
  }
  return day_exit_code(followed->last, followed->entries);
}

Result<int> run_gameday_report(Invocation& call, Console& console) {
  std::string format = call.get("format").value_or("");
  auto folder = call.get("directory");
  if (format == "incident" && !folder) folder = "";  // named after the day
  if (call.json() && !folder) {
    if (!format.empty() && format != "json")
      return fail(Errc::kInvalid, "--output json and --format " + format + " exclude each other");
    format = "json";
  }
  if (folder)
    if (auto good = check_folder(*folder, "-d DIR"); !good) return fail(good.error());
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  const DayApi days(*api);
  const auto id = days.id_of(call.arguments[0]);
  if (!id) return fail(id.error());
  const bool names = call.has("names");
  const std::string as = speaker_of(call, console);
  if (folder) {
    if (folder->empty()) {
      if (!is_path_below(*id))
        return fail(Errc::kInvalid, "the day has no name for a folder: choose one with -d DIR");
      folder = *id + "-incident";
    }
    return write_files_of(days, *id, format, *folder, names, as, call.json(), console);
  }
  if (format.empty()) format = "md";
  const auto text = days.report(*id, format, names, as);
  if (!text) return fail(text.error());
  console.out << (format == "json" ? printable_json(*text) : printable_lines(*text))
              << (text->ends_with('\n') ? "" : "\n");
  return kExitMet;
}

}  // namespace faultline::cli
