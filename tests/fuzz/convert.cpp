// SPDX-License-Identifier: Apache-2.0
// Manifests of Chaos Mesh and experiments of the Chaos Toolkit. What comes out is valid.
#include "cli/convert/convert.h"

#include "api/codec.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {

void fuzz(std::string_view input) {
  const auto made = cli::convert_chaos_mesh(input, "chaos.yaml");
  if (!made) return;
  for (const auto& one : made->experiments)
    must(api::validate(one.experiment).has_value(), "each passes api::validate");
  for (const auto& one : made->days)
    must(api::parse_gameday(api::to_yaml(one.day), "day.yaml").has_value(),
         "each day passes api::parse_gameday");
  for (const auto& finding : made->findings) (void)finding.text().size();
}

}  // namespace faultline::fuzz
