// SPDX-License-Identifier: Apache-2.0
// Runs the cells of a sweep one after the other. Where they run is behind CellGround, so that tests
// can stand in for a controller. Not thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/plan.h"
#include "api/sweep_progress.h"
#include "base/clock.h"
#include "cli/one_run.h"
#include "cli/sweep/bisect.h"
#include "report/sweep.h"

namespace faultline::cli {

class CellGround {
 public:
  virtual ~CellGround() = default;
  // What a run of it would do. Nothing is started.
  [[nodiscard]] virtual Result<api::RunPlan> plan(const api::Experiment& cell) = 0;
  // Runs it to its end; its report is in a folder of its name.
  [[nodiscard]] virtual Result<RunEnd> run(const api::Experiment& cell) = 0;
  // The run of it that was begun last by this sweep, followed to its end. Nothing: there is none,
  // or its report is not there any more.
  [[nodiscard]] virtual Result<std::optional<RunEnd>> find(const api::Experiment& cell) = 0;
  // Waits; false: a person wants the end.
  [[nodiscard]] virtual bool pause(std::chrono::milliseconds time) = 0;
  [[nodiscard]] virtual bool interrupted() const = 0;
};

// What of the document is wanted.
struct SweepTask {
  std::vector<std::string> faults;  // names of rows; empty: all
  bool threshold = false;
  std::string resolution;  // of all rows; empty: that of the document
  bool anyway = false;     // also where an alert could not fire
  bool retry_gaps = false;
};

struct SweepEnd {
  int code = 0;
  std::vector<report::ThresholdLine> thresholds;
};

class SweepDriver {
 public:
  // Where the progress is kept: called before and after each cell. An Error ends the sweep.
  using Keep =
      std::function<Result<>(const api::SweepProgress&, const std::vector<report::ThresholdLine>&)>;

  // All that is given must outlive this. `say`: lines for the person.
  SweepDriver(api::SweepProgress& progress, const SweepTask& task, CellGround& ground,
              const Clock& clock, Keep keep, std::function<void(const std::string&)> say);

  // Of cells that a command before this one began: their runs are looked for, followed to their end
  // if they go on, and their reports taken. Before check(), which a run under way could refuse.
  [[nodiscard]] Result<> finish_begun();
  // Before the first cell: the severities that are asked for and not done yet, and that each could
  // run. A threshold has those of its ends. The plan is the first cell's; nothing: all is done.
  [[nodiscard]] Result<std::optional<api::RunPlan>> check();
  // How many cells there are to run, at most.
  [[nodiscard]] Result<std::size_t> cells_left() const;
  // Cells until all is done, somebody wants the end, or something stands in the way (Error).
  [[nodiscard]] Result<SweepEnd> run();
  // What is known of the rows that were bisected.
  [[nodiscard]] std::vector<report::ThresholdLine> thresholds() const;

 private:
  struct Wanted {
    const api::SweptFault* row = nullptr;
    std::string severity;
  };
  // done: the cell has its result or is a gap. lost: the run came to nothing of its own. stopped:
  // somebody ended it.
  enum class Taken { kDone, kLost, kStopped };

  [[nodiscard]] std::vector<const api::SweptFault*> rows() const;
  [[nodiscard]] std::string resolution_of(const api::SweptFault& row) const;
  [[nodiscard]] Result<std::vector<Wanted>> wanted() const;
  [[nodiscard]] Result<std::optional<Wanted>> next() const;
  [[nodiscard]] bool is_done(const api::SweepCell* cell) const;
  [[nodiscard]] const api::SweepCell* find(const Wanted& wanted) const;
  [[nodiscard]] std::string name_of(const Wanted& wanted) const;
  [[nodiscard]] Result<api::Experiment> experiment_of(const Wanted& wanted) const;
  // What is known of the steps of a row.
  [[nodiscard]] Known known_of(const api::SweptFault& row, const api::SeveritySteps& steps) const;
  // False: the sweep is to end.
  [[nodiscard]] Result<bool> run_cell(const Wanted& wanted);
  [[nodiscard]] Result<> look_for(const api::Experiment& experiment, api::SweepCell& cell);
  [[nodiscard]] Result<bool> settle(const api::Experiment& experiment, api::SweepCell& cell);
  [[nodiscard]] Result<Taken> take(const RunEnd& end, api::SweepCell& cell);
  void close(api::SweepCell& cell, std::string gap);
  [[nodiscard]] api::Timestamp now() const { return {clock_.utc()}; }
  [[nodiscard]] Result<> kept() { return keep_(progress_, thresholds()); }
  [[nodiscard]] int code() const;

  api::SweepProgress& progress_;
  const SweepTask& task_;
  CellGround& ground_;
  const Clock& clock_;
  Keep keep_;
  std::function<void(const std::string&)> say_;
  std::vector<std::string> again_;  // experiments whose gap is tried again, and was not yet
  std::string not_back_;            // of the cell before: the experiment, when its effects stayed
  bool first_ = true;               // no cell was run by this command
};

}  // namespace faultline::cli
