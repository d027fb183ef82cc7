// SPDX-License-Identifier: Apache-2.0
#include <sstream>

#include "api/detail/instances.h"
#include "api/detail/rules_policy.h"
#include "api/detail/yaml.h"
#include "api/policy.h"

namespace faultline::api {

FAULTLINE_CODEC(Policy)

Result<Policy> parse_policy(std::string_view text, std::string_view file) {
  // Comments alone are no document to YAML, and an empty file is no mistake: nothing is changed.
  std::istringstream lines{std::string(text)};
  bool empty = true;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find_first_not_of(" \t\r");
    empty = empty && (first == line.npos || line[first] == '#');
  }
  if (empty) return Policy{};
  detail::SourceMap map;
  detail::Problems problems(file, &map);
  boost::json::value value;
  Policy policy;
  if (detail::read_yaml(text, value, map, problems) && !value.is_null()) {
    detail::Decoder decoder(problems);
    detail::decode(decoder, value, policy);
  }
  if (!problems.empty()) return fail(problems.error());
  return policy;
}

}  // namespace faultline::api
