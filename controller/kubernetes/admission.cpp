// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/admission.h"

#include <boost/json/serialize.hpp>
#include <optional>
#include <utility>

#include "api/codec.h"
#include "controller/kubernetes/access.h"
#include "controller/kubernetes/experiment_object.h"
#include "controller/kubernetes/proofs.h"
#include "controller/kubernetes/review.h"
#include "http/problem.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;
using Object = boost::json::object;

using review::allowed_with;
using review::answer;
using review::asker_of;
using review::is_about_status;
using review::is_dry_run;
using review::note_of;
using review::Notes;
using review::patch_to;
using review::refused_with;
using review::spec_of;
using review::who_asks;
using review::with_name;

// What of annotations only we write.
constexpr const char* kOurs[] = {kRequestedBy, kRequestedAs, kAdmitted};

}  // namespace

Admission::Admission(Access& access, Proofs& proofs, const Clock& clock, AdmissionOptions options)
    : access_(access),
      proofs_(proofs),
      options_(std::move(options)),
      questions_(clock, options_.questions) {}

void Admission::add_routes(http::Server& server) {
  const auto reply = [](Result<Object> made) {
    if (!made) return http::problem(made.error());
    return http::Response{.body = boost::json::serialize(*made)};
  };
  server.route(
      "POST", "/webhook/mutate", {},
      [this, reply](http::Request request) -> awaitable<http::Response> {
        auto made = co_await mutate(std::move(request.body), std::move(request.peer));
        co_return reply(std::move(made));
      },
      questions_.route());
  server.route(
      "POST", "/webhook/validate", {},
      [this, reply](http::Request request) -> awaitable<http::Response> {
        auto made = co_await validate(std::move(request.body), std::move(request.peer));
        co_return reply(std::move(made));
      },
      questions_.route());
}

void Admission::decided(const Object& request, const std::string& from, const Result<>& judged,
                        bool proof) {
  if (!options_.decided) return;
  const http::Identity who = who_asks(request);
  AuditEntry entry{.via = "webhook", .user = who.user, .groups = who.groups, .from = from};
  const auto operation = kube::text_at(request, "operation");
  entry.verb = operation == "CREATE" ? "create" : operation == "UPDATE" ? "update" : "other";
  // The API server puts it to validate() next. Of somebody else who asked, this is all there is.
  if (proof) entry.verb = "prove";
  if (is_about_status(request)) entry.verb += " status";
  if (is_dry_run(request)) entry.verb += ", dry run";
  entry.ns = kube::text_at(request, "namespace");
  entry.experiment = kube::text_at(request, "name");
  if (entry.experiment.empty()) entry.experiment = "?";
  if (kube::object_at(request, "object") != nullptr)
    if (const auto read = api::from_cluster_json(with_name(request))) {
      const Scope scope = scope_of(in_own_namespace(read->experiment));
      entry.namespaces = scope.hit;
      entry.namespaces.insert(scope.seen.begin(), scope.seen.end());
    }
  entry.allowed = judged.has_value();
  if (!judged) entry.reason = judged.error().message;
  options_.decided(std::move(entry));
}

// Who asked, and the proof, are written by us alone: what a person wrote there is replaced, and an
// update keeps it.
awaitable<Result<Object>> Admission::mutate(std::string review, std::string from) {
  const auto question = co_await questions_.open(std::move(review), from);
  if (!question) co_return fail(question.error());
  const Object* request = &question->request;
  if (kube::object_at(*request, "object") == nullptr || is_about_status(*request))
    co_return answer(*request, {{"allowed", true}});
  if (kube::text_at(*request, "operation") != "CREATE") {
    Notes kept;
    for (const char* key : kOurs) kept[key] = note_of(*request, "oldObject", key);
    co_return allowed_with(*request, patch_to(*request, kept));
  }
  // Nothing is proven of what nobody was asked about, also if there is no other webhook.
  const Object object = with_name(*request);
  const auto read = api::from_cluster_json(object);
  const http::Identity asks = who_asks(*request);
  const std::string who = asks.user;
  const auto as = write_asker(asker_of(asks));
  Result<> judged;
  if (!read)
    judged = fail(read.error());
  else if (!as)
    judged = fail(as.error());
  else
    judged = co_await judge_created(*request, read->experiment);
  std::optional<std::string> proof;
  if (judged && !is_dry_run(*request)) {
    Object metadata;
    if (const Object* given = kube::object_at(*kube::object_at(*request, "object"), "metadata"))
      metadata = *given;
    const std::string& ns = read->experiment.metadata.namespace_;
    auto made = co_await proofs_.make(std::move(metadata), ns, read->experiment, who, *as);
    if (made)
      proof = std::move(*made);
    else
      judged = fail(made.error());
  }
  if (!judged || proof) decided(*request, from, judged, proof.has_value());
  if (!judged) co_return refused_with(*request, judged.error());
  const Notes ours{{kRequestedBy, who}, {kRequestedAs, *as}, {kAdmitted, std::move(proof)}};
  co_return allowed_with(*request, patch_to(*request, ours));
}

awaitable<Result<Object>> Admission::validate(std::string review, std::string from) {
  const auto question = co_await questions_.open(std::move(review), from);
  if (!question) co_return fail(question.error());
  const Object* request = &question->request;
  if (is_about_status(*request)) {
    const Result<> mine = judge_status(*request);
    if (mine) co_return answer(*request, {{"allowed", true}});  // ours, each second: no line of it
    decided(*request, from, mine);
    co_return refused_with(*request, mine.error());
  }
  const auto judged = co_await judge(*request);
  decided(*request, from, judged);
  if (!judged) co_return refused_with(*request, judged.error());
  Object response{{"allowed", true}};
  if (auto warnings = warnings_of(*request); !warnings.empty())
    response["warnings"] = std::move(warnings);
  co_return answer(*request, std::move(response));
}

// Whoever else could write it could say of what is under way that it is over, and the other way
// round.
Result<> Admission::judge_status(const Object& request) const {
  const std::string user = who_asks(request).user;
  if (user == options_.controller) return {};
  return fail(Errc::kDenied, "the status of an Experiment is written by " + options_.controller +
                                 " and nobody else; you are " + user);
}

boost::json::array Admission::warnings_of(const Object& request) const {
  boost::json::array warnings;
  if (!options_.warnings || kube::text_at(request, "operation") != "CREATE") return warnings;
  const auto read = api::from_cluster_json(with_name(request));
  if (!read) return warnings;
  return review::warnings_of(options_.warnings(in_own_namespace(read->experiment)));
}

awaitable<Result<>> Admission::judge(const Object& request) {
  const std::string_view operation = kube::text_at(request, "operation");
  if (operation != "CREATE" && operation != "UPDATE") co_return Result<>{};
  const Object* object = kube::object_at(request, "object");
  if (object == nullptr) co_return fail(Errc::kInvalid, "the request has no object");
  if (operation == "UPDATE") {
    for (const char* key : kOurs)
      if (note_of(request, "oldObject", key) != note_of(request, "object", key))
        co_return fail(Errc::kDenied, std::string("the annotation ") + key +
                                          " is written when an Experiment is created, and does not "
                                          "change");
    // Labels, other annotations, finalizers: whoever may write them may.
    const auto *before = spec_of(request, "oldObject"), *now = spec_of(request, "object");
    if (before != nullptr && now != nullptr && *before == *now) co_return Result<>{};
    co_return fail(
        Errc::kDenied,
        "an Experiment runs once, as it was created: its spec does not change. Delete it "
        "and create another");
  }
  const auto read = api::from_cluster_json(with_name(request));
  if (!read) co_return fail(read.error());
  auto judged = co_await judge_created(request, read->experiment);
  if (!judged || is_dry_run(request)) co_return judged;
  // Else it would be refused when it is to begin.
  co_return co_await proofs_.check(*object, read->experiment);
}

awaitable<Result<>> Admission::judge_created(const Object& request, api::Experiment experiment) {
  if (std::string why = why_too_large(*kube::object_at(request, "object")); !why.empty())
    co_return fail(Errc::kInvalid, std::move(why));
  experiment = in_own_namespace(std::move(experiment));
  if (options_.allowed)
    if (auto allowed = options_.allowed(experiment); !allowed) co_return fail(allowed.error());
  Scope scope = scope_of(experiment);
  scope.hit.insert(experiment.metadata.namespace_);
  http::Identity who = who_asks(request);
  co_return co_await access_.may_run(std::move(who), std::move(scope));
}

}  // namespace faultline::controller
