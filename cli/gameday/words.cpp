// SPDX-License-Identifier: Apache-2.0
#include "cli/gameday/words.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/printable.h"
#include "cli/block.h"
#include "cli/gameday/view.h"
#include "cli/plan_text.h"
#include "cli/sweep/words.h"
#include "cli/text.h"
#include "report/format.h"
#include "report/report.h"

namespace faultline::cli {
namespace {

std::string time_words(std::chrono::nanoseconds time) {
  return report::exact_seconds_words(std::chrono::duration<double>(time).count());
}

std::string bound_words(const std::string& above, const std::string& below) {
  return above.empty() ? "below " + below : "above " + above;
}

std::string condition_words(const api::AbortCondition& condition) {
  return (condition.promql.empty() ? condition.effect : condition.promql) +
         (condition.quantile ? " " + report::quantile_words(*condition.quantile) : "") + " is " +
         bound_words(condition.above, condition.below);
}

// The spec of what a step runs; null: it runs nothing, or a file that was not read.
const api::ExperimentSpec* spec_of(const api::Step& step) {
  if (step.experiment && step.experiment->spec) return &*step.experiment->spec;
  return step.sweep ? &step.sweep->experiment : nullptr;
}

std::string faults_words(const api::Step& step) {
  std::vector<std::string> words;
  if (const api::ExperimentSpec* spec = spec_of(step))
    for (const api::Fault& fault : spec->faults)
      words.push_back(std::string(fault.name()) + " " + report::asked_words(fault));
  if (step.sweep)
    for (const api::SweptFault& row : step.sweep->faults)
      words.push_back(std::string(row.fault.name()) + ", " + row.vary + " " +
                      report::join(row.severities, ", "));
  return words.empty() ? "measures only" : report::join(words, "; ");
}

std::string runbook_words(const api::Runbook& book) {
  std::string out = ", with the runbook ";
  if (!book.file.empty()) out += book.file;
  if (!book.configMap.empty()) out += "of the ConfigMap " + book.configMap;
  if (!book.url.empty()) out += "at " + book.url;
  if (!book.text.empty()) {
    const std::size_t items = api::runbook_steps(book.text).size();
    out += (out.ends_with(' ') ? "of " : " of ") + report::plural(items, "step", "steps");
  }
  return out;
}

std::string task_words(const api::StepTask& task) {
  std::string out = "task of ";
  out += task.role == api::DayRole::none ? "anybody" : "the " + role_word(task.role);
  if (!task.text.empty()) out += ": \"" + printable_prose(task.text) + "\"";
  if (task.runbook) out += runbook_words(*task.runbook);
  if (task.timeout.value.count() > 0)
    out += "; not answered within " + time_words(task.timeout.value) + ": " +
           outcome_word(task.otherwise);
  return out;
}

std::string wait_words(const api::StepWait& wait) {
  if (!wait.person.empty()) return "waits for a person: \"" + printable_prose(wait.person) + "\"";
  if (!wait.alert.empty())
    return "waits until " + wait.alert +
           (wait.state == api::AwaitedState::firing ? " fires" : " is silent");
  if (!wait.promql.empty())
    return "waits until " + wait.promql + " is " + bound_words(wait.above, wait.below);
  if (!wait.effect) return "waits";
  return "waits until " + wait.effect->metric +
         (wait.effect->quantile ? " " + report::quantile_words(*wait.effect->quantile) : "") +
         " is " + bound_words(wait.effect->above, wait.effect->below);
}

std::string what_words(const api::GameDay& day, const api::Step& step) {
  if (step.experiment && !step.experiment->secret.empty())
    return "experiment of the Secret " + step.experiment->secret;
  if (step.experiment && !step.experiment->spec) return "experiment of " + step.experiment->file;
  if (step.experiment) return "experiment: " + faults_words(step);
  if (step.sweep)
    return "sweep of " + sweep_size_words(api::step_sweep(day, step)) + ": " + faults_words(step);
  if (step.task) return task_words(*step.task);
  if (step.waitFor) return wait_words(*step.waitFor);
  if (!step.note.empty()) return "note: \"" + printable_prose(step.note) + "\"";
  if (!step.serial.empty()) return "one after the other:";
  if (!step.parallel.empty()) return "at the same time:";
  return "nothing for " + time_words(step.pause.value);
}

// What is said of any step, behind what it does.
std::string manner_words(const api::Step& step) {
  std::string out;
  if (step.repeat > 1) out += "; " + std::to_string(step.repeat) + " times";
  if (step.when) {
    std::vector<std::string> words;
    for (const api::StepOutcome outcome : step.when->is) words.push_back(outcome_word(outcome));
    out += "; only if " + step.when->step + " is " + report::join(words, " or ");
  }
  if (step.deadline.value.count() > 0)
    out += "; must be over after " + time_words(step.deadline.value);
  if (step.onMiss == api::OnMiss::hold) out += "; a miss holds the day";
  if (step.onMiss == api::OnMiss::abort) out += "; a miss aborts the day";
  if (step.surprise) out += "; a surprise for all but the facilitator";
  return out;
}

std::string steps_text(const api::GameDay& day, const std::vector<api::Step>& steps,
                       std::size_t depth, std::size_t width) {
  std::string out;
  for (const api::Step& step : steps) {
    const std::string head = std::string(2 + 4 * depth, ' ') + "- " + printable(step.name) + "  ";
    const std::size_t indent = 6 + 4 * depth;
    std::string words = what_words(day, step);
    const bool group = !step.serial.empty() || !step.parallel.empty();
    if (group) words.pop_back();
    words += manner_words(step) + (group ? ":" : "");
    if (!step.title.empty()) words = "\"" + printable_prose(step.title) + "\" " + words;
    out += head + wrapped(printable(words), std::max(width, indent + 20), indent, columns(head)) +
           "\n";
    out += steps_text(day, step.serial, depth + 1, width);
    out += steps_text(day, step.parallel, depth + 1, width);
  }
  return out;
}

void add_people(Block& block, const api::GameDayRoles& roles) {
  const auto add = [&](const std::vector<std::string>& people, const char* what) {
    if (!people.empty()) block.line("who", some_of(people) + " " + what);
  };
  add(roles.facilitator, "(facilitator): leads the day, knows the surprises");
  add(roles.commander, "(commander): leads the response");
  add(roles.scribe, "(scribe): writes down what happens");
  add(roles.observers, "(observer): watches");
}

void add_hit(Block& block, const api::GameDay& day, const std::optional<api::PodsFile>& pods) {
  std::vector<std::string> targets;
  std::set<std::string> matching;
  api::for_each_step(day, [&](const api::Step& step, const std::string&) {
    const api::ExperimentSpec* spec = spec_of(step);
    if (spec == nullptr) return;
    const api::Target& target = spec->target;
    const std::string words = report::selector_words(target.selector) + ": " + mode_words(target);
    if (std::ranges::find(targets, words) == targets.end()) targets.push_back(words);
    if (!pods || !target.selector.nodes.empty()) return;
    for (const api::PodEntry& entry : pods->pods) {
      const api::PodRef pod{entry.namespace_, entry.name, "", entry.labels};
      if (api::matches(target.selector, pod)) matching.insert(pod.id());
    }
  });
  if (targets.empty()) return block.line("hits", "nothing: no step has an experiment or a sweep");
  for (const std::string& target : targets) block.line("hits", target);
  if (pods)
    block.line("", matching.empty() ? "in the pods file none matches"
                                    : "in the pods file, of all steps: " +
                                          some_of({matching.begin(), matching.end()}, 10));
}

}  // namespace

std::size_t steps_of(const api::GameDay& day) {
  std::size_t count = 0;
  api::for_each_step(day, [&](const api::Step&, const std::string&) { ++count; });
  return count;
}

std::string gameday_size_words(const api::GameDay& day) {
  return report::plural(steps_of(day), "step", "steps") + ", at least " +
         time_words(api::least_length(day));
}

std::string gameday_text(const api::GameDay& day, const std::optional<api::PodsFile>& pods,
                         bool planned, std::size_t width) {
  const api::GameDaySpec& spec = day.spec;
  Block block(day.metadata.name + ": a game day, \"" + printable_prose(spec.title) + "\"", width);
  if (!spec.hypothesis.empty()) block.line("believes", printable_prose(spec.hypothesis));
  if (!spec.owner.empty()) block.line("owner", spec.owner);
  add_people(block, spec.roles);
  if (spec.window.notBefore.set())
    block.line("window", "no step begins before " + spec.window.notBefore.format());
  if (spec.window.notAfter.set())
    block.line("window", "no fault after " + spec.window.notAfter.format());
  std::vector<std::string> checks;
  for (const api::PreCheck check : spec.preChecks)
    checks.emplace_back(boost::describe::enum_to_string(check, "?"));
  block.line("checks", checks.empty() ? "nothing before it begins" : report::join(checks, ", "));
  for (const api::AbortCondition& condition : spec.abortWhen)
    block.line("aborts", "the whole day when " + condition_words(condition));
  add_hit(block, day, pods);
  block.line("takes", gameday_size_words(day) + "; people and waiting take no time in that");
  if (!planned)
    block.line("note",
               "which pods are hit now, and which alerts could not fire, a controller says: "
               "'faultline gameday plan'");
  return block.take() + "\nsteps:\n" + steps_text(day, spec.steps, 0, width);
}

std::string day_plan_text(const api::GameDayPlan& plan, std::size_t width) {
  Block block("plan: " + report::plural(plan.steps.size(), "run", "runs") + ", at least " +
                  report::exact_seconds_words(plan.leastSeconds),
              width);
  std::vector<std::string> hit;
  for (const api::PodRef& pod : plan.hit)
    hit.push_back(pod.id() + (pod.node.empty() ? "" : " on " + pod.node));
  block.line("hits", hit.empty()
                         ? "no pod"
                         : some_of(hit, 10) + "; " + std::to_string(hit.size()) + " in all");
  if (!plan.sources.empty()) block.line("asks", some_of(plan.sources) + " of the monitoring");
  for (const api::StepPlan& step : plan.steps) {
    std::string words = step.step + " (" + step.experiment + ")";
    if (step.plan) {
      std::vector<std::string> targets;
      for (const api::PodRef& pod : step.plan->targets) targets.push_back(pod.id());
      words += ": " + (targets.empty() ? "no pod" : some_of(targets));
    }
    block.line("step", words);
    if (!step.problem.empty()) block.line("", "could not begin now: " + step.problem);
    if (!step.plan) continue;
    for (const api::PlannedAlert& alert : step.plan->alerts) {
      std::string text = "alert " + alert.alert;
      if (!alert.possible)
        text += ": whether it could fire is not known: " + alert.reason;
      else if (!*alert.possible)
        text += ": could NOT fire: " + alert.reason;
      else if (alert.floor)
        text += ": " + report::exact_seconds_words(*alert.floor) + " at the earliest";
      block.line("", text);
    }
  }
  for (const std::string& note : plan.notes) block.line("note", note);
  return block.take();
}

Result<> day_plan_problem(const api::GameDayPlan& plan, bool anyway) {
  std::string text;
  const auto add = [&](const api::StepPlan& step, const std::string& why) {
    text += (text.empty() ? "" : "\n") + step.step + ": " + why;
  };
  for (const api::StepPlan& step : plan.steps)
    if (!step.problem.empty()) add(step, step.problem);
  if (!text.empty()) return fail(Errc::kConflict, text);
  Errc code = Errc::kInvalid;
  for (const api::StepPlan& step : plan.steps) {
    if (!step.plan) continue;
    const auto good = plan_problem(*step.plan, anyway);
    if (good) continue;
    if (text.empty()) code = good.error().code;
    for (const std::string& line : split_lines(good.error().message))
      if (text.find(step.step + ": " + line) == text.npos) add(step, line);
  }
  if (!text.empty()) return fail(code, text);
  return {};
}

}  // namespace faultline::cli
