// SPDX-License-Identifier: Apache-2.0
// The command line of faultline-controller. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/monitoring_config.h"
#include "base/result.h"
#include "controller/store/store.h"

namespace faultline::controller {

struct Options {
  std::string address;  // of --listen
  std::uint16_t port = 0;
  std::string state_dir;
  std::string port_file;
  std::string log_level;
  Retention retention;
  std::int64_t max_store_pages = 0;                // of SQLite; 0: no bound
  std::int64_t max_run_bytes = kMaxRunBytes;       // of one run in the store
  std::string audit_log;                           // file; "-": standard output; empty: none
  std::string policy;                              // file; empty: the default policy
  std::string monitoring;                          // file; empty: none
  std::vector<api::MonitoringEndpoint> endpoints;  // of --prometheus and --alertmanager
  // File of the token by which Alertmanager's webhook is let in; empty: in a cluster nobody, else
  // notifications.token of the state folder.
  std::string notifications_token;
  // File of the token by which a chat writes notes of game days; empty: nobody.
  std::string chat_token;
  std::chrono::milliseconds lease{3000};  // how long a fault goes on without word of a controller
  std::chrono::milliseconds node_answer{10'000};  // that a node has for each step of a run
  bool journaled = false;                         // --store kubernetes
  bool kubernetes = false;
  std::string ns, service, identity;     // only with `kubernetes`
  std::string advertised;                // where others reach us, or empty
  std::string tls_certificate, tls_key;  // files, both or none
  std::size_t max_connections = 4096;
  std::string webhook_client_name;  // common name of the API server's certificate; empty: anybody
};

// Nothing: --help or --version was asked for and is printed. Errors: kInvalid, one line that names
// the option.
[[nodiscard]] Result<std::optional<Options>> parse_options(int argc, char** argv);

}  // namespace faultline::controller
