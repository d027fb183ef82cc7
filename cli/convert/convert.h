// SPDX-License-Identifier: Apache-2.0
// Manifests of Chaos Mesh to experiments; its Workflows, and experiments of the Chaos Toolkit, to
// game days. Pure functions, thread-safe.
//
// Two rules. Nothing is dropped silently: each key of a manifest ends in the experiment or in a
// Finding. And nothing hits more than the manifest asked: what would be wider without a key that
// has no equivalent (a selector, a path) is left out whole.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/experiment.h"
#include "api/gameday.h"
#include "base/result.h"

namespace faultline::cli {

struct Finding {
  std::string file;
  int line = 0;       // 0: unknown
  std::string field;  // path in the document: "spec.delay.reorder.gap"
  std::string why;    // and what to use instead
  bool note = false;  // nothing was left out; the meaning of something that is not there differs
  // "file:line: field: why"
  [[nodiscard]] std::string text() const;
};

struct Converted {
  std::string file;
  int line = 0;  // where the manifest begins
  api::Experiment experiment;
};

struct ConvertedDay {
  std::string file;
  int line = 0;
  api::GameDay day;
};

struct Conversion {
  std::vector<Converted> experiments;   // each passes api::validate
  std::vector<ConvertedDay> days;       // each, as YAML, passes api::parse_gameday
  std::vector<Finding> findings;        // in the order of the file
  [[nodiscard]] bool complete() const;  // only notes
};

// One file, any number of documents. `file` is only used in messages. Errors: kInvalid, when it is
// no YAML or empty; documents of other kinds are findings.
[[nodiscard]] Result<Conversion> convert_chaos_mesh(std::string_view text, std::string_view file);

// The tables of docs/convert.md: every field and what becomes of it.
[[nodiscard]] std::string mapping_page();

}  // namespace faultline::cli
