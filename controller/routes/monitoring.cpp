// SPDX-License-Identifier: Apache-2.0
#include "controller/routes/monitoring.h"

#include <algorithm>

#include "base/quoted.h"
#include "controller/endpoint_options.h"
#include "controller/observe/rule_test.h"
#include "controller/observe/tune_ask.h"

namespace faultline::controller {
namespace {

constexpr std::size_t kMostReceivers = 200;

}  // namespace

bool Monitoring::has_prometheus() const {
  return std::ranges::any_of(endpoints_, [](const api::MonitoringEndpoint& endpoint) {
    return endpoint.kind == api::SourceKind::prometheus;
  });
}

Result<observe::SourceOptions> Monitoring::options_of(const api::MonitoringEndpoint& endpoint) {
  auto options = read_options(endpoint);
  if (!options)
    return fail(options.error().with_context("the monitoring's source " + endpoint.name));
  options->reader = reader_;
  // Each source waits for itself: one that is slow holds up no other that has short answers.
  options->long_turn = [this, name = endpoint.name]() {
    return long_.take(name, "long answers of the monitoring");
  };
  return options;
}

Result<observe::MonitoringSources> Monitoring::sources() {
  observe::MonitoringSources out;
  for (const api::MonitoringEndpoint& endpoint : endpoints_) {
    auto options = options_of(endpoint);
    if (!options) return fail(std::move(options.error()));
    (endpoint.kind == api::SourceKind::prometheus ? out.prometheus : out.alertmanager)
        .push_back(std::move(*options));
  }
  out.room = room_;
  std::set<std::string> observed = receivers();
  observed.insert(kOwnReceiver);
  out.observed_receivers.assign(observed.begin(), observed.end());
  return out;
}

boost::asio::awaitable<Result<std::shared_ptr<void>>> Monitoring::turn(std::string caller) {
  std::string what = "questions to the monitoring";
  co_return co_await turns_.take(std::move(caller), std::move(what));
}

boost::asio::awaitable<Result<std::shared_ptr<observe::Watcher>>> Monitoring::begin(
    api::Experiment experiment, std::string caller) {
  auto made = watcher(std::move(experiment));
  if (!made) co_return fail(std::move(made.error()));
  const auto begun = co_await begin(*made, std::move(caller));
  if (!begun) co_return fail(begun.error());
  co_return std::move(*made);
}

Result<std::shared_ptr<observe::Watcher>> Monitoring::watcher(api::Experiment experiment) {
  auto from = sources();
  if (!from) return fail(std::move(from.error()));
  return std::make_shared<observe::Watcher>(executor_, std::move(*from), std::move(experiment),
                                            clock_);
}

boost::asio::awaitable<Result<>> Monitoring::begin(std::shared_ptr<observe::Watcher> watcher,
                                                   std::string caller) {
  const auto mine = co_await turn(std::move(caller));
  if (!mine) co_return fail(mine.error());
  co_await watcher->begin();
  co_return Result<>{};
}

Result<observe::SourceOptions> Monitoring::prometheus(const std::string& name) {
  const auto endpoint = std::ranges::find_if(endpoints_, [&](const api::MonitoringEndpoint& one) {
    return one.name == name && one.kind == api::SourceKind::prometheus;
  });
  if (endpoint == endpoints_.end())
    return fail(Errc::kNotFound, "the Prometheus of that run, " + in_quotes(name) +
                                     ", is no source of this controller any more");
  return options_of(*endpoint);
}

boost::asio::awaitable<Result<std::vector<observe::Series>>> Monitoring::samples(
    std::string source, std::string expr, double from, double to, std::string caller) {
  auto options = prometheus(source);
  if (!options) co_return fail(std::move(options.error()));
  const auto mine = co_await turn(std::move(caller));
  if (!mine) co_return fail(mine.error());
  observe::Prometheus client(executor_, std::move(*options), clock_);
  co_return co_await observe::samples_of(client, std::move(expr), from, to);
}

boost::asio::awaitable<Result<observe::TuneData>> Monitoring::tune(observe::TuneQuestion question,
                                                                   std::string caller) {
  auto options = prometheus(question.recorded.source);
  if (!options) co_return fail(std::move(options.error()));
  std::string who = caller, what = "questions of this kind";
  const auto mine = co_await tuning_.take(std::move(who), std::move(what));
  if (!mine) co_return fail(mine.error());
  observe::Prometheus client(executor_, std::move(*options), clock_);
  observe::TuneTurn each = [this, caller = std::move(caller)] { return turn(caller); };
  co_return co_await observe::ask_tune(client, std::move(question), std::move(each), clock_);
}

boost::asio::awaitable<Result<std::vector<observe::ActiveAlert>>> Monitoring::firing(
    std::string caller) {
  auto from = sources();
  if (!from) co_return fail(std::move(from.error()));
  if (from->prometheus.empty()) co_return fail(Errc::kNotFound, "there is no Prometheus to ask");
  const auto mine = co_await turn(std::move(caller));
  if (!mine) co_return fail(mine.error());
  std::vector<observe::ActiveAlert> firing;
  for (observe::SourceOptions& options : from->prometheus) {
    observe::Prometheus client(executor_, std::move(options), clock_);
    auto alerts = co_await client.alerts();
    if (!alerts) co_return fail(std::move(alerts.error()));
    for (observe::ActiveAlert& alert : *alerts)
      if (alert.firing) firing.push_back(std::move(alert));
  }
  co_return firing;
}

boost::asio::awaitable<Monitoring::Answered> Monitoring::value(Standing query, std::string caller) {
  Answered answer;
  std::string what = "queries of game days";
  Turns& turns = query.slow ? slow_ : quick_;
  const auto mine = co_await turns.take(std::move(caller), std::move(what));
  if (!mine) {
    answer.value = fail(mine.error());
    co_return answer;
  }
  answer.sent = clock_.steady();
  if (query.sending) query.sending();
  auto from = sources();
  if (!from) {
    answer.value = fail(std::move(from.error()));
    co_return answer;
  }
  if (from->prometheus.empty()) {
    answer.value = fail(Errc::kNotFound, "there is no Prometheus to ask");
    co_return answer;
  }
  observe::Prometheus client(executor_, std::move(from->prometheus.front()), clock_);
  const double now = std::chrono::duration<double>(clock_.utc().time_since_epoch()).count();
  const auto value = co_await client.number_in_part(std::move(query.promql), now);
  if (!value)
    answer.value = fail(value.error());
  else if (!value->missing.empty())
    answer.value = fail(Errc::kInvalid, client.options().name + ": " + value->missing);
  else if (!value->value)
    answer.value = fail(Errc::kNotFound, "the query has no value, or several, expected one");
  else
    answer.value = *value->value;
  co_return answer;
}

void Monitoring::heard_of(const std::string& receiver) {
  const SteadyTime now = clock_.steady();
  std::erase_if(receivers_, [&](const auto& one) { return now - one.second >= kHeard; });
  if (receivers_.size() < kMostReceivers || receivers_.contains(receiver))
    receivers_[receiver] = now;
}

std::set<std::string> Monitoring::receivers() const {
  std::set<std::string> out;
  for (const auto& [receiver, heard] : receivers_)
    if (clock_.steady() - heard < kHeard) out.insert(receiver);
  return out;
}

}  // namespace faultline::controller
