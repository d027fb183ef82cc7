// SPDX-License-Identifier: Apache-2.0
#include "cli/plan_text.h"

#include <algorithm>
#include <boost/describe.hpp>
#include <cstdio>
#include <set>

#include "base/printable.h"
#include "cli/between.h"
#include "cli/block.h"
#include "cli/text.h"
#include "report/format.h"
#include "report/report.h"

namespace faultline::cli {
namespace {

// "name: "purpose"".
Block block_of(const api::Experiment& experiment, std::size_t width) {
  std::string head = experiment.metadata.name;
  if (!experiment.spec.purpose.empty())
    head += ": \"" + printable_prose(experiment.spec.purpose) + "\"";
  return {head, width};
}

std::string pod_words(const api::PodRef& pod) {
  return pod.id() + (pod.node.empty() ? "" : " on " + pod.node);
}

std::vector<std::string> pods_words(const std::vector<api::PodRef>& pods) {
  std::vector<std::string> words;
  for (const api::PodRef& pod : pods) words.push_back(pod_words(pod));
  return words;
}

std::string limit_words(const api::Limits& limits) {
  char percent[32];
  std::snprintf(percent, sizeof percent, "%g %%", limits.maxPercent);
  return "limit " + std::to_string(limits.maxPods) + ", " + percent;
}

// "by delay-line" where all nodes of the targets agree, else each.
std::string mechanism_words(const api::Fault& fault, const api::RunPlan& plan,
                            const std::vector<api::NodeStatus>& nodes) {
  std::set<std::string> target_nodes, mechanisms;
  for (const api::PodRef& pod : plan.targets) target_nodes.insert(pod.node);
  for (const api::NodeStatus& node : nodes) {
    if (!target_nodes.contains(node.info.name)) continue;
    for (const api::FaultSupport& support : node.info.faults)
      if (support.fault == fault.name() && support.supported) mechanisms.insert(support.mechanism);
  }
  mechanisms.erase("");
  std::string out;
  for (const std::string& mechanism : mechanisms)
    out += (out.empty() ? ", by " : " or ") + mechanism;
  return out;
}

std::string phase_words(const api::Experiment& experiment) {
  const api::Phases& phases = experiment.spec.phases;
  const auto words = [](const api::Duration& d) {
    return report::exact_seconds_words(d.seconds());
  };
  return words(phases.baseline) + " before, " + words(phases.fault) +
         (experiment.spec.faults.empty() ? " measured, " : " with the fault, ") +
         words(phases.recovery) + " after";
}

// `touch`: when the faults end if an agent and its controller lose touch.
std::string end_words(const api::Experiment& experiment, const std::string& touch) {
  const std::string after =
      "after " + report::exact_seconds_words(experiment.spec.phases.fault.seconds());
  if (experiment.spec.faults.empty()) return after + "; on Ctrl-C";
  return after + "; on Ctrl-C; " + touch + "; at once if the agent dies";
}

// The lease is the controller's (--lease): 3 s, or 15 s where several stand by.
std::string touch_words(const api::RunPlan& plan) {
  if (plan.leaseSeconds <= 0) return "when we lose touch, after the controller's lease";
  return report::exact_seconds_words(plan.leaseSeconds) + " after we lose touch";
}

std::string bound_words(const std::string& above, const std::string& below) {
  return above.empty() ? "below " + below : "above " + above;
}

void add_containers(Block& block, const api::Target& target) {
  const std::string containers = report::container_words(target);
  if (!containers.empty())
    block.line("only", containers + " of each pod; its other containers are not touched");
}

// A pod of the file that the target matches and that has none of the containers; empty: none.
std::string without_containers(const api::Target& target, const api::PodsFile& pods) {
  if (target.containerNames.empty()) return "";
  for (const api::PodEntry& entry : pods.pods) {
    const api::PodRef pod{entry.namespace_, entry.name, "", entry.labels};
    if (api::matches(target.selector, pod) &&
        std::ranges::none_of(entry.containers, [&](const api::ContainerEntry& container) {
          return std::ranges::find(target.containerNames, container.name) !=
                 target.containerNames.end();
        }))
      return pod.id();
  }
  return "";
}

void add_expectations(Block& block, const api::Experiment& experiment) {
  for (const api::ExpectAlert& alert : experiment.spec.expect.alerts)
    block.line("expects", "alert " + alert.name + " within " + alert.within.format());
  for (const api::ExpectEffect& effect : experiment.spec.expect.effects)
    block.line("expects",
               effect.metric +
                   (effect.quantile ? " " + report::quantile_words(*effect.quantile) : "") +
                   " of " + report::selector_words(effect.selector) + " " +
                   bound_words(effect.above, effect.below));
  for (const api::ExpectSignal& signal : experiment.spec.expect.signals)
    block.line("expects",
               signal.promql + " equals " + signal.equals + " within " + signal.tolerance.format());
  for (const api::AbortCondition& condition : experiment.spec.abortWhen)
    block.line("aborts",
               "when " + (condition.promql.empty() ? condition.effect : condition.promql) +
                   (condition.quantile ? " " + report::quantile_words(*condition.quantile) : "") +
                   " is " + bound_words(condition.above, condition.below));
}

// "fires after 12 s at the earliest", whom it reaches, and what stands in the way.
void add_alerts(Block& block, const api::Experiment& experiment, const api::RunPlan& plan) {
  const std::vector<api::ExpectAlert>& expected = experiment.spec.expect.alerts;
  for (std::size_t i = 0; i < plan.alerts.size() && i < expected.size(); ++i) {
    const api::PlannedAlert& alert = plan.alerts[i];
    std::string text = "alert " + alert.alert + " within " + expected[i].within.format();
    if (!alert.possible)
      text += "; whether it could fire is not known: " + alert.reason;
    else if (!*alert.possible)
      text += "; it could not: " + alert.reason;
    else if (alert.floor)
      text += "; " + report::exact_seconds_words(*alert.floor) + " at the earliest";
    if (!alert.receivers.empty()) text += "; goes to " + some_of(alert.receivers);
    block.line("expects", text);
    for (const std::string& note : alert.notes) block.line("", note);
  }
}

}  // namespace

std::string mode_words(const api::Target& target) {
  switch (target.mode) {
    case api::Mode::one:
      return "one, by chance";
    case api::Mode::all:
      return "all of them";
    case api::Mode::fixed:
      return target.value + " of them, by chance";
    case api::Mode::fixed_percent:
      return target.value + " % of them, by chance";
    case api::Mode::random_max_percent:
      break;
  }
  return "up to " + target.value + " % of them, by chance";
}

std::string plan_text(const api::Experiment& experiment, const api::RunPlan& plan,
                      const std::vector<api::NodeStatus>& nodes, std::size_t width) {
  Block block = block_of(experiment, width);
  const bool faults = !experiment.spec.faults.empty();
  block.line(faults ? "hits" : "measures", some_of(pods_words(plan.targets)) + "; " +
                                               std::to_string(plan.targets.size()) + " of " +
                                               std::to_string(plan.matching) + " matching (" +
                                               limit_words(plan.limit) + ")");
  add_containers(block, experiment.spec.target);
  for (const api::Fault& fault : experiment.spec.faults) {
    block.line("does", std::string(fault.name()) + " " + report::asked_words(fault) +
                           mechanism_words(fault, plan, nodes));
    block.line("feels", report::explain_words(fault));
    if (const std::string both = between_words(fault, plan.targets); !both.empty())
      block.line("", both);
  }
  if (!faults) block.line("does", "nothing: it only measures");
  if (!plan.observed.empty()) block.line("observes", some_of(pods_words(plan.observed)));
  if (!plan.control.empty()) block.line("compares", "with " + some_of(pods_words(plan.control)));
  add_alerts(block, experiment, plan);
  block.line("takes", phase_words(experiment));
  if (const std::string note = report::too_short_words(experiment.spec.phases);
      !note.empty() && !experiment.spec.faults.empty())
    block.line("note", note);
  block.line("ends", end_words(experiment, touch_words(plan)));
  return block.take();
}

Result<> plan_problem(const api::RunPlan& plan, bool anyway) {
  std::string text;
  for (const api::UnsupportedFault& fault : plan.unsupported)
    text += (text.empty() ? "" : "\n") + fault.node + " cannot arm " + fault.fault + ": " +
            fault.reason;
  if (!text.empty()) return fail(Errc::kUnsupported, text);
  if (plan.targets.empty())
    return fail(Errc::kNotFound,
                "no pod matches the target's selector ('faultline nodes' tells which pods there "
                "are)");
  for (const api::PlannedAlert& alert : plan.alerts)
    if (!anyway && !alert.possible.value_or(true))
      text += (text.empty() ? "" : "\n") + alert.alert + " cannot be noticed: " + alert.reason;
  if (!text.empty()) return fail(Errc::kInvalid, text + "\n--anyway runs it all the same");
  return {};
}

std::string explain_text(const api::Experiment& experiment,
                         const std::optional<api::PodsFile>& pods, std::size_t width) {
  Block block = block_of(experiment, width);
  const api::ExperimentSpec& spec = experiment.spec;
  const auto matching = [&](const api::Selector& selector) {
    std::vector<std::string> names;
    for (const api::PodEntry& entry : pods->pods) {
      const api::PodRef pod{entry.namespace_, entry.name, "", entry.labels};
      if (api::matches(selector, pod)) names.push_back(pod.id());
    }
    return names;
  };
  // A pods file does not tell nodes.
  const auto judged = [&](const api::Selector& selector) { return pods && selector.nodes.empty(); };
  block.line(spec.faults.empty() ? "measures" : "hits",
             report::selector_words(spec.target.selector) + ": " + mode_words(spec.target) + " (" +
                 limit_words(spec.limits) + ")");
  if (judged(spec.target.selector)) {
    const std::vector<std::string> names = matching(spec.target.selector);
    const auto count = static_cast<std::int64_t>(names.size());
    block.line("", names.empty() ? "in the pods file none matches: the run would be refused"
                                 : "in the pods file: " + some_of(names) + "; at most " +
                                       std::to_string(api::allowed_targets(spec.limits, count)) +
                                       " may be hit");
  }
  add_containers(block, spec.target);
  if (judged(spec.target.selector))
    if (const std::string pod = without_containers(spec.target, *pods); !pod.empty())
      block.line("", "in the pods file " + pod + " has none: a run that chose it would be refused");
  for (const api::Fault& fault : spec.faults) {
    block.line("does", std::string(fault.name()) + " " + report::asked_words(fault));
    block.line("feels", report::explain_words(fault));
    if (judged(spec.target.selector) && matching(spec.target.selector).size() < 2) continue;
    if (const std::string both = between_words(fault, spec); !both.empty()) block.line("", both);
  }
  if (spec.faults.empty()) block.line("does", "nothing: it only measures");
  for (const api::Selector& selector : spec.observe)
    block.line("observes",
               report::selector_words(selector) +
                   (judged(selector)
                        ? ": " + (matching(selector).empty() ? std::string("none in the pods file")
                                                             : some_of(matching(selector)))
                        : ""));
  add_expectations(block, experiment);
  block.line("takes", phase_words(experiment));
  if (const std::string note = report::too_short_words(experiment.spec.phases);
      !note.empty() && !experiment.spec.faults.empty())
    block.line("note", note);
  block.line("ends",
             end_words(experiment, report::exact_seconds_words(api::kDefaultLeaseSeconds) +
                                       " after we lose touch by default (with --controller or "
                                       "--kubernetes the plan has the lease in force)"));
  return block.take();
}

}  // namespace faultline::cli
