// SPDX-License-Identifier: Apache-2.0
#include "controller/routes/run_rules.h"

#include "api/codec.h"
#include "base/quoted.h"

namespace faultline::controller {

std::string query_or(const http::Request& request, const std::string& name, std::string other) {
  const auto value = request.query.find(name);
  return value == request.query.end() ? std::move(other) : value->second;
}

api::Timestamp first_injected(const api::RunRecord& record) {
  api::Timestamp first;
  for (const api::NodeRecord& node : record.nodes)
    for (const api::InjectionStatus& status : node.injections)
      if (status.firstInjectedAt.set() && (!first.set() || status.firstInjectedAt < first))
        first = status.firstInjectedAt;
  return first;
}

Result<const api::AlertRule*> rule_of(const api::RunRecord& record, const std::string& alert) {
  if (!record.monitoring || record.monitoring->rules.empty())
    return fail(Errc::kInvalid, "run " + record.run + " expected no alert: its record has no rule");
  std::vector<std::string_view> names;
  for (const api::AlertRule& rule : record.monitoring->rules) {
    if (rule.alert == alert) return &rule;
    names.push_back(rule.alert);
  }
  const std::string near = api::nearest_word(alert, names);
  std::string all;
  for (std::size_t i = 0; i < names.size() && i < 10; ++i)
    all += (all.empty() ? "" : ", ") + std::string(names[i]);
  return fail(Errc::kInvalid,
              "alert: run " + record.run + " has no rule " + in_quotes(alert) +
                  (near.empty() ? "; it has " + all : "; did you mean " + in_quotes(near) + "?"));
}

}  // namespace faultline::controller
