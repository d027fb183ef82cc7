// SPDX-License-Identifier: Apache-2.0
// Which of a pod's network devices are hit. Most pods have one, eth0. Others have a tunnel that a
// program of theirs opened, a device for tests, or a second network.
#pragma once

#include <string>
#include <vector>

#include "agent/targets/pod.h"
#include "base/result.h"

namespace faultline::agent {

// What is known of which devices are the pod's way to its peers. The first that is given and names
// a device of the pod decides.
struct DeviceWish {
  std::vector<std::string> names;      // of a pods file: `interfaces`
  std::vector<std::string> addresses;  // of the API server: status.podIPs
};

// A device as it was found in the pod.
struct FoundDevice {
  PodInterface device;
  std::vector<std::string> addresses;
  bool default_route = false;  // a default route leads to it
};

// Puts each device into pod.interfaces or pod.aside. By default those are hit that `wish` names or
// that have the addresses in it; without either, or where they name none, those with a default
// route; and where there is none, all. Devices without an Ethernet header are never hit, since
// programs look for one. Devices without an end on the host's side are hit only where there is no
// other: a fault that needs that end says so then.
void place_devices(const std::vector<FoundDevice>& found, const DeviceWish& wish, Pod& pod);

// The pod with the named devices as those that are hit, by the same rules; the others are aside.
// Errors: kUnsupported, none of the names can be hit, with the reason for each.
Result<Pod> with_interfaces(const Pod& pod, const std::vector<std::string>& names);

// "not hit: tun0 (tun without an Ethernet header)", of those that are aside; empty: there is none.
// At most `most` bytes.
[[nodiscard]] std::string aside_words(const Pod& pod, std::size_t most);

}  // namespace faultline::agent
