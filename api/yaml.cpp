// SPDX-License-Identifier: Apache-2.0
#include "api/detail/yaml.h"

#include "document/yaml.h"

namespace faultline::api::detail {

bool read_yaml(std::string_view text, const document::Budget& budget, boost::json::value& value,
               SourceMap& map, Problems& problems) {
  document::YamlOptions options;
  options.budget = budget;
  document::YamlContent content = document::read_yaml(text, options);
  for (document::Problem& problem : content.problems) problems.add(std::move(problem));
  if (!content.complete) return false;
  if (content.documents.empty()) {
    problems.add("", "the document is empty");
    return false;
  }
  value = std::move(content.documents.front().value);
  map = std::move(content.documents.front().lines);
  return true;
}

}  // namespace faultline::api::detail
