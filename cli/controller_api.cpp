// SPDX-License-Identifier: Apache-2.0
#include "cli/controller_api.h"

#include <boost/json.hpp>
#include <thread>
#include <utility>

#include "api/codec.h"
#include "cli/answers.h"
#include "cli/cluster/choice.h"
#include "cli/cluster/cluster_way.h"
#include "http/target.h"
#include "http/token.h"

namespace faultline::cli {
namespace {

constexpr const char* kDefaultUrl = "http://127.0.0.1:7878";
constexpr std::chrono::seconds kElection{20};
// As long as a controller works on an answer (ServerOptions::handler_timeout), and a bit.
constexpr std::chrono::seconds kLongAnswer{95};
constexpr std::chrono::milliseconds kPause{500};
constexpr int kMisdirected = 421;
constexpr int kListed = 1000;  // the most that the controller lists at once

std::string experiment_path(const std::string& run) {
  return "/api/v1/experiments/" + http::percent_encode(run);
}

}  // namespace

Result<std::string> ControllerApi::ask(const std::string& method, const std::string& target,
                                       const std::string& body, bool twice,
                                       std::chrono::seconds patience) const {
  const auto end = std::chrono::steady_clock::now() + kElection;
  while (true) {
    const auto options = way_->options();
    if (!options) return fail(options.error());
    auto answer = http::request_blocking(*options, method, target, body, patience);
    if (!answer) {
      if (!way_->broken() || !std::exchange(twice, false)) return fail(answer.error());
      continue;
    }
    // Who does not lead has done nothing of what was asked.
    if (answer->status == kMisdirected && std::chrono::steady_clock::now() < end &&
        way_->elsewhere(leader_of(answer->body))) {
      std::this_thread::sleep_for(kPause);
      continue;
    }
    answer = http::expect_ok(std::move(answer));
    if (!answer) return fail(answer.error());
    return std::move(answer->body);
  }
}

std::string ControllerApi::experiments_target(bool dry_run, std::uint64_t seed,
                                              const std::string& choice, bool anyway) const {
  std::string query;
  if (dry_run) query += "&dryRun=true";
  if (!namespace_.empty()) query += "&namespace=" + http::percent_encode(namespace_);
  if (seed != 0) query += "&seed=" + std::to_string(seed);
  if (!choice.empty()) query += "&choice=" + http::percent_encode(choice);
  if (anyway) query += "&anyway=true";
  if (!query.empty()) query[0] = '?';
  return "/api/v1/experiments" + query;
}

Result<api::RunPlan> ControllerApi::plan(const std::string& document, std::uint64_t seed) const {
  return decoded<api::RunPlan>(
      ask("POST", experiments_target(true, seed, "", false), document, true), "a plan");
}
Result<api::RunSummary> ControllerApi::start(const std::string& document,
                                             const api::RunPlan& agreed, bool anyway) const {
  // Not twice: without an answer the run may have begun.
  return decoded<api::RunSummary>(
      ask("POST", experiments_target(false, agreed.seed, agreed.choice, anyway), document, false),
      "a run");
}
Result<api::RunRecord> ControllerApi::run(const std::string& run) const {
  return decoded<api::RunRecord>(get(experiment_path(run)), "a run");
}
Result<std::vector<api::RunSummary>> ControllerApi::runs(const std::string& ns,
                                                         const std::string& name) const {
  std::string target = "/api/v1/experiments?limit=" + std::to_string(kListed);
  if (!ns.empty()) target += "&namespace=" + http::percent_encode(ns);
  if (!name.empty()) target += "&name=" + http::percent_encode(name);
  auto listed = decoded<std::vector<api::RunSummary>>(get(target), "the runs");
  // A controller of an older version lists all.
  if (listed) std::erase_if(*listed, [&](const auto& run) { return !is_of(run, ns); });
  return listed;
}

Result<std::string> ControllerApi::run_to_read(const std::string& name) const {
  const auto wanted = named(name);
  if (!wanted) return fail(wanted.error());
  const auto listed = runs(wanted->said ? wanted->ns : "", wanted->name);
  if (!listed) return fail(listed.error());
  auto found = cli::run_to_read(*listed, *wanted);
  if (found || found.error().code != Errc::kNotFound) return found;
  // It may be an id.
  std::string target = experiment_path(wanted->name);
  if (!wanted->ns.empty()) target += "?namespace=" + http::percent_encode(wanted->ns);
  const auto record = decoded<api::RunRecord>(get(target), "a run");
  if (!record) return fail(record.error());
  // An older version looks in all namespaces.
  const std::string& ns = record->experiment.metadata.namespace_;
  if (!wanted->ns.empty() && !ns.empty() && ns != wanted->ns && record->run != wanted->name)
    return found;
  return record->run;
}

Result<std::string> ControllerApi::run_to_stop(const std::string& name) const {
  const auto wanted = named(name);
  if (!wanted) return fail(wanted.error());
  const auto listed = runs("", wanted->name);
  if (!listed) return fail(listed.error());
  auto found = cli::run_to_stop(*listed, *wanted);
  if (found || found.error().code != Errc::kNotFound) return found;
  // It may be an id.
  const auto record = run(wanted->name);
  if (!record && record.error().code != Errc::kNotFound) return fail(record.error());
  if (!record || record->run != wanted->name) return found;
  api::RunSummary summary;
  summary.run = record->run;
  summary.name = record->experiment.metadata.name;
  summary.namespace_ = record->experiment.metadata.namespace_;
  summary.state = record->state;
  return cli::run_to_stop({std::move(summary)}, *wanted);
}
Result<> ControllerApi::stop(const std::string& run) const {
  auto answer = ask("POST", stop_target(run), "", true);
  if (!answer) return fail(answer.error());
  return {};
}
Result<> ControllerApi::stop_all() const {
  auto answer = ask("POST", "/api/v1/stop", "", true);
  if (!answer) return fail(answer.error());
  return {};
}
Result<api::Report> ControllerApi::report(const std::string& run) const {
  return decoded<api::Report>(report_text(run, "json"), "a report");
}
Result<std::string> ControllerApi::report_text(const std::string& run,
                                               const std::string& format) const {
  return get("/api/v1/reports/" + http::percent_encode(run) + "?format=" + format);
}
Result<std::vector<api::NodeStatus>> ControllerApi::nodes() const {
  const auto of_namespace = [&] {
    return get("/api/v1/nodes?namespace=" + http::percent_encode(namespace_));
  };
  const bool one = said_ && !namespace_.empty();
  auto text = one ? of_namespace() : get("/api/v1/nodes");
  // Rights would have to be asked for in too many namespaces: then it is the person's own.
  if (!text && !one && !namespace_.empty() && text.error().code == Errc::kInvalid)
    text = of_namespace();
  return decoded<std::vector<api::NodeStatus>>(std::move(text), "the nodes");
}

Result<api::AlertList> ControllerApi::alerts() const {
  return decoded<api::AlertList>(get("/api/v1/alerts"), "the alerts");
}
Result<api::RuleTestFiles> ControllerApi::rule_test(const std::string& run,
                                                    const std::string& alert) const {
  return decoded<api::RuleTestFiles>(
      get(experiment_path(run) + "/rule-test?alert=" + http::percent_encode(alert)), "a rule test");
}

Result<api::TuneReport> ControllerApi::tune(const std::vector<std::string>& runs,
                                            const std::string& alert,
                                            const std::map<std::string, std::string>& wish) const {
  std::string names;
  for (const std::string& run : runs) names += (names.empty() ? "" : ",") + run;
  std::string target =
      "/api/v1/tune?run=" + http::percent_encode(names) + "&alert=" + http::percent_encode(alert);
  for (const auto& [key, value] : wish) target += "&" + key + "=" + http::percent_encode(value);
  return decoded<api::TuneReport>(ask("GET", target, "", false, kLongAnswer), "a tuning");
}

std::string ControllerApi::events_target(const std::string& run) {
  return "/api/v1/events?run=" + http::percent_encode(run);
}
std::string ControllerApi::stop_target(const std::string& run) {
  return experiment_path(run) + "/stop";
}

std::string leader_of(const std::string& problem) {
  boost::system::error_code ec;
  const boost::json::value body = boost::json::parse(problem, ec);
  if (ec || !body.is_object()) return {};
  const auto* leader = body.get_object().if_contains("leader");
  return leader != nullptr && leader->is_string() ? leader->get_string().c_str() : std::string();
}

bool names_controller(const Invocation& call, const Console& console) {
  return call.has("controller") || console.plugin || asks_for_cluster(call) ||
         console.env("FAULTLINE_CONTROLLER");
}

Result<ControllerApi> controller_of(const Invocation& call, const Console& console) {
  const auto cluster = wants_cluster(call, console);
  if (!cluster) return fail(cluster.error());
  if (*cluster) {
    auto way = cluster_way(call, console);
    if (!way) return fail(way.error());
    std::string ns = call.get("namespace").value_or((*way)->person_namespace());
    if (call.has("all-namespaces")) {
      if (call.has("namespace"))
        return fail(Errc::kInvalid, "--namespace and --all-namespaces exclude each other");
      ns.clear();
    }
    return ControllerApi(std::move(*way), std::move(ns), call.has("namespace"));
  }
  for (const char* name : {"namespace", "all-namespaces"})
    if (call.has(name))
      return fail(Errc::kInvalid,
                  "--" + std::string(name) +
                      " is for a controller in a cluster; add --kubernetes or --context NAME");
  http::ClientOptions options;
  options.base_url =
      call.get("controller").value_or(console.env("FAULTLINE_CONTROLLER").value_or(kDefaultUrl));
  auto file = call.get("token-file");
  if (!file) file = console.env("FAULTLINE_TOKEN_FILE");
  if (file) {
    auto token = http::load_token(*file);
    if (!token) return fail(token.error());
    options.bearer_token = std::move(*token);
  }
  return ControllerApi(std::move(options));
}

bool ended(api::RunState state) {
  switch (state) {  // no default: a new state must be thought about here
    case api::RunState::Pending:
    case api::RunState::Baseline:
    case api::RunState::Injecting:
    case api::RunState::Recovering:
      return false;
    case api::RunState::Completed:
    case api::RunState::Aborted:
    case api::RunState::Failed:
      break;
  }
  return true;
}

}  // namespace faultline::cli
