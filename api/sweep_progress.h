// SPDX-License-Identifier: Apache-2.0
// How far a sweep is and what its cells showed: sweep.json of its folder.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/detection.h"
#include "api/sweep.h"
#include "api/values.h"
#include "base/result.h"

namespace faultline::api {

// What a cell showed of one alert: one that it expects, or a false alarm.
struct CellAlert {
  std::string alert;
  DetectionVerdict verdict = DetectionVerdict::unknown;
  std::optional<double> seconds;  // from the first injected event to the firing
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(CellAlert, (), (alert, verdict, seconds, reason))

// begun: a run was asked for, and how it ended is not known here.
enum class CellState { begun, done };
BOOST_DESCRIBE_ENUM(CellState, begun, done)

struct SweepCell {
  std::string fault;       // SweptFault::name
  std::string severity;    // as the document writes it
  std::string experiment;  // its name
  CellState state = CellState::begun;
  std::int64_t attempts = 0;  // runs that were begun
  std::string run;            // id of the run that counts; empty: none
  Timestamp startedAt, endedAt;
  std::string gap;        // why there is no result; empty: there is one
  std::string injection;  // confirmed, partial
  std::vector<CellAlert> alerts;
  std::string effect;    // what moved most: "shop/checkout-0 request.latency p99 12 ms -> 110 ms"
  std::string recovery;  // as the report says it
  bool effectsBack = true;  // false: they were measured, and not back in their band
  std::vector<std::string> notes;
  std::int64_t exitCode = 0;  // what `faultline run` ends with
};
BOOST_DESCRIBE_STRUCT(SweepCell, (),
                      (fault, severity, experiment, state, attempts, run, startedAt, endedAt, gap,
                       injection, alerts, effect, recovery, effectsBack, notes, exitCode))

// The resolution that a row was bisected with.
struct AskedThreshold {
  std::string fault;
  std::string resolution;
};
BOOST_DESCRIBE_STRUCT(AskedThreshold, (), (fault, resolution))

struct SweepProgress {
  std::string apiVersion;  // faultline.dev/v1alpha1
  std::string kind;        // SweepProgress
  std::string id;          // value of kSweepLabel, made when the sweep was begun
  std::uint64_t seed = 0;  // of all cells, so that they hit the same pods
  Timestamp startedAt;
  Sweep document;
  std::vector<SweepCell> cells;  // in the order of their begin
  std::vector<AskedThreshold> thresholds;
};
BOOST_DESCRIBE_STRUCT(SweepProgress, (),
                      (apiVersion, kind, id, seed, startedAt, document, cells, thresholds))

inline constexpr std::string_view kSweepProgressKind = "SweepProgress";

// Strict, as everything that a person could have changed. Thread-safe.
[[nodiscard]] Result<SweepProgress> parse_sweep_progress(std::string_view json);
[[nodiscard]] std::string sweep_progress_text(const SweepProgress& progress);
// Whether both describe the same cells.
[[nodiscard]] bool same_document(const Sweep& a, const Sweep& b);

}  // namespace faultline::api
