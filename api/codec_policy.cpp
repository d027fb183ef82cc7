// SPDX-License-Identifier: Apache-2.0
#include "api/detail/instances.h"
#include "api/detail/rules_policy.h"
#include "api/policy.h"
#include "document/yaml.h"

namespace faultline::api {

FAULTLINE_CODEC(Policy)

Result<Policy> parse_policy(std::string_view text, std::string_view file) {
  document::YamlOptions options;
  options.budget = kPolicyBudget;
  document::YamlContent content = document::read_yaml(text, options);
  if (content.complete && content.problems.empty() && content.documents.empty())
    return Policy{};  // an empty file is no mistake: nothing is changed
  detail::SourceMap map;
  detail::Problems problems(file, &map);
  for (document::Problem& problem : content.problems) problems.add(std::move(problem));
  Policy policy;
  if (content.complete && !content.documents.empty()) {
    map = std::move(content.documents.front().lines);
    detail::Decoder decoder(problems);
    detail::decode(decoder, content.documents.front().value, policy);
  }
  if (!problems.empty()) return fail(problems.error());
  return policy;
}

}  // namespace faultline::api
