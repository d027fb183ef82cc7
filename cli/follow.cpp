// SPDX-License-Identifier: Apache-2.0
#include "cli/follow.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "api/codec.h"
#include "http/target.h"

namespace faultline::cli {
namespace asio = boost::asio;
using std::chrono::milliseconds;
namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

// Lives on the stack of follow(), which runs the io_context until both coroutines have ended.
class Follower {
 public:
  Follower(const ControllerApi& api, api::RunSummary first, const FollowOptions& options,
           const std::function<void(const api::RunSummary&)>& on_summary,
           const std::function<void(const std::string&)>& say)
      : options_(options),
        on_summary_(on_summary),
        say_(say),
        way_(api.way()),
        run_(first.run),
        io_(1),
        signal_(io_),
        pause_(io_) {
    followed_.last = std::move(first);
  }

  Result<Followed> run(const Interrupt& interrupt) {
    const int fd = dup(interrupt.fd());
    boost::system::error_code ec;
    if (fd >= 0) signal_.assign(fd, ec);
    std::exception_ptr failed;
    const auto done = [&](const std::exception_ptr& e) {
      if (e && !failed) failed = e;
      signal_.close(ec);
    };
    asio::co_spawn(io_, watch(), done);
    asio::co_spawn(io_, obey(interrupt), [&](const std::exception_ptr& e) {
      if (e && !failed) failed = e;
    });
    io_.run();
    if (failed) return fail(Errc::kInternal, "following the run failed");
    if (problem_) return fail(*problem_);
    return std::move(followed_);
  }

 private:
  [[nodiscard]] bool over() const { return problem_ || leaving_ || ended(followed_.last.state); }

  void on_event(const http::ServerEvent& event) {
    if (event.event != "state") return;
    auto summary = api::from_json_text<api::RunSummary>(event.data);
    if (!summary || summary->run != run_) return;
    reached_ = std::chrono::steady_clock::now();
    followed_.last = std::move(*summary);
    on_summary_(followed_.last);
  }

  asio::awaitable<void> watch() {
    reached_ = std::chrono::steady_clock::now();
    bool told = false;
    while (!over()) {
      const auto before = reached_;
      const auto done = co_await listen();
      if (over()) break;
      if (told && reached_ != before) {
        say_("in touch again");
        told = false;
      }
      // The stream ended before the run did, or it is silent: ask.
      if (co_await ask()) continue;
      if (over()) break;
      if (options_.alive)
        if (auto alive = options_.alive(); !alive) {
          problem_ = alive.error();
          break;
        }
      if (!told)
        say_("lost touch with the controller (" +
             (done ? "the stream ended" : done.error().message) + "); trying again for " +
             std::to_string(options_.patience.count() / 1000) +
             " s. Agents that lose it too stop injecting within their lease");
      told = true;
      if (std::chrono::steady_clock::now() - reached_ > options_.patience) {
        problem_ = Error{Errc::kUnavailable,
                         "the controller is gone: " +
                             (done ? std::string("its stream ended") : done.error().message) +
                             "; what became of " + run_ + " is not known here",
                         0};
        break;
      }
      pause_.expires_after(milliseconds(250));
      co_await pause_.async_wait(kTuple);
    }
  }

  // Until the stream ends.
  asio::awaitable<Result<>> listen() {
    auto options = way_.options();
    if (!options) co_return fail(options.error());
    events_.emplace(io_.get_executor(), std::move(*options));
    co_return co_await events_->events(
        ControllerApi::events_target(run_),
        [this](const http::ServerEvent& event) {
          on_event(event);
          return !over();
        },
        options_.silence);
  }

  // `method` is no std::string: g++ 12 destroys a temporary twice where a caller awaits the call.
  asio::awaitable<Result<http::ClientResponse>> call(const char* method, std::string target,
                                                     milliseconds limit) {
    auto options = way_.options();
    if (!options) co_return fail(options.error());
    http::Client client(io_.get_executor(), std::move(*options));
    auto answer = co_await client.request(method, std::move(target), "", limit);
    if (!answer) way_.broken();
    if (answer && answer->status == 421) way_.elsewhere(leader_of(answer->body));
    co_return http::expect_ok(std::move(answer));
  }

  // The state of the run without the stream. False: no answer.
  asio::awaitable<bool> ask() {
    // Of this experiment only: a list has an end, and others may have begun a hundred runs since.
    std::string target = "/api/v1/experiments";
    if (!followed_.last.name.empty())
      target += "?name=" + http::percent_encode(followed_.last.name);
    const auto answer = co_await call("GET", std::move(target), milliseconds(3000));
    if (!answer) {
      // An answer, though not the one we want: waiting longer will not change it.
      if (answer.error().code != Errc::kUnavailable) problem_ = answer.error();
      co_return false;
    }
    auto all = api::from_json_text<std::vector<api::RunSummary>>(answer->body);
    if (!all) {
      problem_ = Error{Errc::kInternal,
                       "the controller's answer cannot be read: " + all.error().message, 0};
      co_return false;
    }
    const auto it = std::ranges::find(*all, run_, &api::RunSummary::run);
    if (it == all->end()) {
      problem_ = Error{Errc::kUnavailable, "the controller does not know " + run_ + " any more", 0};
      co_return false;
    }
    reached_ = std::chrono::steady_clock::now();
    followed_.last = std::move(*it);
    on_summary_(followed_.last);
    pause_.expires_after(milliseconds(100));  // no storm of requests if streams end at once
    co_await pause_.async_wait(kTuple);
    co_return true;
  }

  asio::awaitable<void> obey(const Interrupt& interrupt) {
    if (!interrupt.requested()) {
      const auto [ec] =
          co_await signal_.async_wait(asio::posix::stream_descriptor::wait_read, kTuple);
      if (ec || over()) co_return;
    }
    followed_.interrupted = true;
    if (!options_.stop_on_interrupt) {
      leaving_ = true;
      if (events_) events_->close();
      pause_.cancel();
      co_return;
    }
    say_("stopping " + run_ + "; once more to leave at once");
    for (int attempt = 0; attempt < 3 && !over(); ++attempt) {
      std::string target = ControllerApi::stop_target(run_);
      const auto stopped = co_await call("POST", std::move(target), milliseconds(5000));
      if (stopped) co_return;
      // It may have ended meanwhile; the stream says so.
      say_("could not ask for the stop: " + stopped.error().message);
      if (stopped.error().code != Errc::kUnavailable) co_return;
      asio::steady_timer timer(io_, milliseconds(500));
      co_await timer.async_wait(kTuple);
    }
  }

  const FollowOptions& options_;
  const std::function<void(const api::RunSummary&)>& on_summary_;
  const std::function<void(const std::string&)>& say_;
  Way& way_;
  std::string run_;
  asio::io_context io_;
  std::optional<http::Client> events_;  // of the last stream
  asio::posix::stream_descriptor signal_;
  asio::steady_timer pause_;
  std::chrono::steady_clock::time_point reached_;
  Followed followed_;
  std::optional<Error> problem_;
  bool leaving_ = false;
};

}  // namespace

Result<Followed> follow(const ControllerApi& api, api::RunSummary first, const Interrupt& interrupt,
                        const FollowOptions& options,
                        const std::function<void(const api::RunSummary&)>& on_summary,
                        const std::function<void(const std::string&)>& say) {
  on_summary(first);
  return Follower(api, std::move(first), options, on_summary, say).run(interrupt);
}

}  // namespace faultline::cli
