// SPDX-License-Identifier: Apache-2.0
// What `faultline tune` shows. Pure and thread-safe. Words of others come out printable().
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/tune.h"

namespace faultline::report {

// "12.1 s", "missed", "before", "pending", "gap".
[[nodiscard]] std::string outcome_words(const api::TunePrediction& prediction);
// Seconds to the detection in the run that is detected last. Empty: one is not detected, or none
// could be looked at.
[[nodiscard]] std::optional<double> slowest(const api::TuneSetting& setting);
// Whether any run says something of it.
[[nodiscard]] bool judged(const api::TuneSetting& setting);
// The number as somebody would write it in a rule: "0.5", "14.4".
[[nodiscard]] std::string threshold_words(std::optional<double> threshold);
// "now", "best", "now, best", or nothing.
[[nodiscard]] std::string mark_words(const api::TuneSetting& setting);
// From when to when false alarms were counted, in a sentence; empty: no history was asked for.
[[nodiscard]] std::string history_words(const api::TuneHistory& history);
// A sentence for each run: its id, what it measured itself, what is wrong.
[[nodiscard]] std::vector<std::string> run_words(const api::TuneReport& report);

// What those words mean, a sentence for each that `report` has, but for "missed".
[[nodiscard]] std::vector<std::string> outcome_notes(const api::TuneReport& report);

// The trade as characters, at most 100 columns: from the first injected event to the detection in
// the slowest run against false alarms a day. Empty: there is nothing to draw.
[[nodiscard]] std::string tune_plot(const api::TuneReport& report);
// One self-contained file with all settings as a table and the same plot.
[[nodiscard]] std::string tune_html(const api::TuneReport& report);

}  // namespace faultline::report
