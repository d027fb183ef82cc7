// SPDX-License-Identifier: Apache-2.0
// Shows a run while it goes on: on a terminal one line that is drawn again in place, else a plain
// line at each change of phase and every 5 s. Not thread-safe.
#pragma once

#include <chrono>

#include "cli/console.h"
#include "cli/live_view.h"

namespace faultline::cli {

class Progress {
 public:
  // `to_err`: write there because `out` is for a result that programs read.
  Progress(Console& console, api::Experiment experiment, bool to_err);

  void show(const api::RunSummary& summary);
  // A line of its own.
  void say(const std::string& line);
  // Ends the line that is drawn in place.
  void finish();

 private:
  void draw();

  Console& console_;
  std::ostream& out_;
  bool live_;
  LiveView view_;
  std::optional<api::RunState> shown_;
  std::chrono::steady_clock::time_point last_line_;
  std::string drawn_;  // the unfinished line, complete
};

}  // namespace faultline::cli
