// SPDX-License-Identifier: Apache-2.0
#include "cli/controller_api.h"

#include "api/codec.h"
#include "http/target.h"
#include "http/token.h"

namespace faultline::cli {
namespace {

constexpr const char* kDefaultUrl = "http://127.0.0.1:7878";
constexpr std::chrono::seconds kPatience{15};

std::string experiment_path(const std::string& run) {
  return "/api/v1/experiments/" + http::percent_encode(run);
}

template <class T>
Result<T> decoded(Result<std::string> text, const std::string& what) {
  if (!text) return fail(text.error());
  auto value = api::from_json_text<T>(*text);
  if (value) return value;
  // Not the person's mistake, so not kInvalid.
  return fail(Errc::kInternal, "the controller's answer (" + what +
                                   ") cannot be read, is it of another version? " +
                                   value.error().message);
}

}  // namespace

Result<std::string> ControllerApi::get(const std::string& target) const {
  auto answer = http::expect_ok(http::request_blocking(options_, "GET", target, "", kPatience));
  if (!answer) return fail(answer.error());
  return std::move(answer->body);
}

Result<std::string> ControllerApi::post(const std::string& target, const std::string& body) const {
  auto answer = http::expect_ok(http::request_blocking(options_, "POST", target, body, kPatience));
  if (!answer) return fail(answer.error());
  return std::move(answer->body);
}

Result<api::RunPlan> ControllerApi::plan(const std::string& document) const {
  return decoded<api::RunPlan>(post("/api/v1/experiments?dryRun=true", document), "a plan");
}
Result<api::RunSummary> ControllerApi::start(const std::string& document) const {
  return decoded<api::RunSummary>(post("/api/v1/experiments", document), "a run");
}
Result<api::RunRecord> ControllerApi::run(const std::string& run) const {
  return decoded<api::RunRecord>(get(experiment_path(run)), "a run");
}
Result<std::vector<api::RunSummary>> ControllerApi::runs() const {
  return decoded<std::vector<api::RunSummary>>(get("/api/v1/experiments"), "the runs");
}
Result<> ControllerApi::stop(const std::string& run) const {
  auto answer = post(stop_target(run), "");
  if (!answer) return fail(answer.error());
  return {};
}
Result<> ControllerApi::stop_all() const {
  auto answer = post("/api/v1/stop", "");
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
  return decoded<std::vector<api::NodeStatus>>(get("/api/v1/nodes"), "the nodes");
}

std::string ControllerApi::events_target(const std::string& run) {
  return "/api/v1/events?run=" + http::percent_encode(run);
}
std::string ControllerApi::stop_target(const std::string& run) {
  return experiment_path(run) + "/stop";
}

bool names_controller(const Invocation& call, const Console& console) {
  return call.has("controller") || console.env("FAULTLINE_CONTROLLER");
}

Result<ControllerApi> controller_of(const Invocation& call, const Console& console) {
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
