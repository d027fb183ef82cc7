// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/cluster_side.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controller/kubernetes/review.h"
#include "http/token.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;

constexpr std::chrono::minutes kLookAtCertificate{1};
constexpr std::chrono::seconds kTryAgain{2};
constexpr std::chrono::milliseconds kTakeOverAgain{500};

CertificatesOptions certificates_of(const ClusterOptions& options) {
  CertificatesOptions made;
  made.ns = options.ns;
  const std::string in_namespace = options.service + "." + options.ns;
  made.subject = {in_namespace + ".svc",
                  {options.service, in_namespace, in_namespace + ".svc",
                   in_namespace + ".svc.cluster.local", "localhost"},
                  {"127.0.0.1"}};
  made.certificate_file = options.state_dir + "/tls.crt";
  made.key_file = options.state_dir + "/tls.key";
  return made;
}

// Name and address in one: whoever reads the lease knows where the leader is.
std::string identity_of(const ClusterOptions& options) {
  return options.address.empty() ? options.identity : options.identity + "_" + options.address;
}

// A leader that is gone is replaced within 10 s and a retry.
kube::LeaderOptions election_of(const ClusterOptions& options) {
  kube::LeaderOptions made;
  made.ns = options.ns;
  made.name = "faultline-controller";
  made.identity = identity_of(options);
  made.lease_duration = std::chrono::seconds(10);
  made.renew_deadline = std::chrono::milliseconds(8'000);
  made.retry_period = std::chrono::milliseconds(1'000);
  return made;
}

std::string client_authority_file(const ClusterOptions& options) {
  return options.state_dir + "/client-ca.crt";
}

AdmissionOptions admission_of(const ClusterOptions& options) {
  AdmissionOptions made = options.admission;
  made.controller = "system:serviceaccount:" + options.ns + ":faultline-controller";
  return made;
}

AccessOptions access_of(const ClusterOptions& options) {
  AccessOptions made;
  made.ns = options.ns;
  return made;
}

}  // namespace

ClusterSide::ClusterSide(boost::asio::any_io_executor executor, kube::Config config,
                         const Clock& clock, ClusterOptions options)
    : executor_(executor),
      client_(executor, std::move(config)),
      clock_(clock),
      options_(std::move(options)),
      access_(client_, clock, access_of(options_)),
      proofs_(client_, clock, {.ns = options_.ns, .service = options_.service}),
      admission_(access_, proofs_, clock, admission_of(options_)),
      day_admission_(access_, proofs_, clock, admission_of(options_)),
      certificates_(client_, clock, certificates_of(options_)),
      client_authority_(client_, client_authority_file(options_)),
      namespaces_(executor, client_, clock, {.collection = kube::namespaces()},
                  {.added = [this](const auto&) { tell_namespaces(); },
                   .modified = [this](const auto&, const auto&) { tell_namespaces(); },
                   .deleted = [this](const auto&) { tell_namespaces(); },
                   .synced = [this] { tell_namespaces(); }}),
      services_(executor, client_, clock, options_.services),
      elector_(executor, client_.config(), clock, election_of(options_),
               {.started =
                    [this] {
                      if (!lost_touch_)
                        boost::asio::co_spawn(executor_, lead(), boost::asio::detached);
                    },
                .stopped =
                    [this] {
                      operator_.reset();
                      day_operator_.reset();
                      run_events_.reset();
                      audit({.via = "leader", .verb = stopping_ ? "give back" : "deposed"});
                      if (stopping_ || lost_touch_ || !ended_) return;
                      lost_touch_ = elector_.holder() == identity_of(options_);
                      ended_(lost_touch_ ? End::kLostTouch : End::kDeposed);
                    },
                .observed =
                    [](const std::string& who) {
                      spdlog::info("leader: {}", who.empty() ? "nobody" : who);
                    }}),
      certificate_timer_(executor) {}

ClusterSide::~ClusterSide() = default;

awaitable<Result<>> ClusterSide::prepare(SteadyTime until) {
  for (std::string told;;) {
    auto made = co_await maintain();
    if (made) co_await know_clients();
    if (made || clock_.steady() >= until || stopping_) co_return made;
    if (told != made.error().message) spdlog::warn("not yet: {}", made.error().message);
    told = made.error().message;
    certificate_timer_.expires_after(kTryAgain);
    boost::system::error_code ignored;
    co_await certificate_timer_.async_wait(
        boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  }
}

awaitable<Result<>> ClusterSide::maintain() {
  auto kept = co_await proofs_.maintain();
  if (!kept || !options_.tls_certificate.empty()) co_return kept;
  co_return co_await certificates_.maintain();
}

http::ServerTls ClusterSide::tls() const {
  const std::string clients = client_authority_file(options_);
  if (!options_.tls_certificate.empty())
    return {options_.tls_certificate, options_.tls_key, clients, true};
  const CertificatesOptions files = certificates_of(options_);
  return {files.certificate_file, files.key_file, clients, true};
}

http::Authenticator ClusterSide::authenticator() {
  return [this](const http::Request& request) -> awaitable<Result<http::Identity>> {
    std::string token = http::bearer(request);
    if (token.empty()) co_return Access::certified(request.client, clock_.utc());
    co_return co_await access_.identify(std::move(token));
  };
}

Result<> ClusterSide::start(RunControl& runs, DayControl& days, std::function<void(End)> ended) {
  runs_ = &runs;
  days_ = &days;
  ended_ = std::move(ended);
  namespaces_.start();
  services_.start();
  boost::asio::co_spawn(executor_, certificate_loop(), boost::asio::detached);
  return elector_.start();
}

void ClusterSide::audit(AuditEntry entry) {
  if (options_.audit) options_.audit(std::move(entry));
}

awaitable<Result<>> ClusterSide::admitted(boost::json::object object, api::Experiment experiment) {
  AuditEntry entry{.via = "operator", .verb = "start"};
  entry.ns = experiment.metadata.namespace_;
  entry.experiment = experiment.metadata.name;
  const auto& notes = experiment.metadata.annotations;
  // What it says, which nothing proves.
  if (const auto asked = notes.find(kRequestedBy); asked != notes.end())
    entry.requested_by = asked->second;
  auto checked = co_await proofs_.check_created(std::move(object), experiment);
  if (checked) checked = co_await still_may(std::move(experiment));
  if (checked || checked.error().code == Errc::kUnavailable) co_return checked;
  entry.allowed = false;
  entry.reason = checked.error().message;
  audit(std::move(entry));
  co_return checked;
}

// The proof says that who asked might do it then. A moment later that is still remembered
// (kube::Reviews); a night later it is asked anew.
awaitable<Result<>> ClusterSide::still_may(api::Experiment experiment) {
  const auto& notes = experiment.metadata.annotations;
  const auto asker = read_asker(notes.at(kRequestedBy), notes.at(kRequestedAs));
  if (!asker) co_return fail(asker.error());
  http::Identity who = review::person_of(*asker);
  experiment = in_own_namespace(std::move(experiment));
  Scope scope = scope_of(experiment);
  scope.hit.insert(experiment.metadata.namespace_);
  auto may = co_await access_.may_run(std::move(who), std::move(scope));
  if (may || may.error().code != Errc::kDenied) co_return may;
  co_return fail(may.error().with_context("asked again before it begins"));
}

// Who created it. That they may each step is asked when the day is made, and before each run.
awaitable<Result<Asker>> ClusterSide::day_admitted(boost::json::object object, api::GameDay day) {
  AuditEntry entry{.via = "operator", .verb = "create-gameday"};
  entry.ns = day.metadata.namespace_;
  entry.experiment = day.metadata.name;
  const auto notes = day.metadata.annotations;
  // What it says, which nothing proves.
  if (const auto asked = notes.find(kRequestedBy); asked != notes.end())
    entry.requested_by = asked->second;
  ProofSubject subject = subject_of(day);
  const auto checked = co_await proofs_.check_created(std::move(object), std::move(subject));
  if (checked) co_return read_asker(notes.at(kRequestedBy), notes.at(kRequestedAs));
  if (checked.error().code != Errc::kUnavailable) {
    entry.allowed = false;
    entry.reason = checked.error().message;
    audit(std::move(entry));
  }
  co_return fail(checked.error());
}

awaitable<void> ClusterSide::lead() {
  spdlog::info("this controller leads");
  for (std::string told; elector_.leads() && !stopping_;) {
    const auto taken = co_await runs_->take_over();
    if (taken) break;
    if (told != taken.error().message) spdlog::warn("not yet: {}", taken.error().message);
    told = taken.error().message;
    boost::asio::steady_timer timer(executor_, kTakeOverAgain);
    co_await timer.async_wait(boost::asio::use_awaitable);
  }
  if (!elector_.leads() || stopping_) co_return;
  audit({.via = "leader", .verb = "lead"});
  OperatorOptions options;
  options.admitted = [this](boost::json::object object, api::Experiment experiment) {
    return admitted(std::move(object), std::move(experiment));
  };
  options.kept_for = options_.kept_for;
  run_events_ = std::make_unique<RunEvents>(executor_, client_, clock_, *runs_);
  run_events_->start();
  operator_ = std::make_unique<Operator>(executor_, client_, clock_, *runs_, std::move(options));
  operator_->start();
  DayOperatorOptions of_days;
  of_days.kept_for = options_.kept_for;
  of_days.admitted = [this](boost::json::object object, api::GameDay day) {
    return day_admitted(std::move(object), std::move(day));
  };
  of_days.said = [this](boost::json::object object) {
    return proofs_.check_word(std::move(object));
  };
  day_operator_ =
      std::make_unique<DayOperator>(executor_, client_, clock_, *days_, std::move(of_days));
  day_operator_->start();
}

awaitable<void> ClusterSide::certificate_loop() {
  while (!stopping_) {
    boost::system::error_code error;
    certificate_timer_.expires_after(kLookAtCertificate);
    co_await certificate_timer_.async_wait(
        boost::asio::redirect_error(boost::asio::use_awaitable, error));
    if (stopping_) co_return;
    co_await know_clients();
    const auto kept = co_await maintain();
    const std::string said = kept ? std::string() : kept.error().message;
    if (!said.empty() && said != certificate_error_) spdlog::warn("{}", said);
    certificate_error_ = said;
  }
}

awaitable<void> ClusterSide::know_clients() {
  const auto known = co_await client_authority_.maintain();
  const std::string said = known ? std::string() : known.error().message;
  if (!said.empty() && said != client_authority_error_) spdlog::warn("TLS: {}", said);
  client_authority_error_ = said;
}

awaitable<void> ClusterSide::stop() {
  stopping_ = true;
  certificate_timer_.cancel();
  namespaces_.stop();
  services_.stop();
  if (operator_) operator_->stop();
  if (day_operator_) day_operator_->stop();
  if (run_events_) run_events_->stop();
  const auto told = co_await elector_.stop();
  if (!told) spdlog::warn("the leadership could not be given back: {}", told.error().message);
}

Leadership ClusterSide::leadership() const {
  const std::string& holder = elector_.holder();
  const bool ours = holder == identity_of(options_);
  Leadership now;
  now.leads = elector_.leads() || (lost_touch_ && ours);
  now.term = static_cast<std::uint64_t>(elector_.transitions()) + 1;
  if (ours) return now;
  const std::size_t end = holder.find('_');
  now.leader = holder.substr(0, end);
  if (end != holder.npos) now.address = holder.substr(end + 1);
  return now;
}

std::string ClusterSide::not_ready() const {
  if (!namespaces_.state().synced) return "the API server has not said which namespaces there are";
  return {};
}

void ClusterSide::tell_namespaces() {
  if (!options_.namespaces || !namespaces_.state().synced) return;
  std::map<std::string, std::map<std::string, std::string>> all;
  for (const auto& [key, object] : namespaces_.objects()) {
    auto& labels = all[key.name];
    const auto* metadata = kube::object_at(object, "metadata");
    const auto* given = metadata == nullptr ? nullptr : kube::object_at(*metadata, "labels");
    if (given == nullptr) continue;
    for (const auto& [name, value] : *given)
      if (value.is_string()) labels[name] = std::string(value.get_string());
  }
  options_.namespaces(all);
}

}  // namespace faultline::controller
