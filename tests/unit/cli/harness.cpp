// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cli/harness.h"

#include <boost/asio/packaged_task.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace faultline::cli {

ControllerDouble::ControllerDouble(Script script)
    : script_(std::move(script)), io_(1), work_(io_.get_executor()) {
  http::ServerOptions options;
  options.tls = script_.tls;
  server_.emplace(io_.get_executor(), std::move(options));
  server_->authenticator(
      [this](const http::Request& request) -> boost::asio::awaitable<Result<http::Identity>> {
        http::Identity who;
        if (http::same_token(http::bearer(request), script_.token)) who.role = "person";
        co_return who;
      });
  routes();
  started_ = server_->start().has_value();
  port_ = server_->port();
  thread_ = std::thread([this] { io_.run(); });
}

ControllerDouble::~ControllerDouble() { vanish(); }

void ControllerDouble::vanish() {
  if (!thread_.joinable()) return;
  asio::post(io_, std::packaged_task<void()>([this] { server_.reset(); })).wait();
  work_.reset();
  io_.stop();
  thread_.join();
}

void ControllerDouble::use(Shell& shell, const Folder& folder) const {
  shell.env["FAULTLINE_CONTROLLER"] = url();
  shell.env["FAULTLINE_TOKEN_FILE"] = folder.file("person.token", script_.token);
}

void ControllerDouble::lead() {
  asio::post(io_, std::packaged_task<void()>([this] { script_.leader.clear(); }));
}

std::string ControllerDouble::begin() {
  asio::post(io_, std::packaged_task<void()>([this] { began_ = Clock::now(); })).wait();
  return run_;
}

bool ControllerDouble::over() {
  bool over = false;
  asio::post(io_, std::packaged_task<void()>([&] {
               over = state() == api::RunState::Completed || state() == api::RunState::Aborted;
             }))
      .wait();
  return over;
}

std::string ControllerDouble::agreed() {
  std::string agreed;
  asio::post(io_, std::packaged_task<void()>([&] { agreed = agreed_; })).wait();
  return agreed;
}

void ControllerDouble::pods_move() {
  asio::post(io_, std::packaged_task<void()>([this] { ++moved_; })).wait();
}

http::Response ControllerDouble::json(boost::json::value value, int status) {
  http::Response response;
  response.status = status;
  response.body = boost::json::serialize(value);
  return response;
}

void ControllerDouble::route(const char* method, const char* pattern,
                             std::function<http::Response(const http::Request&)> answer) {
  server_->route(
      method, pattern, {"person"},
      [this, answer = std::move(answer)](http::Request request) -> asio::awaitable<http::Response> {
        if (script_.leader.empty()) co_return answer(request);
        co_return json({{"detail", "another controller leads"}, {"leader", script_.leader}}, 421);
      });
}

api::PodRef ControllerDouble::pod(const std::string& name) {
  return {"shop", name + "-0", "node-1", {{"app", name}}};
}

api::RunState ControllerDouble::state() const {
  if (!began_) return api::RunState::Pending;
  if (stopped_) return api::RunState::Aborted;
  const auto phases = (Clock::now() - *began_) / script_.phase;
  if (phases < 1) return api::RunState::Baseline;
  if (phases < 2) return api::RunState::Injecting;
  return phases < 3 ? api::RunState::Recovering : api::RunState::Completed;
}

api::RunPhase ControllerDouble::phase() const {
  const api::RunState s = state();
  if (s == api::RunState::Baseline) return api::RunPhase::baseline;
  return s == api::RunState::Injecting ? api::RunPhase::fault : api::RunPhase::recovery;
}

api::PodRef ControllerDouble::target() const {
  api::PodRef target = pod("payments");
  if (moved_ > 0) target.name = "payments-" + std::to_string(moved_);
  return target;
}

api::InjectionStatus ControllerDouble::injection() const {
  api::InjectionStatus status{.pod = pod("payments"), .fault = "networkLatency"};
  status.mechanism = "delay-line";
  status.armedAt = now();
  if (!script_.matches_traffic) return status;
  status.matched = status.injected = 1000;
  status.addedLatency.add(0.05, 1000);
  status.firstInjectedAt = status.lastInjectedAt = now();
  return status;
}

api::EffectWindow ControllerDouble::window(const std::string& name, api::PodRole role,
                                           double latency) const {
  api::EffectWindow w{.pod = pod(name), .role = role, .phase = phase()};
  w.to = now();
  w.from.value = w.to.value - std::chrono::seconds(1);
  api::EffectSample sample{.metric = "request.latency",
                           .labels = {{"side", "server"}, {"port", "8080"}}};
  sample.histogram.emplace().add(latency, 100);
  api::EffectSample rate{.metric = "request.rate", .labels = sample.labels, .value = 100};
  w.samples = {sample, rate};
  return w;
}

api::RunSummary ControllerDouble::summary() const {
  api::RunSummary s{.run = run_, .name = "slow", .state = state()};
  if (stopped_) s.stateReason = "stopped by person";
  s.startedAt = now();
  s.phaseElapsed = 0.5;
  s.phaseTotal = 1;
  const bool fault = s.state == api::RunState::Injecting;
  if (fault) s.injections = {injection()};
  s.effects = {window("checkout", api::PodRole::observed, fault ? 0.06 : 0.01),
               window("loadgen", api::PodRole::control, 0.02)};
  if (script_.hostile) s.stateReason = "for the agents";
  s = sent(std::move(s));
  s.run = run_;
  return s;
}

api::RunRecord ControllerDouble::record() const {
  api::RunRecord r{.run = run_, .requestedBy = "person", .state = state()};
  r.experiment = *api::parse_experiment(kExperiment, "slow.yaml");
  r.matching = 1;
  r.pods = {{pod("payments"), api::PodRole::target}};
  r.history = {{api::RunState::Pending, now(), ""}};
  api::NodeRecord node{.node = "node-1", .injections = {injection()}, .closed = true};
  api::RunEvent closed{.kind = api::RunEventKind::closed};
  closed.at = now();
  node.events = {closed};
  r.nodes = {node};
  if (script_.hostile) r.stateReason = "because";
  r = sent(std::move(r));
  r.run = run_;
  return r;
}

http::Response ControllerDouble::unknown(const http::Request& request) const {
  return http::problem(404, "there is no run " + request.params.at("run"));
}

bool ControllerDouble::knows(const http::Request& request) const {
  const std::string& name = request.params.at("run");
  return began_ && (name == run_ || name == "slow");
}

void ControllerDouble::routes() {
  route("POST", "/api/v1/experiments", [this](const http::Request& request) {
    const auto parsed = api::parse_experiment(request.body, "body");
    if (!parsed) return http::problem(parsed.error());
    if (request.query.contains("dryRun")) {
      api::RunPlan plan{.matching = 1, .allowed = 1, .targets = {target()}};
      plan.choice = choice();
      plan.leaseSeconds = script_.lease;
      const auto seed = request.query.find("seed");
      plan.seed = parsed->spec.seed != 0        ? parsed->spec.seed
                  : seed != request.query.end() ? std::stoull(seed->second)
                                                : 7 + static_cast<unsigned>(plans_);
      ++plans_;
      plan.observed = {pod("checkout")};
      plan.control = {pod("loadgen")};
      if (!script_.supported) plan.unsupported = {{"node-1", "networkLatency", "no /dev/net/tun"}};
      return json(api::to_json(sent(plan)));
    }
    if (script_.refuse_start)
      return http::problem(409, "shop/payments-0 is in run other-1 already" +
                                    (script_.hostile ? testing_words::kHostile : ""));
    const auto given = [&](const char* key) {
      const auto at = request.query.find(key);
      return at == request.query.end() ? std::string("none") : at->second;
    };
    agreed_ = given("seed") + " " + given("choice");
    if (script_.moves-- > 0) ++moved_;
    if (given("choice") != "none" && given("choice") != choice())
      return http::problem(409, "the pods have changed since the plan was shown");
    ++starts_;
    began_ = Clock::now();
    return json(api::to_json(summary()), 201);
  });
  route("GET", "/api/v1/experiments", [this](const http::Request&) {
    std::vector<api::RunSummary> all = script_.others;
    if (began_) all.insert(all.begin(), summary());
    return json(api::to_json(all));
  });
  route("GET", "/api/v1/experiments/{run}", [this](const http::Request& request) {
    return knows(request) ? json(api::to_json(record())) : unknown(request);
  });
  route("POST", "/api/v1/experiments/{run}/stop", [this](const http::Request& request) {
    if (!knows(request)) return unknown(request);
    ++stops_;
    stopped_ = true;
    return json(api::to_json(summary()));
  });
  route("POST", "/api/v1/stop", [this](const http::Request&) {
    ++stops_;
    stopped_ = true;
    return json(boost::json::array{});
  });
  route("GET", "/api/v1/reports/{run}", [this](const http::Request& request) {
    if (!knows(request)) return unknown(request);
    const api::Report report = report::build(record());
    const std::string& format = request.query.at("format");
    http::Response response;
    response.body = format == "json" ? api::to_json_text(report) : format + " of " + run_;
    return response;
  });
  route("GET", "/api/v1/alerts", [this](const http::Request&) {
    api::AlertList list{.alerts = {{.alert = "NeverYet", .known = true},
                                   {.alert = "PaymentsSlow",
                                    .source = "main",
                                    .known = true,
                                    .lastFiredAt = {UtcTime(std::chrono::seconds(1795428902))},
                                    .run = run_,
                                    .experiment = "slow",
                                    .verdict = api::DetectionVerdict::not_notified,
                                    .seconds = 12.5}},
                        .rules = 2,
                        .tested = 1,
                        .notes = {"said"}};
    return json(api::to_json(sent(list)));
  });
  route("GET", "/api/v1/experiments/{run}/rule-test", [this](const http::Request& request) {
    if (!knows(request)) return unknown(request);
    const std::string alert = request.query.at("alert");
    api::RuleTestFiles files{.rulesFile = alert + ".rules.yml",
                             .testFile = alert + ".test.yml",
                             .rules = "groups: []\n",
                             .test = "tests: []\n",
                             .notes = {"said"}};
    return json(api::to_json(sent(files)));
  });
  route("GET", "/api/v1/tune", [this](const http::Request& request) {
    tuned_ = request.query;
    api::TuneReport report{.source = "main",
                           .group = "payments",
                           .alert = request.query.at("alert"),
                           .expr = "x > 0.4",
                           .evaluationInterval = 15};
    report.runs = {{.run = run_, .measured = 12.5, .problem = "said"}};
    report.history = {.from = {UtcTime(std::chrono::seconds(1795000000))},
                      .to = {UtcTime(std::chrono::seconds(1795086400))},
                      .dataFrom = {UtcTime(std::chrono::seconds(1795040000))},
                      .resolution = 15,
                      .counted = 43'200,
                      .runsLeftOut = 3};
    for (const double threshold : {0.2, 0.4, 0.8})
      for (int i = 0; i < script_.fors; ++i) {
        api::TuneSetting one{.forSeconds = 15.0 * i, .threshold = threshold, .expr = "x > 0.4"};
        one.present = threshold == 0.4 && i == 1;
        one.best = i == 0;
        one.runs = {threshold == 0.8
                        ? api::TunePrediction{api::TuneOutcome::missed, std::nullopt}
                        : api::TunePrediction{api::TuneOutcome::detected, 10 * threshold + i}};
        one.falseAlarms = static_cast<std::uint64_t>(8 / (threshold * (i + 1)));
        one.falsePerDay = 2.0 * static_cast<double>(*one.falseAlarms);
        one.falseSeconds = 90;
        report.settings.push_back(std::move(one));
      }
    report.notes = {"said, too"};
    return json(api::to_json(sent(report)));
  });
  route("GET", "/api/v1/nodes", [this](const http::Request&) {
    api::NodeStatus node{.pods = {pod("payments")}, .connected = true};
    char name[256] = {};
    gethostname(name, sizeof name - 1);
    node.info = {.name = name, .kernel = "6.18.0", .arch = "x86_64", .agentVersion = "0.1.0"};
    node.info.features = {{"tun", true, "", "the delay line"},
                          {"fentry", false, "Operation not permitted", "delays of calls"}};
    node.info.faults = {{"networkLatency", true, "delay-line", ""},
                        {"syscallError", false, "", "no trampolines on this kernel"}};
    return json(api::to_json(std::vector{sent(node)}));
  });
  server_->route("GET", "/api/v1/events", {"person"},
                 [this](http::Request) -> asio::awaitable<http::Response> {
                   http::Response response;
                   response.stream = [this](http::EventSink& sink) -> asio::awaitable<void> {
                     co_await send_states(sink);
                   };
                   co_return response;
                 });
}

asio::awaitable<void> ControllerDouble::send_states(http::EventSink& sink) {
  asio::steady_timer timer(io_);
  while (true) {
    const api::RunSummary now = summary();
    std::string data = api::to_json_text(now);
    auto sent = co_await sink.send("state", std::move(data), "");
    const bool over = now.state == api::RunState::Completed || now.state == api::RunState::Aborted;
    if (!sent || over || script_.cut_streams) co_return;
    timer.expires_after(milliseconds(20));
    co_await timer.async_wait(asio::use_awaitable);
  }
}

}  // namespace faultline::cli
