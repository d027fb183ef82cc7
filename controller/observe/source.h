// SPDX-License-Identifier: Apache-2.0
// What Prometheus and Alertmanager have in common as sources: where they are, how to be let in, one
// GET of JSON. Nothing here ever writes to them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/monitoring_record.h"
#include "base/clock.h"
#include "controller/observe/labels.h"
#include "controller/store/worker.h"
#include "document/tree.h"
#include "http/client.h"

namespace faultline::controller::observe {

struct SourceOptions {
  std::string name;            // how people call it; of one kind each has its own
  std::string url;             // http://127.0.0.1:9090, https://monitoring.example/prometheus
  std::string bearer_token;    // or empty
  std::string user, password;  // basic authentication, or both empty; not with a token
  std::optional<http::ClientTls> tls;        // only with https; without it the CAs of the system
  std::chrono::milliseconds timeout{5'000};  // of one question, 100 ms to 60 s
  std::size_t max_body = 32 << 20;           // bytes of one answer
  bool takes_query = false;  // the URL may have one: it is a request's whole address
  // Reads long answers beside the event loop, and outlives the source. Null: the loop reads them.
  Worker* reader = nullptr;
  // Whoever holds what this gives may hold an answer of more than kShortAnswer: so it is bounded
  // how many of them are in memory, of all runs. Empty: anybody may.
  std::function<boost::asio::awaitable<Result<std::shared_ptr<void>>>()> long_turn;
};
inline constexpr std::size_t kShortAnswer = 1 << 20;  // bytes

// kInvalid, with the field: an URL that is not http or https or holds a password or a query that it
// may not have, a token beside a user, TLS without https, a time-out out of its range. Pure,
// thread-safe.
[[nodiscard]] Result<> check(const SourceOptions& options);

// Of a client to it, and the headers by which it lets us in. Pure.
[[nodiscard]] http::ClientOptions client_options(const SourceOptions& options);
[[nodiscard]] std::map<std::string, std::string> authorization(const SourceOptions& options);
// What an answer with another status than 200 says, as one line that begins with the source's name.
// Codes as of Source::get(). Pure.
[[nodiscard]] Error refused(const SourceOptions& options, const http::ClientResponse& response);

// The most that is read of one answer.
inline constexpr document::Budget kAnswerBudget{32 << 20, 4'000'000, 32};

struct Answer {
  boost::json::value body{};
  std::optional<UtcTime> date;  // of the source's clock, whole seconds: the Date header
  UtcTime asked, answered;      // of ours
};

// One source. Not thread-safe; one question at a time, on its executor.
class Source {
 public:
  // `options` passed check(). `clock` must outlive this.
  Source(boost::asio::any_io_executor executor, SourceOptions options, const Clock& clock);

  // What `read` makes of the JSON at `target` ("/api/v1/rules"). It may run on the reader's thread,
  // so that it must own what it uses; its errors get the source's name. Errors, in words of one
  // line that begin with the source's name: kUnavailable (no connection, time-out, 5xx, an answer
  // that is no JSON or beyond the budget), kDenied (401, 403), kInvalid (400 and 422: what it says
  // of the question), kNotFound (404: perhaps a wrong path in the URL). A coroutine that is
  // cancelled gets operation_aborted.
  template <class T>
  [[nodiscard]] boost::asio::awaitable<Result<T>> get(
      std::string target, std::function<Result<T>(const Answer&)> read) {
    Result<Fetched> fetched = co_await fetch(std::move(target));
    if (!fetched) co_return fail(std::move(fetched.error()));
    const std::shared_ptr<void> turn = std::move(fetched->turn);  // until all of it is read
    const bool beside = fetched->body.size() > kReadHere && options_.reader != nullptr;
    auto work = [name = options_.name, from = std::move(*fetched),
                 read = std::move(read)]() mutable -> Result<T> {
      try {
        const Result<Answer> answer = answer_in(name, from);
        if (!answer) return fail(answer.error());
        Result<T> out = read(*answer);
        if (!out) return fail(out.error().with_context(name));
        return out;
      } catch (const std::exception& e) {  // of the worker's thread: nobody else would catch it
        return fail(Errc::kUnavailable, name + ": the answer cannot be read: " + e.what());
      }
    };
    // Not in one expression: g++ 12 destroys what is moved into one branch of it twice.
    if (beside) {
      Result<T> out = co_await options_.reader->run(std::move(work));
      co_return out;
    }
    co_return work();
  }
  [[nodiscard]] const SourceOptions& options() const { return options_; }
  [[nodiscard]] const Clock& clock() const { return clock_; }

 private:
  static constexpr std::size_t kReadHere = 64 << 10;  // bytes that the event loop reads
  struct Fetched {
    std::string body;
    std::optional<UtcTime> date;
    UtcTime asked, answered;
    std::shared_ptr<void> turn;  // of an answer that may be long
  };
  [[nodiscard]] boost::asio::awaitable<Result<Fetched>> fetch(std::string target);
  // Drops the body as soon as it is read.
  [[nodiscard]] static Result<Answer> answer_in(const std::string& name, Fetched& from);

  boost::asio::any_io_executor executor_;
  SourceOptions options_;
  http::Client client_;  // takes short answers, if there are turns for long ones
  std::unique_ptr<http::Client> long_ones_;
  std::set<std::string> long_targets_;  // whose last answer was long; no queries
  const Clock& clock_;
};

// Source minus controller and half its width, seconds.
struct Offset {
  double offset = 0;
  double uncertainty = 0;
};
// From an answer that told the source's time in `told` seconds since the epoch, exact to
// `resolution` seconds (time() of a query: 0.001; a Date header, which cuts: 1). Pure.
[[nodiscard]] Offset offset_of(UtcTime asked, UtcTime answered, double told, double resolution);

// A time of the source as one of ours; an offset that cannot be told from zero moves nothing. Times
// that no clock has (NaN, before 1970, beyond 2200) are "never". Pure.
[[nodiscard]] api::Timestamp to_ours(double seconds, const Offset& offset);
// The other way, for questions.
[[nodiscard]] double to_theirs(UtcTime at, const Offset& offset);
// RFC 3339 with any number of decimals and any zone, as Go writes it, in seconds since the epoch;
// empty: it is none, or Go's zero time.
[[nodiscard]] std::optional<double> parse_time(std::string_view text);

}  // namespace faultline::controller::observe
