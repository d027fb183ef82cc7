// SPDX-License-Identifier: Apache-2.0
// Files that people write.
#pragma once

#include <string>

#include "api/experiment.h"
#include "api/pods.h"
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
[[nodiscard]] Result<api::PodsFile> load_pods(Invocation& call, Console& console,
                                              const std::string& file);

}  // namespace faultline::cli
