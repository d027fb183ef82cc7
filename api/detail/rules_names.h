// SPDX-License-Identifier: Apache-2.0
// Rules of names, labels and texts that several documents have, and their greatest lengths.
#pragma once

#include "api/detail/rules.h"

namespace faultline::api::detail {

inline constexpr std::string_view kDnsLabel = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";
inline constexpr std::string_view kDnsLabelWords =
    "a name of at most 63 small letters, digits and -, that begins and ends with a letter or digit";
// Names of nodes; without Kubernetes those of hosts, which may have capitals and _.
inline constexpr std::string_view kHostName = "^[A-Za-z0-9]([-._A-Za-z0-9]{0,251}[A-Za-z0-9])?$";
inline constexpr std::string_view kHostNameWords =
    "a name of at most 253 letters, digits, -, _ and ., that begins and ends with a letter or "
    "digit";
// Names of pods.
inline constexpr std::string_view kDnsName = "^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$";
inline constexpr std::string_view kDnsNameWords =
    "a name of at most 253 small letters, digits, - and ., that begins and ends with a letter or "
    "digit";
inline constexpr std::string_view kAbsolutePath = "^/.*$";
inline constexpr std::size_t kMostPath = 4096;   // the kernel's PATH_MAX
inline constexpr std::size_t kMostQuery = 4096;  // of PromQL
inline constexpr std::size_t kMostBound = 64;    // "1.5s", "50%", "100"

// Of labels, as Kubernetes has them.
inline constexpr FieldRule kLabelKey{
    .required = true,
    .max_length = 317,
    .pattern =
        "^([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9]"
        ")?$",
    .pattern_words =
        "a key like app or example.com/app, of at most 63 letters, digits, -, _ and . "
        "after the /"};
inline constexpr FieldRule kLabelValue{
    .max_length = 63,
    .pattern = "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$",
    .pattern_words =
        "at most 63 letters, digits, -, _ and ., that begin and end with a letter or "
        "digit"};
// Of labels in the monitoring (Prometheus' data model).
inline constexpr FieldRule kMonitoringLabelKey{
    .required = true,
    .max_length = 128,
    .pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$",
    .pattern_words = "a label of Prometheus: letters, digits and _, not beginning with a digit"};
inline constexpr FieldRule kMonitoringLabelValue{.max_length = 1024};
inline constexpr FieldRule kAnnotationValue{.max_length = 256 << 10};
inline constexpr FieldRule kNamespaceKey{
    .required = true, .max_length = 63, .pattern = kDnsLabel, .pattern_words = kDnsLabelWords};
constexpr FieldRule interfaces_rule(std::string_view help) {
  return {.key = "interfaces",
          .help = help,
          .not_empty = true,
          .max_items = 8,
          .max_length = 15,  // IFNAMSIZ without the 0
          .pattern = "^[-A-Za-z0-9_.@+=]{1,15}$",
          .pattern_words =
              "the name of a network device, at most 15 letters, digits, -, _, ., @, + and =",
          .example = "[\"eth0\"]"};
}
inline constexpr FieldRule kPodNames{.required = true,
                                     .not_empty = true,
                                     .max_items = 100,
                                     .max_length = 253,
                                     .pattern = kDnsName,
                                     .pattern_words = kDnsNameWords};

}  // namespace faultline::api::detail
