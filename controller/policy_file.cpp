// SPDX-License-Identifier: Apache-2.0
#include "controller/policy_file.h"

namespace faultline::controller {

Result<std::optional<api::Policy>> PolicyFile::look() {
  auto text = text_.look();
  if (!text) return fail(std::move(text.error()));
  if (!*text) return std::optional<api::Policy>();
  auto policy = api::parse_policy(**text, text_.path());
  if (!policy) return fail(std::move(policy.error()));
  return std::optional(std::move(*policy));
}

}  // namespace faultline::controller
