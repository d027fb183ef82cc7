// SPDX-License-Identifier: Apache-2.0
// The figures of a made up game day, computed a second time by gameday_figures.py. For tests only.
#pragma once

#include <gmock/gmock.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "api/codec.h"
#include "tests/places.h"
#include "tests/unit/report/gameday_synthetic.h"

namespace faultline::report::synthetic {

// What gameday_figures.py prints of the day and its report.
inline std::string recomputed(const Day& day, const std::vector<api::GameDayReport>& earlier = {}) {
  boost::json::object runs;
  for (const auto& [id, report] : day.runs) runs.emplace(id, api::to_json(report));
  boost::json::array before;
  for (const api::GameDayReport& one : earlier)
    before.push_back(boost::json::parse(api::gameday_report_text(one)));
  const boost::json::object given{
      {"record", api::to_json(day.record)},
      {"runs", std::move(runs)},
      {"earlier", std::move(before)},
      {"report", boost::json::parse(api::gameday_report_text(day.report(earlier)))}};
  const auto file =
      std::filesystem::temp_directory_path() / ("fl-gameday-" + std::to_string(getpid()) + ".json");
  std::ofstream(file) << boost::json::serialize(given);
  const std::string command =
      "python3 '" + (test::source_dir() / "tests/unit/report/gameday_figures.py").string() + "' '" +
      file.string() + "' 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  std::string out;
  char part[4096];
  while (pipe != nullptr && std::fgets(part, sizeof part, pipe) != nullptr) out += part;
  if (pipe != nullptr) pclose(pipe);
  std::filesystem::remove(file);
  return out;
}

// Only the count: nothing differs.
inline void expect_recomputed(const Day& day, const std::vector<api::GameDayReport>& earlier = {}) {
  EXPECT_THAT(recomputed(day, earlier), testing::MatchesRegex("checked [0-9]+ figures\n"));
}

inline const api::DayRun& run_of(const api::GameDayReport& report, const std::string& id) {
  for (const api::DayRun& run : report.runs)
    if (run.run == id) return run;
  throw std::runtime_error("no run " + id);
}

}  // namespace faultline::report::synthetic
