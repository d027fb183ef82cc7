// SPDX-License-Identifier: Apache-2.0
#include "api/selector.h"

#include <algorithm>

#include "api/detail/text.h"

namespace faultline::api {
namespace {

bool among(const std::vector<std::string>& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

}  // namespace

bool matches(const Selector& selector, const PodRef& pod) {
  if (selector == Selector{}) return false;
  if (!selector.namespaces.empty() && !among(selector.namespaces, pod.namespace_)) return false;
  if (!selector.nodes.empty() && !among(selector.nodes, pod.node)) return false;
  if (!selector.pods.empty()) {
    const auto names = selector.pods.find(pod.namespace_);
    if (names == selector.pods.end() || !among(names->second, pod.name)) return false;
  }
  return std::ranges::all_of(selector.labelSelectors, [&](const auto& wanted) {
    const auto label = pod.labels.find(wanted.first);
    return label != pod.labels.end() && label->second == wanted.second;
  });
}

Result<Selector> parse_selector_words(std::string_view words) {
  const auto bad = [&](std::string_view why) {
    return fail(Errc::kInvalid, "expected a selector like shop/app=payments or shop/*" +
                                    std::string(why) + ", got " + detail::in_quotes(words));
  };
  const std::size_t slash = words.find('/');
  if (slash == std::string_view::npos || slash == 0) return bad("");
  const std::string_view space = words.substr(0, slash);
  std::string_view rest = words.substr(slash + 1);
  Selector selector;
  if (space != "*") selector.namespaces.emplace_back(space);
  if (rest == "*") {
    if (space == "*") return bad(" (every pod of every namespace is too much)");
    return selector;
  }
  for (bool more = true; more;) {
    const std::size_t comma = rest.find(',');
    more = comma != std::string_view::npos;
    const std::string_view label = rest.substr(0, comma);
    if (more) rest.remove_prefix(comma + 1);
    const std::size_t equals = label.find('=');
    if (equals == std::string_view::npos || equals == 0) return bad("");
    const bool is_new =
        selector.labelSelectors.emplace(label.substr(0, equals), label.substr(equals + 1)).second;
    if (!is_new) return bad(" with each key once");
  }
  return selector;
}

}  // namespace faultline::api
