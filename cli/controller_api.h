// SPDX-License-Identifier: Apache-2.0
// The controller's HTTP interface, as calls that wait. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "api/node_status.h"
#include "api/plan.h"
#include "api/report.h"
#include "api/run_record.h"
#include "cli/command.h"
#include "http/client.h"

namespace faultline::cli {

class ControllerApi {
 public:
  explicit ControllerApi(http::ClientOptions options) : options_(std::move(options)) {}

  // `document`: YAML or JSON of an Experiment.
  [[nodiscard]] Result<api::RunPlan> plan(const std::string& document) const;
  [[nodiscard]] Result<api::RunSummary> start(const std::string& document) const;
  // `run`: the id of a run, or an experiment's name for its newest run.
  [[nodiscard]] Result<api::RunRecord> run(const std::string& run) const;
  [[nodiscard]] Result<std::vector<api::RunSummary>> runs() const;
  [[nodiscard]] Result<> stop(const std::string& run) const;
  [[nodiscard]] Result<> stop_all() const;
  [[nodiscard]] Result<api::Report> report(const std::string& run) const;
  [[nodiscard]] Result<std::string> report_text(const std::string& run,
                                                const std::string& format) const;  // json, md, html
  [[nodiscard]] Result<std::vector<api::NodeStatus>> nodes() const;

  [[nodiscard]] const http::ClientOptions& options() const { return options_; }
  [[nodiscard]] static std::string events_target(const std::string& run);
  [[nodiscard]] static std::string stop_target(const std::string& run);

 private:
  [[nodiscard]] Result<std::string> get(const std::string& target) const;
  [[nodiscard]] Result<std::string> post(const std::string& target, const std::string& body) const;
  http::ClientOptions options_;
};

// From --controller and --token-file, the environment, or the defaults. Errors: a token file that
// cannot be used.
[[nodiscard]] Result<ControllerApi> controller_of(const Invocation& call, const Console& console);
// Whether the person said where the controller is.
[[nodiscard]] bool names_controller(const Invocation& call, const Console& console);

[[nodiscard]] bool ended(api::RunState state);

}  // namespace faultline::cli
