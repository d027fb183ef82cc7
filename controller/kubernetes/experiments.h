// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kube/resource.h"

namespace faultline::controller {

// experiments.faultline.dev/v1alpha1, in all namespaces.
[[nodiscard]] inline kube::ResourceRef experiments() {
  return {.group = "faultline.dev", .version = "v1alpha1", .plural = "experiments"};
}

// gamedays.faultline.dev/v1alpha1, in all namespaces.
[[nodiscard]] inline kube::ResourceRef gamedays() {
  return {.group = "faultline.dev", .version = "v1alpha1", .plural = "gamedays"};
}

}  // namespace faultline::controller
