// SPDX-License-Identifier: Apache-2.0
#include "agent/targets/devices.h"

#include <arpa/inet.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "base/printable.h"

namespace faultline::agent {
namespace {

bool can_be_hit(const PodInterface& device) {
  return device.ethernet && device.host_index != IfIndex{};
}

// Why a device cannot be hit.
std::string hindrance(const PodInterface& device) {
  const std::string kind = device.kind.empty() ? "device" : device.kind;
  return kind +
         (device.ethernet ? " without an end on the host's side" : " without an Ethernet header");
}

// Addresses are compared as bytes: text may write one IPv6 address in several ways.
std::string bytes_of(const std::string& address) {
  char bytes[16] = {};
  if (inet_pton(AF_INET, address.c_str(), bytes) == 1) return {bytes, 4};
  if (inet_pton(AF_INET6, address.c_str(), bytes) == 1) return {bytes, 16};
  return {};
}

bool has_one_of(const FoundDevice& found, const std::vector<std::string>& addresses) {
  return std::ranges::any_of(found.addresses, [&](const std::string& own) {
    const std::string bytes = bytes_of(own);
    return !bytes.empty() && std::ranges::any_of(addresses, [&](const std::string& asked) {
      return bytes_of(asked) == bytes;
    });
  });
}

// Of `wanted` those that can be hit, or, where none can, those whose fault will say why it cannot.
void split(std::vector<PodInterface> wanted, Pod& pod) {
  const bool some = std::ranges::any_of(wanted, can_be_hit);
  for (PodInterface& device : wanted) {
    if (some ? can_be_hit(device) : device.ethernet)
      pod.interfaces.push_back(std::move(device));
    else
      pod.aside.push_back({device, hindrance(device)});
  }
}

void sort_by_number(Pod& pod) {
  std::ranges::sort(pod.interfaces, {}, [](const PodInterface& d) { return number(d.pod_index); });
  std::ranges::sort(pod.aside, {}, [](const AsideDevice& d) { return number(d.device.pod_index); });
}

struct Rule {
  std::function<bool(const FoundDevice&)> holds;
  const char* otherwise;  // why a device is aside
};

}  // namespace

void place_devices(const std::vector<FoundDevice>& found, const DeviceWish& wish, Pod& pod) {
  const Rule rules[] = {
      {[&](const FoundDevice& f) {
         return std::ranges::find(wish.names, f.device.name) != wish.names.end();
       },
       "the pods file does not name it"},
      {[&](const FoundDevice& f) { return has_one_of(f, wish.addresses); },
       "it has none of the pod's addresses"},
      // A tunnel that takes all traffic sends it on by a device that has no default route then.
      {[](const FoundDevice& f) { return f.default_route && f.device.ethernet; },
       "it has no default route"},
      {[](const FoundDevice&) { return true; }, ""}};
  for (const Rule& rule : rules) {
    if (std::ranges::none_of(found, rule.holds)) continue;
    std::vector<PodInterface> wanted;
    for (const FoundDevice& f : found) {
      if (rule.holds(f))
        wanted.push_back(f.device);
      else
        pod.aside.push_back(
            {f.device, can_be_hit(f.device) ? rule.otherwise : hindrance(f.device)});
    }
    split(std::move(wanted), pod);
    break;
  }
  sort_by_number(pod);
}

Result<Pod> with_interfaces(const Pod& pod, const std::vector<std::string>& names) {
  Pod chosen = pod;
  chosen.interfaces.clear();
  chosen.aside.clear();
  std::vector<PodInterface> wanted, rest = pod.interfaces;
  for (const AsideDevice& aside : pod.aside) rest.push_back(aside.device);
  std::string have;
  for (const PodInterface& device : rest)
    have += (have.empty() ? "" : ", ") + printable(device.name);
  for (const std::string& name : names) {
    const auto at = std::ranges::find(rest, name, &PodInterface::name);
    if (at == rest.end()) {
      chosen.aside.push_back({{.name = name}, "the pod has no such device"});
      continue;
    }
    wanted.push_back(std::move(*at));
    rest.erase(at);
  }
  for (PodInterface& device : rest)
    chosen.aside.push_back({std::move(device), "the experiment does not name it"});
  split(std::move(wanted), chosen);
  sort_by_number(chosen);
  if (!chosen.interfaces.empty()) return chosen;
  std::string why;
  for (const AsideDevice& aside : chosen.aside)
    if (std::ranges::find(names, aside.device.name) != names.end())
      why += (why.empty() ? "" : "; ") + aside.device.name + ": " + aside.reason;
  return fail(Errc::kUnsupported, why + " (it has " + (have.empty() ? "none" : have) + ")");
}

std::string aside_words(const Pod& pod, std::size_t most) {
  if (pod.aside.empty()) return {};
  std::string text = "not hit: ";
  for (std::size_t i = 0; i < pod.aside.size(); ++i) {
    const AsideDevice& aside = pod.aside[i];
    const std::string word =
        (i == 0 ? "" : ", ") + printable(aside.device.name) + " (" + aside.reason + ")";
    const std::string more = " and " + std::to_string(pod.aside.size() - i) + " more";
    if (text.size() + word.size() + (i + 1 < pod.aside.size() ? more.size() : 0) > most)
      return text.size() + more.size() <= most ? text + more : text.substr(0, most);
    text += word;
  }
  return text;
}

}  // namespace faultline::agent
