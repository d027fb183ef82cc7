// SPDX-License-Identifier: Apache-2.0
// faultline sweep FILE: a run for each cell of a grid of faults and severities, and the map of what
// was noticed. How far it is stands in the folder, so that the same command goes on.
#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/cluster/choice.h"
#include "cli/commands/commands.h"
#include "cli/commands/run_steps.h"
#include "cli/plan_text.h"
#include "cli/random_key.h"
#include "cli/sweep/ground.h"
#include "cli/sweep/progress_file.h"
#include "cli/sweep/words.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

Result<SweepTask> task_of(const Invocation& call, const api::Sweep& sweep) {
  SweepTask task{.threshold = call.has("threshold"),
                 .resolution = call.get("resolution").value_or(""),
                 .anyway = call.has("anyway"),
                 .retry_gaps = call.has("retry-gaps")};
  if (!task.resolution.empty() && !task.threshold)
    return fail(Errc::kInvalid, "--resolution is for --threshold");
  const auto wanted = call.get("fault");
  std::vector<std::string_view> names;
  for (const api::SweptFault& row : sweep.spec.faults) names.push_back(row.name);
  if (wanted) {
    if (std::ranges::find(names, *wanted) == names.end()) {
      const std::string near = api::nearest_word(*wanted, names);
      return fail(Errc::kInvalid, "the sweep has no fault '" + *wanted + "'" +
                                      (near.empty() ? "" : "; did you mean '" + near + "'?"));
    }
    task.faults = {*wanted};
  }
  for (const api::SweptFault& row : sweep.spec.faults) {
    if (!task.threshold || (wanted && *wanted != row.name)) continue;
    const std::string& resolution = task.resolution.empty() ? row.resolution : task.resolution;
    if (resolution.empty())
      return fail(Errc::kInvalid, "--threshold of " + row.name +
                                      " needs its resolution: in the document, or by "
                                      "--resolution STEP");
    if (const auto steps = api::SeveritySteps::of(row, resolution); !steps)
      return fail(steps.error().with_context("--threshold of " + row.name));
  }
  return task;
}

class SweepCommand {
 public:
  SweepCommand(Invocation& call, Console& console, const api::Sweep& sweep, SweepTask task)
      : call_(call), console_(console), sweep_(sweep), task_(std::move(task)) {}

  Result<int> run() {
    if (auto good = open_folder(); !good) return fail(good.error());
    if (auto good = find_controller(); !good) return fail(good.error());
    ControllerGround ground(*api_, place_ ? &*place_ : nullptr, call_, console_, interrupt_, path_,
                            progress_.id);
    const SystemClock clock;
    SweepDriver driver(
        progress_, task_, ground, clock,
        [this](const auto& progress, const auto& lines) { return keep(progress, lines); },
        [this](const std::string& line) {
          talk() << "  " << printable(line) << "\n" << std::flush;
        });
    if (!call_.has("dry-run"))
      if (auto good = driver.finish_begun(); !good) return fail(good.error());
    if (interrupt_.requested()) return finish({kExitAborted, driver.thresholds()});
    const auto plan = driver.check();
    if (!plan) return fail(with_hint(plan.error(), call_, console_));
    const auto left = driver.cells_left();
    if (!left) return fail(left.error());
    if (*plan) show(**plan, *left);
    if (call_.has("dry-run")) {
      print_dry_run(call_, console_, *plan ? api::to_json(**plan) : boost::json::value());
      return kExitMet;
    }
    if (*plan) {
      const auto go = confirmed(call_, console_, interrupt_);
      if (!go) return fail(go.error());
      if (!*go) {
        talk() << "not started\n";
        return kExitAborted;
      }
    }
    auto end = driver.run();
    if (!end) {
      show_map(driver.thresholds());
      return fail(end.error().with_context("the sweep is not done"));
    }
    return finish(*end);
  }

 private:
  std::ostream& talk() { return call_.json() ? console_.err : console_.out; }

  // What was begun here before, or a new beginning.
  Result<> open_folder() {
    path_ = call_.get("directory").value_or(sweep_.metadata.name);
    if (auto good = check_folder(path_, "-d DIR"); !good) return good;
    std::error_code ec;
    if (!call_.has("dry-run") || std::filesystem::exists(path_, ec)) {
      auto folder = SweepFolder::open(path_);
      if (!folder) return fail(folder.error());
      folder_ = std::move(*folder);
      auto there = folder_->read();
      if (!there) return fail(there.error());
      if (*there) {
        if (!api::same_document((*there)->document, sweep_))
          return fail(Errc::kInvalid, path_ + " holds a sweep of another document (" +
                                          (*there)->document.metadata.name + ", begun " +
                                          (*there)->startedAt.format() +
                                          "); nothing was changed: choose another folder with -d");
        progress_ = std::move(**there);
        return {};
      }
    }
    auto id = random_key();
    if (!id) return fail(id.error());
    progress_ = {.apiVersion = sweep_.apiVersion,
                 .kind = std::string(api::kSweepProgressKind),
                 .id = std::move(*id),
                 .startedAt = {SystemClock().utc()},
                 .document = sweep_};
    return {};
  }

  Result<> find_controller() {
    if (!call_.has("pods")) {
      const auto cluster = wants_cluster(call_, console_);
      if (!cluster) return fail(cluster.error());
      if (*cluster) {
        auto api = controller_of(call_, console_);
        if (!api) return fail(api.error());
        cluster_api_ = std::move(*api);
        api_ = &*cluster_api_;
        return {};
      }
    }
    auto place = find_place(call_, console_, interrupt_);
    if (!place) return fail(place.error());
    place_ = std::move(*place);
    api_ = &place_->api();
    return {};
  }

  void show(const api::RunPlan& plan, std::size_t cells) {
    const auto width = static_cast<std::size_t>(console_.width());
    const api::SweptFault& row = sweep_.spec.faults.front();
    const auto first =
        api::cell_experiment(sweep_, row, row.severities.front(), api::cell_name(sweep_, row, 1));
    talk() << sweep_text(sweep_, cells, width);
    if (first) {
      const auto nodes = api_->nodes();
      talk() << "\nits first cell:\n"
             << plan_text(*first, plan, nodes ? *nodes : std::vector<api::NodeStatus>{}, width);
    }
    talk() << "\n" << std::flush;
  }

  Result<> keep(const api::SweepProgress& progress,
                const std::vector<report::ThresholdLine>& lines) {
    if (auto good = folder_->write(progress); !good) return good;
    return folder_->write_maps(progress, lines);
  }

  void show_map(const std::vector<report::ThresholdLine>& lines) {
    talk() << "\n"
           << report::sweep_terminal(
                  progress_, lines,
                  std::min<std::size_t>(100, static_cast<std::size_t>(console_.width())))
           << "  map          " << printable(path_) << "/sweep.html\n"
           << std::flush;
  }

  Result<int> finish(const SweepEnd& end) {
    if (!call_.json()) {
      show_map(end.thresholds);
      if (end.code == kExitAborted)
        console_.out << "  the same command goes on from here\n" << std::flush;
      return end.code;
    }
    boost::json::array lines;
    for (const report::ThresholdLine& line : end.thresholds)
      lines.push_back(
          boost::json::object{{"fault", line.fault}, {"text", line.text}, {"unmet", line.unmet}});
    print_json(
        console_.out,
        boost::json::object{{"sweep", sweep_.metadata.name},
                            {"exitCode", end.code},
                            {"folder", path_},
                            {"thresholds", std::move(lines)},
                            {"progress", boost::json::parse(api::sweep_progress_text(progress_))}});
    return end.code;
  }

  Invocation& call_;
  Console& console_;
  const api::Sweep& sweep_;
  SweepTask task_;
  Interrupt interrupt_;
  std::string path_;
  std::optional<SweepFolder> folder_;
  std::optional<Place> place_;
  std::optional<ControllerApi> cluster_api_;
  const ControllerApi* api_ = nullptr;
  api::SweepProgress progress_;
};

}  // namespace

Result<int> run_sweep(Invocation& call, Console& console) {
  const auto document = load_sweep(call, console, call.arguments[0]);
  if (!document) return fail(document.error());
  auto task = task_of(call, document->sweep);
  if (!task) return fail(task.error());
  return SweepCommand(call, console, document->sweep, std::move(*task)).run();
}

}  // namespace faultline::cli
