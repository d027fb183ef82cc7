// SPDX-License-Identifier: Apache-2.0
#include "api/detail/check_gameday.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "api/codec.h"
#include "api/detail/check.h"

namespace faultline::api::detail {
namespace {

constexpr std::chrono::hours kLongestDay{24};
constexpr std::size_t kLongestName = 63;

class Check {
 public:
  Check(const GameDay& day, const std::map<std::string, std::vector<bool>>& written,
        Problems& problems)
      : day_(day), written_(written), problems_(problems) {}

  void run() {
    const GameDaySpec& spec = day_.spec;
    if (spec.window.notBefore.set() && spec.window.notAfter.set() &&
        spec.window.notAfter <= spec.window.notBefore)
      add("spec.window", "notAfter is not after notBefore");
    for (std::size_t i = 1; i < spec.preChecks.size(); ++i)
      if (std::find(spec.preChecks.begin(), spec.preChecks.begin() + static_cast<long>(i),
                    spec.preChecks[i]) != spec.preChecks.begin() + static_cast<long>(i))
        add(item("spec.preChecks", i), "is given twice");
    conditions();
    steps(spec.steps, "spec.steps", 1, 1);
    if (secrets_.size() > kMostDaySecrets)
      add("spec.steps", "name " + std::to_string(secrets_.size()) + " Secrets, at most " +
                            std::to_string(kMostDaySecrets) + " are of one day");
    if (count_ > kMostDaySteps)
      add("spec.steps", "has " + std::to_string(count_) + " steps, at most " +
                            std::to_string(kMostDaySteps) + " are one day");
    else if (rounds_ > kMostDayRounds)
      add("spec.steps", "are more than " + std::to_string(kMostDayRounds) +
                            " steps with their repeats, which is no day");
    else if (problems_.empty() && least_length(day_) > kLongestDay)
      add("spec.steps", "take more than 24 h in all");
  }

 private:
  static std::string item(std::string path, std::size_t index) {
    append_index(path, index);
    return path;
  }
  void add(const std::string& path, std::string message) {
    if (!problems_.spoiled(path)) problems_.add(path, std::move(message));
  }
  void add_whole(const std::string& path, std::string message) {
    if (!problems_.spoiled(path + ".?"))
      problems_.add(path, std::move(message), Problems::Where::kKey);
  }

  // What is checked as a part of an Experiment: `from` is where it stands there.
  void as_experiment(const Experiment& experiment, const std::string& from, const std::string& to) {
    Problems own;
    check_experiment(experiment, own);
    problems_.take(own, [&](const std::string& path) {
      return path.starts_with(from) ? to + path.substr(from.size()) : to;
    });
  }
  // A valid Experiment that a part can be put into.
  static Experiment bare() {
    Experiment experiment;
    experiment.metadata.name = "day";
    experiment.spec.target.selector.namespaces = {"day"};
    return experiment;
  }

  void conditions() {
    if (problems_.spoiled("spec.abortWhen")) return;
    Experiment experiment = bare();
    experiment.spec.abortWhen = day_.spec.abortWhen;
    as_experiment(experiment, "spec.abortWhen", "spec.abortWhen");
  }

  // `rounds`: how often the group is done that they are in.
  void steps(const std::vector<Step>& list, const std::string& path, std::size_t depth,
             std::int64_t rounds) {
    if (list.empty()) return;
    if (depth > kDeepestStep)
      return add_whole(
          path, "groups are at most " + std::to_string(kDeepestStep - 1) + " deep in each other");
    for (std::size_t i = 0; i < list.size(); ++i) step(list[i], item(path, i), depth, rounds);
  }

  // Steps that are done at the same time: none of them is over when another one begins.
  void parallel(const std::vector<Step>& list, const std::string& path, std::size_t depth,
                std::int64_t rounds) {
    const std::set<std::string> before = before_;
    std::set<std::string> after = before_;
    for (std::size_t i = 0; i < list.size() && depth <= kDeepestStep; ++i) {
      before_ = before;
      step(list[i], item(path, i), depth, rounds);
      after.insert(before_.begin(), before_.end());
    }
    before_ = std::move(after);
    if (depth > kDeepestStep) steps(list, path, depth, rounds);  // says so
  }

  void step(const Step& step, const std::string& at, std::size_t depth, std::int64_t rounds) {
    ++count_;
    rounds = std::min(kMostDayRounds + 1,
                      rounds * std::clamp<std::int64_t>(step.repeat, 1, kMostRepeats));
    rounds_ = std::min(kMostDayRounds + 1, rounds_ + rounds);
    when(step, at);
    if (!step.name.empty() && !names_.insert(step.name).second)
      add(at + ".name", "is the name of another step already");
    const std::size_t length = day_.metadata.name.size() + 1 + step.name.size();
    if ((step.experiment || step.sweep) && length > kLongestName &&
        !problems_.spoiled("metadata.name"))
      add(at + ".name", "makes the name " + day_.metadata.name + "-" + step.name + " of " +
                            std::to_string(length) + " characters, at most 63");
    if (step.surprise && day_.spec.roles.facilitator.empty())
      add(at + ".surprise",
          "needs a facilitator: spec.roles.facilitator says who knows the surprises");
    const int kinds = (step.experiment ? 1 : 0) + (step.sweep ? 1 : 0) + (step.task ? 1 : 0) +
                      (step.waitFor ? 1 : 0) + (step.note.empty() ? 0 : 1) +
                      (step.pause.value.count() == 0 ? 0 : 1) + (step.serial.empty() ? 0 : 1) +
                      (step.parallel.empty() ? 0 : 1);
    if (kinds != 1)
      add_whole(at,
                "needs exactly one of experiment, sweep, task, waitFor, note, pause, serial "
                "and parallel, got " +
                    (kinds == 0 ? std::string("none") : std::to_string(kinds)));
    const bool outer = std::exchange(surprise_, surprise_ || step.surprise);
    if (step.experiment) experiment(step, at + ".experiment");
    if (step.sweep) sweep(step, at + ".sweep");
    if (step.task) task(*step.task, at + ".task");
    if (step.waitFor) wait(*step.waitFor, at + ".waitFor");
    steps(step.serial, at + ".serial", depth + 1, rounds);
    parallel(step.parallel, at + ".parallel", depth + 1, rounds);
    surprise_ = outer;
    if (!step.name.empty()) before_.insert(step.name);
  }

  void when(const Step& step, const std::string& at) {
    if (!step.when || before_.contains(step.when->step)) return;
    std::vector<std::string_view> names(before_.begin(), before_.end());
    std::string message =
        "expected the name of a step that is over by then, got \"" + step.when->step + "\"";
    if (const std::string near = nearest_word(step.when->step, names); !near.empty())
      message += "; did you mean \"" + near + "\"?";
    add(at + ".when.step", std::move(message));
  }

  void experiment(const Step& step, const std::string& at) {
    const StepExperiment& experiment = *step.experiment;
    const int places = (experiment.spec ? 1 : 0) + (experiment.file.empty() ? 0 : 1) +
                       (experiment.secret.empty() ? 0 : 1);
    if (places != 1)
      return add_whole(at, std::string("needs exactly one of spec, file and secret, got ") +
                               (places == 0 ? std::string("none") : std::to_string(places)));
    if (!experiment.secret.empty()) {
      secrets_.insert(experiment.secret.substr(0, experiment.secret.find('/')));
      if (!surprise_)
        add(at + ".secret", "goes only with surprise: true, of the step or a group around it");
    }
    if (experiment.spec && !problems_.spoiled(at + ".spec"))
      as_experiment(step_experiment(day_, step, 0), "spec", at + ".spec");
  }

  void sweep(const Step& step, const std::string& at) {
    const auto written = written_.find(at);
    if (problems_.spoiled(at) || written == written_.end()) return;
    Problems own;
    check_sweep(step_sweep(day_, step), written->second, own);
    problems_.take(own, [&](const std::string& path) {
      return path.starts_with("spec") ? at + path.substr(4) : at;
    });
  }

  void task(const StepTask& task, const std::string& at) {
    if (task.text.empty() && !task.runbook)
      add_whole(at, "needs a text or a runbook: nobody would know what to do");
    if (!task.runbook) return;
    const Runbook& book = *task.runbook;
    const int places =
        (book.file.empty() ? 0 : 1) + (book.configMap.empty() ? 0 : 1) + (book.url.empty() ? 0 : 1);
    if (places > 1 || (places == 0 && book.text.empty()))
      add_whole(at + ".runbook", "needs exactly one of file, configMap, url and text");
  }

  void wait(const StepWait& wait, const std::string& at) {
    const int kinds = (wait.alert.empty() ? 0 : 1) + (wait.promql.empty() ? 0 : 1) +
                      (wait.effect ? 1 : 0) + (wait.person.empty() ? 0 : 1);
    if (kinds != 1)
      return add_whole(at, "needs exactly one of alert, promql, effect and person, got " +
                               (kinds == 0 ? std::string("none") : std::to_string(kinds)));
    if (wait.alert.empty() && (!wait.labels.empty() || wait.state != AwaitedState::firing))
      add_whole(at, "labels and state go only together with alert");
    if (!wait.promql.empty()) {
      Experiment experiment = bare();
      experiment.spec.abortWhen = {
          {.promql = wait.promql, .above = wait.above, .below = wait.below}};
      as_experiment(experiment, "spec.abortWhen[0]", at);
    } else if (!wait.above.empty() || !wait.below.empty()) {
      add_whole(at, "above and below go only together with promql");
    }
    if (wait.effect) {
      Experiment experiment = bare();
      experiment.spec.expect.effects = {*wait.effect};
      as_experiment(experiment, "spec.expect.effects[0]", at + ".effect");
    }
  }

  const GameDay& day_;
  const std::map<std::string, std::vector<bool>>& written_;
  Problems& problems_;
  std::set<std::string> names_;
  std::set<std::string> before_;   // steps that are over when the next one begins
  std::set<std::string> secrets_;  // that steps name
  bool surprise_ = false;          // the step is one, or in a group that is one
  std::size_t count_ = 0;
  std::int64_t rounds_ = 0;  // at most kMostDayRounds and one round of everything more
};

}  // namespace

void check_gameday(const GameDay& day, const std::map<std::string, std::vector<bool>>& written,
                   Problems& problems) {
  Check(day, written, problems).run();
}

}  // namespace faultline::api::detail
