// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <ostream>

#include "api/codec.h"
#include "base/printable.h"
#include "cli/commands/commands.h"
#include "cli/controller_api.h"
#include "cli/process.h"
#include "cli/text.h"

namespace faultline::cli {
namespace {

Result<api::NodeInfo> probe_here(const Console& console) {
  const auto agent = program_in(console.programs, "faultline-agent");
  if (!agent) return fail(agent.error());
  const auto said = run_captured({*agent, "--probe"}, std::chrono::seconds(30));
  if (!said) return fail(said.error());
  const auto failed = [&](const std::string& why) {
    const std::string last = tail_lines(said->errors, 8);
    std::string message =
        "faultline-agent --probe " + why + (last.empty() ? "" : "; it said last:\n" + last);
    if (geteuid() != 0)
      message += "\nprobing loads BPF programs, which needs root; run: sudo faultline probe";
    return fail(Errc::kUnavailable, message);
  };
  if (!said->ended.well()) return failed(said->ended.words());
  auto info = api::from_json_text<api::NodeInfo>(said->output);
  if (!info) return failed("gave no answer that can be read (" + info.error().message + ")");
  return info;
}

void print_node(const api::NodeInfo& node, Console& console) {
  const auto paint = [&](bool good, const std::string& word) {
    if (!console.color) return word;
    return std::string(good ? "\033[32m" : "\033[33m") + word + "\033[0m";
  };
  const auto width = static_cast<std::size_t>(std::max(console.width(), 60));
  console.out << printable(node.name + ": kernel " + node.kernel + ", " + node.arch + ", " +
                           std::to_string(node.cpus) + " CPUs, agent " + node.agentVersion)
              << "\n";
  // "  name   yes  text": what it enables, or why not, wrapped under itself.
  const auto line = [&](const std::string& name, std::size_t name_width, bool good,
                        const std::string& text) {
    const std::size_t at = 2 + name_width + 2 + 5;
    console.out << "  " << padded(printable(name), name_width + 2)
                << paint(good, good ? "yes" : "no ") << (text.empty() ? "" : "  ")
                << wrapped(printable(text), width, at, at) << "\n";
  };
  std::size_t widest = 0;
  for (const api::Feature& feature : node.features)
    widest = std::max(widest, columns(feature.name));
  for (const api::FaultSupport& fault : node.faults)
    widest = std::max(widest, columns(fault.fault));
  console.out << "\nmechanisms of this kernel\n";
  for (const api::Feature& feature : node.features) {
    std::string text = feature.enables;
    if (!feature.available)
      text = feature.reason + (text.empty() ? "" : " (it would give: " + text + ")");
    line(feature.name, widest, feature.available, text);
  }
  console.out << "\nfaults\n";
  for (const api::FaultSupport& fault : node.faults)
    line(fault.fault, widest, fault.supported,
         fault.supported ? (fault.mechanism.empty() ? "" : "by " + fault.mechanism) : fault.reason);
}

}  // namespace

Result<int> run_probe(Invocation& call, Console& console) {
  std::vector<api::NodeInfo> found;
  if (names_controller(call, console)) {
    const auto api = controller_of(call, console);
    if (!api) return fail(api.error());
    auto nodes = api->nodes();
    if (!nodes) return fail(nodes.error());
    for (api::NodeStatus& node : *nodes) found.push_back(std::move(node.info));
  } else {
    auto here = probe_here(console);
    if (!here) return fail(here.error());
    found.push_back(std::move(*here));
  }
  if (call.json()) {
    print_json(console.out, boost::json::object{{"nodes", api::to_json(found)}});
    return kExitMet;
  }
  if (found.empty()) console.out << "no agent has joined yet\n";
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i > 0) console.out << "\n";
    print_node(found[i], console);
  }
  return kExitMet;
}

}  // namespace faultline::cli
