// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/admission.h"

#include <boost/json/serialize.hpp>

#include "api/codec.h"
#include "controller/kubernetes/access.h"
#include "controller/kubernetes/operator.h"
#include "http/problem.h"
#include "kube/base64.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;
using Object = boost::json::object;

Result<Object> request_of(const std::string& review) {
  auto parsed = kube::parse_object(review);
  if (!parsed || kube::text_at(*parsed, "kind") != "AdmissionReview")
    return fail(Errc::kInvalid, "expected an AdmissionReview (admission.k8s.io/v1)");
  const Object* request = kube::object_at(*parsed, "request");
  if (request == nullptr || kube::text_at(*request, "uid").empty())
    return fail(Errc::kInvalid, "the AdmissionReview has no request with a uid");
  return *request;
}

Object answer(const Object& request, Object response) {
  response["uid"] = kube::text_at(request, "uid");
  return {{"apiVersion", "admission.k8s.io/v1"},
          {"kind", "AdmissionReview"},
          {"response", std::move(response)}};
}

http::Identity who_asks(const Object& request) {
  http::Identity who;
  who.role = "person";
  if (const Object* user = kube::object_at(request, "userInfo")) {
    who.user = std::string(kube::text_at(*user, "username"));
    who.groups = kube::texts_at(*user, "groups");
  }
  return who;
}

std::string what(const Object& request) {
  return std::string(kube::text_at(request, "operation")) + " experiment " +
         std::string(kube::text_at(request, "namespace")) + "/" +
         std::string(kube::text_at(request, "name"));
}

const boost::json::value* spec_of(const Object& request, std::string_view which) {
  const Object* object = kube::object_at(request, which);
  return object == nullptr ? nullptr : object->if_contains("spec");
}

std::string asked_by(const Object& request, std::string_view which) {
  const Object* object = kube::object_at(request, which);
  const Object* metadata = object == nullptr ? nullptr : kube::object_at(*object, "metadata");
  const Object* notes = metadata == nullptr ? nullptr : kube::object_at(*metadata, "annotations");
  return std::string(notes == nullptr ? std::string_view() : kube::text_at(*notes, kRequestedBy));
}

// RFC 6901.
std::string pointer_word(std::string_view key) {
  std::string word;
  for (const char c : key) word += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return word;
}

}  // namespace

Admission::Admission(Access& access, AdmissionOptions options)
    : access_(access), options_(std::move(options)) {}

void Admission::add_routes(http::Server& server) {
  const auto reply = [](Result<Object> made) {
    if (!made) return http::problem(made.error());
    return http::Response{.body = boost::json::serialize(*made)};
  };
  server.route("POST", "/webhook/mutate", {},
               [reply](http::Request request) -> awaitable<http::Response> {
                 co_return reply(mutate(request.body));
               });
  server.route("POST", "/webhook/validate", {},
               [this, reply](http::Request request) -> awaitable<http::Response> {
                 auto made = co_await validate(std::move(request.body));
                 co_return reply(std::move(made));
               });
}

// Who asked is written by us alone: what a person wrote there is replaced, and an update keeps it.
Result<Object> Admission::mutate(const std::string& review) {
  const auto request = request_of(review);
  if (!request) return fail(request.error());
  const bool created = kube::text_at(*request, "operation") == "CREATE";
  const std::string who = created ? who_asks(*request).user : asked_by(*request, "oldObject");
  const Object* object = kube::object_at(*request, "object");
  if (object == nullptr || who.empty() || asked_by(*request, "object") == who)
    return answer(*request, {{"allowed", true}});
  const Object* metadata = kube::object_at(*object, "metadata");
  boost::json::array patch;
  if (metadata == nullptr || kube::object_at(*metadata, "annotations") == nullptr)
    patch.push_back({{"op", "add"}, {"path", "/metadata/annotations"}, {"value", Object{}}});
  patch.push_back({{"op", "add"},
                   {"path", "/metadata/annotations/" + pointer_word(kRequestedBy)},
                   {"value", who}});
  return answer(*request, {{"allowed", true},
                           {"patchType", "JSONPatch"},
                           {"patch", kube::base64_encode(boost::json::serialize(patch))}});
}

awaitable<Result<Object>> Admission::validate(std::string review) {
  const auto request = request_of(review);
  if (!request) co_return fail(request.error());
  const auto judged = co_await judge(*request);
  if (options_.decided)
    options_.decided(who_asks(*request), what(*request),
                     judged ? std::string() : judged.error().message);
  if (judged) co_return answer(*request, {{"allowed", true}});
  const int status = http::status_of(judged.error().code);
  co_return answer(*request,
                   {{"allowed", false},
                    {"status", Object{{"code", status}, {"message", judged.error().message}}}});
}

awaitable<Result<>> Admission::judge(const Object& request) {
  const std::string_view operation = kube::text_at(request, "operation");
  if (operation != "CREATE" && operation != "UPDATE") co_return Result<>{};
  const auto* object = request.if_contains("object");
  if (object == nullptr) co_return fail(Errc::kInvalid, "the request has no object");
  if (operation == "UPDATE") {
    // Labels, annotations, finalizers: whoever may write them may.
    const auto *before = spec_of(request, "oldObject"), *now = spec_of(request, "object");
    if (before != nullptr && now != nullptr && *before == *now) co_return Result<>{};
    co_return fail(
        Errc::kDenied,
        "an Experiment runs once, as it was created: its spec does not change. Delete it "
        "and create another");
  }
  const auto read = api::from_cluster_json(*object);
  if (!read) co_return fail(read.error());
  const api::Experiment experiment = in_own_namespace(read->experiment);
  if (options_.allowed)
    if (auto allowed = options_.allowed(experiment); !allowed) co_return fail(allowed.error());
  Scope scope = scope_of(experiment);
  scope.hit.insert(experiment.metadata.namespace_);
  http::Identity who = who_asks(request);
  co_return co_await access_.may_run(std::move(who), std::move(scope));
}

}  // namespace faultline::controller
