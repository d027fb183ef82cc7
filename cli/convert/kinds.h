// SPDX-License-Identifier: Apache-2.0
// One function a kind of Chaos Mesh, and what they have in common. Each reads `spec` and fills in
// the experiment; what it cannot do it says at the node.
#pragma once

#include <optional>
#include <string>

#include "api/experiment.h"
#include "api/gameday.h"
#include "cli/convert/mapping.h"
#include "cli/convert/source.h"

namespace faultline::cli {

struct Draft {
  api::ExperimentSpec spec;
  // Of NetworkChaos: what is done at the pods of `target`. Its phases are those of `spec`.
  std::optional<api::ExperimentSpec> at_target;
  std::string space;    // namespace of the manifest; never empty
  bool unsafe = false;  // what came out would hit more than was asked: it is left out
  bool timed = false;   // how long the faults act is said elsewhere
};

using KindConverter = void (*)(const Node& spec, Draft& draft);

struct ChaosKind {
  std::string_view name;
  std::string_view key;   // in a Schedule and a Workflow
  KindConverter convert;  // null: it has no equivalent
  std::string_view instead;
};
[[nodiscard]] const ChaosKind* find_kind(std::string_view name);  // null: there is none

// A name as a DNS label of at most so many characters; never empty.
[[nodiscard]] std::string dns_label(std::string_view name, std::size_t most);
void convert_metadata(const Node& node, api::Metadata& out);
// All of one kind's `spec`. False: what came out would hit more than was asked; why was said.
[[nodiscard]] bool convert_spec(Source& source, const Node& spec, const ChaosKind& kind,
                                Draft& draft);

// What has faults of a draft, that at the pods of `target` last: two experiments that have to run
// at the same time, one, or none.
[[nodiscard]] std::vector<api::ExperimentSpec> experiments_of(Draft draft);

// A Workflow of Chaos Mesh, an experiment of the Chaos Toolkit. Nothing: why was said.
[[nodiscard]] std::optional<api::GameDay> convert_workflow(Source& source, const Node& root);
[[nodiscard]] std::optional<api::GameDay> convert_toolkit(Source& source, const Node& root);

void convert_network(const Node& spec, Draft& draft);
void convert_io(const Node& spec, Draft& draft);
void convert_stress(const Node& spec, Draft& draft);
void convert_pod(const Node& spec, Draft& draft);
void convert_dns(const Node& spec, Draft& draft);
void convert_kernel(const Node& spec, Draft& draft);

// nullopt, with findings: it cannot be said without selecting more.
[[nodiscard]] std::optional<api::Selector> convert_selector(const Node& selector,
                                                            const std::string& space);
// `mode` and `value` of `owner`, and the limits that they ask for. False: it cannot be said how
// many pods would be hit; why was said.
[[nodiscard]] bool convert_mode(const Node& owner, api::Target& target, api::Limits& limits);
// selector, mode, value, duration, remoteCluster: of every kind.
void convert_common(const Node& spec, Draft& draft);
// containerNames, of the kinds that hit containers. Without them the document is left out.
void convert_containers(const Node& spec, Draft& draft);

// Makes a finding of each given field below `spec` whose row of the table has no equivalent.
void report_rows(const Node& spec, std::string_view kind);

}  // namespace faultline::cli
