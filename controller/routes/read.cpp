// SPDX-License-Identifier: Apache-2.0
// Nodes, metrics, health; and the table of all routes.
#include "api/budgets.h"
#include "api/codec.h"
#include "controller/routes/chat_note.h"
#include "controller/routes/notification.h"
#include "controller/routes/service.h"

namespace faultline::controller {

using http::Response;

namespace {

// An agent sends what it has in pieces of about half a mebibyte (agent/link/outbox.h).
constexpr std::size_t kLongestSync = 4 << 20;  // bytes

// An agent's token is good for its own node.
boost::asio::awaitable<std::optional<Response>> of_its_node(const http::Request& request) {
  const std::string& node = request.params.at("node");
  if (request.who.node.empty() || request.who.node == node) co_return std::nullopt;
  co_return http::problem(
      403, "this token is of the agent of node " + request.who.node + ", not of " + node);
}

// Longer than an API server that is replaced is away.
constexpr std::chrono::seconds kJournalStands{15};

}  // namespace

void Service::add_routes(http::Server& server) {
  const auto self = shared_from_this();
  http_refused_ = server.refusals();
  const auto add = [&](std::string method, std::string pattern, std::vector<std::string> allowed,
                       Reading handler, http::RouteOptions options = {}) {
    server.route(
        std::move(method), std::move(pattern), std::move(allowed),
        [self, handler](http::Request request) {
          return self->audited_reading(handler, std::move(request));
        },
        std::move(options));
  };
  const auto change = [&](std::string pattern, std::vector<std::string> allowed, Changing handler,
                          std::string verb, std::size_t max_body) {
    server.route("POST", std::move(pattern), std::move(allowed),
                 [self, handler, verb = std::move(verb)](http::Request request) {
                   return self->audited(handler, verb, std::move(request));
                 },
                 {.max_body = max_body});
  };
  server.denied([self](const http::Request& request, const Response& response) {
    self->audit_refused(request, response);
  });
  const std::vector<std::string> agent = {"agent"}, person = {"person"}, everybody = {};
  add("POST", "/api/v1/nodes/{node}/sync", agent, &Service::sync,
      {.max_body = kLongestSync, .before = of_its_node});
  change("/api/v1/experiments", person, &Service::start_experiment, "start",
         api::kExperimentBudget.bytes);
  add("GET", "/api/v1/experiments", person, &Service::list_experiments);
  add("GET", "/api/v1/experiments/{run}", person, &Service::get_experiment);
  change("/api/v1/experiments/{run}/stop", person, &Service::stop_experiment, "stop", 0);
  change("/api/v1/stop", person, &Service::stop_all, "stop-all", 0);
  change("/api/v1/gamedays", person, &Service::start_gameday, "create-gameday",
         api::kGameDayBudget.bytes);
  add("GET", "/api/v1/gamedays", person, &Service::list_gamedays);
  add("GET", "/api/v1/gamedays/{day}", person, &Service::get_gameday);
  add("GET", "/api/v1/gamedays/{day}/report", person, &Service::get_gameday_report);
  change("/api/v1/gamedays/{day}/entries", person, &Service::say_on_gameday, "gameday-entry",
         64 << 10);
  add("POST", "/api/v1/gamedays/{day}/chat", {"chat"}, &Service::take_chat_note,
      {.max_body = kLongestChatNote});
  add("GET", "/api/v1/reports/{run}", person, &Service::get_report);
  add("GET", "/api/v1/nodes", person, &Service::get_nodes);
  add("GET", "/api/v1/events", person, &Service::get_events);
  add("GET", "/api/v1/experiments/{run}/rule-test", person, &Service::get_rule_test);
  add("GET", "/api/v1/tune", person, &Service::get_tune);
  add("GET", "/api/v1/alerts", person, &Service::get_alerts);
  add("GET", "/api/v1/monitoring", person, &Service::get_monitoring);
  add("POST", "/api/v1/alerts/notifications", {"notifier"}, &Service::take_notification,
      {.max_body = kLongestNotification, .never_429 = true});
  add("GET", "/metrics", everybody, &Service::get_metrics);
  add("GET", "/healthz", everybody, &Service::get_health, {.always = true});
  add("GET", "/readyz", everybody, &Service::get_ready, {.always = true});
}

boost::asio::awaitable<Response> Service::get_nodes(http::Request request) {
  std::optional<std::string> ns;
  if (const auto only = request.query.find("namespace"); only != request.query.end())
    ns = only->second;
  std::vector<api::NodeStatus> all = engine_.nodes(now());
  auto nodes = co_await visible_pods(request.who, std::move(all), std::move(ns));
  if (!nodes) co_return http::problem(nodes.error());
  auto make = [nodes = std::move(*nodes)]() -> Response {
    try {
      return {.body = api::to_json_text(nodes)};
    } catch (const std::exception& e) {  // of the worker's thread: nobody else would catch it
      return http::problem(500, std::string("the list cannot be made: ") + e.what());
    }
  };
  co_return co_await report_worker_.run(std::move(make));
}

boost::asio::awaitable<Response> Service::get_metrics(http::Request) {
  if (http_refused_) metrics_.http_refused(*http_refused_);
  if (journal_) metrics_.journal(journal_->state());
  for (const announce::DestinationState& one : announcer_.states())
    metrics_.events(one.name, one.told, one.failed);
  co_return Response{
      .content_type = "text/plain; version=0.0.4; charset=utf-8",
      .body = metrics_.text(engine_.by_state(), engine_.connected(now()), store_error_.empty(),
                            options_.audit == nullptr || options_.audit->works())};
}

// The loop runs: that is all there is to it.
boost::asio::awaitable<Response> Service::get_health(http::Request) {
  co_return Response{.content_type = "text/plain", .body = "ok\n"};
}

boost::asio::awaitable<Response> Service::get_ready(http::Request) {
  if (ending_) co_return http::problem(503, "the controller is ending");
  if (!store_error_.empty()) co_return http::problem(503, store_error_);
  if (journal_) {
    const JournalState state = journal_->state();
    if (state.waiting > kJournalStands)
      co_return http::problem(
          503, "the journal has not written what waits for " +
                   std::to_string(
                       std::chrono::duration_cast<std::chrono::seconds>(state.waiting).count()) +
                   " s" + (state.error.empty() ? "" : ": " + state.error));
  }
  if (const std::string why = not_ready_ ? not_ready_() : std::string(); !why.empty())
    co_return http::problem(503, why);
  co_return Response{.content_type = "text/plain", .body = "ok\n"};
}

}  // namespace faultline::controller
