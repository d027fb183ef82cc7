// SPDX-License-Identifier: Apache-2.0
#include "cli/gameday/follow.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <set>

#include "api/codec.h"
#include "cli/random_key.h"
#include "http/target.h"

namespace faultline::cli {
namespace asio = boost::asio;
using std::chrono::milliseconds;
namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds kAnswer{10};  // beyond what the question lets it wait
constexpr milliseconds kPause{250};          // no storm of questions if answers come at once
constexpr int kMisdirected = 421;

// Lives on the stack of follow_day(), which runs the io_context until both coroutines have ended.
class DayFollower {
 public:
  DayFollower(const ControllerApi& api, std::string id, FollowedDay from,
              const DayFollowOptions& options, const OnDay& on_view,
              const std::function<void(const std::string&)>& say)
      : options_(options),
        on_view_(on_view),
        say_(say),
        way_(api.way()),
        id_(std::move(id)),
        followed_(std::move(from)),
        io_(1),
        signal_(io_),
        pause_(io_) {
    for (const api::DayEntry& entry : followed_.entries) note(entry);
  }

  Result<FollowedDay> run(const Interrupt& interrupt) {
    const int fd = dup(interrupt.fd());
    boost::system::error_code ec;
    if (fd >= 0) signal_.assign(fd, ec);
    std::exception_ptr failed;
    asio::co_spawn(io_, watch(), [&](const std::exception_ptr& e) {
      if (e && !failed) failed = e;
      signal_.close(ec);
    });
    asio::co_spawn(io_, obey(interrupt), [&](const std::exception_ptr& e) {
      if (e && !failed) failed = e;
    });
    io_.run();
    if (failed) return fail(Errc::kInternal, "following the game day failed");
    if (problem_) return fail(*problem_);
    return std::move(followed_);
  }

 private:
  [[nodiscard]] bool over() const { return problem_ || leaving_ || done_; }

  void note(const api::DayEntry& entry) {
    seen_.insert(entry.number);
    newest_ = std::max(newest_, entry.number);
  }

  void on_view(api::GameDayView view) {
    std::vector<api::DayEntry> entries = std::move(view.entries);
    view.entries.clear();
    std::vector<std::uint64_t> fresh;
    for (api::DayEntry& entry : entries) {
      if (seen_.contains(entry.number)) continue;
      note(entry);
      fresh.push_back(entry.number);
      followed_.entries.push_back(std::move(entry));
    }
    std::ranges::sort(followed_.entries, {}, &api::DayEntry::number);
    std::ranges::sort(fresh);
    std::vector<const api::DayEntry*> told;
    for (const api::DayEntry& entry : followed_.entries)
      if (std::ranges::binary_search(fresh, entry.number)) told.push_back(&entry);
    followed_.last = std::move(view);
    on_view_(followed_.last, told, followed_.entries);
    // A long timeline comes in pages; the last one has no link to the next.
    done_ = !more_ &&
            (ended(followed_.last.state) || (options_.until && options_.until(followed_.last)));
  }

  asio::awaitable<void> watch() {
    auto reached = std::chrono::steady_clock::now();
    bool told = false;
    while (!over()) {
      const auto asked = std::chrono::steady_clock::now();
      const std::uint64_t before = newest_;
      auto answer = co_await ask();
      if (over()) break;
      if (answer) {
        reached = std::chrono::steady_clock::now();
        if (std::exchange(told, false)) say_("in touch again");
        on_view(std::move(*answer));
        if (over() || newest_ != before || reached - asked > kPause) continue;
      } else if (!is_away(answer.error())) {
        // An answer, though not the one we want: waiting longer will not change it.
        problem_ = answer.error();
        break;
      } else {
        if (options_.alive)
          if (auto alive = options_.alive(); !alive) {
            problem_ = alive.error();
            break;
          }
        if (!std::exchange(told, true))
          say_(std::string(asks_to_wait(answer.error()) ? "the controller asks to wait"
                                                        : "lost touch with the controller") +
               " (" + answer.error().message + "); trying again for " +
               std::to_string(options_.patience.count() / 1000) +
               " s. Agents that lose it too stop injecting within their lease");
        if (std::chrono::steady_clock::now() - reached > options_.patience) {
          problem_ = Error{Errc::kUnavailable,
                           "the controller is gone: " + answer.error().message +
                               "; what became of " + id_ + " is not known here",
                           0};
          break;
        }
      }
      pause_.expires_after(kPause);
      co_await pause_.async_wait(kTuple);
    }
  }

  asio::awaitable<Result<api::GameDayView>> ask() {
    std::string target = DayApi::day_target(id_, newest_, options_.as,
                                            first_ ? std::chrono::seconds(0) : options_.wait);
    const milliseconds limit = options_.wait + kAnswer;
    std::string nothing;
    auto answer = co_await call(client_, "GET", std::move(target), std::move(nothing), limit);
    if (!answer) co_return fail(answer.error());
    auto view = api::from_json_text<api::GameDayView>(answer->body);
    if (!view)
      co_return fail(Errc::kInternal,
                     "the controller's answer cannot be read: " + view.error().message);
    first_ = false;
    more_ = answer->headers.contains("link");
    co_return std::move(*view);
  }

  // `method` is no std::string: g++ 12 destroys a temporary twice where a caller awaits the call.
  asio::awaitable<Result<http::ClientResponse>> call(std::optional<http::Client>& client,
                                                     const char* method, std::string target,
                                                     std::string body, milliseconds limit) {
    auto options = way_.options();
    if (!options) co_return fail(options.error());
    client.emplace(io_.get_executor(), std::move(*options));
    std::string verb = method;
    auto answer =
        co_await client->request(std::move(verb), std::move(target), std::move(body), limit);
    if (!answer) way_.broken();
    if (answer && answer->status == kMisdirected) way_.elsewhere(leader_of(answer->body));
    co_return http::expect_ok(std::move(answer));
  }

  void leave() {
    leaving_ = true;
    if (client_) client_->close();
    pause_.cancel();
  }

  asio::awaitable<void> obey(const Interrupt& interrupt) {
    if (!interrupt.requested()) {
      const auto [ec] =
          co_await signal_.async_wait(asio::posix::stream_descriptor::wait_read, kTuple);
      if (ec || over()) co_return;
    }
    followed_.interrupted = true;
    const auto key = random_key();
    if (options_.abort_reason.empty() || !key) {
      leave();
      co_return;
    }
    say_("aborting " + id_ + "; once more to leave at once");
    api::DayWord word{.kind = api::EntryKind::aborted};  // it happens when it is taken
    word.key = *key;
    word.as = options_.as;
    word.text = options_.abort_reason;
    const std::string body = api::to_json_text(word);
    for (int attempt = 0; attempt < 3 && !over(); ++attempt) {
      std::optional<http::Client> client;
      std::string target = "/api/v1/gamedays/" + http::percent_encode(id_) + "/entries";
      std::string words = body;
      const auto said =
          co_await call(client, "POST", std::move(target), std::move(words), milliseconds(5000));
      if (said) co_return;
      say_("could not ask for the end: " + said.error().message);
      if (!is_away(said.error())) co_return;
      asio::steady_timer timer(io_, milliseconds(500));
      co_await timer.async_wait(kTuple);
    }
  }

  const DayFollowOptions& options_;
  const OnDay& on_view_;
  const std::function<void(const std::string&)>& say_;
  Way& way_;
  std::string id_;
  FollowedDay followed_;
  asio::io_context io_;
  std::optional<http::Client> client_;  // of the last question
  asio::posix::stream_descriptor signal_;
  asio::steady_timer pause_;
  std::set<std::uint64_t> seen_;
  std::uint64_t newest_ = 0;
  bool first_ = true;  // nothing was answered yet
  bool more_ = false;  // the answer was one page, and there is another
  std::optional<Error> problem_;
  bool leaving_ = false, done_ = false;
};

}  // namespace

Result<FollowedDay> follow_day(const ControllerApi& api, const std::string& id, FollowedDay from,
                               const Interrupt& interrupt, const DayFollowOptions& options,
                               const OnDay& on_view,
                               const std::function<void(const std::string&)>& say) {
  return DayFollower(api, id, std::move(from), options, on_view, say).run(interrupt);
}

}  // namespace faultline::cli
