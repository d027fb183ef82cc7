// SPDX-License-Identifier: Apache-2.0
#include "cli/covers.h"

#include <algorithm>

namespace faultline::cli {
namespace {

template <class T>
bool holds_all(const std::vector<T>& wide, const std::vector<T>& narrow) {
  return wide.empty() || (!narrow.empty() && std::ranges::all_of(narrow, [&](const T& item) {
           return std::ranges::find(wide, item) != wide.end();
         }));
}

}  // namespace

bool covers(const api::Selector& wide, const api::Selector& narrow) {
  if (wide == narrow) return true;
  if (!wide.pods.empty()) return false;  // names: the pods themselves tell
  std::vector<std::string> spaces = narrow.namespaces;
  if (spaces.empty())
    for (const auto& [space, names] : narrow.pods) spaces.push_back(space);
  return holds_all(wide.namespaces, spaces) && holds_all(wide.nodes, narrow.nodes) &&
         std::ranges::all_of(wide.labelSelectors, [&](const auto& label) {
           const auto other = narrow.labelSelectors.find(label.first);
           return other != narrow.labelSelectors.end() && other->second == label.second;
         });
}

}  // namespace faultline::cli
