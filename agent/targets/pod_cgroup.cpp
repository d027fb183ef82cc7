// SPDX-License-Identifier: Apache-2.0
#include "agent/targets/pod_cgroup.h"

#include <algorithm>

namespace faultline::agent {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

bool is_hex(std::string_view text, std::size_t size) {
  return text.size() == size && text.find_first_not_of(kHex) == std::string_view::npos;
}

// "0a1b2c3d-0a1b-..." with `dash` between the parts, or 32 digits without: as the API writes it.
std::optional<std::string> parse_uid(std::string_view text, char dash) {
  if (is_hex(text, 32)) return std::string(text);
  if (text.size() != 36) return std::nullopt;
  std::string uid;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool between = i == 8 || i == 13 || i == 18 || i == 23;
    if (between ? text[i] != dash : kHex.find(text[i]) == std::string_view::npos)
      return std::nullopt;
    uid += between ? '-' : text[i];
  }
  return uid;
}

// "[PREFIX-]kubepods[-burstable|-besteffort]-podUID": what comes before "-podUID".
bool is_qos_slice(std::string_view text) {
  for (const std::string_view qos : {"-burstable", "-besteffort"})
    if (text.ends_with(qos)) text.remove_suffix(qos.size());
  return text == "kubepods" || text.ends_with("-kubepods");
}

bool is_above_root(std::string_view component) { return component == ".."; }

// A line of /proc/PID/cgroup without its first two fields.
std::string_view path_of_line(std::string_view line) {
  const auto first = line.find(':');
  if (first == 0 || first == std::string_view::npos) return line;
  if (line.substr(0, first).find_first_not_of("0123456789") != std::string_view::npos) return line;
  const auto second = line.find(':', first + 1);
  return second == std::string_view::npos ? line : line.substr(second + 1);
}

}  // namespace

std::optional<PodCgroupName> parse_pod_component(std::string_view component) {
  if (component.starts_with("pod")) {
    auto uid = parse_uid(component.substr(3), '-');
    if (!uid) return std::nullopt;
    return PodCgroupName{std::move(*uid), "", true};
  }
  const auto slice = component.find(".slice");
  if (slice == std::string_view::npos) return std::nullopt;
  const std::string_view unit = component.substr(0, slice);
  const auto pod = unit.rfind("-pod");
  if (pod == std::string_view::npos || !is_qos_slice(unit.substr(0, pod))) return std::nullopt;
  auto uid = parse_uid(unit.substr(pod + 4), '_');
  if (!uid) return std::nullopt;
  const std::string_view rest = component.substr(slice + 6);
  if (rest.empty()) return PodCgroupName{std::move(*uid), "", false};
  // ":RUNTIME:ID", what runc would have given to systemd as slice, prefix and name.
  const auto colon = rest.find(':', 1);
  if (rest.front() != ':' || colon == std::string_view::npos || colon == 1) return std::nullopt;
  if (!is_hex(rest.substr(colon + 1), 64) || rest.substr(1, colon - 1).ends_with("conmon"))
    return std::nullopt;
  return PodCgroupName{std::move(*uid), std::string(rest.substr(colon + 1)), false};
}

bool is_pods_parent(std::string_view grandparent, std::string_view parent) {
  if (parent == "kubepods" || is_above_root(parent)) return true;
  return (parent == "burstable" || parent == "besteffort") &&
         (grandparent == "kubepods" || is_above_root(grandparent));
}

std::string parse_container_component(std::string_view component) {
  if (component.ends_with(".scope")) component.remove_suffix(6);
  const auto dash = component.rfind('-');
  const std::string_view id =
      dash == std::string_view::npos ? component : component.substr(dash + 1);
  if (!is_hex(id, 64) || dash == 0) return {};
  if (dash != std::string_view::npos && component.substr(0, dash).ends_with("conmon")) return {};
  return std::string(id);
}

std::optional<PodCgroup> parse_pod_cgroup(std::string_view path) {
  path = path_of_line(path);
  std::optional<PodCgroupName> pod;
  std::string_view grandparent, parent;
  while (!path.empty()) {
    const auto slash = std::min(path.find('/'), path.size());
    const std::string_view component = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (component.empty()) continue;
    if (pod) {
      // Below the pod: a container, or nothing of the pod's.
      std::string id = parse_container_component(component);
      if (id.empty()) return std::nullopt;
      return PodCgroup{std::move(pod->uid), std::move(id)};
    }
    pod = parse_pod_component(component);
    if (pod && pod->needs_parent && !is_pods_parent(grandparent, parent)) pod.reset();
    if (pod && !pod->container_id.empty())
      return PodCgroup{std::move(pod->uid), std::move(pod->container_id)};
    grandparent = parent;
    parent = component;
  }
  if (!pod) return std::nullopt;
  return PodCgroup{std::move(pod->uid), ""};
}

}  // namespace faultline::agent
