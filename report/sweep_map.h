// SPDX-License-Identifier: Apache-2.0
// Internal to report/: the map of a sweep as rows, for its renderings. Pure and thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "report/sweep.h"

namespace faultline::report {

// One row: a fault of the document. Pointers point into the progress that it was made of.
struct MapRow {
  const api::SweptFault* fault = nullptr;
  // Severities from the mildest to the strongest: those of the document, and those that a threshold
  // asked for. `cell` is null where nothing was begun.
  struct Place {
    std::string severity;
    const api::SweepCell* cell = nullptr;
  };
  std::vector<Place> places;
};
[[nodiscard]] std::vector<MapRow> map_rows(const api::SweepProgress& progress);

// The progress with every text printable() and one line; see report/shown.h.
[[nodiscard]] api::SweepProgress shown(const api::SweepProgress& progress);

// "networkLatency, latency"
[[nodiscard]] std::string row_words(const api::SweptFault& fault);
// What is to be said of a cell beside its word; empty: nothing.
[[nodiscard]] std::string cell_details(const api::SweepCell& cell);
// good, warn, bad, calm: how the map colours a cell.
[[nodiscard]] std::string_view cell_tone(const api::SweepCell* cell);
// "5 of 6 cells have a result; 1 is a gap"
[[nodiscard]] std::string progress_words(const std::vector<MapRow>& rows);

}  // namespace faultline::report
