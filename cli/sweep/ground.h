// SPDX-License-Identifier: Apache-2.0
// Cells as runs of a controller, or in a cluster as Experiments. Not thread-safe.
#pragma once

#include <string>

#include "cli/sweep/driver.h"

namespace faultline::cli {

class ControllerGround final : public CellGround {
 public:
  // `place`: where runs are started; null in a cluster, where each is an Experiment. `api` is asked
  // for plans and for runs that were begun before. `id`: value of kSweepLabel. Reports go into
  // `folder`. All must outlive this.
  ControllerGround(const ControllerApi& api, Place* place, Invocation& call, Console& console,
                   Interrupt& interrupt, std::string folder, std::string id);

  Result<api::RunPlan> plan(const api::Experiment& cell) override;
  Result<RunEnd> run(const api::Experiment& cell) override;
  Result<std::optional<RunEnd>> find(const api::Experiment& cell) override;
  bool pause(std::chrono::milliseconds time) override;
  [[nodiscard]] bool interrupted() const override { return interrupt_.requested(); }

 private:
  [[nodiscard]] RunManner manner(const api::Experiment& cell) const;

  const ControllerApi& api_;
  Place* place_;
  Invocation& call_;
  Console& console_;
  Interrupt& interrupt_;
  std::string folder_, id_;
};

}  // namespace faultline::cli
