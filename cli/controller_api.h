// SPDX-License-Identifier: Apache-2.0
// The controller's HTTP interface, as calls that wait. A controller that does not lead sends to the
// one that does; that is followed for 20 s. Not thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/alerts.h"
#include "api/node_status.h"
#include "api/plan.h"
#include "api/report.h"
#include "api/run_record.h"
#include "api/tune.h"
#include "cli/command.h"
#include "cli/run_names.h"
#include "cli/way.h"

namespace faultline::cli {

class ControllerApi {
 public:
  explicit ControllerApi(http::ClientOptions options)
      : way_(std::make_shared<FixedWay>(std::move(options))) {}
  // `ns`: of experiments that name no namespace, and of names without one; empty: the controller's
  // word. `said`: the person said it, it is not just that of their context.
  explicit ControllerApi(std::shared_ptr<Way> way, std::string ns = "", bool said = false)
      : way_(std::move(way)), namespace_(std::move(ns)), said_(said) {}

  // `document`: YAML or JSON of an Experiment. `seed`: for one that has none, that of an earlier
  // plan; 0: the controller chooses.
  [[nodiscard]] Result<api::RunPlan> plan(const std::string& document,
                                          std::uint64_t seed = 0) const;
  // Hits exactly the targets of `agreed`, else it is refused (kConflict). `anyway`: also when an
  // alert that it expects could not fire, which else is kInvalid.
  [[nodiscard]] Result<api::RunSummary> start(const std::string& document,
                                              const api::RunPlan& agreed = {},
                                              bool anyway = false) const;
  // The id of the run that a NAME of the command line means, to read it or to stop it: see
  // cli/run_names.h. Everything below takes ids.
  [[nodiscard]] Result<std::string> run_to_read(const std::string& name) const;
  [[nodiscard]] Result<std::string> run_to_stop(const std::string& name) const;
  [[nodiscard]] Result<api::RunRecord> run(const std::string& run) const;
  // The newest first, at most as many as the controller lists at once. `ns` and `name`: of this
  // namespace and experiment only; empty: of all that the person may see.
  [[nodiscard]] Result<std::vector<api::RunSummary>> runs(const std::string& ns = "",
                                                          const std::string& name = "") const;
  [[nodiscard]] Result<> stop(const std::string& run) const;
  [[nodiscard]] Result<> stop_all() const;
  [[nodiscard]] Result<api::Report> report(const std::string& run) const;
  [[nodiscard]] Result<std::string> report_text(const std::string& run,
                                                const std::string& format) const;  // json, md, html
  [[nodiscard]] Result<std::vector<api::NodeStatus>> nodes() const;
  // The monitoring as the controller reaches it now: the document of GET /api/v1/monitoring.
  [[nodiscard]] Result<std::string> monitoring() const { return get("/api/v1/monitoring"); }

  [[nodiscard]] Result<api::AlertList> alerts() const;
  [[nodiscard]] Result<api::RuleTestFiles> rule_test(const std::string& run,
                                                     const std::string& alert) const;

  // Runs by their ids. `wish`: the keys of GET /api/v1/tune beside `run` and `alert`. Takes up to a
  // minute and a half.
  [[nodiscard]] Result<api::TuneReport> tune(const std::vector<std::string>& runs,
                                             const std::string& alert,
                                             const std::map<std::string, std::string>& wish) const;

  [[nodiscard]] Way& way() const { return *way_; }
  // Where a name without a namespace is looked for; empty outside a cluster.
  [[nodiscard]] const std::string& home() const { return namespace_; }
  [[nodiscard]] static std::string events_target(const std::string& run);
  [[nodiscard]] static std::string stop_target(const std::string& run);

  // The body of an answer. Asks again, once, when there was no answer and asking `twice` does no
  // harm.
  [[nodiscard]] Result<std::string> ask(const std::string& method, const std::string& target,
                                        const std::string& body, bool twice,
                                        std::chrono::seconds patience = kPatience) const;
  static constexpr std::chrono::seconds kPatience{15};
  // What a NAME of the command line stands for, before it is looked for.
  [[nodiscard]] Result<RunName> named(const std::string& name) const {
    return run_name(name, namespace_, said_);
  }

 private:
  [[nodiscard]] Result<std::string> get(const std::string& target) const {
    return ask("GET", target, "", true);
  }
  [[nodiscard]] std::string experiments_target(bool dry_run, std::uint64_t seed,
                                               const std::string& choice, bool anyway) const;

  std::shared_ptr<Way> way_;
  std::string namespace_;
  bool said_ = false;
};

// From --controller and --token-file, the environment, or the defaults; or the way into a cluster
// (cli/cluster/choice.h). Errors: a token file or kubeconfig that cannot be used.
[[nodiscard]] Result<ControllerApi> controller_of(const Invocation& call, const Console& console);
// Whether the person said where the controller is.
[[nodiscard]] bool names_controller(const Invocation& call, const Console& console);

[[nodiscard]] bool ended(api::RunState state);

}  // namespace faultline::cli
