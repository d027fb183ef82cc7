// SPDX-License-Identifier: Apache-2.0
// Rules of the document that says where the monitoring is and who is told of runs.
#pragma once

#include "api/detail/rules_names.h"
#include "api/monitoring_config.h"

namespace faultline::api::detail {

inline constexpr std::size_t kMostEndpoints = 16;
inline constexpr std::string_view kEndpointName = "^[a-z0-9]([-.a-z0-9]{0,61}[a-z0-9])?$";
inline constexpr std::string_view kEndpointNameWords =
    "a name of at most 63 small letters, digits, - and ., that begins and ends with a letter or "
    "digit";
inline constexpr std::string_view kEndpointUrl = "^https?://[^/@?#\\s]+(/[^?#\\s]*)?$";
inline constexpr std::string_view kEndpointUrlWords =
    "http://HOST:PORT or https://HOST:PORT, with a path where there is one, without user and query";
inline constexpr std::string_view kDestinationUrl =
    "^https?://[^/@?#\\s]+(/[^?#\\s]*)?(\\?[^#\\s]*)?$";
inline constexpr std::string_view kDestinationUrlWords =
    "http://HOST:PORT or https://HOST:PORT, with path and query where there are some, without user";

template <>
inline constexpr bool kStrict<MonitoringConfig> = true;
template <>
inline constexpr bool kStrict<MonitoringEndpoint> = true;
template <>
inline constexpr bool kStrict<EventDestination> = true;
template <>
inline constexpr bool kStrict<SourceBasic> = true;
template <>
inline constexpr bool kStrict<SourceTls> = true;

// How a source or a destination lets the controller in.
inline constexpr FieldRule kBearerTokenField{.key = "bearerTokenFile",
                                             .help = "The file of a bearer token.",
                                             .max_length = kMostPath,
                                             .pattern = kAbsolutePath,
                                             .pattern_words = "an absolute path"};
inline constexpr FieldRule kBasicField{
    .key = "basic", .help = "HTTP basic authentication, instead of a bearer token."};
inline constexpr FieldRule kTlsField{.key = "tls", .help = "Certificates; only with https."};

template <>
struct Rules<SourceBasic> {
  static constexpr std::string_view help = "A user and the file of its password.";
  static constexpr FieldRule fields[] = {
      {.key = "username", .help = "The user.", .required = true, .not_empty = true},
      {.key = "passwordFile",
       .help = "The file that holds the password; read at each connection.",
       .required = true,
       .max_length = kMostPath,
       .pattern = kAbsolutePath,
       .pattern_words = "an absolute path"}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<SourceTls> {
  static constexpr std::string_view help = "Files in PEM form for https.";
  static constexpr FieldRule fields[] = {
      {.key = "caFile",
       .help = "The authorities that are trusted; left out: those of the system.",
       .max_length = kMostPath,
       .pattern = kAbsolutePath,
       .pattern_words = "an absolute path"},
      {.key = "certFile",
       .help = "The certificate that the controller shows; with keyFile.",
       .max_length = kMostPath,
       .pattern = kAbsolutePath,
       .pattern_words = "an absolute path"},
      {.key = "keyFile",
       .help = "Its key.",
       .max_length = kMostPath,
       .pattern = kAbsolutePath,
       .pattern_words = "an absolute path"},
      {.key = "serverName",
       .help = "The name in the server's certificate; left out: the host of the URL.",
       .max_length = 253,
       .pattern = kHostName,
       .pattern_words = kHostNameWords}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<MonitoringEndpoint> {
  static constexpr std::string_view help = "One Prometheus or Alertmanager.";
  static constexpr FieldRule fields[] = {
      {.key = "name",
       .help = "What reports call it.",
       .required = true,
       .max_length = 63,
       .pattern = kEndpointName,
       .pattern_words = kEndpointNameWords,
       .example = "\"prometheus\""},
      {.key = "kind", .help = "What answers there.", .required = true},
      {.key = "url",
       .help = "Where it is.",
       .required = true,
       .max_length = 2048,
       .pattern = kEndpointUrl,
       .pattern_words = kEndpointUrlWords,
       .example = "\"http://prometheus.monitoring:9090\""},
      kBearerTokenField,
      kBasicField,
      kTlsField,
      {.key = "timeout",
       .help = "Of one request, at most 30s.",
       .min = 0,
       .max = 30,
       .more_than_min = true,
       .example = "\"2s\""}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<EventDestination> {
  static constexpr std::string_view help = "Somebody who is told of runs.";
  static constexpr FieldRule fields[] = {
      {.key = "name",
       .help = "What `faultline monitoring` calls it.",
       .required = true,
       .max_length = 63,
       .pattern = kEndpointName,
       .pattern_words = kEndpointNameWords,
       .example = "\"chat\""},
      {.key = "kind",
       .help =
           "webhook: JSON with a `text`, as Slack and Mattermost take it; grafana: annotations.",
       .required = true},
      {.key = "url",
       .help = "Where it is; of a webhook the whole address.",
       .max_length = 2048,
       .pattern = kDestinationUrl,
       .pattern_words = kDestinationUrlWords,
       .example = "\"http://grafana.monitoring:3000\""},
      {.key = "urlFile",
       .help = "The file that holds the url, where that is a secret; read for each message.",
       .max_length = kMostPath,
       .pattern = kAbsolutePath,
       .pattern_words = "an absolute path"},
      kBearerTokenField,
      kBasicField,
      kTlsField,
      {.key = "timeout",
       .help = "Of one request, at most 30s.",
       .min = 0,
       .max = 30,
       .more_than_min = true,
       .example = "\"5s\""}};
  static constexpr std::string_view schema{};
};

template <>
struct Rules<MonitoringConfig> {
  static constexpr std::string_view help =
      "Where the controller finds the monitoring, and whom it tells of runs.";
  static constexpr FieldRule fields[] = {
      {.key = "monitoring",
       .help = "Each Prometheus and Alertmanager.",
       .max_items = kMostEndpoints},
      {.key = "events",
       .help = "Whoever is told when faults begin and when a run is over.",
       .max_items = kMostEndpoints}};
  static constexpr std::string_view schema{};
};

}  // namespace faultline::api::detail
