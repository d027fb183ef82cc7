// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/other_devices.h"

#include <array>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include "agent/kernel/netns.h"

namespace faultline::agent {
namespace {

constexpr std::uint64_t kFew = 20;  // packets in a window: neighbour discovery, a probe

api::Gap gap_of(std::string reason) {
  api::Gap gap;
  gap.metric = kUnhookedPackets;
  gap.reason = std::move(reason);
  return gap;
}

Result<std::unique_ptr<Collector>> start(const Pod& pod, const CollectContext&) {
  return std::make_unique<OtherDevices>(pod);
}

}  // namespace

// Two lines of words, then "eth0: bytes packets and six more that were received, the same eight of
// those sent" (net/core/net-procfs.c).
std::map<std::string, std::uint64_t> packets_by_device(std::string_view text) {
  std::map<std::string, std::uint64_t> packets;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.rfind(':');  // a name may have one, too
    if (colon == std::string::npos) continue;
    std::string name = line.substr(0, colon);
    name.erase(0, name.find_first_not_of(' '));
    std::istringstream numbers(line.substr(colon + 1));
    std::array<std::uint64_t, 10> values{};
    bool whole = true;
    for (std::uint64_t& value : values) whole = whole && numbers >> value;
    if (!whole) continue;
    const auto& [received, sent] = std::pair(values[1], values[9]);
    packets[name] = name == "lo" ? received : received + sent;
  }
  return packets;
}

OtherDevices::OtherDevices(const Pod& pod) : netns_path_(pod.netns_path) {
  why_not_["lo"] = "the pod's traffic with itself";
  for (const AsideDevice& aside : pod.aside) why_not_[aside.device.name] = aside.reason;
  before_ = read();
}

std::map<std::string, std::uint64_t> OtherDevices::read() const {
  const auto inside = ScopedNetns::enter(netns_path_);
  if (!inside) return {};
  // "self" would be the namespace of the process's first thread.
  std::ifstream file("/proc/thread-self/net/dev");
  std::string text(std::istreambuf_iterator<char>(file), {});
  return packets_by_device(text);
}

void OtherDevices::take(std::vector<api::EffectSample>&, std::vector<api::Gap>& gaps) {
  auto now = read();
  // Without the counters from before, what they say now is not what has come since.
  if (now.empty() || before_.empty()) {
    gaps.push_back(gap_of("the counters of the pod's devices could not be read"));
    if (before_.empty()) before_ = std::move(now);
    return;
  }
  std::uint64_t all = 0;
  std::map<std::string, std::uint64_t> grew;
  for (const auto& [name, packets] : now) {
    const auto old = before_.find(name);
    // Smaller than before: another device of this name.
    const std::uint64_t growth =
        old == before_.end() || packets < old->second ? packets : packets - old->second;
    all += growth;
    if (growth > kFew && why_not_.contains(name)) grew[name] = growth;
  }
  for (const auto& [name, growth] : grew) {
    gaps.push_back(gap_of("packets on " + name + " (" + why_not_.at(name) +
                          ") are neither hit by network faults nor measured"));
    gaps.back().missed = growth;
    gaps.back().of = all;
  }
  before_ = std::move(now);
}

extern const CollectorType kOtherDevices;
const CollectorType kOtherDevices{"other_devices", &start};

}  // namespace faultline::agent
