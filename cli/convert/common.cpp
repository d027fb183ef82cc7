// SPDX-License-Identifier: Apache-2.0
// What all kinds of Chaos Mesh have: which pods, how many, how long.
#include <algorithm>
#include <cstdlib>

#include "cli/convert/kinds.h"

namespace faultline::cli {
namespace {

using api::Selector;

// nullopt: something in it is no text, so that what is left would match more.
std::optional<std::map<std::string, std::string>> text_map(const Node& node) {
  std::map<std::string, std::string> out;
  if (!node.given()) return out;
  if (!node.value()->is_object()) {
    node.left_out("expected a map");
    return std::nullopt;
  }
  bool all = true;
  for (const auto& [key, value] : node.value()->get_object()) {
    if (const auto text = node[key].text())
      out[std::string(key)] = *text;
    else
      all = false;
  }
  node.read_all();
  if (!all) return std::nullopt;
  return out;
}

// Words of a list that is given, or nothing where it is not. False: given, but nothing could be
// read, so that leaving it out would match more.
bool word_list(const Node& node, std::vector<std::string>& out) {
  out = node.texts();
  return !out.empty() || !node.given() ||
         (node.value()->is_array() && node.value()->get_array().empty());
}

// Both must hold: a list that is there already is narrowed.
bool narrow(std::vector<std::string>& list, const std::string& word) {
  if (!list.empty() && std::ranges::find(list, word) == list.end()) return false;
  list = {word};
  return true;
}

bool pods(const Node& node, Selector& out) {
  if (!node.value()->is_object()) {
    node.left_out("expected a map of namespaces to names of pods");
    return false;
  }
  for (const auto& [space, names] : node.value()->get_object())
    if (auto list = node[space].texts(); !list.empty()) out.pods[std::string(space)] = list;
  if (out.pods.empty()) node.left_out("no pod is named in it");
  return !out.pods.empty();
}

bool expressions(const Node& node, Selector& out) {
  bool all = true;
  if (node.given() && !node.value()->is_array()) {
    node.left_out("expected a list");
    return false;
  }
  for (const Node& item : node.items()) {
    const auto key = item["key"].text();
    const auto how = item["operator"].text();
    const auto values = item["values"].texts();
    if (key && how == "In" && values.size() == 1 &&
        out.labelSelectors.emplace(*key, values[0]).first->second == values[0])
      continue;
    item.left_out(
        "only In with one value is a label; without it more pods would be hit, so the document is "
        "left out; use labelSelectors or pods");
    all = false;
  }
  return all;
}

bool fields(const Node& node, Selector& out) {
  const auto map = text_map(node);
  if (!map) return false;
  bool all = true;
  for (const auto& [field, value] : *map) {
    if (field == "metadata.namespace" && narrow(out.namespaces, value)) continue;
    if (field == "spec.nodeName" && narrow(out.nodes, value)) continue;
    node[field].left_out(
        "without it more pods would be hit, so the document is left out; use labelSelectors or "
        "pods");
    all = false;
  }
  return all;
}

bool node_labels(const Node& node, Selector& out) {
  const auto map = text_map(node);
  if (!map) return false;
  bool all = true;
  for (const auto& [label, value] : *map) {
    if (label == "kubernetes.io/hostname" && narrow(out.nodes, value)) continue;
    node[label].left_out(
        "labels of nodes are not looked up; without it more pods would be hit, so the document is "
        "left out; use nodes");
    all = false;
  }
  return all;
}

bool phases(const Node& node) {
  std::vector<std::string> words;
  if (!word_list(node, words)) return false;
  if (words.empty() || (words.size() == 1 && words[0] == "Running")) return true;
  node.left_out("only running pods are hit; the document is left out");
  return false;
}

// Does it once and is done, whatever the duration says.
bool one_shot(const Node& spec) {
  const auto* action = spec.value()->is_object() ? spec.value()->get_object().if_contains("action")
                                                 : nullptr;  // not read by this
  return action != nullptr && (*action == "pod-kill" || *action == "container-kill");
}

}  // namespace

std::optional<Selector> convert_selector(const Node& node, const std::string& space) {
  Selector out;
  if (node.given() && !node.value()->is_object()) {
    node.left_out("expected a map; without it every pod would be selected");
    return std::nullopt;
  }
  const Node pod_names = node["pods"];
  if (pod_names.given() && pod_names.value()->is_object() &&
      !pod_names.value()->get_object().empty()) {
    for (const char* other :
         {"namespaces", "labelSelectors", "nodes", "nodeSelectors", "expressionSelectors",
          "fieldSelectors", "annotationSelectors", "podPhaseSelectors"}) {
      const Node rest = node[other];
      if (rest.given()) rest.note("has no effect beside pods, as in Chaos Mesh");
      rest.read_all();
    }
    if (!pods(pod_names, out)) return std::nullopt;
    return out;
  }
  bool all = word_list(node["namespaces"], out.namespaces);
  if (out.namespaces.empty()) out.namespaces = {space};
  if (auto labels = text_map(node["labelSelectors"]))
    out.labelSelectors = std::move(*labels);
  else
    all = false;
  all = word_list(node["nodes"], out.nodes) && all;
  all = expressions(node["expressionSelectors"], out) && all;
  all = fields(node["fieldSelectors"], out) && all;
  all = node_labels(node["nodeSelectors"], out) && all;
  all = phases(node["podPhaseSelectors"]) && all;
  const Node notes = node["annotationSelectors"];
  if (notes.given()) {
    notes.left_out(why_not("", "selector.annotationSelectors"));
    all = false;
  }
  if (!all) return std::nullopt;
  return out;
}

bool convert_mode(const Node& owner, api::Target& target, api::Limits& limits) {
  const Node mode = owner["mode"], value = owner["value"];
  const std::string word = mode.text().value_or("");
  const std::string number = value.text().value_or("");
  bool known = true;
  const int count = number.empty() ? 0 : std::atoi(number.c_str());
  if (word == "one") {
    target.mode = api::Mode::one;
  } else if (word == "all") {
    target.mode = api::Mode::all;
    limits.maxPercent = 100;
    limits.allReadyPods = true;
  } else if (word == "fixed") {
    target.mode = api::Mode::fixed;
    limits.maxPods = std::clamp<std::int64_t>(count, limits.maxPods, 10000);
    limits.maxPercent = 100;
  } else if (word == "fixed-percent" || word == "random-max-percent") {
    target.mode =
        word == "fixed-percent" ? api::Mode::fixed_percent : api::Mode::random_max_percent;
    limits.maxPercent = std::clamp<double>(count, limits.maxPercent, 100);
  } else if (mode.given()) {
    mode.left_out(
        "expected one of one, all, fixed, fixed-percent, random-max-percent; the document is left "
        "out");
    known = false;
  } else {
    owner.missing("mode", "how many of the pods; one of them is hit");
  }
  if (word == "one" || word == "all" || word.empty()) {
    if (!number.empty()) value.note("has no meaning with this mode, as in Chaos Mesh");
  } else {
    target.value = number;
    if (number.empty()) owner.missing("value", "its mode needs a number; the document is left out");
    if (number.empty()) known = false;
  }
  return known;
}

void convert_common(const Node& spec, Draft& draft) {
  api::Target& target = draft.spec.target;
  const Node selector = spec["selector"];
  if (!selector.given()) {
    spec.missing("selector", "every pod of the namespace would be hit; the document is left out");
    draft.unsafe = true;
  } else if (auto chosen = convert_selector(selector, draft.space)) {
    target.selector = std::move(*chosen);
  } else {
    draft.unsafe = true;
  }
  if (const Node cluster = spec["remoteCluster"]; cluster.given()) {
    cluster.left_out(why_not("", "remoteCluster"));
    draft.unsafe = true;
  }

  draft.unsafe |= !convert_mode(spec, target, draft.spec.limits);

  const Node duration = spec["duration"];
  if (const auto length = duration.duration(); length && length->value.count() > 0)
    draft.spec.phases.fault = *length;
  else if (!duration.given() && !one_shot(spec) && !draft.timed)
    duration.note(
        "not given: Chaos Mesh goes on until it is deleted, here the faults end after 30s; "
        "set phases.fault");
  else if (length)
    duration.left_out("0 is no time; the faults end after 30s; set phases.fault");
}

void convert_containers(const Node& spec, Draft& draft) {
  const Node names = spec["containerNames"];
  if (!word_list(names, draft.spec.target.containerNames)) {
    draft.unsafe = true;
  } else if (draft.spec.target.containerNames.empty()) {
    spec.missing("containerNames",
                 "Chaos Mesh takes the pod's first container, which is not known here, and all of "
                 "them would be hit; name it; the document is left out");
    draft.unsafe = true;
  }
}

void report_rows(const Node& spec, std::string_view kind) {
  const auto* object = spec.value() == nullptr ? nullptr : spec.value()->if_object();
  const auto* action = object == nullptr ? nullptr : object->if_contains("action");
  const bool shaped = action != nullptr && *action == "bandwidth";
  for (const FieldRow& row : field_rows()) {
    if (!row.becomes.empty() || (row.kind != kind && !row.kind.empty())) continue;
    if (row.field.starts_with("selector.")) continue;              // convert_selector does
    if (row.field.starts_with("bandwidth.") && !shaped) continue;  // said by convert_network
    Node node = spec;
    std::string_view rest = row.field;
    while (node.given() && !rest.empty()) {
      const std::size_t dot = rest.find('.');
      node = node[rest.substr(0, dot)];
      rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
    }
    if (rest.empty() && node.given() && !node.told()) node.left_out(row.note);
  }
}

}  // namespace faultline::cli
