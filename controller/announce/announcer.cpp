// SPDX-License-Identifier: Apache-2.0
#include "controller/announce/announcer.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <map>
#include <set>

#include "base/printable.h"
#include "controller/announce/destination.h"
#include "controller/announce/words.h"
#include "controller/gameday/words.h"

namespace faultline::controller::announce {
namespace {

using boost::asio::awaitable;
using std::chrono::seconds;

constexpr seconds kLookAgain{1};
constexpr seconds kWaits[] = {seconds(1), seconds(5)};  // before another try

}  // namespace

// One destination, and what waits for it.
struct Line {
  Line(const boost::asio::any_io_executor& executor, api::EventDestination config)
      : destination(executor, std::move(config)), wake(executor) {}
  Destination destination;
  DestinationState state;
  std::deque<Announcement> waiting;
  bool sending = false, gone = false;
  boost::asio::steady_timer wake;
};

struct Announcer::Impl : std::enable_shared_from_this<Announcer::Impl> {
  Impl(boost::asio::any_io_executor ex, const Clock& time, RunControl& control)
      : executor(std::move(ex)), clock(time), runs(control) {}

  void configure(std::vector<api::EventDestination> configs) {
    std::map<std::string, std::shared_ptr<Line>> before = std::move(lines);
    lines.clear();
    for (api::EventDestination& config : configs) {
      const std::string name = config.name;
      auto line = std::make_shared<Line>(executor, std::move(config));
      line->state = {.name = name, .kind = line->destination.config().kind};
      if (const auto old = before.find(name); old != before.end()) {
        line->state.told = old->second->state.told;
        line->state.failed = old->second->state.failed;
        line->waiting = std::move(old->second->waiting);
        line->destination.known(old->second->destination);
      }
      lines.emplace(name, std::move(line));
    }
    for (const auto& [name, line] : before) {
      line->gone = true;
      line->wake.cancel();
    }
    for (const auto& [name, line] : lines) deliver(line);
  }

  // Looks at the runs, as long as the controller works.
  awaitable<void> loop() {
    while (!stopped) {
      const std::uint64_t seen = runs.changes();
      std::set<std::string> active;
      for (const api::RunRecord* head : runs.active_runs()) {
        active.insert(head->run);
        if (head->experiment.spec.faults.empty() || told.contains(head->run) ||
            gameday::is_quiet(*head))
          continue;
        const std::optional<UtcTime> from = injecting_from(*head);
        if (!from) continue;
        told.insert(head->run);
        // Whoever led before has told it.
        if (*from >= started) tell(faults_begin(*head));
      }
      for (auto at = told.begin(); at != told.end() && !stopped;) {
        const std::string run = *at;
        if (!active.contains(run)) co_await end(run);
        at = told.upper_bound(run);
      }
      if (stopped) co_return;
      if (runs.changes() == seen) co_await runs.wait_for_change(seen, clock.steady() + kLookAgain);
    }
  }

  awaitable<void> end(std::string run) {
    if (lines.empty()) {  // nobody asks for it
      told.erase(run);
      co_return;
    }
    const auto now = co_await runs.run_now(run);
    if (!now && now.error().code != Errc::kNotFound) co_return;  // the store: another time
    if (now && !now->report) co_return;                          // it is not over yet
    told.erase(run);
    if (now) tell(run_over(now->head, *now->report));
  }

  void tell(const Announcement& what) {
    for (const auto& [name, line] : lines) {
      line->waiting.push_back(what);
      if (line->waiting.size() > kMostWaiting) {
        line->waiting.pop_front();
        ++line->state.failed;
        line->state.problem = "too many messages wait";
      }
      deliver(line);
    }
  }

  void deliver(const std::shared_ptr<Line>& line) {
    if (line->sending || line->waiting.empty()) return;
    line->sending = true;
    boost::asio::co_spawn(executor, send_all(line),
                          [self = shared_from_this(), line](const std::exception_ptr& error) {
                            line->sending = false;
                            if (error && !self->stopped)
                              spdlog::error("{} is told no more of this", line->state.name);
                          });
  }

  awaitable<void> send_all(std::shared_ptr<Line> line) {
    while (!line->waiting.empty() && !line->gone && !stopped) {
      const Announcement what = line->waiting.front();
      line->waiting.pop_front();
      Result<> done;
      for (std::size_t tries = 0;; ++tries) {
        done = co_await line->destination.tell(what);
        if (done || !worth_another_try(done.error()) || tries == std::size(kWaits)) break;
        boost::system::error_code cancelled;
        line->wake.expires_after(kWaits[tries]);
        co_await line->wake.async_wait(
            boost::asio::redirect_error(boost::asio::use_awaitable, cancelled));
        if (line->gone || stopped) break;
      }
      // Where its settings were changed meanwhile the new line of that name has the count, and
      // tries again what was not told.
      std::shared_ptr<Line> now = line;
      if (line->gone) {
        const auto found = lines.find(line->state.name);
        if (found == lines.end()) co_return;
        now = found->second;
        if (!done && worth_another_try(done.error())) {
          now->waiting.push_front(what);
          deliver(now);
          co_return;
        }
      }
      now->state.problem = done ? "" : printable(done.error().message, kLongestLine);
      ++(done ? now->state.told : now->state.failed);
      if (!done)
        spdlog::warn("run {}: {} was not told: {}", what.run, now->state.name, now->state.problem);
    }
  }

  boost::asio::any_io_executor executor;
  const Clock& clock;
  RunControl& runs;
  UtcTime started = clock.utc();
  std::map<std::string, std::shared_ptr<Line>> lines;  // by name
  std::set<std::string> told;                          // runs under way whose faults began, by id
  bool stopped = false;
};

Announcer::Announcer(boost::asio::any_io_executor executor, const Clock& clock, RunControl& runs)
    : impl_(std::make_shared<Impl>(std::move(executor), clock, runs)) {}

Announcer::~Announcer() { stop(); }

void Announcer::configure(std::vector<api::EventDestination> destinations) {
  impl_->configure(std::move(destinations));
}

void Announcer::start(std::shared_ptr<void> owner) {
  boost::asio::co_spawn(impl_->executor, impl_->loop(),
                        [self = impl_, owner = std::move(owner)](const std::exception_ptr& error) {
                          // Nobody's run depends on it.
                          if (error && !self->stopped) spdlog::error("nobody is told of runs now");
                        });
}

void Announcer::stop() {
  impl_->stopped = true;
  for (const auto& [name, line] : impl_->lines) line->wake.cancel();
}

bool Announcer::idle() const {
  if (impl_->lines.empty()) return true;
  for (const auto& [name, line] : impl_->lines)
    if (line->sending) return false;
  return impl_->told.empty();
}

std::vector<DestinationState> Announcer::states() const {
  std::vector<DestinationState> all;
  for (const auto& [name, line] : impl_->lines) {
    all.push_back(line->state);
    all.back().waiting = line->waiting.size() + (line->sending ? 1 : 0);
  }
  return all;
}

}  // namespace faultline::controller::announce
