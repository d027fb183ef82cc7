// SPDX-License-Identifier: Apache-2.0
// Documents that people write: an experiment, a pods file, a policy. What is read and written again
// reads as the same.
#include "api/codec.h"
#include "api/policy.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {

void fuzz(std::string_view input) {
  switch (choose(input, 3)) {
    case 0: {
      const auto read = api::parse_experiment(input, "fuzz.yaml");
      if (!read) break;
      const auto again = api::parse_experiment(api::to_yaml(*read), "again.yaml");
      must(again.has_value(), "a valid experiment, written as YAML, is valid");
      must(api::to_json_text(*again) == api::to_json_text(*read), "and the same");
      break;
    }
    case 1:
      (void)api::parse_pods_file(input, "pods.yaml").has_value();
      break;
    default:
      (void)api::parse_policy(input, "policy.yaml").has_value();
  }
}

}  // namespace faultline::fuzz
