// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/planned_alerts.h"

#include <algorithm>

#include "api/codec.h"
#include "api/gap_words.h"
#include "api/planned_notes.h"
#include "report/alert_scope.h"
#include "report/floor.h"
#include "report/format.h"

namespace faultline::controller {
namespace {

std::string words(double seconds) { return report::exact_seconds_words(seconds); }

// A rule whose own labels say otherwise never has an instance that is meant. Labels of the rule may
// be templates, which only an instance fills in.
bool may_be_meant(const api::AlertRule& rule, const api::ExpectAlert& expect) {
  if (rule.alert != expect.name) return false;
  return std::ranges::all_of(expect.labels, [&](const auto& wanted) {
    const auto own = rule.labels.find(wanted.first);
    return own == rule.labels.end() || own->second == wanted.second ||
           own->second.find("{{") != std::string::npos;
  });
}

// Those of the alerts that are expected: a rule whose alerts lead elsewhere by other labels is
// there again, without its expression.
const std::vector<api::AlertRoute>& routes_of(const api::AlertRule& rule,
                                              const api::ExpectAlert& expect,
                                              const api::MonitoringRecord& known) {
  const auto again = std::ranges::find_if(known.rules, [&](const api::AlertRule& other) {
    return other.expr.empty() && other.source == rule.source && other.group == rule.group &&
           other.alert == rule.alert && other.labels == report::asked_labels(rule, expect);
  });
  return again != known.rules.end() ? again->routes : rule.routes;
}

// Whom its labels lead to, what stands in the way, and why nobody is told; empty: somebody is.
std::string add_routes(const std::vector<api::AlertRoute>& routes, const api::ExpectAlert& expect,
                       api::PlannedAlert& out) {
  if (routes.empty()) {
    out.notes.emplace_back("who is told is not known: no Alertmanager said where it is routed");
    return {};
  }
  std::string nobody;
  bool told = false;
  for (const api::AlertRoute& route : routes) {
    // Two Alertmanagers that know the same tell it once.
    const auto add_once = [](std::vector<std::string>& to, std::string words) {
      if (std::ranges::find(to, words) == to.end()) to.push_back(std::move(words));
    };
    add_once(out.receivers,
             route.receiver + (route.integrations.empty()
                                   ? std::string(" (nobody)")
                                   : " (" + report::join(route.integrations, ", ") + ")"));
    if (route.groupExists)
      add_once(out.notes, "its group for " + route.receiver +
                              " is there already: group_interval counts (" +
                              words(route.groupInterval) + "), not group_wait");
    if (!expect.receiver.empty() && route.receiver != expect.receiver) continue;
    if (route.integrations.empty())
      nobody = "routed to nobody: receiver " + route.receiver + " has no integration";
    else if (!route.muted.empty())
      nobody = "nobody would be told: " + route.muted;
    else
      told = true;
  }
  if (told) return {};
  if (!nobody.empty()) return nobody;
  return "it is not routed to receiver " + expect.receiver;
}

api::PlannedAlert planned(const api::ExpectAlert& expect, const api::Phases& phases,
                          const api::MonitoringRecord& known) {
  api::PlannedAlert out{.alert = expect.name, .labels = expect.labels};
  std::vector<const api::AlertRule*> rules;
  for (const api::AlertRule& rule : known.rules)
    if (may_be_meant(rule, expect)) rules.push_back(&rule);
  if (rules.empty()) {
    for (const api::MonitoringSource& source : known.sources)
      if (source.kind == "prometheus" && !source.problem.empty()) {
        out.reason = "its rule is not known: " + source.problem;
        return out;
      }
    for (const api::MonitoringGap& gap : known.gaps)
      if (api::is_partial(gap)) {
        out.reason = "its rule is not known: " + gap.source + ": " + gap.reason;
        return out;
      }
    out.possible = false;
    out.reason = "the monitoring has no such alert rule";
    const std::vector<std::string_view> names(known.ruleNames.begin(), known.ruleNames.end());
    if (std::ranges::find(names, expect.name) != names.end())
      out.reason = "no rule of this name has the labels that are asked";
    else if (const std::string near = api::nearest_word(expect.name, names); !near.empty())
      out.reason += "; did you mean \"" + near + "\"?";
    return out;
  }
  const double fault = phases.fault.seconds();
  const auto fires = [&](const api::AlertRule* candidate) {
    return report::could_fire(*candidate, fault, expect.within.seconds());
  };
  const api::AlertRule& rule =
      **std::ranges::min_element(rules, {}, [&](const api::AlertRule* candidate) {
        const report::CouldFire could = fires(candidate);
        return std::pair(!could.possible, could.earliest);
      });
  const report::CouldFire could = fires(&rule);
  out.floor = could.earliest;
  if (!could.possible) out.reason = could.reason;
  if (could.possible && !could.reason.empty()) out.notes.push_back(could.reason);
  if (out.reason.empty() && could.earliest > fault + phases.recovery.seconds())
    out.reason = "it needs at least " + words(could.earliest) + "; fault and recovery are " +
                 words(fault + phases.recovery.seconds()) + ": set phases.recovery";
  const std::string nobody = add_routes(routes_of(rule, expect, known), expect, out);
  if (out.reason.empty()) out.reason = nobody;
  out.possible = out.reason.empty();
  for (const api::AlertHeld& held : known.held)
    if (!held.gone && held.alert == expect.name &&
        std::ranges::all_of(expect.labels, [&](const auto& label) {
          const auto found = held.labels.find(label.first);
          return found != held.labels.end() && found->second == label.second;
        })) {
      out.notes.emplace_back(api::kFiresAlready);
      break;
    }
  return out;
}

}  // namespace

std::vector<api::PlannedAlert> planned_alerts(const api::Experiment& experiment,
                                              const api::MonitoringRecord& known) {
  std::vector<api::PlannedAlert> out;
  for (const api::ExpectAlert& expect : experiment.spec.expect.alerts)
    out.push_back(planned(expect, experiment.spec.phases, known));
  return out;
}

Result<> require_possible(const api::Experiment& experiment,
                          const std::vector<api::PlannedAlert>& alerts) {
  const auto& notes = experiment.metadata.annotations;
  const auto anyway = notes.find(std::string(api::kAnywayNote));
  if (anyway != notes.end() && anyway->second == "true") return {};
  std::string text;
  for (std::size_t i = 0; i < alerts.size(); ++i) {
    if (alerts[i].possible.value_or(true)) continue;
    text += (text.empty() ? "" : "\n") + std::string("spec.expect.alerts[") + std::to_string(i) +
            "]: " + alerts[i].alert + " cannot be noticed: " + alerts[i].reason;
  }
  if (text.empty()) return {};
  return fail(Errc::kInvalid, text + "\n--anyway runs it all the same");
}

}  // namespace faultline::controller
