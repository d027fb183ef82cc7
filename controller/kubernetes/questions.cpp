// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/questions.h"

#include <boost/json/value.hpp>

#include "http/address_key.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;
using Object = boost::json::object;

// At least how many reviews this will be: each namespace that a selector names is one.
double names_in(const boost::json::value& value) {
  double names = 0;
  if (const auto* array = value.if_array())
    for (const auto& item : *array) names += names_in(item);
  const auto* object = value.if_object();
  if (object == nullptr) return names;
  for (const auto& entry : *object) {
    const auto* list = entry.value().if_array();
    const auto* map = entry.value().if_object();
    if (entry.key() == "namespaces" && list != nullptr)
      names += static_cast<double>(list->size());
    else if (entry.key() == "pods" && map != nullptr)
      names += static_cast<double>(map->size());
    else
      names += names_in(entry.value());
  }
  return names;
}

struct Read {
  Object request;
  double reviews = 0;  // that will be asked for; of a change none
};

Result<Read> read(const std::string& review) {
  auto parsed = kube::parse_object(review, Questions::kMostMemory);
  if (!parsed || kube::text_at(*parsed, "kind") != "AdmissionReview")
    return fail(Errc::kInvalid, "expected an AdmissionReview (admission.k8s.io/v1)");
  auto* request = parsed->if_contains("request");
  auto* object = request == nullptr ? nullptr : request->if_object();
  if (object == nullptr || kube::text_at(*object, "uid").empty())
    return fail(Errc::kInvalid, "the AdmissionReview has no request with a uid");
  Read out{.request = std::move(*object)};
  if (kube::text_at(out.request, "operation") != "CREATE") return out;
  out.reviews = 1;
  if (const Object* wanted = kube::object_at(out.request, "object"))
    if (const auto* spec = wanted->if_contains("spec")) out.reviews += names_in(*spec);
  return out;
}

}  // namespace

Questions::Questions(const Clock& clock, QuestionOptions options)
    : clock_(clock),
      options_(std::move(options)),
      turns_(clock,
             {.under_way = kMostUnderWay, .waiting = kMostWaiting, .of_caller = kMostOfAddress}),
      reviews_({.burst = kReviewsAtOnce, .per_second = kReviewsPerSecond}) {}

http::RouteOptions Questions::route() const {
  http::RouteOptions route{.max_body = kMostBytes};
  if (options_.client_name.empty()) return route;
  route.before = [this](const http::Request& request) -> awaitable<std::optional<http::Response>> {
    if (request.client.common_name == options_.client_name && clock_.utc() < request.client.expires)
      co_return std::nullopt;
    co_return http::problem(403, "only the API server may ask here: it shows a certificate of " +
                                     options_.client_name + " (--webhook-client-name)");
  };
  return route;
}

awaitable<Result<Questions::Question>> Questions::open(std::string review, std::string from) {
  const std::string address = http::address_key(from);
  std::string caller = address, what = "questions";
  auto turn = co_await turns_.take(std::move(caller), std::move(what));
  if (!turn) co_return fail(turn.error());
  Result<Read> opened;
  if (options_.worker == nullptr) {
    opened = read(review);
  } else {
    auto parse = [review = std::move(review)] { return read(review); };
    opened = co_await options_.worker->run(std::move(parse));
  }
  if (!opened) co_return fail(opened.error());
  // Nobody's name is proven by what the question says, so that its address has to stand for it.
  if (!reviews_.take(address, clock_.steady(), opened->reviews).allowed)
    co_return fail(Errc::kUnavailable, "too much is asked from this address; try again");
  co_return Question{std::move(opened->request), std::move(*turn)};
}

}  // namespace faultline::controller
