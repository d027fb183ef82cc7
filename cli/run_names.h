// SPDX-License-Identifier: Apache-2.0
// Which run a NAME of the command line means: a run's id, an experiment's name, or NAMESPACE/NAME.
// A name becomes one id here, once; what follows uses the id. Pure and thread-safe.
#pragma once

#include <string>
#include <vector>

#include "api/run_record.h"
#include "base/result.h"

namespace faultline::cli {

struct RunName {
  std::string ns;     // where the person is, or said; empty: there are no namespaces here
  bool said = false;  // by -n or NAMESPACE/NAME: a run elsewhere is not meant
  std::string name;   // or the id of a run
};

// `home`: the namespace of the context or of -n (`said`); empty outside a cluster. kInvalid: `text`
// is no name, or contradicts -n.
[[nodiscard]] Result<RunName> run_name(const std::string& text, const std::string& home, bool said);

// Of `runs`, which are ordered from the newest on, the id of the one that a reader means: that of
// this id; else the newest of this name in the namespace; else, unless the namespace was said, the
// newest of the one other namespace that has it. kNotFound: none of `runs`. kInvalid: several
// namespaces have it; the error names them.
[[nodiscard]] Result<std::string> run_to_read(const std::vector<api::RunSummary>& runs,
                                              const RunName& wanted);

// The id of the run to stop: one that is under way, in the namespace, and the only one of this name
// there. Never one of another namespace, unless its id was given. kNotFound: nothing of it is under
// way. kInvalid: it is not clear which is meant; the error names the candidates.
[[nodiscard]] Result<std::string> run_to_stop(const std::vector<api::RunSummary>& runs,
                                              const RunName& wanted);

// Whether a run is of this namespace. A controller of an older version does not tell: it is.
[[nodiscard]] bool is_of(const api::RunSummary& run, const std::string& ns);

}  // namespace faultline::cli
