// SPDX-License-Identifier: Apache-2.0
// Files that people write.
#pragma once

#include <string>
#include <variant>

#include "api/experiment.h"
#include "api/gameday.h"
#include "api/pods.h"
#include "api/sweep.h"
#include "cli/command.h"

namespace faultline::cli {

struct ExperimentFile {
  std::string name;  // as the person wrote it; "<stdin>" for "-"
  std::string text;
  api::Experiment experiment;
};

// The text of any file; its name as messages have it goes to `name`. `file` "-" is the standard
// input.
[[nodiscard]] Result<std::string> read_document(Invocation& call, Console& console,
                                                const std::string& file, std::string& name);

// `file` "-" is the standard input. Every problem of the document is a line of the Error. At most
// 4 MB, as the controller takes.
[[nodiscard]] Result<ExperimentFile> load_experiment(Invocation& call, Console& console,
                                                     const std::string& file);
// The same for a Sweep.
struct SweepFile {
  std::string name;
  std::string text;
  api::Sweep sweep;
};
[[nodiscard]] Result<SweepFile> load_sweep(Invocation& call, Console& console,
                                           const std::string& file);
// The same for a GameDay. What it names beside it is read, too, and stands in `text`, which is what
// a controller takes; no file outside of its folder is.
struct GameDayFile {
  std::string name;
  std::string text;
  api::GameDay day;
};
[[nodiscard]] Result<GameDayFile> load_gameday(Invocation& call, Console& console,
                                               const std::string& file);
// Any of them, by what the document says that it is.
using AnyFile = std::variant<ExperimentFile, SweepFile, GameDayFile>;
[[nodiscard]] Result<AnyFile> load_any(Invocation& call, Console& console, const std::string& file);
[[nodiscard]] Result<api::PodsFile> load_pods(Invocation& call, Console& console,
                                              const std::string& file);

}  // namespace faultline::cli
