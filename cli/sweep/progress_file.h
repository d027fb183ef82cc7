// SPDX-License-Identifier: Apache-2.0
// The folder of a sweep: sweep.json, which says how far it is, and the maps beside it. While one of
// these lives, no other command can have the folder. Not thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/sweep_progress.h"
#include "base/result.h"
#include "cli/process.h"
#include "report/sweep.h"

namespace faultline::cli {

class SweepFolder {
 public:
  // Makes the folder if need be. kConflict: another command has it.
  [[nodiscard]] static Result<SweepFolder> open(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }
  // Nothing: no sweep was begun here. kInvalid: the file is not what this command writes, or was
  // cut short; it is left as it is.
  [[nodiscard]] Result<std::optional<api::SweepProgress>> read() const;
  // sweep.json, whole or not at all.
  [[nodiscard]] Result<> write(const api::SweepProgress& progress) const;
  // sweep.md and sweep.html.
  [[nodiscard]] Result<> write_maps(const api::SweepProgress& progress,
                                    const std::vector<report::ThresholdLine>& thresholds) const;

 private:
  SweepFolder(std::string path, Fd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  Fd lock_;  // the folder itself, locked; the kernel lets go of it when we end
};

}  // namespace faultline::cli
