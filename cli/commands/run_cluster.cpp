// SPDX-License-Identifier: Apache-2.0
// faultline run FILE in a cluster. The run is an Experiment, made through the API server as the
// person: the webhook checks it, the API server says whether they may, and everybody sees it with
// `kubectl get flx`. It is followed through the controller where that can be reached with what the
// person may show it, else by the Experiment's status.
#include <algorithm>
#include <boost/describe/enum_to_string.hpp>
#include <boost/json.hpp>
#include <chrono>
#include <limits>
#include <memory>
#include <ostream>
#include <thread>

#include "api/codec.h"
#include "api/sweep.h"
#include "base/printable.h"
#include "cli/cluster/choice.h"
#include "cli/cluster/cluster_way.h"
#include "cli/cluster/experiment_objects.h"
#include "cli/commands/commands.h"
#include "cli/commands/run_steps.h"
#include "cli/controller_api.h"
#include "cli/follow.h"
#include "cli/one_run.h"
#include "cli/outcome.h"
#include "cli/plan_text.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "report/report.h"

namespace faultline::cli {
namespace {

constexpr std::chrono::seconds kGone{15};  // for an object that was deleted
// For the status to say what the controller told us already; it is written once a second.
constexpr std::chrono::seconds kTold{10};

class ClusterRun {
 public:
  ClusterRun(Invocation& call, Console& console, const ExperimentFile& document,
             Interrupt& interrupt, const RunManner& manner)
      : call_(call),
        console_(console),
        document_(document),
        experiment_(document.experiment),
        interrupt_(interrupt),
        manner_(manner) {}

  Result<RunEnd> run() {
    auto way = cluster_way(call_, console_);
    if (!way) return fail(way.error());
    if (experiment_.metadata.namespace_.empty())
      experiment_.metadata.namespace_ = call_.get("namespace").value_or((*way)->person_namespace());
    objects_.emplace((*way)->config());
    api_.emplace(*way, experiment_.metadata.namespace_);
    if (auto free = name_is_free(); !free) return fail(free.error());
    auto open = (*way)->options();
    if (!open && open.error().code != Errc::kDenied) return fail(open.error());
    if (!open) closed_ = open.error().message;
    for (int shown = 1;; ++shown) {
      if (auto plan = show_plan(); !plan) return fail(plan.error());
      if (call_.has("dry-run")) {
        print_dry_run(call_, console_, plan_ ? api::to_json(*plan_) : boost::json::value());
        return RunEnd{.code = kExitMet};
      }
      const auto go = manner_.alone ? confirmed(call_, console_, interrupt_) : Result<bool>(true);
      if (!go) return fail(go.error());
      if (!*go) {
        talk() << "not started\n";
        return RunEnd{.code = kExitAborted};
      }
      if (interrupt_.requested())
        return fail(Errc::kUnavailable, "interrupted before anything was started");
      if (auto made = make(); !made) return fail(made.error());
      auto end = follow_it();
      if (end || shown == kMostPlans || !plan_changed(end.error())) return end;
      finished_ = made_;  // it was refused, and another takes its place
      if (manner_.alone) talk() << kPlanChanged;
    }
  }

 private:
  std::ostream& talk() { return call_.json() ? console_.err : console_.out; }
  [[nodiscard]] std::string words() const {
    return experiment_.metadata.namespace_ + "/" + experiment_.metadata.name;
  }

  // kConflict: an Experiment of this name is in the way, and what to do.
  Result<> name_is_free() {
    const auto there = objects_->get(experiment_.metadata.namespace_, experiment_.metadata.name);
    if (!there) {
      // Who may not look may still create: the API server says then what is wrong.
      if (there.error().reason == kube::Reason::kNotFound ||
          there.error().reason == kube::Reason::kForbidden)
        return {};
      if (there.error().status == 0 || there.error().code == Errc::kUnavailable)
        return fail(there.error());
      return fail(Errc::kConflict, there.error().message +
                                       "; it is there already and cannot be read: delete it, or "
                                       "choose another metadata.name");
    }
    const api::ExperimentStatus& status = there->status;
    if (!ended(status.phase) && status.run.empty())
      return fail(Errc::kConflict, "the Experiment " + words() +
                                       " is there already and has not begun: 'kubectl -n " +
                                       experiment_.metadata.namespace_ + " delete experiment " +
                                       experiment_.metadata.name + "' takes it away");
    if (!ended(status.phase))
      return fail(Errc::kConflict,
                  "the Experiment " + words() + " is there already and not finished (run " +
                      status.run + "): '" + same_controller(call_, console_, "watch " + words()) +
                      "' follows it, '" + same_controller(call_, console_, "stop " + words()) +
                      "' ends it");
    const auto& labels = there->experiment.metadata.labels;
    const auto label = labels.find(std::string(api::kSweepLabel));
    const bool ours =
        !manner_.replaces.empty() && label != labels.end() && label->second == manner_.replaces;
    if (!ours && !call_.has("replace"))
      return fail(Errc::kConflict,
                  "the Experiment " + words() + " is there already, finished" +
                      (status.run.empty() ? "" : " (run " + status.run + ")") +
                      ": an Experiment runs once. --replace deletes it and makes it anew (the "
                      "report of its run stays); or choose another metadata.name");
    finished_ = MadeExperiment{experiment_.metadata.namespace_, experiment_.metadata.name,
                               there->object.uid};
    return {};
  }

  Result<> show_plan() {
    const auto width = static_cast<std::size_t>(console_.width());
    if (!closed_.empty()) {
      // Without the controller nobody tells who is hit; what is wrong the webhook says.
      if (!finished_)
        if (const auto tried = objects_->try_create(experiment_); !tried)
          return fail(tried.error());
      talk() << explain_text(experiment_, std::nullopt, width) << "faultline: "
             << faultline::printable("without the controller: " + closed_ +
                                     ". Which pods are hit is chosen at the start; the run is "
                                     "followed by the Experiment's status, without live "
                                     "measurements and report")
             << "\n"
             << std::flush;
      return {};
    }
    auto plan = api_->plan(document_.text, plan_ ? plan_->seed : 0);
    if (!plan) return fail(plan.error());
    plan_ = std::move(*plan);
    if (manner_.alone) {
      const auto nodes = api_->nodes();
      talk() << plan_text(experiment_, *plan_, nodes ? *nodes : std::vector<api::NodeStatus>{},
                          width)
             << std::flush;
    }
    if (auto good = plan_problem(*plan_, call_.has("anyway")); !good) return fail(good.error());
    // What was shown is what is hit.
    constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();
    if (experiment_.spec.seed == 0 && plan_->seed <= kLargest) experiment_.spec.seed = plan_->seed;
    if (call_.has("anyway"))
      experiment_.metadata.annotations[std::string(api::kAnywayNote)] = "true";
    if (!plan_->choice.empty())
      experiment_.metadata.annotations[std::string(api::kChoiceNote)] = plan_->choice;
    return {};
  }

  // Whether our Experiment was refused because other pods would be hit than the plan showed.
  [[nodiscard]] bool plan_changed(const Error& error) const {
    if (error.code != Errc::kConflict || !plan_ || plan_->choice.empty()) return false;
    const auto now = api_->plan(document_.text, plan_->seed);
    return now && now->choice != plan_->choice;
  }

  Result<> make() {
    if (finished_) {
      if (const auto removed = objects_->remove(*finished_); !removed)
        return fail(removed.error().with_context("replacing the Experiment " + words()));
      const auto end = std::chrono::steady_clock::now() + kGone;
      while (objects_->get(finished_->ns, finished_->name)) {
        if (interrupt_.requested())
          return fail(Errc::kUnavailable, "interrupted before anything was started");
        if (std::chrono::steady_clock::now() > end)
          return fail(Errc::kConflict, "the finished Experiment " + words() +
                                           " was deleted and is still there: something holds it "
                                           "by a finalizer");
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
      }
    }
    auto made = objects_->create(experiment_);
    if (!made && made.error().reason == kube::Reason::kAlreadyExists)
      return fail(Errc::kConflict, "somebody else made the Experiment " + words() + " meanwhile");
    if (!made) return fail(made.error());
    made_ = std::move(*made);
    interrupt_.last_words("if it was not stopped, run: kubectl -n " + made_.ns +
                          " delete experiment " + made_.name);
    talk() << "\n  experiment   " << faultline::printable(made_.words()) << "\n" << std::flush;
    return {};
  }

  Result<RunEnd> follow_it() {
    Progress progress(console_, experiment_, call_.json());
    const auto say = [&](const std::string& line) { progress.say(line); };
    std::string reason = "starting";
    const auto begun = watch_experiment(
        *objects_, made_, interrupt_,
        [](const api::ExperimentStatus& status) {
          return !status.run.empty() || ended(status.phase);
        },
        [&](const api::ExperimentStatus& status) {
          if (ended(status.phase) || status.reason.empty() || status.reason == reason) return;
          reason = status.reason;
          say("waiting: " + reason);
        },
        say);
    progress.finish();
    if (!begun) return fail(begun.error());
    if (begun->interrupted || begun->gone) return deleted(*begun);
    if (begun->status.run.empty()) return verdict_of(begun->status);
    if (closed_.empty()) {
      auto end = follow_run(begun->status, progress);
      if (end || end.error().code != Errc::kUnavailable) return end;
      say(end.error().message + "; following the Experiment's status instead");
    }
    return follow_status(progress);
  }

  // Live, through the controller. kUnavailable: it is out of reach.
  Result<RunEnd> follow_run(const api::ExperimentStatus& status, Progress& progress) {
    api::RunSummary first = summary_of(status);
    FollowOptions options;
    options.patience = api_->way().patience();
    const auto followed = follow(
        *api_, std::move(first), interrupt_, options,
        [&](const api::RunSummary& summary) { progress.show(summary); },
        [&](const std::string& line) { progress.say(line); });
    progress.finish();
    if (!followed) return fail(followed.error());
    auto finished =
        finish_run(*api_, status.run, manner_.folder.empty() ? status.run : manner_.folder,
                   !manner_.alone ? Print::kNothing
                   : call_.json() ? Print::kJson
                                  : Print::kText,
                   console_);
    wait_until_told();
    if (!finished) return fail(finished.error());
    return RunEnd{.code = finished->code,
                  .run = status.run,
                  .report = std::move(finished->report),
                  .interrupted = followed->interrupted};
  }

  // Whoever looks at the Experiment when this command has ended sees that the run has, too.
  void wait_until_told() {
    const auto end = std::chrono::steady_clock::now() + kTold;
    while (std::chrono::steady_clock::now() < end) {
      const auto there = objects_->get(made_.ns, made_.name);
      if (!there || there->object.uid != made_.uid || ended(there->status.phase)) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
  }

  Result<RunEnd> follow_status(Progress& progress) {
    const auto watched = watch_experiment(
        *objects_, made_, interrupt_,
        [](const api::ExperimentStatus& status) { return ended(status.phase); },
        [&](const api::ExperimentStatus& status) { progress.show(summary_of(status)); },
        [&](const std::string& line) { progress.say(line); });
    progress.finish();
    if (!watched) return fail(watched.error());
    if (watched->interrupted || watched->gone) return deleted(*watched);
    return verdict_of(watched->status);
  }

  [[nodiscard]] api::RunSummary summary_of(const api::ExperimentStatus& status) const {
    api::RunSummary summary;
    summary.run = status.run;
    summary.name = made_.name;
    summary.namespace_ = made_.ns;
    summary.state = status.phase;
    summary.stateReason = status.reason;
    summary.startedAt = status.startedAt;
    for (const api::StatusInjection& told : status.injections) {
      api::InjectionStatus injection;
      const auto slash = told.pod.find('/');
      if (slash != told.pod.npos) {
        injection.pod.namespace_ = told.pod.substr(0, slash);
        injection.pod.name = told.pod.substr(slash + 1);
      }
      injection.fault = told.fault;
      injection.matched = told.matched;
      injection.injected = told.injected;
      summary.injections.push_back(std::move(injection));
    }
    return summary;
  }

  RunEnd deleted(const WatchedExperiment& watched) {
    const std::string run = watched.status.run;
    const std::string how =
        "aborted: the Experiment " + made_.words() + " was deleted" +
        (watched.interrupted ? "" : " by somebody else") + ", which ends its run at once" +
        (run.empty() ? "" : "; the report of " + run + " stays with the controller");
    if (call_.json() && manner_.alone)
      print_json(console_.out, boost::json::object{{"run", run},
                                                   {"exitCode", kExitAborted},
                                                   {"folder", nullptr},
                                                   {"report", nullptr},
                                                   {"status", api::to_json(watched.status)}});
    else
      talk() << "\n  " << faultline::printable(how) << "\n" << std::flush;
    return {.code = kExitAborted, .run = run, .interrupted = watched.interrupted};
  }

  // What the status says of how it ended. A refusal is an error of the code that it has.
  Result<RunEnd> verdict_of(const api::ExperimentStatus& status) {
    std::string why = status.reason;
    for (const api::Condition& condition : status.conditions) {
      if (condition.type == api::ConditionType::Verdict && !condition.message.empty())
        why = condition.message;
      if (status.run.empty() && condition.type == api::ConditionType::Selected)
        return fail(refusal(condition), "the Experiment " + made_.words() + " was refused: " + why);
    }
    int code = status.phase == api::RunState::Aborted ? kExitAborted : kExitCouldNotRun;
    std::string word = status.phase == api::RunState::Aborted ? "aborted" : "failed";
    if (status.verdict) {
      api::Report verdict;
      verdict.verdict = *status.verdict;
      code = report::exit_code(verdict);
      word = boost::describe::enum_to_string(*status.verdict, "?");
      std::ranges::replace(word, '_', ' ');
    }
    if (call_.json() && manner_.alone) {
      print_json(console_.out, boost::json::object{{"run", status.run},
                                                   {"exitCode", code},
                                                   {"folder", nullptr},
                                                   {"report", nullptr},
                                                   {"status", api::to_json(status)}});
      return RunEnd{.code = code, .run = status.run};
    }
    talk() << "\n  " << faultline::printable(word + "   " + why) << "\n  injected     "
           << status.injected << " events on " << status.pods
           << (status.pods == 1 ? " pod" : " pods") << "\n  report       "
           << faultline::printable(status.report) << " at the controller\n"
           << std::flush;
    return RunEnd{.code = code, .run = status.run};
  }

  // The word of controller/kubernetes/status.h, back to its code.
  static Errc refusal(const api::Condition& condition) {
    if (condition.reason == "Invalid") return Errc::kInvalid;
    if (condition.reason == "NoMatch") return Errc::kNotFound;
    if (condition.reason == "Unsupported") return Errc::kUnsupported;
    if (condition.reason == "Conflict") return Errc::kConflict;
    if (condition.reason == "Denied") return Errc::kDenied;
    return Errc::kUnavailable;
  }

  Invocation& call_;
  Console& console_;
  const ExperimentFile& document_;
  api::Experiment experiment_;  // with its namespace, and the plan's seed
  Interrupt& interrupt_;
  const RunManner& manner_;
  std::optional<ExperimentObjects> objects_;
  std::optional<ControllerApi> api_;
  std::string closed_;  // why the controller cannot be asked; empty: it can
  std::optional<api::RunPlan> plan_;
  std::optional<MadeExperiment> finished_;  // in the way, to be replaced
  MadeExperiment made_;
};

}  // namespace

Result<RunEnd> run_in_cluster(Invocation& call, Console& console, const ExperimentFile& document,
                              Interrupt& interrupt, const RunManner& manner) {
  return ClusterRun(call, console, document, interrupt, manner).run();
}

}  // namespace faultline::cli
