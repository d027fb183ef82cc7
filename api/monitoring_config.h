// SPDX-License-Identifier: Apache-2.0
// Where a controller finds the monitoring, and whom it tells of runs: the document of --monitoring
// (docs/monitoring.md). Files are named, never their content, so that nothing in it is secret.
#pragma once

#include <boost/describe.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/values.h"
#include "base/result.h"

namespace faultline::api {

enum class SourceKind { prometheus, alertmanager };
BOOST_DESCRIBE_ENUM(SourceKind, prometheus, alertmanager)

struct SourceBasic {
  std::string username;
  std::string passwordFile;
};
BOOST_DESCRIBE_STRUCT(SourceBasic, (), (username, passwordFile))

// PEM files. The server's certificate is always verified.
struct SourceTls {
  std::string caFile;             // empty: the CAs of the system
  std::string certFile, keyFile;  // of the controller as a client; both or none
  std::string serverName;         // empty: the URL's host
};
BOOST_DESCRIBE_STRUCT(SourceTls, (), (caFile, certFile, keyFile, serverName))

struct MonitoringEndpoint {
  std::string name;
  SourceKind kind = SourceKind::prometheus;
  std::string url;  // http or https, with a path prefix where there is one; no user, no query
  std::string bearerTokenFile;
  std::optional<SourceBasic> basic;
  std::optional<SourceTls> tls;
  Duration timeout{std::chrono::seconds(2)};  // of one request
};
BOOST_DESCRIBE_STRUCT(MonitoringEndpoint, (),
                      (name, kind, url, bearerTokenFile, basic, tls, timeout))

enum class DestinationKind { webhook, grafana };
BOOST_DESCRIBE_ENUM(DestinationKind, webhook, grafana)

// Somebody who is told when faults begin and when a run is over.
struct EventDestination {
  std::string name;
  DestinationKind kind = DestinationKind::webhook;
  // One of both. Of a webhook the whole address, which is often a secret: then it is in a file. Of
  // Grafana where it is.
  std::string url, urlFile;
  std::string bearerTokenFile;
  std::optional<SourceBasic> basic;
  std::optional<SourceTls> tls;
  Duration timeout{std::chrono::seconds(5)};  // of one request
};
BOOST_DESCRIBE_STRUCT(EventDestination, (),
                      (name, kind, url, urlFile, bearerTokenFile, basic, tls, timeout))

struct MonitoringConfig {
  std::vector<MonitoringEndpoint> monitoring;
  std::vector<EventDestination> events;
};
BOOST_DESCRIBE_STRUCT(MonitoringConfig, (), (monitoring, events))

// One YAML document; an empty one names no monitoring. `file` is only used in messages. Errors:
// kInvalid, a line for each problem, with file and line.
[[nodiscard]] Result<MonitoringConfig> parse_monitoring(std::string_view text,
                                                        std::string_view file);

// An endpoint of a command line: "http://prometheus:9090", or "eu=http://prometheus:9090"; without
// a name it is that of the kind. Errors: kInvalid, with what was expected.
[[nodiscard]] Result<MonitoringEndpoint> parse_endpoint(SourceKind kind, std::string_view text);

// Two endpoints of one name, of any kind. kInvalid.
[[nodiscard]] Result<> names_differ(const std::vector<MonitoringEndpoint>& endpoints);

}  // namespace faultline::api
