// SPDX-License-Identifier: Apache-2.0
#include "agent/link/agent.h"

#include <malloc.h>
#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <random>

#include "agent/kernel/netns.h"
#include "agent/link/agent_metrics.h"
#include "agent/link/sleep.h"

namespace faultline::agent {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMostAddresses = 16;  // of a pod, as api/detail/rules_messages.h has it

std::string random_instance() {
  static constexpr char kHex[] = "0123456789abcdef";
  std::random_device random;
  std::string text;
  for (int i = 0; i < 4; ++i) {
    unsigned bits = random();
    for (int n = 0; n < 8; ++n, bits >>= 4) text += kHex[bits & 15];
  }
  return text;
}

NetnsId own_netns() {
  const auto id = netns_id("/proc/self/ns/net");
  return id ? *id : NetnsId{};
}

const FaultType* fault_named(std::string_view name) { return find_fault(name); }

// A coroutine that ends by an exception is an error of ours: better to end, which ends every fault,
// than to go on without it.
void must_not_throw(const std::exception_ptr& error) {
  if (error) std::rethrow_exception(error);
}

}  // namespace

Agent::Agent(asio::io_context& loop, const Clock& clock, const FeatureProbe& features,
             TargetSource& source, api::NodeInfo info, AgentOptions options)
    : loop_(loop),
      clock_(clock),
      source_(source),
      options_(std::move(options)),
      reconciler_({clock, features, fault_named, collector_registry(), kernel_, own_netns(),
                   options_.observe ? [this](const std::string& pod) {
                     if (observer_) observer_->faults_changed(pod);
                   } : std::function<void(const std::string&)>(),
                   machine_slept, options_.may_probe_tls}),
      link_(loop, clock, options_.link, Conversation(random_instance(), std::move(info)),
            {.news = [this] { return news(); },
             .answered = [this](const api::SyncResponse& response,
                                AnswerTimes times) { answered(response, times); }}),
      tick_timer_(loop),
      pods_timer_(loop),
      observe_timer_(loop) {
  if (options_.observe)
    observer_ = std::make_unique<Observer>(clock, features, collector_registry(),
                                           reconciler_.ledger(), *options_.observe);
}

Agent::~Agent() { link_.stop_thread(); }

Result<> Agent::start() {
  // The authorities of a controller in a cluster come when it has made them.
  if (auto read = link_.link().read_files(); !read) {
    if (options_.link.ca_file.empty() || read.error().code != Errc::kNotFound)
      return fail(read.error());
    spdlog::warn("not yet: {}", read.error().message);
  }
  if (options_.listen) {
    auto started = serve(*options_.listen, true);
    if (!started) return fail(started.error());
    server_ = std::move(*started);
  }
  if (options_.probes) {
    auto started = serve(*options_.probes, false);
    if (!started) return fail(started.error());
    probes_ = std::move(*started);
  }
  give_pods();
  link_.start();
  asio::co_spawn(loop_, pods_loop(), must_not_throw);
  if (observer_) asio::co_spawn(loop_, observe_loop(), must_not_throw);
  malloc_trim(0);  // what trying the features took
  return {};
}

OwnerNews Agent::news() {
  return {.batches = reconciler_.drain(),
          .situation = {reconciler_.lease(), reconciler_.wants_answer()},
          .armed_lease = reconciler_.armed_lease(),
          .acting = reconciler_.acting()};
}

// Runs only while a run is up.
asio::awaitable<void> Agent::tick_loop() {
  while (!ending_ && reconciler_.active()) {
    // The rest of this loop is served in between.
    const std::chrono::milliseconds pause = reconciler_.busy() ? kBreath : kTick;
    co_await sleep(tick_timer_, pause);
    if (ending_) break;
    const bool was = reconciler_.active();
    reconciler_.tick();
    if (was && !reconciler_.active()) {
      link_.wake();  // the last words of the run
      malloc_trim(0);
    }
  }
}

asio::awaitable<void> Agent::pods_loop() {
  while (!ending_) {
    // A pod that is away is usually on its way back.
    const bool awaited = std::ranges::any_of(source_.missing(), &MissingPod::awaited);
    co_await sleep(pods_timer_, !reconciler_.active() ? kPodsIdle
                                : awaited             ? kPodsAway
                                                      : kPodsBusy);
    // News come in bursts: one look for all of them.
    if (std::exchange(pods_news_, false)) co_await sleep(pods_timer_, kPodsAway);
    if (!ending_) look_at_pods();
  }
}

void Agent::pods_changed() {
  pods_news_ = true;
  pods_timer_.cancel();
}

asio::awaitable<void> Agent::observe_loop() {
  while (!ending_) {
    const std::chrono::milliseconds pause =
        observer_->busy() ? kBreath : std::chrono::milliseconds(1000);
    co_await sleep(observe_timer_, pause);
    if (ending_) break;
    if (observer_->busy())
      observer_->go_on();
    else
      observer_->tick();
  }
}

void Agent::look_at_pods() {
  auto changed = source_.poll();
  if (!changed) {
    if (source_error_ != changed.error().message) spdlog::warn("{}", changed.error().message);
    source_wrong(changed.error().message);
    return;
  }
  source_wrong({});
  if (*changed) give_pods();
}

void Agent::source_wrong(std::string error) {
  if (source_error_ == error) return;
  source_error_ = std::move(error);
  const std::scoped_lock lock(mutex_);
  source_not_ready_ = source_error_;
}

void Agent::give_pods() {
  for (const MissingPod& pod : source_.missing())
    if (std::find(missing_told_.begin(), missing_told_.end(), pod) == missing_told_.end())
      spdlog::log(pod.awaited ? spdlog::level::warn : spdlog::level::info, "{}{} is not there: {}",
                  pod.container.empty() ? "" : "container " + pod.container + " of ", pod.ref.id(),
                  pod.reason);
  missing_told_ = source_.missing();
  // Faults first: a pod that restarted must not be without them for long.
  reconciler_.pods(source_.pods());
  if (observer_) observer_->pods(source_.pods());
  std::vector<api::PodRef> refs;
  for (const Pod& pod : source_.pods()) {
    api::PodRef& ref = refs.emplace_back(pod.ref);
    // By these the controller knows whom a `peer` stands for. The language takes so many.
    ref.addresses = pod.addresses;
    if (ref.addresses.size() > kMostAddresses) ref.addresses.resize(kMostAddresses);
  }
  link_.pods(std::move(refs));
}

void Agent::answered(const api::SyncResponse& response, AnswerTimes times) {
  if (ending_) return;  // the last words were taken; what is wanted is for the next agent
  const bool was = reconciler_.active();
  // A run that begins must find the pods as they are now, not as they were two seconds ago.
  if (!was && !response.runs.empty()) look_at_pods();
  reconciler_.answer(response.runs, times);
  if (was || !reconciler_.active()) return;
  pods_timer_.cancel();
  asio::co_spawn(loop_, tick_loop(), must_not_throw);
}

asio::awaitable<void> Agent::end() {
  ending_ = true;
  reconciler_.shutdown();
  observer_.reset();
  tick_timer_.cancel();
  pods_timer_.cancel();
  observe_timer_.cancel();
  auto link_ended = asio::co_spawn(link_.executor(), end_link(), asio::use_awaitable);
  co_await std::move(link_ended);
}

asio::awaitable<void> Agent::end_link() {
  const bool told = co_await link_.end(kFlush);
  if (!told) spdlog::warn("the controller did not take the last measurements");
  if (server_) {
    co_await server_->stop(std::chrono::milliseconds(200));
  }
  if (probes_) {
    co_await probes_->stop(std::chrono::milliseconds(200));
  }
}

// Nobody has a name here, so that a new connection takes the place of an idle one: however many
// somebody holds, a probe is answered.
Result<std::unique_ptr<http::Server>> Agent::serve(const AgentOptions::Listen& listen,
                                                   bool metrics) {
  http::ServerOptions options;
  options.address = listen.address;
  options.port = listen.port;
  options.max_header = 4 << 10;
  options.max_connections = options.max_unnamed = 64;
  options.max_unnamed_of_address = 16;
  options.unnamed_per_second = 10;
  options.max_bodies = 64 << 10;
  options.max_answers = 8 << 20;
  auto server = std::make_unique<http::Server>(link_.executor(), options);
  const auto text = [](int status, std::string body) {
    http::Response response;
    response.status = status;
    response.content_type = "text/plain; charset=utf-8";
    response.body = std::move(body);
    return response;
  };
  server->route("GET", "/healthz", {},
                [this, text](http::Request) -> asio::awaitable<http::Response> {
                  if (link_.silence() < kSick) co_return text(200, "ok\n");
                  co_return text(503, "the agent has done nothing for two minutes\n");
                },
                {.always = true});
  server->route("GET", "/readyz", {},
                [this, text](http::Request) -> asio::awaitable<http::Response> {
                  const std::string why = not_ready();
                  co_return why.empty() ? text(200, "ok\n") : text(503, why + "\n");
                },
                {.always = true});
  if (metrics)
    server->route("GET", "/metrics", {},
                  [this, text](http::Request) -> asio::awaitable<http::Response> {
                    std::string body = co_await metrics_text();
                    http::Response response = text(200, std::move(body));
                    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
                    co_return response;
                  });
  if (auto started = server->start(); !started) return fail(started.error());
  return server;
}

std::string Agent::not_ready() const {
  const LinkCounts& counts = link_.link().counts();
  if (!counts.last_answer)
    return counts.last_error.empty() ? "the controller has not answered yet" : counts.last_error;
  if (!counts.last_error.empty()) return counts.last_error;
  const std::scoped_lock lock(mutex_);
  return source_not_ready_;
}

AgentFigures Agent::figures() const {
  AgentFigures figures;
  const Reconciler::Shown shown = reconciler_.shown();
  figures.counts = shown.counts;
  figures.runs = shown.runs;
  figures.armed = shown.armed;
  figures.pods = source_.pods().size();
  if (observer_) {
    figures.observed = observer_->size();
    figures.counts.gaps += observer_->gaps();
  }
  return figures;
}

asio::awaitable<Agent::Shown> Agent::shown() {
  co_return Shown{figures(), observer_ ? observer_->metrics().text() : ""};
}

asio::awaitable<std::string> Agent::metrics_text() {
  auto asked = asio::co_spawn(loop_, shown(), asio::use_awaitable);
  Shown shown = co_await std::move(asked);
  AgentFigures& figures = shown.figures;
  figures.link = link_.link().counts();
  const Outbox& outbox = link_.link().conversation().outbox();
  figures.windows_dropped = outbox.dropped_windows();
  figures.batches_waiting = outbox.size();
  co_return agent_metrics_text(figures) + shown.of_pods;
}

}  // namespace faultline::agent
