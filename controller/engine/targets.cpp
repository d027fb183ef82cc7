// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/targets.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>

#include "api/codec.h"
#include "controller/engine/choice.h"
#include "controller/engine/dice.h"
#include "report/format.h"

namespace faultline::controller {
namespace {

using Pods = std::vector<api::PodRef>;

std::string_view mode_word(api::Mode mode) {
  switch (mode) {
    case api::Mode::one:
      return "one";
    case api::Mode::all:
      return "all";
    case api::Mode::fixed:
      return "fixed";
    case api::Mode::fixed_percent:
      return "fixed-percent";
    case api::Mode::random_max_percent:
      break;
  }
  return "random-max-percent";
}

std::string percent_number(double percent) {
  const double whole = std::round(percent * 100) / 100;
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), whole).ptr;
  return {text.data(), end};
}

std::string pods_words(std::size_t n) { return report::plural(n, "pod", "pods"); }

// What needs a Prometheus where none is configured. Refused, never left out: a run that ignored an
// expectation would be reported as if it had been checked.
Result<> refuse_monitoring(const api::ExperimentSpec& spec, const Rules& rules) {
  const std::string field = monitoring_field(spec);
  if (field.empty() || rules.has_prometheus) return {};
  return fail(Errc::kUnsupported, field +
                                      " needs a Prometheus, and this controller has none: start it "
                                      "with --prometheus URL or --monitoring FILE "
                                      "(docs/monitoring.md), or leave it out");
}

// Every pod that matches, by id. Errors: nothing matches, or two nodes claim the same pod.
Result<Pods> matching_pods(const api::Selector& selector, const Cluster& cluster) {
  std::map<std::string, api::PodRef> found;
  std::size_t known = 0;
  std::string hidden;  // why the last one that is no target is none
  for (const KnownNode& node : cluster.nodes) {
    known += node.pods.size();
    for (const api::PodRef& pod : node.pods) {
      if (!api::matches(selector, pod)) continue;
      if (std::string why = why_protected(cluster.rules, pod); !why.empty()) {
        hidden = std::move(why);
        continue;
      }
      const auto [other, is_new] = found.emplace(pod.id(), pod);
      if (!is_new)
        return fail(Errc::kConflict, "pod " + pod.id() + " is reported by two agents, " +
                                         other->second.node + " and " + pod.node +
                                         ": stop one of them");
    }
  }
  if (found.empty()) {
    if (!hidden.empty())
      return fail(Errc::kDenied, hidden + "; nothing else matches spec.target.selector (" +
                                     report::selector_words(selector) + ")");
    return fail(Errc::kNotFound,
                "no pod matches spec.target.selector (" + report::selector_words(selector) +
                    "); the " + report::plural(cluster.nodes.size(), "agent", "agents") +
                    " connected know " + pods_words(known) + " (see: faultline nodes)");
  }
  Pods pods;
  for (auto& [id, pod] : found) pods.push_back(std::move(pod));
  return pods;
}

// How many the mode takes of `matching` >= 1 pods.
Result<std::size_t> count_of(const api::Target& target, std::size_t matching, Dice& dice) {
  std::size_t value = 0;
  std::from_chars(target.value.data(), target.value.data() + target.value.size(), value);
  const std::size_t share = matching * value / 100;
  switch (target.mode) {
    case api::Mode::one:
      return std::size_t{1};
    case api::Mode::all:
      return matching;
    case api::Mode::fixed:
      if (value >= 1 && value <= matching) return value;
      return fail(Errc::kInvalid, "spec.target.value: mode fixed asks for " + target.value +
                                      " of " + pods_words(matching) +
                                      " that match; ask for at most as many, or use mode all");
    case api::Mode::fixed_percent:
      if (share >= 1) return share;
      return fail(Errc::kInvalid, "spec.target.value: " + target.value + " % of " +
                                      pods_words(matching) +
                                      " that match is less than one; raise it, or use mode one");
    case api::Mode::random_max_percent:
      break;
  }
  // At least one: a run that hits nothing by chance would look like a service that withstood it.
  return 1 + dice.below(std::max<std::size_t>(1, share));
}

Result<> within_limits(const api::ExperimentSpec& spec, std::size_t chosen, std::size_t matching,
                       std::int64_t allowed) {
  if (static_cast<std::int64_t>(chosen) <= allowed) return {};
  const api::Limits& limits = spec.limits;
  std::string raise;
  if (static_cast<std::int64_t>(chosen) > limits.maxPods)
    raise = "spec.limits.maxPods to " + std::to_string(chosen);
  const double needed = 100.0 * static_cast<double>(chosen) / static_cast<double>(matching);
  api::Limits percent_only = limits;
  percent_only.maxPods = static_cast<std::int64_t>(chosen);
  if (api::allowed_targets(percent_only, static_cast<std::int64_t>(matching)) <
      static_cast<std::int64_t>(chosen))
    raise += (raise.empty() ? "" : " and ") + std::string("spec.limits.maxPercent to ") +
             percent_number(std::ceil(needed));
  return fail(Errc::kDenied,
              "blast radius: mode " + std::string(mode_word(spec.target.mode)) + " chose " +
                  std::to_string(chosen) + " of " + pods_words(matching) +
                  " that match, but spec.limits allow " + std::to_string(allowed) + " (maxPods " +
                  std::to_string(limits.maxPods) + ", maxPercent " +
                  percent_number(limits.maxPercent) + "); raise " + raise + ", or choose fewer");
}

std::string quoted(const std::string& word) { return "\"" + word + "\""; }

// `who`: "no target has a", "pod shop/a has no".
Error no_container(const std::string& who, const std::vector<std::string>& names,
                   const std::set<std::string>& known) {
  std::string text = who + " container " + report::join(names, ", nor ") +
                     ", which spec.target.containerNames names; expected one of " +
                     report::join({known.begin(), known.end()}, ", ");
  const std::vector<std::string_view> words(known.begin(), known.end());
  const std::string nearest = api::nearest_word(names.front(), words);
  if (!nearest.empty() && words.size() > 1) text += "; did you mean " + quoted(nearest) + "?";
  return {Errc::kNotFound, std::move(text), 0};
}

// Each target has a container that is named, and each name is one of some target: a run that hit
// less than was asked would look like a service that withstood it.
Result<> have_containers(const std::vector<std::string>& names, const Pods& targets) {
  if (names.empty()) return {};
  std::set<std::string> all;
  for (const api::PodRef& pod : targets) {
    const std::set<std::string> known(pod.containers.begin(), pod.containers.end());
    all.insert(known.begin(), known.end());
    if (known.empty())
      return fail(Errc::kNotFound,
                  "the agent of node " + pod.node + " knows no container of " + pod.id() +
                      ": list them in its pods file, or leave spec.target.containerNames out");
    if (std::ranges::none_of(names, [&](const std::string& n) { return known.contains(n); }))
      return fail(no_container("pod " + pod.id() + " has no", names, known));
  }
  for (const std::string& name : names)
    if (!all.contains(name)) return fail(no_container("no target has a", {name}, all));
  return {};
}

// A filter that stands for nobody would hit nothing, or leave nobody alone.
Result<> have_peers(const api::ExperimentSpec& spec, const Cluster& cluster) {
  if (!names_peers(spec)) return {};
  PodLists pods;
  for (const KnownNode& node : cluster.nodes) pods.push_back(&node.pods);
  return peers_are_known(spec, pods, resolve_peers(spec, pods, cluster.services));
}

// Faults of two runs on one pod could not be told apart. To observe it is free to everybody.
Result<> hit_by_nobody(const Pods& targets, const Cluster& cluster) {
  for (const api::PodRef& pod : targets) {
    const auto hit = cluster.hits.find(pod.id());
    if (hit == cluster.hits.end()) continue;
    if (hit->second.empty())  // a surprise of a game day
      return fail(Errc::kConflict,
                  "pod " + pod.id() +
                      ", a target of this one, is a target of another run; a pod is hit by one run "
                      "at a time: wait for its end");
    return fail(Errc::kConflict,
                "pod " + pod.id() + ", a target of this one, is a target of run " + hit->second +
                    "; a pod is hit by one run at a time: wait for its end or stop it (faultline "
                    "stop " +
                    hit->second + ")");
  }
  return {};
}

// Pods that match `wanted` and are not in a role yet, by id.
template <class Wanted>
Pods others(const Cluster& cluster, const api::RunPlan& plan, Wanted wanted) {
  std::set<std::string> taken;
  for (const api::PodRef& pod : plan.targets) taken.insert(pod.id());
  for (const api::PodRef& pod : plan.observed) taken.insert(pod.id());
  std::map<std::string, api::PodRef> found;
  for (const KnownNode& node : cluster.nodes)
    for (const api::PodRef& pod : node.pods)
      if (wanted(pod) && !taken.contains(pod.id())) found.emplace(pod.id(), pod);
  Pods pods;
  for (auto& [id, pod] : found) pods.push_back(std::move(pod));
  return pods;
}

// Control pods are drawn by the seed: the first ones by name are often replicas of one service.
// Which pods exchange packets is not known here, so that one that depends on a target may be among
// them; the report tells when its figures change.
void add_watched(const api::ExperimentSpec& spec, const Cluster& cluster, Dice dice,
                 api::RunPlan& plan) {
  plan.observed = others(cluster, plan, [&](const api::PodRef& pod) {
    return std::ranges::any_of(spec.observe,
                               [&](const api::Selector& s) { return api::matches(s, pod); });
  });
  std::set<std::string> nodes;
  for (const api::PodRef& pod : plan.targets) nodes.insert(pod.node);
  plan.control = others(cluster, plan, [&](const api::PodRef& pod) {
    return nodes.contains(pod.node) && !cluster.hits.contains(pod.id()) &&
           why_closed(cluster.rules, pod.namespace_).empty() &&
           (!cluster.comparable || cluster.comparable->contains(pod.namespace_));
  });
  if (plan.control.size() <= kMaxControlPods) return;
  dice.shuffle(plan.control);
  plan.control.resize(kMaxControlPods);
  std::ranges::sort(plan.control, {}, &api::PodRef::id);
}

void add_unsupported(const api::ExperimentSpec& spec, const Cluster& cluster, api::RunPlan& plan) {
  std::set<std::string> hit;
  for (const api::PodRef& pod : plan.targets) hit.insert(pod.node);
  for (const KnownNode& node : cluster.nodes) {
    if (!hit.contains(node.name)) continue;
    std::set<std::string_view> seen;
    for (const api::Fault& fault : spec.faults) {
      if (!seen.insert(fault.name()).second) continue;
      const auto known =
          std::ranges::find(node.info.faults, fault.name(), &api::FaultSupport::fault);
      if (known != node.info.faults.end() && known->supported) continue;
      plan.unsupported.push_back(
          {node.name, std::string(fault.name()),
           known == node.info.faults.end() ? "it is not built into this agent" : known->reason});
    }
  }
}

}  // namespace

std::string monitoring_field(const api::ExperimentSpec& spec) {
  if (!spec.expect.alerts.empty()) return "spec.expect.alerts";
  if (!spec.expect.signals.empty()) return "spec.expect.signals";
  for (std::size_t i = 0; i < spec.abortWhen.size(); ++i)
    if (!spec.abortWhen[i].promql.empty())
      return "spec.abortWhen[" + std::to_string(i) + "].promql";
  return {};
}

Result<api::RunPlan> resolve(const api::Experiment& experiment, const Cluster& cluster) {
  const api::ExperimentSpec& spec = experiment.spec;
  if (auto fine = refuse_monitoring(spec, cluster.rules); !fine)
    return fail(std::move(fine.error()));
  if (auto fine = allows(cluster.rules, experiment); !fine) return fail(std::move(fine.error()));
  if (cluster.nodes.empty())
    return fail(Errc::kUnavailable,
                "no agent is connected, so no pod is known: start faultline-agent on the nodes");
  Result<Pods> pods = matching_pods(spec.target.selector, cluster);
  if (!pods) return fail(std::move(pods.error()));

  const std::size_t matching = pods->size();
  Dice dice(spec.seed);
  const Result<std::size_t> count = count_of(spec.target, matching, dice);
  if (!count) return fail(count.error());
  const std::int64_t allowed =
      api::allowed_targets(spec.limits, static_cast<std::int64_t>(matching));
  if (auto fine = within_limits(spec, *count, matching, allowed); !fine)
    return fail(std::move(fine.error()));

  api::RunPlan plan{.matching = static_cast<std::int64_t>(matching),
                    .allowed = allowed,
                    .mode = spec.target.mode,
                    .limit = spec.limits,
                    .seed = spec.seed};
  dice.shuffle(*pods);
  pods->resize(*count);
  std::ranges::sort(*pods, {}, &api::PodRef::id);
  plan.targets = std::move(*pods);
  plan.choice = choice_of(plan.targets);
  if (auto fine = hit_by_nobody(plan.targets, cluster); !fine) return fail(std::move(fine.error()));
  Pods everybody;
  for (const KnownNode& node : cluster.nodes)
    everybody.insert(everybody.end(), node.pods.begin(), node.pods.end());
  if (auto fine = allows_targets(cluster.rules, experiment, plan.targets, everybody, cluster.hits);
      !fine)
    return fail(std::move(fine.error()));
  if (auto fine = have_containers(spec.target.containerNames, plan.targets); !fine)
    return fail(std::move(fine.error()));
  if (auto fine = have_peers(spec, cluster); !fine) return fail(std::move(fine.error()));
  add_watched(spec, cluster, dice, plan);
  add_unsupported(spec, cluster, plan);
  return plan;
}

Result<> can_run(const api::Experiment& experiment, const Rules& rules,
                 const std::vector<const api::NodeInfo*>& nodes) {
  const api::ExperimentSpec& spec = experiment.spec;
  if (auto fine = refuse_monitoring(spec, rules); !fine) return fine;
  if (auto fine = allows(rules, experiment); !fine) return fine;
  if (spec.target.mode == api::Mode::fixed) {
    const std::int64_t wanted = std::stoll(spec.target.value);
    const std::int64_t most = std::min(spec.limits.maxPods, rules.policy.maxPods);
    if (wanted > most)
      return fail(Errc::kDenied,
                  "blast radius: spec.target.value asks for " + std::to_string(wanted) +
                      " pods, and at most " + std::to_string(most) + " are allowed (" +
                      (most == spec.limits.maxPods ? "spec.limits.maxPods"
                                                   : "rule maxPods of " + rules.origin) +
                      "); choose fewer");
  }
  for (const api::Fault& fault : spec.faults) {
    const bool somewhere = std::ranges::any_of(nodes, [&](const api::NodeInfo* node) {
      return std::ranges::any_of(node->faults, [&](const api::FaultSupport& known) {
        return known.fault == fault.name() && known.supported;
      });
    });
    if (nodes.empty() || somewhere) continue;
    const auto& said = nodes.front()->faults;
    const auto known = std::ranges::find(said, fault.name(), &api::FaultSupport::fault);
    return fail(Errc::kUnsupported,
                std::string(fault.name()) + ": no connected agent supports it; on " +
                    nodes.front()->name + ": " +
                    (known == said.end() ? "it is not built into this agent" : known->reason));
  }
  return {};
}

Result<Joining> joining(const api::RunRecord& record, const Cluster& cluster) {
  const api::ExperimentSpec& spec = record.experiment.spec;
  Pods present;
  std::size_t first = 0;
  std::set<std::string> had;
  for (const api::RunPod& pod : record.pods) {
    if (!pod.leftAt.set()) had.insert(pod.pod.id());
    if (pod.role != api::PodRole::target) continue;
    if (!pod.joinedAt.set()) ++first;
    if (!pod.leftAt.set()) present.push_back(pod.pod);
  }
  Result<Pods> pods = matching_pods(spec.target.selector, cluster);
  if (!pods) return fail(std::move(pods.error()));
  Joining joining{.pods = {}, .matching = static_cast<std::int64_t>(pods->size())};
  const std::size_t wanted = spec.target.mode == api::Mode::all ? pods->size() : first;
  std::erase_if(*pods, [&](const api::PodRef& pod) {
    return had.contains(pod.id()) || cluster.hits.contains(pod.id());
  });
  if (present.size() >= wanted || pods->empty()) return joining;
  // Other numbers than those of the beginning, and the same on every machine.
  Dice dice(spec.seed + record.pods.size());
  dice.shuffle(*pods);
  pods->resize(std::min(pods->size(), wanted - present.size()));
  Pods together = present;
  together.insert(together.end(), pods->begin(), pods->end());
  const std::int64_t allowed = api::allowed_targets(spec.limits, joining.matching);
  if (auto fine =
          within_limits(spec, together.size(), static_cast<std::size_t>(joining.matching), allowed);
      !fine)
    return fail(std::move(fine.error()));
  Pods everybody;
  for (const KnownNode& node : cluster.nodes)
    everybody.insert(everybody.end(), node.pods.begin(), node.pods.end());
  Hits others = cluster.hits;
  std::erase_if(others, [&](const auto& hit) { return hit.second == record.run; });
  if (auto fine = allows_targets(cluster.rules, record.experiment, together, everybody, others);
      !fine)
    return fail(std::move(fine.error()));
  if (auto fine = have_containers(spec.target.containerNames, *pods); !fine)
    return fail(std::move(fine.error()));
  joining.pods = std::move(*pods);
  return joining;
}

Result<> require_supported(const api::RunPlan& plan) {
  if (plan.unsupported.empty()) return {};
  std::vector<std::string> lines;
  for (const api::UnsupportedFault& fault : plan.unsupported)
    lines.push_back(fault.fault + " on " + fault.node +
                    ": not supported by this agent: " + fault.reason);
  return fail(Errc::kUnsupported, report::join(lines, "\n"));
}

std::vector<api::RunPod> run_pods(const api::RunPlan& plan) {
  std::vector<api::RunPod> pods;
  const auto add = [&](const std::vector<api::PodRef>& of, api::PodRole role) {
    for (const api::PodRef& pod : of) {
      // Addresses change while a run goes on, and nobody looks for them in its record.
      pods.push_back({pod, role});
      pods.back().pod.addresses.clear();
    }
  };
  add(plan.targets, api::PodRole::target);
  add(plan.observed, api::PodRole::observed);
  add(plan.control, api::PodRole::control);
  return pods;
}

}  // namespace faultline::controller
