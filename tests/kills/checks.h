// SPDX-License-Identifier: Apache-2.0
// What must hold after every round, by what the stopwatches saw and what the record says. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/report.h"
#include "api/run_record.h"
#include "tests/kills/schedule.h"

namespace faultline::kills {

// While one of these lasts, no fault may be felt after `grace`: nobody is there who could renew it.
struct Silence {
  Steady::time_point from, to;
  milliseconds grace;
  std::string why;
};

struct Seen {
  Round round;
  std::vector<Sample> samples;  // of the round, of the kind that feels its fault
  std::vector<Silence> silences;
  bool disturbed = false;  // something was done before the run was over
  std::optional<api::RunRecord> record;
  std::optional<api::Report> report;
  std::uint64_t felt = 0;  // failed connects or calls during the round
};

constexpr milliseconds kLease{3000};
// What a machine with other things to do adds to each bound.
constexpr milliseconds kSlack{1000};

// Empty: everything holds. Else a sentence for each thing that does not.
[[nodiscard]] std::vector<std::string> broken(const Seen& seen);

}  // namespace faultline::kills
