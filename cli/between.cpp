// SPDX-License-Identifier: Apache-2.0
#include "cli/between.h"

#include <algorithm>
#include <cstdlib>

#include "cli/covers.h"
#include "report/format.h"

namespace faultline::cli {
namespace {

// Whether a packet between two pods matches at the one as it does at the other. A port of one end
// is the other's for the other pod, and addresses are not known here.
bool is_of_both_ends(const api::NetworkFilter& filter) {
  return filter.cidrs.empty() && filter.podPorts.empty() && filter.peerPorts.empty() &&
         (!filter.except || filter.except->cidrs.empty());
}

const api::Selector* excepted(const api::NetworkFilter& filter) {
  return filter.except && filter.except->peer ? &*filter.except->peer : nullptr;
}

std::string of_packets(const api::NetworkFilter& filter, double chance, const std::string& what) {
  if (filter.direction != api::Direction::both)
    return "between two of these pods it is in both directions, since each of them is a target";
  const double twice = 1 - (1 - chance) * (1 - chance);
  return "between two of these pods each packet passes it twice, since each of them is a target: " +
         report::percent_words(twice, 6) + " of them " + what;
}

std::string words(const api::NetworkLatency& fault) {
  const double latency = fault.latency.seconds();
  const int times = fault.direction == api::Direction::both ? 4 : 2;
  return "between two of these pods both hold packets back, since each of them is a target: a "
         "request and its answer take " +
         std::string(fault.probability.value < 1 ? "up to " : "") + std::to_string(times) + " x " +
         report::exact_seconds_words(latency) + ", " +
         report::exact_seconds_words(times * latency) + " in all";
}
std::string words(const api::NetworkLoss& fault) {
  return of_packets(fault, fault.loss.value, "vanish");
}
std::string words(const api::NetworkDuplicate& fault) {
  return of_packets(fault, fault.duplicate.value, "arrive more than once");
}
std::string words(const api::NetworkCorrupt& fault) {
  return of_packets(fault, fault.corrupt.value, "are damaged");
}
std::string words(const api::NetworkReorder& fault) {
  return of_packets(fault, fault.reorder.value, "are held back");
}
template <class T>
std::string words(const T&) {
  return {};  // twice is no more than once, or it is not about packets of two pods
}

std::string words(const api::Fault& fault) {
  return std::visit([](const auto& spec) { return words(spec); }, fault.spec);
}

bool may_be_two(const api::ExperimentSpec& spec) {
  const api::Target& target = spec.target;
  std::size_t named = 0;
  for (const auto& [space, names] : target.selector.pods) named += names.size();
  if (spec.limits.maxPods < 2 || named == 1 || target.mode == api::Mode::one) return false;
  return target.mode != api::Mode::fixed || std::atoi(target.value.c_str()) > 1;
}

}  // namespace

std::string between_words(const api::Fault& fault, const std::vector<api::PodRef>& targets) {
  const api::NetworkFilter* filter = api::network_filter(fault);
  if (filter == nullptr || !is_of_both_ends(*filter)) return {};
  const auto peers = std::ranges::count_if(targets, [&](const api::PodRef& pod) {
    const api::Selector* spared = excepted(*filter);
    return (!filter->peer || api::matches(*filter->peer, pod)) &&
           (spared == nullptr || !api::matches(*spared, pod));
  });
  return peers < 2 ? "" : words(fault);
}

std::string between_words(const api::Fault& fault, const api::ExperimentSpec& spec) {
  const api::NetworkFilter* filter = api::network_filter(fault);
  if (filter == nullptr || !is_of_both_ends(*filter) || !may_be_two(spec)) return {};
  if (filter->peer && !covers(*filter->peer, spec.target.selector)) return {};
  const api::Selector* spared = excepted(*filter);
  return spared != nullptr && covers(*spared, spec.target.selector) ? "" : words(fault);
}

}  // namespace faultline::cli
