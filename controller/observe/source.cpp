// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/source.h"

#include <algorithm>
#include <array>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <boost/url/parse.hpp>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <ctime>

#include "base/printable.h"
#include "base/quoted.h"
#include "document/json.h"
#include "kube/base64.h"
#include "kube/json.h"

namespace faultline::controller::observe {
namespace {

constexpr double kLatestTime = 7'258'118'400;  // 2200-01-01
constexpr std::size_t kMostWords = 300;        // of what a source says of an error

// What a source says of an error: the `error` of Prometheus, the text that Alertmanager has as a
// JSON string, or the beginning of any other body.
std::string words_of(const http::ClientResponse& response) {
  if (const auto object = kube::parse_object(response.body, 1 << 20)) {
    for (const char* key : {"error", "message", "detail"})
      if (const std::string_view text = kube::text_at(*object, key); !text.empty())
        return printable(text, kMostWords);
  }
  std::string body = response.body.substr(0, kMostWords);
  if (body.find('<') != std::string::npos) return "an HTML page";
  return printable_prose(body);
}

// "Sun, 29 Nov 2026 05:17:58 GMT" (RFC 9110, 5.6.7).
std::optional<UtcTime> http_date(const std::string& text) {
  std::tm fields{};
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &fields);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return UtcTime(std::chrono::seconds(::timegm(&fields)));
}

// The JSON of an answer of `name`.
Result<boost::json::value> read_answer(const std::string& name, const std::string& text) {
  auto body = document::parse_json(text, kAnswerBudget);
  if (body) return body;
  const bool page =
      text.find("<html") != std::string::npos || text.find("<!DOCTYPE") != std::string::npos;
  return fail(Errc::kUnavailable,
              name + ": the answer is " +
                  (page ? std::string("an HTML page, not JSON; is the URL right?")
                        : "not JSON: " + printable(body.error().message, kMostWords)));
}

http::ClientOptions short_ones(const SourceOptions& options) {
  http::ClientOptions out = client_options(options);
  if (options.long_turn) out.max_body = std::min(out.max_body, kShortAnswer);
  return out;
}

double epoch_seconds(UtcTime at) {
  return std::chrono::duration<double>(at.time_since_epoch()).count();
}

}  // namespace

Result<> check(const SourceOptions& options) {
  const auto bad = [&](std::string words) {
    return fail(Errc::kInvalid, options.name + ": " + std::move(words));
  };
  const auto url = boost::urls::parse_uri(options.url);
  const bool https = url && url->scheme_id() == boost::urls::scheme::https;
  if (!url || url->host().empty() || (!https && url->scheme_id() != boost::urls::scheme::http))
    return bad("url: " + in_quotes(options.url) +
               " is not an address like http://127.0.0.1:9090 or https://host/prometheus");
  if (url->has_userinfo()) return bad("url: holds a user or password; give them beside it");
  if ((url->has_query() && !options.takes_query) || url->has_fragment())
    return bad("url: " + in_quotes(options.url) + " has a query or a fragment");
  if (!options.bearer_token.empty() && !(options.user.empty() && options.password.empty()))
    return bad("a bearer token and a user are given: only one of both can be used");
  if (options.user.find(':') != std::string::npos) return bad("user: must not hold a colon");
  if (options.tls && !https) return bad("url: certificates are given, but it is not https");
  if (options.timeout < std::chrono::milliseconds(100) ||
      options.timeout > std::chrono::seconds(60))
    return bad("timeout: must be between 100ms and 60s");
  return {};
}

Error refused(const SourceOptions& options, const http::ClientResponse& response) {
  Error error;
  error.http_status = response.status;
  const std::string status = "HTTP " + std::to_string(response.status);
  const std::string words = words_of(response);
  const std::string said = words.empty() ? "" : ": " + words;
  switch (response.status) {
    case 400:
    case 422:
      error = {Errc::kInvalid, words.empty() ? "refused the question" : words, 0, response.status};
      break;
    case 401:
      error = {Errc::kDenied, status + ": the token, user or password is not accepted" + said, 0,
               response.status};
      break;
    case 403:
      error = {Errc::kDenied, status + ": the token or user may not do this" + said, 0,
               response.status};
      break;
    case 404:
      error = {Errc::kNotFound, status + ": nothing is there; is the path of the URL right?", 0,
               response.status};
      break;
    default:
      error = {Errc::kUnavailable, status + said, 0, response.status};
  }
  return error.with_context(options.name);
}

http::ClientOptions client_options(const SourceOptions& options) {
  return {.base_url = options.url,
          .bearer_token = options.bearer_token,
          .tls = options.tls,
          .connect_timeout = std::min(options.timeout, std::chrono::milliseconds(2000)),
          .max_body = options.max_body,
          .max_line = options.max_body,
          .token = {}};
}

std::map<std::string, std::string> authorization(const SourceOptions& options) {
  if (options.user.empty() && options.password.empty()) return {};
  return {{"authorization", "Basic " + kube::base64_encode(options.user + ":" + options.password)}};
}

Source::Source(boost::asio::any_io_executor executor, SourceOptions options, const Clock& clock)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      client_(executor_, short_ones(options_)),
      clock_(clock) {}

boost::asio::awaitable<Result<Source::Fetched>> Source::fetch(std::string target) {
  Fetched out;
  Result<http::ClientResponse> response = fail(Errc::kUnavailable, "");
  bool is_long = long_targets_.contains(target);
  for (;; is_long = true) {
    if (is_long) {
      auto turn = co_await options_.long_turn();
      if (!turn) co_return fail(turn.error().with_context(options_.name));
      out.turn = std::move(*turn);
      if (long_ones_ == nullptr)
        long_ones_ = std::make_unique<http::Client>(executor_, client_options(options_));
    }
    http::RequestExtras extras{.content_type = {}, .headers = authorization(options_)};
    extras.headers["accept"] = "application/json";
    http::Client& client = is_long ? *long_ones_ : client_;
    std::string path = target;
    out.asked = clock_.utc();
    response =
        co_await client.request("GET", std::move(path), {}, options_.timeout, std::move(extras));
    out.answered = clock_.utc();
    // What was cancelled is no problem of the source.
    const auto cancelled = co_await boost::asio::this_coro::cancellation_state;
    if (cancelled.cancelled() != boost::asio::cancellation_type::none)
      throw boost::system::system_error(boost::asio::error::operation_aborted);
    // The client says by this number that the answer is longer than it takes.
    const bool again = !response && !is_long && response.error().sys_errno == EMSGSIZE &&
                       options_.long_turn && options_.max_body > kShortAnswer;
    if (!again) break;
  }
  if (!response) co_return fail(response.error().with_context(options_.name));
  if (response->status != 200) co_return fail(refused(options_, *response));
  // What is asked again and again is not asked twice each time.
  if (is_long && target.find('?') == std::string::npos) {
    if (response->body.size() > kShortAnswer)
      long_targets_.insert(target);
    else
      long_targets_.erase(target);
  }
  if (const auto date = response->headers.find("date"); date != response->headers.end())
    out.date = http_date(date->second);
  out.body = std::move(response->body);
  co_return out;
}

Result<Answer> Source::answer_in(const std::string& name, Fetched& from) {
  Answer out;
  Result<boost::json::value> body = read_answer(name, from.body);
  std::string().swap(from.body);
  if (!body) return fail(std::move(body.error()));
  out.body = std::move(*body);
  out.date = from.date;
  out.asked = from.asked;
  out.answered = from.answered;
  return out;
}

Offset offset_of(UtcTime asked, UtcTime answered, double told, double resolution) {
  // The source read its clock at some time between the question and the answer, and told a time
  // that is up to `resolution` too early.
  const double from = epoch_seconds(asked), to = epoch_seconds(answered);
  const double low = told - to, high = told + resolution - from;
  return {(low + high) / 2, std::abs(high - low) / 2};
}

api::Timestamp to_ours(double seconds, const Offset& offset) {
  const bool applies = std::abs(offset.offset) > offset.uncertainty;
  const double ours = seconds - (applies ? offset.offset : 0);
  if (!std::isfinite(ours) || ours <= 0 || ours > kLatestTime) return {};
  return {UtcTime(std::chrono::microseconds(std::llround(ours * 1e6)))};
}

double to_theirs(UtcTime at, const Offset& offset) {
  const bool applies = std::abs(offset.offset) > offset.uncertainty;
  return epoch_seconds(at) + (applies ? offset.offset : 0);
}

std::optional<double> parse_time(std::string_view text) {
  // 2026-11-29T05:18:04.18908375Z, ...+01:00
  if (text.size() < 20 || text.size() > 40) return std::nullopt;
  std::array<int, 6> part{};
  constexpr std::array<std::pair<int, int>, 6> kPlaces = {
      {{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}}};
  for (std::size_t i = 0; i < kPlaces.size(); ++i) {
    const auto [from, length] = kPlaces[i];
    const char* begin = text.data() + from;
    const auto [end, error] = std::from_chars(begin, begin + length, part[i]);
    if (error != std::errc{} || end != begin + length || part[i] < 0) return std::nullopt;
  }
  if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') || text[13] != ':' ||
      text[16] != ':')
    return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(part[0]),
                                         std::chrono::month(static_cast<unsigned>(part[1])),
                                         std::chrono::day(static_cast<unsigned>(part[2]))};
  if (!date.ok() || part[0] < 1970 || part[0] > 2200 || part[3] > 23 || part[4] > 59 ||
      part[5] > 60)
    return std::nullopt;
  double seconds =
      std::chrono::duration<double>(std::chrono::sys_days(date).time_since_epoch()).count() +
      part[3] * 3600 + part[4] * 60 + part[5];
  std::string_view rest = text.substr(19);
  if (rest.starts_with('.')) {
    double scale = 0.1;
    std::size_t i = 1;
    for (; i < rest.size() && rest[i] >= '0' && rest[i] <= '9'; ++i, scale /= 10)
      seconds += (rest[i] - '0') * scale;
    rest.remove_prefix(i);
  }
  if (rest == "Z" || rest == "z") return seconds;
  if (rest.size() != 6 || (rest[0] != '+' && rest[0] != '-') || rest[3] != ':') return std::nullopt;
  int hours = 0, minutes = 0;
  if (std::from_chars(rest.data() + 1, rest.data() + 3, hours).ptr != rest.data() + 3 ||
      std::from_chars(rest.data() + 4, rest.data() + 6, minutes).ptr != rest.data() + 6)
    return std::nullopt;
  const double zone = hours * 3600 + minutes * 60;
  return rest[0] == '+' ? seconds - zone : seconds + zone;
}

}  // namespace faultline::controller::observe
