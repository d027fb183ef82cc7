// SPDX-License-Identifier: Apache-2.0
#include "agent/link/link.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/url/parse.hpp>
#include <fstream>
#include <iterator>
#include <utility>

#include "agent/link/sleep.h"
#include "api/codec.h"
#include "http/token.h"

namespace faultline::agent {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr std::chrono::seconds kMostPause{5};  // idle, after failures
constexpr std::chrono::nanoseconds kMostPauseArmed = std::chrono::seconds(1);
constexpr milliseconds kIdleSlack{10'000};  // for an answer beyond what we let it wait
constexpr int kMostSentOn = 3;
constexpr milliseconds kLeastBetween{100};  // where a controller does not wait as asked

// A node's name is one segment of the target.
std::string escaped(const std::string& text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto b = static_cast<unsigned char>(c);
    if ((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') || b == '-' ||
        b == '.' || b == '_' || b == '~') {
      out += c;
    } else {
      out += '%';
      out += kHex[b >> 4];
      out += kHex[b & 15];
    }
  }
  return out;
}

}  // namespace

ControllerLink::ControllerLink(asio::any_io_executor executor, const Clock& clock,
                               LinkOptions options, Conversation conversation, LinkOwner owner)
    : clock_(clock),
      options_(std::move(options)),
      conversation_(std::move(conversation)),
      owner_(std::move(owner)),
      executor_(executor),
      timer_(executor),
      backoff_(std::hash<std::string>{}(conversation_.instance())) {}

Result<> ControllerLink::read_files() {
  auto token = http::load_token(options_.token_file);
  if (!token) return fail(token.error());
  token_ = std::move(*token);
  std::string authorities;
  if (!options_.ca_file.empty()) {
    std::ifstream in(options_.ca_file, std::ios::binary);
    authorities.assign(std::istreambuf_iterator<char>(in), {});
    if (!in || authorities.empty())
      return fail(Errc::kNotFound, "no certificate can be read from " + options_.ca_file);
  }
  if (client_ && authorities == authorities_) return {};
  authorities_ = std::move(authorities);
  connect_to({});
  return {};
}

// To the controller at `address` (10.0.0.7:7878), or where the Service leads. Its certificate is
// that of the Service in any case.
void ControllerLink::connect_to(const std::string& address) {
  const std::size_t scheme = options_.controller.find("://");
  const bool tls = options_.controller.starts_with("https://");
  http::ClientOptions client;
  client.base_url =
      address.empty() ? options_.controller : options_.controller.substr(0, scheme + 3) + address;
  client.token = [this] { return newest_token(); };
  if (tls) {
    http::ClientTls trust;
    trust.ca_pem = authorities_;
    if (const auto url = boost::urls::parse_uri(options_.controller); url && !address.empty())
      trust.server_name = url->host_address();
    client.tls = std::move(trust);
  }
  client.connect_timeout = milliseconds(1000);
  client_ = std::make_unique<http::Client>(executor_, std::move(client));
  leader_ = address;
}

// The newest; one that cannot be read leaves the last one in use.
std::string ControllerLink::newest_token() {
  if (auto read = http::load_token(options_.token_file)) token_ = std::move(*read);
  return token_;
}

// Of several controllers one leads; the others say where it is. Only through TLS: else anybody
// could have the token sent to himself.
bool ControllerLink::follow(const http::ClientResponse& response) {
  if (response.status != 421 || !options_.controller.starts_with("https://")) return false;
  boost::system::error_code wrong;
  const boost::json::value body = boost::json::parse(response.body, wrong);
  const auto* object = wrong ? nullptr : body.if_object();
  const auto* address = object != nullptr ? object->if_contains("leaderAddress") : nullptr;
  if (address == nullptr || !address->is_string() || leader_ == address->get_string().c_str() ||
      ++sent_on_ > kMostSentOn)
    return false;
  connect_to(address->get_string().c_str());
  return true;
}

void ControllerLink::wake() {
  woken_ = true;
  if (polling_ && client_) client_->close();
  timer_.cancel();
}

void ControllerLink::stop() {
  stopping_ = true;
  if (client_) client_->close();
  timer_.cancel();
}

asio::awaitable<void> ControllerLink::learn() {
  woken_ = false;
  OwnerNews news = co_await owner_.news();
  conversation_.add(std::move(news.batches));
  situation_ = news.situation;
  armed_lease_ = news.armed_lease;
}

asio::awaitable<ControllerLink::Outcome> ControllerLink::exchange(double most_wait,
                                                                  milliseconds slack) {
  if (!client_)
    if (auto read = read_files(); !read) {
      counts_.last_error = read.error().message;
      co_return Outcome::kFailed;
    }
  AnswerTimes times{.sent = clock_.steady(), .arrived = {}};
  api::SyncRequest request = conversation_.request(situation_, clock_.utc());
  // There is something that the owner had not told yet when it was asked.
  if (std::exchange(woken_, false)) request.waitSeconds = 0;
  request.waitSeconds = std::min(request.waitSeconds, most_wait);
  const auto limit = slack + milliseconds(static_cast<std::int64_t>(request.waitSeconds * 1000));
  polling_ = request.waitSeconds > 1;
  auto answer =
      co_await client_->request("POST", "/api/v1/nodes/" + escaped(options_.node) + "/sync",
                                api::to_json_text(request), limit);
  if (answer && !stopping_ && follow(*answer)) {
    polling_ = false;
    co_return Outcome::kSentOn;
  }
  auto reply = http::expect_ok(std::move(answer));
  const UtcTime arrived = clock_.utc();
  times.arrived = clock_.steady();
  const bool interrupted = std::exchange(polling_, false) && woken_;
  Result<api::SyncResponse> response =
      reply ? api::from_json_text<api::SyncResponse>(reply->body)
            : Result<api::SyncResponse>(tl::unexpected<Error>(reply.error()));
  const std::size_t waiting = conversation_.outbox().size();
  if (response && !conversation_.answered(request, *response, arrived))
    response = fail(Errc::kUnavailable, "this controller leads no more, and does not know it");
  if (response) {
    sent_on_ = 0;
    ++counts_.answered;
    counts_.last_answer = times.arrived;
    if (!counts_.last_error.empty()) spdlog::info("the controller answers again");
    counts_.last_error.clear();
    progress_ = response->revision != request.knownRevision || request.info || request.pods ||
                conversation_.outbox().size() < waiting;
    owner_.answered(std::move(*response), times);
    co_return Outcome::kAnswered;
  }
  if (stopping_ || (interrupted && !reply)) co_return Outcome::kInterrupted;
  ++counts_.failed;
  if (counts_.last_error != response.error().message)
    spdlog::warn("no sync: {}", response.error().message);
  counts_.last_error = response.error().message;
  // Another one may lead.
  if (!leader_.empty()) connect_to({});
  // Its authority may have changed, or the token may have been made anew with its state.
  const auto read = read_files();
  const std::string wrong = read ? "" : read.error().message;
  if (!wrong.empty() && wrong != files_error_) spdlog::warn("{}", wrong);
  files_error_ = wrong;
  co_return Outcome::kFailed;
}

asio::awaitable<void> ControllerLink::run() {
  while (true) {
    co_await learn();
    if (stopping_) break;
    // While a fault is armed there are at least three tries in a lease.
    const auto slack =
        armed_lease_ ? std::chrono::ceil<milliseconds>(*armed_lease_ / 3) : kIdleSlack;
    const SteadyTime begin = clock_.steady();
    const Outcome outcome = co_await exchange(Conversation::kIdleWait, slack);
    if (stopping_) break;
    if (outcome == Outcome::kSentOn) continue;
    if (outcome == Outcome::kFailed) {
      sent_on_ = 0;
      std::chrono::nanoseconds most = kMostPause;
      if (armed_lease_) most = std::min({most, *armed_lease_ / 3, kMostPauseArmed});
      co_await sleep(timer_, backoff_.failure(most));
      continue;
    }
    backoff_.success();
    // An answer that came at once and changes nothing: do not spin.
    const auto took = clock_.steady() - begin;
    if (outcome == Outcome::kAnswered && !progress_ && !woken_ && took < kLeastBetween)
      co_await sleep(timer_, kLeastBetween - took);
  }
}

asio::awaitable<bool> ControllerLink::flush(milliseconds limit) {
  const SteadyTime end = clock_.steady() + limit;
  stopping_ = false;
  while (true) {
    co_await learn();
    const auto left = std::chrono::duration_cast<milliseconds>(end - clock_.steady());
    if (left.count() <= 0) break;
    const Outcome outcome = co_await exchange(0, left);
    if (outcome == Outcome::kSentOn) continue;
    if (outcome != Outcome::kAnswered) break;
    if (conversation_.outbox().empty()) break;
  }
  stopping_ = true;
  co_return conversation_.outbox().empty();
}

}  // namespace faultline::agent
