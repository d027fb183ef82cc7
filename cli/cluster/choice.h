// SPDX-License-Identifier: Apache-2.0
// Whether a command speaks to the controller of a cluster, through the API server with the person's
// kubeconfig, or to one whose URL is known. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace faultline::cli {

// --kubernetes, --kubeconfig, --context, --controller-namespace: each asks for a cluster. Having a
// kubeconfig does not: who runs experiments on one machine is not to hit a cluster by surprise.
[[nodiscard]] std::vector<Option> cluster_options();
[[nodiscard]] Option namespace_option();
[[nodiscard]] Option all_namespaces_option();

// One of cluster_options() is given.
[[nodiscard]] bool asks_for_cluster(const Invocation& call);

// Asked for, or called as `kubectl faultline` without --controller. kInvalid: together with
// --controller or --token-file.
[[nodiscard]] Result<bool> wants_cluster(const Invocation& call, const Console& console);

// `words` as this person would have to call them to reach the same controller:
// "kubectl faultline stop slow-1", "faultline stop slow-1 --context dev".
[[nodiscard]] std::string same_controller(const Invocation& call, const Console& console,
                                          const std::string& words);

}  // namespace faultline::cli
