// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <functional>

#include "report/gameday/parts.h"

namespace faultline::report::gameday {

Steps::Steps(const api::GameDay& day) {
  const std::function<void(const std::vector<api::Step>&, const std::string&, std::int64_t)> walk =
      [&](const std::vector<api::Step>& steps, const std::string& parent, std::int64_t depth) {
        for (const api::Step& step : steps) {
          by_name_.emplace(step.name, all_.size());
          all_.push_back({&step, parent, depth});
          walk(step.serial, step.name, depth + 1);
          walk(step.parallel, step.name, depth + 1);
        }
      };
  walk(day.spec.steps, "", 0);
}

const Steps::Place* Steps::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &all_[found->second];
}

bool Steps::within(const std::string& inner, const std::string& outer) const {
  std::string at = inner;
  // A document that nobody checked may name a step twice; no way up is longer than this.
  for (std::size_t up = 0; up <= all_.size() && !at.empty(); ++up) {
    if (at == outer) return true;
    const Place* place = find(at);
    if (place == nullptr) return false;
    at = place->parent;
  }
  return false;
}

double seconds_from(api::Timestamp from, api::Timestamp to) {
  return std::chrono::duration<double>(to.value - from.value).count();
}

std::string with_more(std::string text, const std::string& more) {
  if (more.empty()) return text;
  return text.empty() ? more : std::move(text) + ": " + more;
}

}  // namespace faultline::report::gameday
