// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/questions.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/json/value.hpp>

#include "kube/json.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;
using Object = boost::json::object;

constexpr std::chrono::seconds kPatience{8};  // the API server waits for 10

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

std::string host_of(const std::string& peer) { return peer.substr(0, peer.rfind(':')); }

Questions::Questions(const Clock& clock, QuestionOptions options)
    : clock_(clock),
      options_(std::move(options)),
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

awaitable<Result<std::shared_ptr<void>>> Questions::turn(std::string host) {
  const auto turns = turns_;
  std::size_t& of_address = turns->of_address[host];
  if (of_address >= kMostOfAddress)
    co_return fail(Errc::kUnavailable,
                   "too many questions of this address are under way; try again");
  ++of_address;
  // Given back with the turn, or when there is none.
  const std::shared_ptr<void> place(turns.get(), [turns, host](void*) {
    if (const auto found = turns->of_address.find(host); --found->second == 0)
      turns->of_address.erase(found);
  });
  if (!turns->ended)
    turns->ended = std::make_unique<Signal>(co_await boost::asio::this_coro::executor);
  if (turns->under_way >= kMostUnderWay) {
    if (turns->waiting >= kMostWaiting)
      co_return fail(Errc::kUnavailable, "too many questions are under way; try again");
    ++turns->waiting;
    struct Leave {
      std::shared_ptr<Turns> turns;
      ~Leave() { --turns->waiting; }
    } const leave{turns};
    const SteadyTime until = clock_.steady() + kPatience;
    while (turns->under_way >= kMostUnderWay) {
      const bool ended = co_await turns->ended->wait(until);
      if (!ended && turns->under_way >= kMostUnderWay)
        co_return fail(Errc::kUnavailable, "too many questions are under way; try again");
    }
  }
  ++turns->under_way;
  const auto give_back = [turns, place](void*) {
    --turns->under_way;
    turns->ended->notify();
  };
  co_return std::shared_ptr<void>(turns.get(), give_back);
}

awaitable<Result<Questions::Question>> Questions::open(std::string review, std::string from) {
  std::string host = host_of(from);
  auto turn = co_await this->turn(std::move(host));
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
  if (!reviews_.take(host_of(from), clock_.steady(), opened->reviews).allowed)
    co_return fail(Errc::kUnavailable, "too much is asked from this address; try again");
  co_return Question{std::move(opened->request), std::move(*turn)};
}

}  // namespace faultline::controller
