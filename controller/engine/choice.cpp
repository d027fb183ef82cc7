// SPDX-License-Identifier: Apache-2.0
#include "controller/engine/choice.h"

#include <array>
#include <charconv>
#include <cstdint>

#include "report/format.h"

namespace faultline::controller {

// FNV-1a of the targets and where they are: one that was made anew elsewhere is another one.
std::string choice_of(const std::vector<api::PodRef>& targets) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const api::PodRef& pod : targets)
    for (const char c : pod.id() + "@" + pod.node + "\n") {
      hash ^= static_cast<unsigned char>(c);
      hash *= 0x100000001b3;
    }
  std::array<char, 16> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), hash, 16).ptr;
  return {text.data(), end};
}

Result<> as_agreed(const api::Experiment& experiment, const api::RunPlan& plan) {
  const auto& notes = experiment.metadata.annotations;
  const auto agreed = notes.find(std::string(api::kChoiceNote));
  if (agreed == notes.end() || agreed->second == plan.choice) return {};
  constexpr std::size_t kNamed = 5;
  std::vector<std::string> now;
  for (const api::PodRef& pod : plan.targets)
    if (now.size() < kNamed) now.push_back(pod.id() + " on " + pod.node);
  const std::size_t more = plan.targets.size() - now.size();
  return fail(Errc::kConflict,
              "the pods have changed since the plan was shown, and nothing is hit that it did not "
              "show; it would be " +
                  report::join(now, ", ") +
                  (more == 0 ? "" : " and " + std::to_string(more) + " more") +
                  " now: look at the plan again (or take the annotation " +
                  std::string(api::kChoiceNote) + " out)");
}

}  // namespace faultline::controller
