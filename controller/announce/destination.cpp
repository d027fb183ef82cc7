// SPDX-License-Identifier: Apache-2.0
#include "controller/announce/destination.h"

#include <boost/url/parse.hpp>

#include "controller/endpoint_options.h"
#include "document/json.h"
#include "http/client.h"

namespace faultline::controller::announce {
namespace {

constexpr std::size_t kMostAnnotations = 1'000;  // whose run is under way
constexpr document::Budget kAnswer{64 << 10, 1'000, 8};

// What failed, in words of ours alone: what a receiver or a connection says may quote the address,
// which can be a secret.
Error failed(const std::string& name, const Error& error) {
  std::string words = error.http_status != 0 ? "HTTP " + std::to_string(error.http_status) : "";
  switch (error.code) {
    case Errc::kUnavailable:
      words += words.empty() ? "no connection, or no answer in time" : ": not now";
      break;
    case Errc::kDenied:
      words += ": the token, user or password is not accepted, or may not do this";
      break;
    case Errc::kNotFound:
      words += ": nothing is there; is the path of the url right?";
      break;
    default:
      words += words.empty() ? "it cannot be sent" : ": the message is not taken";
  }
  return {error.code, name + ": " + words, 0, error.http_status};
}

std::optional<std::int64_t> id_of(const std::string& answer) {
  const auto body = document::parse_json(answer, kAnswer);
  if (!body || !body->is_object()) return std::nullopt;
  const boost::json::value* id = body->get_object().if_contains("id");
  if (id == nullptr || !id->is_int64()) return std::nullopt;
  return id->get_int64();
}

}  // namespace

boost::asio::awaitable<Result<>> Destination::tell(const Announcement& what) {
  if (config_.kind == api::DestinationKind::grafana) co_return co_await annotate(what);
  std::string body = webhook_body(what);
  const auto sent = co_await send("POST", "", std::move(body));
  if (!sent) co_return fail(sent.error());
  co_return Result<>{};
}

boost::asio::awaitable<Result<>> Destination::annotate(const Announcement& what) {
  std::string body = annotation_body(what);
  if (const auto known = annotations_.find(what.run); known != annotations_.end() && what.over) {
    std::string path = "/api/annotations/" + std::to_string(known->second);
    std::string change = body;
    const auto changed = co_await send("PATCH", std::move(path), std::move(change));
    if (!changed && changed.error().http_status != 404) co_return fail(changed.error());
    annotations_.erase(what.run);
    if (changed) co_return Result<>{};
  }
  const auto made = co_await send("POST", "/api/annotations", std::move(body));
  if (!made) co_return fail(made.error());
  if (what.over || annotations_.size() >= kMostAnnotations) co_return Result<>{};
  if (const auto id = id_of(*made)) annotations_[what.run] = *id;
  co_return Result<>{};
}

boost::asio::awaitable<Result<std::string>> Destination::send(std::string method, std::string path,
                                                              std::string body) {
  const auto options = read_options(config_);
  if (!options) co_return fail(options.error());
  const auto url = boost::urls::parse_uri(options->url);
  if (!url) co_return fail(Errc::kInvalid, "the url is none");
  http::ClientOptions client_options = observe::client_options(*options);
  client_options.max_body = kAnswer.bytes;
  // The whole path is the request's: a webhook ends where it ends, without a slash behind it.
  client_options.base_url =
      std::string(url->scheme()) + "://" + std::string(url->encoded_authority());
  std::string target = std::string(url->encoded_path());
  while (!path.empty() && target.ends_with('/')) target.pop_back();
  target += path;
  if (target.empty()) target = "/";
  if (url->has_query()) target += "?" + std::string(url->encoded_query());
  http::RequestExtras extras{.content_type = "application/json",
                             .headers = observe::authorization(*options)};
  http::Client client(executor_, std::move(client_options));
  auto answer = co_await client.request(std::move(method), std::move(target), std::move(body),
                                        options->timeout, std::move(extras));
  // It was taken, and the receiver has more to say than anybody reads here.
  const bool taken =
      !answer && answer.error().http_status >= 200 && answer.error().http_status < 300;
  if (taken) co_return std::string();
  if (!answer) co_return fail(failed(config_.name, answer.error()));
  if (answer->status >= 300 && answer->status < 400)
    co_return fail(Errc::kInvalid, config_.name + ": HTTP " + std::to_string(answer->status) +
                                       ": the receiver is at another address, which the url must "
                                       "name: redirections are not followed");
  if (answer->status < 200 || answer->status > 299)
    co_return fail(failed(config_.name, observe::refused(*options, *answer)));
  co_return std::move(answer->body);
}

bool worth_another_try(const Error& error) { return error.code == Errc::kUnavailable; }

}  // namespace faultline::controller::announce
