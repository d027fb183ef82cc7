// SPDX-License-Identifier: Apache-2.0
// Rules of the pods file.
#pragma once

#include "api/detail/rules_names.h"
#include "api/pods.h"

namespace faultline::api::detail {

template <>
inline constexpr bool kStrict<PodsFile> = true;

template <>
struct Rules<PodsFile> {
  static constexpr std::string_view help = "Pods of a machine without Kubernetes.";
  static constexpr FieldRule fields[] = {
      {.key = "pods", .help = "The pods.", .required = true, .max_items = 10'000}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<ContainerEntry> {
  static constexpr std::string_view help = "A cgroup below the pod's that is a container of it.";
  static constexpr FieldRule fields[] = {
      {.key = "name",
       .help = "Its name, for containerNames.",
       .required = true,
       .pattern = kDnsLabel,
       .pattern_words = kDnsLabelWords},
      {.key = "cgroup",
       .help = "Absolute path of its cgroup2 directory, below the pod's.",
       .required = true,
       .max_length = kMostPath,
       .pattern = kAbsolutePath,
       .pattern_words = "an absolute path"}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<PodEntry> {
  static constexpr std::string_view help = "A cgroup and a network namespace that are a pod.";
  static constexpr FieldRule fields[] = {
      {.key = "namespace",
       .help = "Its namespace.",
       .required = true,
       .pattern = kDnsLabel,
       .pattern_words = kDnsLabelWords},
      {.key = "name",
       .help = "Its name.",
       .required = true,
       .max_length = 253,
       .pattern = kDnsName,
       .pattern_words = kDnsNameWords},
      {.key = "labels",
       .help = "Its labels, for selectors.",
       .max_items = 256,
       .keys = &kLabelKey,
       .values = &kLabelValue},
      {.key = "cgroup",
       .help = "Absolute path of its cgroup2 directory.",
       .required = true,
       .max_length = kMostPath,
       .pattern = kAbsolutePath,
       .pattern_words = "an absolute path"},
      {.key = "netns",
       .help = "Absolute path of its network namespace.",
       .required = true,
       .max_length = kMostPath,
       .pattern = kAbsolutePath,
       .pattern_words = "an absolute path"},
      {.key = "containers",
       .help = "Its containers, for experiments that name them.",
       .max_items = 256},
      interfaces_rule("Network devices that faults hit; by default those "
                      "with a default route.")};
  static constexpr std::string_view schema{};
};

}  // namespace faultline::api::detail
