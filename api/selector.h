// SPDX-License-Identifier: Apache-2.0
// Which pods. The words are those of Chaos Mesh. All given parts must match; an empty selector
// matches nothing.
#pragma once

#include <boost/describe.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace faultline::api {

struct Selector {
  std::vector<std::string> namespaces;
  std::map<std::string, std::string> labelSelectors;
  std::map<std::string, std::vector<std::string>> pods;  // namespace -> names
  std::vector<std::string> nodes;
  friend bool operator==(const Selector&, const Selector&) = default;
};
BOOST_DESCRIBE_STRUCT(Selector, (), (namespaces, labelSelectors, pods, nodes))

// One pod as an agent reports it. `id` is namespace/name.
struct PodRef {
  std::string namespace_;  // JSON key "namespace"
  std::string name;
  std::string node;
  std::map<std::string, std::string> labels;
  std::vector<std::string> containers{};  // names of those that run; empty also where none is known
  // What Kubernetes says of it; without it nothing is known.
  std::string workload{};    // that it belongs to: "Deployment/payments"; empty: none
  bool ready = false;        // condition Ready
  bool isProtected = false;  // annotation faultline.dev/protected=true
  std::vector<std::string> addresses{};  // IPv4 and IPv6, as text; empty where none is known
  [[nodiscard]] std::string id() const { return namespace_ + "/" + name; }
  friend bool operator==(const PodRef&, const PodRef&) = default;
};
BOOST_DESCRIBE_STRUCT(PodRef, (),
                      (namespace_, name, node, labels, containers, workload, ready, isProtected,
                       addresses))

[[nodiscard]] bool matches(const Selector& selector, const PodRef& pod);

// A selector in one word, for command lines: "NAMESPACE/KEY=VALUE[,KEY=VALUE...]" (all labels must
// match) or "NAMESPACE/*" (every pod of the namespace). A NAMESPACE of "*" is every namespace, then
// with labels only. Errors: kInvalid, one line that quotes the words.
[[nodiscard]] Result<Selector> parse_selector_words(std::string_view words);

}  // namespace faultline::api
