// SPDX-License-Identifier: Apache-2.0
#include "cli/sweep/ground.h"

#include <poll.h>

#include <cerrno>

#include "api/codec.h"

namespace faultline::cli {

ControllerGround::ControllerGround(const ControllerApi& api, Place* place, Invocation& call,
                                   Console& console, Interrupt& interrupt, std::string folder,
                                   std::string id)
    : api_(api),
      place_(place),
      call_(call),
      console_(console),
      interrupt_(interrupt),
      folder_(std::move(folder)),
      id_(std::move(id)) {}

RunManner ControllerGround::manner(const api::Experiment& cell) const {
  return {.alone = false, .folder = folder_ + "/" + cell.metadata.name, .replaces = id_};
}

Result<api::RunPlan> ControllerGround::plan(const api::Experiment& cell) {
  return api_.plan(api::to_json_text(cell));
}

Result<RunEnd> ControllerGround::run(const api::Experiment& cell) {
  const ExperimentFile document{
      .name = cell.metadata.name, .text = api::to_json_text(cell), .experiment = cell};
  if (place_ == nullptr) return run_in_cluster(call_, console_, document, interrupt_, manner(cell));
  return run_at(*place_, call_, console_, document, interrupt_, manner(cell));
}

Result<std::optional<RunEnd>> ControllerGround::find(const api::Experiment& cell) {
  const auto runs = api_.runs("", cell.metadata.name);
  if (!runs) return fail(runs.error());
  for (const api::RunSummary& run : *runs) {  // the newest first
    if (run.name != cell.metadata.name) continue;
    const auto record = api_.run(run.run);
    if (!record && record.error().code == Errc::kNotFound) continue;
    if (!record) return fail(record.error());
    const auto& labels = record->experiment.metadata.labels;
    const auto label = labels.find(std::string(api::kSweepLabel));
    if (label == labels.end() || label->second != id_) continue;  // of another sweep
    auto end = follow_to_end(api_, place_ != nullptr ? place_->own.get() : nullptr, run, cell,
                             call_, console_, interrupt_, manner(cell));
    if (!end) return fail(end.error());
    return std::optional(std::move(*end));
  }
  return std::nullopt;
}

bool ControllerGround::pause(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!interrupt_.requested()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return true;
    pollfd polled{interrupt_.fd(), POLLIN, 0};
    if (poll(&polled, 1, static_cast<int>(left.count())) < 0 && errno != EINTR) return false;
  }
  return false;
}

}  // namespace faultline::cli
