// SPDX-License-Identifier: Apache-2.0
// What is allowed on this cluster, whoever asks: the document that a platform team puts into the
// ConfigMap faultline-policy. An experiment's own limits can only be narrower.
#pragma once

#include <boost/describe.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/values.h"
#include "base/result.h"

namespace faultline::api {

// By the label faultline.dev/experiments of a namespace.
enum class NamespaceAccess {
  opt_out,  // all but those with "disabled"
  opt_in,   // only those with "enabled"
};
BOOST_DESCRIBE_ENUM(NamespaceAccess, opt_out, opt_in)

inline constexpr std::string_view kNamespaceLabel = "faultline.dev/experiments";
// A label or an annotation of a pod; "true": it is never a target.
inline constexpr std::string_view kProtectedPod = "faultline.dev/protected";

struct Policy {
  std::vector<std::string> protectedNamespaces{"kube-system", "faultline"};
  NamespaceAccess namespaceAccess = NamespaceAccess::opt_out;
  Duration maxDuration{std::chrono::hours(1)};  // of the fault phase
  // Of a whole run: baseline, fault and recovery.
  Duration maxRunDuration{std::chrono::hours(2)};
  // Both count the targets of all runs under way.
  std::int64_t maxPods = 100;
  double maxPercentOfWorkload = 100;  // of its pods; one is always allowed
  // Whether an experiment may ask for it (spec.limits.allReadyPods).
  bool allowAllReadyPods = true;
  // How long a finished Experiment is kept that does not say it itself; see api::read_ttl().
  std::string ttlAfterFinished = "7d";
};
BOOST_DESCRIBE_STRUCT(Policy, (),
                      (protectedNamespaces, namespaceAccess, maxDuration, maxRunDuration, maxPods,
                       maxPercentOfWorkload, allowAllReadyPods, ttlAfterFinished))

// One YAML document; an empty one is the default policy. `file` is only used in messages. Errors:
// kInvalid, a line for each problem, with file and line.
[[nodiscard]] Result<Policy> parse_policy(std::string_view text, std::string_view file);

}  // namespace faultline::api
