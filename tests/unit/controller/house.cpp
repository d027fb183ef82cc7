// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/controller/house.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/packaged_task.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

namespace faultline::controller::test {

api::MonitoringEndpoint endpoint(const std::string& name, const std::string& url,
                                 std::chrono::nanoseconds timeout) {
  api::MonitoringEndpoint out;
  out.name = name;
  out.kind = api::SourceKind::prometheus;
  out.url = url;
  out.timeout.value = timeout;
  return out;
}

House::House(const HouseOptions& options) {
  if (!options.audit_path.empty()) audit_ = *AuditLog::open(options.audit_path, clock_, "c1");
  auto service = Service::open(loop_.get_executor(), clock_,
                               {.store_path = options.store_path,
                                .times = options.times,
                                .journaled = static_cast<bool>(options.journal),
                                .audit = audit_.get()});
  if (!service) {
    ADD_FAILURE() << service.error().message;
    return;
  }
  service_ = *service;
  if (options.may || options.leadership) service_->authority(options.may, options.leadership);
  if (options.config_maps) service_->config_maps(options.config_maps);
  if (options.secrets) service_->secrets(options.secrets);
  if (options.journal) options.journal(loop_.get_executor(), clock_, *service_);
  service_->destinations(options.events);
  std::vector<api::MonitoringEndpoint> sources = options.monitoring;
  if (!options.prometheus.empty()) sources.push_back(endpoint("main", options.prometheus));
  if (!sources.empty()) {
    service_->rules({.has_prometheus = true});
    service_->monitoring(std::move(sources));
  }
  server_ = std::make_unique<http::Server>(
      loop_.get_executor(), http::ServerOptions{.port = options.port, .max_body = 16 << 20});
  server_->authenticator(
      [](const http::Request& request) -> boost::asio::awaitable<Result<http::Identity>> {
        const std::string token = http::bearer(request);
        http::Identity who;
        if (token == "agent-token") who.role = "agent";
        if (token == "person-token") who.role = "person";
        if (token == "notifier-token") who.role = "notifier";
        if (token == "chat-token") who.role = "chat";
        if (token == "jane-token" || token == "joe-token") {
          who.role = "person";
          who.user = token.substr(0, token.find('-'));
        }
        co_return who;
      });
  service_->add_routes(*server_);
  const auto started = server_->start();
  EXPECT_TRUE(started);
  port_ = server_->port();
  service_->start();
  thread_ = std::thread([this] { loop_.run(); });
  if (!options.journal) return;
  const auto leads =
      boost::asio::co_spawn(loop_, service_->take_over(), boost::asio::use_future).get();
  EXPECT_TRUE(leads) << leads.error().message;
}

House::~House() {
  if (thread_.joinable()) end();
}

std::chrono::nanoseconds House::end() {
  const auto began = clock_.steady();
  boost::asio::co_spawn(loop_, ending(), boost::asio::use_future).get();
  const auto took = clock_.steady() - began;
  thread_.join();
  return took;
}

void House::destinations(std::vector<api::EventDestination> events) {
  boost::asio::post(loop_, std::packaged_task<void()>([this, events = std::move(events)] {
                      service_->destinations(events);
                    }))
      .wait();
}

void House::monitoring(std::vector<api::MonitoringEndpoint> sources) {
  boost::asio::post(loop_, std::packaged_task<void()>([this, sources = std::move(sources)] {
                      service_->monitoring(sources);
                    }))
      .wait();
}

void House::kill() {
  loop_.stop();
  thread_.join();
  // What its store was told to write before is written, and nothing of it is when the next one
  // reads.
  service_->close();
  service_.reset();
  server_.reset();
}

http::ClientOptions House::client(const std::string& token) const {
  return {.base_url = "http://127.0.0.1:" + std::to_string(port_), .bearer_token = token};
}

http::ClientResponse House::call(const std::string& method, const std::string& target,
                                 const std::string& body, const std::string& token) const {
  auto response = http::request_blocking(client(token), method, target, body, seconds(10));
  if (!response) {
    ADD_FAILURE() << method << " " << target << ": " << response.error().message;
    return {};
  }
  return std::move(*response);
}

boost::json::value House::get(const std::string& target) const {
  return boost::json::parse(call("GET", target).body);
}

api::RunRecord House::record(const std::string& run) const {
  auto parsed = api::from_json_text<api::RunRecord>(call("GET", "/api/v1/experiments/" + run).body);
  if (parsed) return std::move(*parsed);
  ADD_FAILURE() << parsed.error().message;
  return {};
}

api::RunRecord House::until(const std::string& run, api::RunState state,
                            std::chrono::nanoseconds limit) const {
  const auto late = clock_.steady() + limit;
  api::RunRecord last = record(run);
  while (last.state != state && clock_.steady() < late) {
    std::this_thread::sleep_for(milliseconds(10));
    last = record(run);
  }
  EXPECT_EQ(last.state, state) << last.stateReason;
  return last;
}

boost::asio::awaitable<void> House::ending() {
  co_await service_->end_runs(seconds(5));
  co_await server_->stop(milliseconds(300));
  service_->close();
}

AgentDouble::AgentDouble(http::ClientOptions client, std::string node, std::string instance,
                         bool blocks, const std::string& space)
    : client_(std::move(client)),
      node_(std::move(node)),
      instance_(std::move(instance)),
      blocks_(blocks) {
  pods_ = {pod(space, "payments-" + node_, "", {{"app", "payments"}}),
           pod(space, "idle-" + node_, "", {{"app", "idle"}})};
  thread_ = std::thread([this] { run(); });
}

void AgentDouble::end() {
  ends_ = true;
  if (thread_.joinable()) thread_.join();
}

SteadyTime AgentDouble::told_at(std::optional<api::RunPhase> phase) const {
  const std::lock_guard lock(mutex_);
  const auto found = told_.find(phase);
  return found == told_.end() ? SteadyTime{} : found->second;
}

void AgentDouble::run() {
  std::uint64_t revision = 0;
  bool describe = true;
  while (!ends_) {
    api::SyncRequest request{.instance = instance_,
                             .knownRevision = revision,
                             .waitSeconds = runs_.empty() ? 0.3 : 0.05,
                             .sentAt = {clock_.utc()}};
    if (describe) {
      request.info = node_info(node_);
      request.pods = pods_;
    }
    for (auto& [id, known] : runs_) measure(known);
    request.batches = waiting_;
    const auto response =
        http::request_blocking(client_, "POST", "/api/v1/nodes/" + node_ + "/sync",
                               api::to_json_text(request), seconds(10));
    const SteadyTime now = clock_.steady();
    if (!response || response->status != 200) {
      ++refused_;
      std::this_thread::sleep_for(milliseconds(50));
      continue;
    }
    const auto answer = api::from_json_text<api::SyncResponse>(response->body);
    if (!answer) break;
    revision = answer->revision;
    describe = answer->sendInfo;
    std::erase_if(waiting_,
                  [&](const api::NumberedBatch& b) { return b.number <= answer->ackedBatch; });
    obey(answer->runs, now);
  }
}

void AgentDouble::obey(const std::vector<api::DesiredRun>& wanted, SteadyTime now) {
  for (const api::DesiredRun& desired : wanted) {
    Known& known = runs_[desired.run];
    const bool is_new = !known.measuring;
    if (is_new) {
      known = {desired, clock_.utc(), true};
      report(desired, api::RunEventKind::measuring);
    }
    if (!is_new && known.desired.phase == desired.phase) continue;
    known.desired = desired;
    note(desired.phase, now);
    if (desired.phase == api::RunPhase::fault) {
      armed_at_ = clock_.utc();
      report(desired, api::RunEventKind::armed);
    }
    if (desired.phase == api::RunPhase::recovery) report(desired, api::RunEventKind::disarmed);
  }
  std::erase_if(runs_, [&](const auto& known) {
    for (const api::DesiredRun& desired : wanted)
      if (desired.run == known.first) return false;
    note(std::nullopt, now);
    report(known.second.desired, api::RunEventKind::closed);
    return true;
  });
}

void AgentDouble::note(std::optional<api::RunPhase> phase, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  told_.emplace(phase, now);
}

api::InjectionStatus AgentDouble::status(const api::DesiredRun& desired) {
  api::InjectionStatus status = injection(desired.pods.at(0).pod, 1000, 1000);
  if (blocks_) {
    status = injection(desired.pods.at(0).pod, 0, 0);
    status.armedAt = {};
    status.state = api::InjectionState::blocked;
    status.reason = "no host-side interface";
    return status;
  }
  status.armedAt = {armed_at_};
  status.firstInjectedAt = {armed_at_ + milliseconds(1)};
  status.lastInjectedAt = {clock_.utc()};
  status.addedLatency.add(0.050, 1000);
  if (desired.phase == api::RunPhase::recovery) {
    status.state = api::InjectionState::disarmed;
    status.disarmedAt = {clock_.utc()};
  }
  return status;
}

void AgentDouble::report(const api::DesiredRun& desired, api::RunEventKind kind) {
  api::RunBatch batch{.run = desired.run, .phase = desired.phase};
  if (kind == api::RunEventKind::armed || kind == api::RunEventKind::disarmed)
    batch.injections = {status(desired)};
  batch.events = {event(kind, clock_.utc())};
  waiting_.push_back({++number_, std::move(batch)});
}

void AgentDouble::measure(Known& known) {
  const UtcTime now = clock_.utc();
  api::RunBatch batch{.run = known.desired.run, .phase = known.desired.phase};
  for (const api::RunPod& pod : known.desired.pods) {
    api::EffectWindow window{.pod = pod.pod,
                             .role = pod.role,
                             .phase = known.desired.phase,
                             .from = {known.measured_until},
                             .to = {now}};
    api::EffectSample sample{.metric = "request.latency",
                             .labels = {{"side", "server"}, {"port", "8080"}},
                             .histogram = api::Histogram{}};
    sample.histogram->add(known.desired.phase == api::RunPhase::fault ? 0.052 : 0.002, 20);
    window.samples = {sample};
    batch.windows.push_back(std::move(window));
  }
  known.measured_until = now;
  waiting_.push_back({++number_, std::move(batch)});
}

}  // namespace faultline::controller::test
