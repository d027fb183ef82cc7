// SPDX-License-Identifier: Apache-2.0
// Sweep: a grid of faults and severities against one target. Each cell of it is an Experiment. See
// docs/sweep.md for the words. All functions are pure and thread-safe.
#pragma once

#include <boost/describe.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/experiment.h"
#include "base/result.h"

namespace faultline::api {

// One fault in several severities. `fault` has the field `vary` only as a place holder: each cell
// writes its own value there.
struct SweptFault {
  std::string name;  // of the row, a DNS-1123 label
  Fault fault;
  std::string vary;                     // key of the fault that changes: latency, loss, rate ...
  std::vector<std::string> severities;  // as written, from the mildest to the strongest
  std::string resolution;               // of --threshold, as a severity is written; empty: none
};
BOOST_DESCRIBE_STRUCT(SweptFault, (), (name, fault, vary, severities, resolution))

// What lies between two cells.
struct SweepRest {
  Duration least;                          // always
  Duration most{std::chrono::minutes(5)};  // for alerts and effects of the cell before to be over
};
BOOST_DESCRIBE_STRUCT(SweepRest, (), (least, most))

struct SweepSpec {
  ExperimentSpec experiment;  // what all cells have in common; its faults act in each
  std::vector<SweptFault> faults;
  SweepRest rest;
};
BOOST_DESCRIBE_STRUCT(SweepSpec, (), (experiment, faults, rest))

struct Sweep {
  std::string apiVersion;  // faultline.dev/v1alpha1
  std::string kind;        // Sweep
  Metadata metadata;
  SweepSpec spec;
};
BOOST_DESCRIBE_STRUCT(Sweep, (), (apiVersion, kind, metadata, spec))

// The most cells of a grid, and the most steps from the mildest to the strongest severity of a
// threshold.
inline constexpr std::size_t kMostCells = 256;
inline constexpr std::int64_t kMostSteps = 1'000'000;
inline constexpr std::chrono::hours kLongestSweep{24};

// Of a cell's Experiment: a label with SweepProgress::id, which tells it from others of its name.
inline constexpr std::string_view kSweepLabel = "faultline.dev/sweep";

// Whether the document says `kind: Sweep`, whatever else is in it.
[[nodiscard]] bool says_sweep(std::string_view text);

// As parse_experiment(): `file` is only used in messages; every problem is a line. Each cell of the
// grid is a valid Experiment afterwards.
[[nodiscard]] Result<Sweep> parse_sweep(std::string_view text, std::string_view file);

// "payments-latency-2": the Experiment of the Nth severity of a row, from 1.
[[nodiscard]] std::string cell_name(const Sweep& sweep, const SweptFault& row, std::size_t number);
// "payments-latency-t3": of the Nth cell that a threshold asked for beside the grid, from 1.
[[nodiscard]] std::string probe_name(const Sweep& sweep, const SweptFault& row, std::size_t number);

// Whether severity `a` of a row stands before `b`. A text that is none stands last.
[[nodiscard]] bool milder(const SweptFault& row, const std::string& a, const std::string& b);

// One cell. kInvalid: `severity` is none of this fault.
[[nodiscard]] Result<Experiment> cell_experiment(const Sweep& sweep, const SweptFault& row,
                                                 const std::string& severity,
                                                 const std::string& name);

// How long so many cells take at least: their phases, and `rest.least` between them.
[[nodiscard]] std::chrono::nanoseconds least_length(const Sweep& sweep, std::size_t cells);

// The severities from the mildest to the strongest of a row, one resolution apart; the last step
// may be shorter.
class SeveritySteps {
 public:
  // kInvalid: the resolution is none of this fault, or makes more than kMostSteps steps; the row
  // has only one severity.
  [[nodiscard]] static Result<SeveritySteps> of(const SweptFault& row,
                                                const std::string& resolution);
  // The number of the strongest; that of the mildest is 0.
  [[nodiscard]] std::int64_t last() const { return last_; }
  // The step of a severity; nothing: it lies between two, or is none.
  [[nodiscard]] std::optional<std::int64_t> step_of(const std::string& severity) const;
  // As the document writes it where it has this severity.
  [[nodiscard]] std::string text(std::int64_t step) const;

 private:
  explicit SeveritySteps(SweptFault row) : row_(std::move(row)) {}
  SweptFault row_;
  double from_ = 0, to_ = 0, step_ = 0;  // in the field's base unit
  std::int64_t last_ = 0;
};

// JSON Schema (draft 2020-12) of the Sweep document.
[[nodiscard]] boost::json::value sweep_schema();

}  // namespace faultline::api
