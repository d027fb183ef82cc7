// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>
#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/commands/commands.h"
#include "cli/controller_api.h"
#include "cli/text.h"

namespace faultline::cli {

Result<int> run_nodes(Invocation& call, Console& console) {
  const auto api = controller_of(call, console);
  if (!api) return fail(api.error());
  const auto nodes = api->nodes();
  if (!nodes) return fail(nodes.error());
  if (call.json()) {
    print_json(console.out, boost::json::object{{"nodes", api::to_json(*nodes)}});
    return kExitMet;
  }
  if (nodes->empty()) {
    console.out << "no agent has joined yet\n";
    return kExitMet;
  }
  std::vector<Row> rows{{"NODE", "CONNECTED", "KERNEL", "ARCH", "AGENT", "PODS", "FAULTS"}};
  for (const api::NodeStatus& node : *nodes) {
    std::string faults;
    for (const api::FaultSupport& fault : node.info.faults)
      if (fault.supported) faults += (faults.empty() ? "" : ", ") + fault.fault;
    rows.push_back({node.info.name, node.connected ? "yes" : "no", node.info.kernel, node.info.arch,
                    node.info.agentVersion, std::to_string(node.pods.size()),
                    faults.empty() ? "none" : faults});
  }
  console.out << table(rows);
  for (const api::NodeStatus& node : *nodes) {
    if (node.pods.empty()) continue;
    console.out << "\npods of " << printable(node.info.name) << "\n";
    std::vector<Row> pods;
    for (const api::PodRef& pod : node.pods) {
      std::string labels;
      for (const auto& [key, value] : pod.labels)
        labels += (labels.empty() ? "" : ",") + key + "=" + value;
      std::string containers;
      for (const std::string& name : pod.containers)
        containers += (containers.empty() ? "containers " : ",") + name;
      pods.push_back({pod.id(), labels, containers});
    }
    console.out << table(pods, 2);
  }
  return kExitMet;
}

}  // namespace faultline::cli
