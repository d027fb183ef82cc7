// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/others.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "api/codec.h"

namespace faultline::controller::observe {
namespace {

// Those that a judge of the expected alerts needs: the alerts themselves, and the nearest of one
// that is not there.
std::vector<std::string> needed_names(const std::vector<std::string>& names,
                                      const std::set<std::string>& expected) {
  const std::vector<std::string_view> all(names.begin(), names.end());
  std::set<std::string> kept;
  for (const std::string& one : expected) {
    if (std::ranges::find(names, one) != names.end())
      kept.insert(one);
    else if (std::string near = api::nearest_word(one, all); !near.empty())
      kept.insert(std::move(near));
  }
  // That there were rules is known to the judge by a list that is not empty.
  if (kept.empty() && !names.empty()) kept.emplace();
  return {kept.begin(), kept.end()};
}

}  // namespace

Whose whose(const std::map<std::string, std::string>& labels,
            const std::set<std::string>& namespaces) {
  if (namespaces.empty()) return Whose::own;
  Whose out = Whose::nobody;
  for (const char* name : {"exported_namespace", "namespace", "kubernetes_namespace"}) {
    const auto label = labels.find(name);
    // An empty value is no label, to Prometheus.
    if (label == labels.end() || label->second.empty()) continue;
    if (!namespaces.contains(label->second)) return Whose::others;
    out = Whose::own;
  }
  return out;
}

std::set<std::string> own_namespaces(const api::Experiment& experiment) {
  const std::string& own = experiment.metadata.namespace_;
  return own.empty() ? std::set<std::string>{} : std::set<std::string>{own};
}

std::size_t leave_out_others(api::MonitoringRecord& record, const api::Expect& expect,
                             const std::set<std::string>& namespaces) {
  if (namespaces.empty()) return 0;
  std::set<std::string> expected;
  for (const api::ExpectAlert& one : expect.alerts) expected.insert(one.name);
  std::set<std::pair<std::string, std::map<std::string, std::string>>> left_out;
  const auto others = [&](const auto& one) {
    if (expected.contains(one.alert) || !of_others(one.labels, namespaces)) return false;
    left_out.emplace(one.alert, one.labels);
    return true;
  };
  std::erase_if(record.changes, others);
  std::erase_if(record.held, others);
  std::erase_if(record.notifications, others);
  // The rule of an alert of which nothing is left.
  std::erase_if(record.rules, [&](const api::AlertRule& rule) {
    return !expected.contains(rule.alert) &&
           std::ranges::none_of(record.changes, [&](const api::AlertChange& change) {
             return change.source == rule.source && change.alert == rule.alert;
           });
  });
  record.ruleNames = needed_names(record.ruleNames, expected);
  return left_out.size();
}

}  // namespace faultline::controller::observe
