// SPDX-License-Identifier: Apache-2.0
#include "controller/options.h"

#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <cstdio>
#include <cxxopts.hpp>

#include "api/values.h"
#include "http/listen.h"

namespace faultline::controller {
namespace {

constexpr std::int64_t kPage = 4096;  // bytes, of SQLite

cxxopts::Options description() {
  cxxopts::Options described("faultline-controller",
                             "Takes experiments, drives agents, keeps results, serves reports.");
  auto add = described.add_options();
  add("listen", "address and port; port 0: any free one",
      cxxopts::value<std::string>()->default_value("127.0.0.1:7878"), "ADDRESS:PORT");
  add("state-dir", "folder of store.db, agent.token and person.token",
      cxxopts::value<std::string>(), "DIR");
  add("port-file", "written when listening: the port", cxxopts::value<std::string>(), "FILE");
  add("log-level", "trace, debug, info, warn, error or off",
      cxxopts::value<std::string>()->default_value("info"), "LEVEL");
  add("store",
      "where runs are kept: sqlite (store.db), or in a cluster kubernetes (custom resources: runs "
      "survive a change of leader)",
      cxxopts::value<std::string>()->default_value("sqlite"), "STORE");
  add("keep-runs", "how many runs are kept; without it 1000, with --store kubernetes 100",
      cxxopts::value<std::int64_t>(), "N");
  add("lease",
      "how long faults go on without word of a controller, from 1s to 1m: long enough for another "
      "one to take over, short enough for a node that is cut off",
      cxxopts::value<std::string>()->default_value("3s"), "TIME");
  add("node-answer",
      "how long a node may take until it reports a step of a run: measuring, armed, disarmed, "
      "closed; from 10s to 10m, and longer than 10s only where a CPU needs that to load programs",
      cxxopts::value<std::string>()->default_value("10s"), "TIME");
  add("keep-days", "how long runs are kept", cxxopts::value<std::int64_t>()->default_value("30"),
      "DAYS");
  add("max-store", "largest size of store.db, e.g. 2Gi; without it the disk is the bound",
      cxxopts::value<std::string>(), "SIZE");
  add("max-run",
      "largest size of what one run has in store.db; windows beyond it are not kept, which its "
      "report says",
      cxxopts::value<std::string>()->default_value("64Mi"), "SIZE");
  add("policy", "what is allowed, whoever asks (docs/policy.md); read again when it changes",
      cxxopts::value<std::string>(), "POLICY.yaml");
  add("prometheus", "a Prometheus to ask (docs/monitoring.md); once for each, NAME=URL",
      cxxopts::value<std::vector<std::string>>(), "URL");
  add("alertmanager", "an Alertmanager to ask; once for each, NAME=URL",
      cxxopts::value<std::vector<std::string>>(), "URL");
  add("monitoring",
      "both with tokens and certificates in a file (docs/monitoring.md); read again when it "
      "changes",
      cxxopts::value<std::string>(), "MONITORING.yaml");
  add("notifications-token",
      "file of the token by which Alertmanager's webhook is let in; without it "
      "notifications.token in the state folder, in a cluster nobody",
      cxxopts::value<std::string>(), "FILE");
  add("chat-token",
      "file of the token by which a chat writes notes into game days (docs/gameday.md); without it "
      "none does",
      cxxopts::value<std::string>(), "FILE");
  add("audit-log",
      "file that gets a line for each decision and change of state (docs/audit.md), opened again "
      "on "
      "SIGHUP; - is standard output, the default in a cluster",
      cxxopts::value<std::string>(), "FILE");
  add("kubernetes",
      "in a pod of a cluster: experiments are custom resources, the API server says who asks");
  add("namespace", "in a cluster: our namespace",
      cxxopts::value<std::string>()->default_value("faultline"), "NAME");
  add("service", "in a cluster: the Service by which agents reach us",
      cxxopts::value<std::string>()->default_value("faultline-controller"), "NAME");
  add("identity",
      "in a cluster: what tells this controller from others; without it the host's name",
      cxxopts::value<std::string>(), "NAME");
  add("advertise", "in a cluster: the IP address by which agents and other controllers reach us",
      cxxopts::value<std::string>(), "ADDRESS");
  add("tls-cert", "serve TLS with this certificate; in a cluster without it: one of our own making",
      cxxopts::value<std::string>(), "FILE");
  add("tls-key", "its key", cxxopts::value<std::string>(), "FILE");
  add("max-connections",
      "how many connections there may be, of which users have a quarter: about 75 KiB each with "
      "TLS",
      cxxopts::value<std::int64_t>()->default_value("4096"), "N");
  add("webhook-client-name",
      "in a cluster: the common name of the certificate that the API server shows to webhooks, of "
      "the authority of the cluster's clients; without it anybody may ask them",
      cxxopts::value<std::string>(), "NAME");
  add("help", "this text");
  add("version", "the version");
  return described;
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "controller";
}

// --prometheus and --alertmanager, which may be given several times.
Result<> add_endpoints(const cxxopts::ParseResult& given, const char* option, api::SourceKind kind,
                       std::vector<api::MonitoringEndpoint>& endpoints) {
  if (given.count(option) == 0) return {};
  for (const std::string& text : given[option].as<std::vector<std::string>>()) {
    auto endpoint = api::parse_endpoint(kind, text);
    if (!endpoint) return fail(endpoint.error().with_context("--" + std::string(option)));
    endpoints.push_back(std::move(*endpoint));
  }
  return {};
}

}  // namespace

Result<std::optional<Options>> parse_options(int argc, char** argv) {
  cxxopts::Options described = description();
  try {
    const cxxopts::ParseResult given = described.parse(argc, argv);
    if (given.count("help") != 0 || given.count("version") != 0) {
      std::fputs((given.count("help") != 0 ? described.help() : FAULTLINE_VERSION "\n").c_str(),
                 stdout);
      return std::optional<Options>();
    }
    if (!given.unmatched().empty())
      return fail(Errc::kInvalid, "no such argument: " + given.unmatched().front());
    if (given.count("state-dir") == 0) return fail(Errc::kInvalid, "--state-dir DIR is missing");
    Options options{.state_dir = given["state-dir"].as<std::string>(),
                    .log_level = given["log-level"].as<std::string>()};
    if (given.count("port-file") != 0) options.port_file = given["port-file"].as<std::string>();
    const auto store = given["store"].as<std::string>();
    if (store != "sqlite" && store != "kubernetes")
      return fail(Errc::kInvalid, "--store must be sqlite or kubernetes, got \"" + store + "\"");
    options.journaled = store == "kubernetes";
    if (options.journaled && given.count("kubernetes") == 0)
      return fail(Errc::kInvalid, "--store kubernetes needs --kubernetes");
    const auto lease = api::Duration::parse(given["lease"].as<std::string>());
    if (!lease) return fail(lease.error().with_context("--lease"));
    options.lease = std::chrono::duration_cast<std::chrono::milliseconds>(lease->value);
    if (options.lease < std::chrono::seconds(1) || options.lease > std::chrono::minutes(1))
      return fail(Errc::kInvalid, "--lease must be between 1s and 1m");
    const auto node_answer = api::Duration::parse(given["node-answer"].as<std::string>());
    if (!node_answer) return fail(node_answer.error().with_context("--node-answer"));
    options.node_answer = std::chrono::duration_cast<std::chrono::milliseconds>(node_answer->value);
    if (options.node_answer < std::chrono::seconds(10) ||
        options.node_answer > std::chrono::minutes(10))
      return fail(Errc::kInvalid, "--node-answer must be between 10s and 10m");
    const std::int64_t runs = given.count("keep-runs") != 0 ? given["keep-runs"].as<std::int64_t>()
                              : options.journaled           ? 100
                                                            : 1000;
    const auto days = given["keep-days"].as<std::int64_t>();
    if (runs < 1 || days < 1 || days > 36'500)
      return fail(Errc::kInvalid,
                  "--keep-runs must be at least 1, --keep-days between 1 and 36500");
    options.retention = {runs, std::chrono::hours(24 * days)};
    if (given.count("max-store") != 0) {
      const auto size = api::ByteSize::parse(given["max-store"].as<std::string>());
      if (!size) return fail(size.error().with_context("--max-store"));
      options.max_store_pages = static_cast<std::int64_t>(size->bytes) / kPage;
      if (options.max_store_pages < 64)
        return fail(Errc::kInvalid, "--max-store must be at least 256Ki");
    }
    const auto run_size = api::ByteSize::parse(given["max-run"].as<std::string>());
    if (!run_size) return fail(run_size.error().with_context("--max-run"));
    options.max_run_bytes = static_cast<std::int64_t>(run_size->bytes);
    if (options.max_run_bytes < (1 << 20) || options.max_run_bytes > (1 << 30))
      return fail(Errc::kInvalid, "--max-run must be between 1Mi and 1Gi");
    if (given.count("policy") != 0) options.policy = given["policy"].as<std::string>();
    for (const auto& [option, kind] : {std::pair{"prometheus", api::SourceKind::prometheus},
                                       std::pair{"alertmanager", api::SourceKind::alertmanager}})
      if (auto added = add_endpoints(given, option, kind, options.endpoints); !added)
        return fail(std::move(added.error()));
    if (auto good = api::names_differ(options.endpoints); !good)
      return fail(std::move(good.error()));
    if (given.count("monitoring") != 0) options.monitoring = given["monitoring"].as<std::string>();
    if (given.count("chat-token") != 0) options.chat_token = given["chat-token"].as<std::string>();
    if (given.count("notifications-token") != 0)
      options.notifications_token = given["notifications-token"].as<std::string>();
    options.kubernetes = given.count("kubernetes") != 0;
    if (options.kubernetes) options.audit_log = "-";
    if (given.count("audit-log") != 0) options.audit_log = given["audit-log"].as<std::string>();
    options.ns = given["namespace"].as<std::string>();
    options.service = given["service"].as<std::string>();
    options.identity =
        given.count("identity") != 0 ? given["identity"].as<std::string>() : host_name();
    if (given.count("tls-cert") != given.count("tls-key"))
      return fail(Errc::kInvalid, "--tls-cert and --tls-key go together");
    if (given.count("tls-cert") != 0) {
      options.tls_certificate = given["tls-cert"].as<std::string>();
      options.tls_key = given["tls-key"].as<std::string>();
    }
    const auto connections = given["max-connections"].as<std::int64_t>();
    if (connections < 64 || connections > 1'000'000)
      return fail(Errc::kInvalid, "--max-connections must be between 64 and 1000000");
    options.max_connections = static_cast<std::size_t>(connections);
    if (given.count("webhook-client-name") != 0) {
      options.webhook_client_name = given["webhook-client-name"].as<std::string>();
      if (!options.kubernetes)
        return fail(Errc::kInvalid, "--webhook-client-name needs --kubernetes");
    }
    if (given.count("advertise") != 0) options.advertised = given["advertise"].as<std::string>();
    auto listen = http::parse_listen(given["listen"].as<std::string>(), "7878");
    if (!listen) return fail(std::move(listen.error()));
    options.address = std::move(listen->address);
    options.port = listen->port;
    if (!options.advertised.empty()) {
      boost::system::error_code wrong;
      const auto address = boost::asio::ip::make_address(options.advertised, wrong);
      if (wrong)
        return fail(Errc::kInvalid,
                    "--advertise must be an IP address, got \"" + options.advertised + "\"");
      options.advertised = (address.is_v6() ? "[" + options.advertised + "]" : options.advertised) +
                           ":" + std::to_string(options.port);
    }
    return std::optional(std::move(options));
  } catch (const cxxopts::exceptions::exception& e) {
    return fail(Errc::kInvalid, std::string(e.what()) + " (see --help)");
  }
}

}  // namespace faultline::controller
