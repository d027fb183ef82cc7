// SPDX-License-Identifier: Apache-2.0
#include "cli/cluster/choice.h"

namespace faultline::cli {

std::vector<Option> cluster_options() {
  return {{.name = "kubernetes",
           .help = "the controller in the cluster of the current context, by kubectl port-forward"},
          {.name = "kubeconfig",
           .value = "FILE",
           .help = "the same; else $KUBECONFIG, else ~/.kube/config, as kubectl has it",
           .offer = Offer::kFile},
          {.name = "context", .value = "NAME", .help = "the same, of this context"},
          {.name = "controller-namespace",
           .value = "NAME",
           .help = "the same, where the controller is (faultline)"}};
}

Option namespace_option() {
  return {.name = "namespace",
          .letter = 'n',
          .value = "NAME",
          .help = "in a cluster: the namespace of the experiment; else that of the context"};
}

Option all_namespaces_option() {
  return {.name = "all-namespaces",
          .letter = 'A',
          .help = "in a cluster: of all namespaces, not only of the context's or of -n"};
}

bool asks_for_cluster(const Invocation& call) {
  for (const Option& option : cluster_options())
    if (call.has(option.name)) return true;
  return false;
}

Result<bool> wants_cluster(const Invocation& call, const Console& console) {
  const bool asked = asks_for_cluster(call);
  if (asked && call.has("controller"))
    for (const Option& option : cluster_options())
      if (call.has(option.name))
        return fail(Errc::kInvalid, "--controller and --" + std::string(option.name) +
                                        " are two ways to a controller: give one of them");
  const bool cluster = asked || (console.plugin && !call.has("controller"));
  if (cluster && call.has("token-file"))
    return fail(Errc::kInvalid,
                "--token-file is for --controller: in a cluster the kubeconfig says who you are");
  return cluster;
}

std::string same_controller(const Invocation& call, const Console& console,
                            const std::string& words) {
  std::string line = (console.plugin ? "kubectl faultline " : "faultline ") + words;
  for (const char* name :
       {"controller", "token-file", "kubernetes", "kubeconfig", "context", "controller-namespace"})
    if (const auto value = call.get(name))
      line += " --" + std::string(name) + (value->empty() ? "" : " " + *value);
  return line;
}

}  // namespace faultline::cli
