// SPDX-License-Identifier: Apache-2.0
// One game day as the demo lets it run: the shop, its monitoring, a controller with an agent, and
// `faultline gameday run` as a person would type it. For the main thread only.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/gameday.h"
#include "api/gameday_record.h"
#include "api/gameday_report.h"
#include "api/report.h"
#include "demo/monitoring/monitoring.h"
#include "demo/shop.h"
#include "testbed/cluster.h"
#include "testbed/program.h"

namespace faultline::demo {

// Who leads the days of docs/examples/gamedays/, and so may see all of them.
inline constexpr const char* kFacilitator = "jane@shop.example";

class DayGround {
 public:
  // `example`: folder of the day. `programs`: folder of the executables. Returns when all of it
  // works, and checkout was seen to for as long as the rules look back. Throws Interrupted,
  // std::runtime_error.
  DayGround(const std::string& example, const std::string& programs);
  [[nodiscard]] const Shop& shop() const { return shop_; }
  [[nodiscard]] const Monitoring& monitoring() const { return monitoring_; }
  [[nodiscard]] testbed::Cluster& cluster() { return cluster_; }
  [[nodiscard]] const api::GameDay& document() const { return document_; }

  // `faultline gameday run`, unattended; its report goes to the folder.
  [[nodiscard]] testbed::Child begin(const std::string& report, testbed::Output output = {}) const;
  // A command of faultline for this controller.
  [[nodiscard]] testbed::Child command(std::vector<std::string> words,
                                       testbed::Output output = {}) const;

  // What the controller answers; nothing: it does not, or not with success.
  [[nodiscard]] std::optional<std::string> ask(const std::string& method, const std::string& target,
                                               const std::string& body = {}) const;
  // The day as its facilitator sees it.
  [[nodiscard]] std::optional<api::GameDayView> view() const;
  // Whether the step has begun.
  [[nodiscard]] bool has_begun(const std::string& step) const;

 private:
  std::string example_, programs_;
  api::GameDay document_;
  Shop shop_;
  Monitoring monitoring_;
  testbed::Cluster cluster_;
};

// What a day leaves: its report, the raw timeline, the reports of its runs.
struct DayLeft {
  int status = 0;  // exit code of `faultline gameday run`
  api::GameDayReport report;
  std::vector<api::DayEntry> entries;
  std::map<std::string, api::Report> runs;  // by id: all that the controller has
};

// Reads what is in the folder and asks the controller for the rest, and writes all of it as
// raw.json beside the report, for gameday_figures.py. Throws std::runtime_error.
DayLeft what_is_left(const DayGround& ground, int status, const std::string& folder);

}  // namespace faultline::demo
