// SPDX-License-Identifier: Apache-2.0
// One run, from its plan to its report: what `faultline run` and each cell of `faultline sweep` do.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "api/report.h"
#include "cli/documents.h"
#include "cli/interrupt.h"
#include "cli/local_cluster.h"

namespace faultline::cli {

// How a run is shown and asked for.
struct RunManner {
  // The plan is shown, on a terminal a person is asked, and the report is printed. Else all that
  // was done for many runs together, and only the progress is shown.
  bool alone = true;
  std::string folder;  // where the report is written; empty: named after the run
  // In a cluster: in place of a finished Experiment of this name that has the label kSweepLabel of
  // this value. Empty: of none, unless --replace is given.
  std::string replaces;
};

struct RunEnd {
  int code = 0;     // exit code of `faultline run`
  std::string run;  // empty: nothing was started
  // Null: nothing was started, or the controller was out of reach when the run ended.
  std::optional<api::Report> report;
  bool interrupted = false;  // by the person, who wanted it to end
};

// The controller that a run goes through: ours for this command, or one that somebody gave.
struct Place {
  std::unique_ptr<LocalCluster> own;
  std::optional<ControllerApi> given;
  [[nodiscard]] const ControllerApi& api() const { return own ? own->api() : *given; }
};

// By --pods, --controller and the environment; not in a cluster. Errors: words that contradict each
// other, programs that do not start.
[[nodiscard]] Result<Place> find_place(Invocation& call, Console& console,
                                       const Interrupt& interrupt);

// Whether reports can be written into the folder at the end, found before anything is broken. Makes
// nothing. kInvalid: they cannot; `option` is what chooses another.
[[nodiscard]] Result<> check_folder(const std::string& wanted, const std::string& option);

// A refused connection to a controller that nobody named: say what else there is.
[[nodiscard]] Error with_hint(Error error, const Invocation& call, const Console& console);

// Plan, agreement, start, end, report. Nothing is started after an interrupt (kUnavailable).
[[nodiscard]] Result<RunEnd> run_at(Place& place, const Invocation& call, Console& console,
                                    const ExperimentFile& document, Interrupt& interrupt,
                                    const RunManner& manner);

// From a run that was started to its report.
[[nodiscard]] Result<RunEnd> follow_to_end(const ControllerApi& api, LocalCluster* own,
                                           api::RunSummary first, const api::Experiment& experiment,
                                           const Invocation& call, Console& console,
                                           Interrupt& interrupt, const RunManner& manner);

// In a cluster the run is an Experiment of the API server. `report` is null also where the
// controller cannot be asked.
[[nodiscard]] Result<RunEnd> run_in_cluster(Invocation& call, Console& console,
                                            const ExperimentFile& document, Interrupt& interrupt,
                                            const RunManner& manner);

}  // namespace faultline::cli
