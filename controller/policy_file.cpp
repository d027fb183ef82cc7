// SPDX-License-Identifier: Apache-2.0
#include "controller/policy_file.h"

#include <cerrno>
#include <fstream>
#include <iterator>

namespace faultline::controller {

Result<std::optional<api::Policy>> PolicyFile::look() {
  errno = 0;
  std::ifstream in(path_, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in) {
    if (std::exchange(unreadable_, true)) return std::optional<api::Policy>();
    return fail(from_errno(errno != 0 ? errno : EIO, "cannot read the policy " + path_));
  }
  unreadable_ = false;
  if (text_ == text) return std::optional<api::Policy>();
  text_ = text;
  auto policy = api::parse_policy(text, path_);
  if (!policy) return fail(policy.error());
  return std::optional(std::move(*policy));
}

}  // namespace faultline::controller
