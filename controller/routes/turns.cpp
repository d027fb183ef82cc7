// SPDX-License-Identifier: Apache-2.0
#include "controller/routes/turns.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <deque>
#include <list>
#include <map>
#include <utility>

#include "controller/routes/signal.h"

namespace faultline::controller {

struct Turns::Waiter {
  explicit Waiter(boost::asio::any_io_executor executor) : answered(std::move(executor)) {}
  Signal answered;
  enum { kWaits, kHasTurn, kRefused } is = kWaits;

  void answer(bool turn) {
    is = turn ? kHasTurn : kRefused;
    answered.notify();
  }
};

struct Turns::State {
  struct Caller {
    std::string name;
    std::size_t under_way = 0;
    std::deque<Waiter*> waiting;  // each lives in the coroutine that waits
    [[nodiscard]] std::size_t all() const { return under_way + waiting.size(); }
  };
  using Callers = std::list<Caller>;  // who had a turn last is last; each has all() > 0

  std::size_t under_way = 0, waiting = 0;
  Callers callers;

  Callers::iterator of(const std::string& name) {
    const auto found = std::ranges::find(callers, name, &Caller::name);
    return found != callers.end() ? found : callers.insert(callers.end(), {.name = name});
  }
  void forget_if_gone(Callers::iterator caller) {
    if (caller->all() == 0) callers.erase(caller);
  }
  void leave(const std::string& name, Waiter& waiter) {
    const auto caller = of(name);
    if (std::erase(caller->waiting, &waiter) > 0) --waiting;
    forget_if_gone(caller);
  }
  // Counts a turn of this caller, which goes behind all others with it.
  void begin(Callers::iterator caller) {
    ++under_way;
    ++caller->under_way;
    callers.splice(callers.end(), callers, caller);
  }
  // Ends a turn of this caller and gives it to the next one that waits.
  void end(const std::string& name) {
    const auto ended = of(name);
    --under_way;
    --ended->under_way;
    forget_if_gone(ended);
    const auto next =
        std::ranges::find_if(callers, [](const Caller& caller) { return !caller.waiting.empty(); });
    if (next == callers.end()) return;
    Waiter* waiter = next->waiting.front();
    next->waiting.pop_front();
    --waiting;
    begin(next);
    waiter->answer(true);
  }
  // Makes room for one of `caller`. False: nobody has more that wait than it.
  bool make_room(Callers::iterator caller) {
    const auto most = std::ranges::max_element(
        callers, {}, [](const Caller& other) { return other.waiting.size(); });
    if (most->waiting.size() <= caller->waiting.size() + 1) return false;
    Waiter* newest = most->waiting.back();
    most->waiting.pop_back();
    --waiting;
    newest->answer(false);
    forget_if_gone(most);
    return true;
  }
};

Turns::Turns(const Clock& clock, Limits limits)
    : clock_(clock), limits_(limits), state_(std::make_shared<State>()) {}

boost::asio::awaitable<Result<std::shared_ptr<void>>> Turns::take(std::string caller,
                                                                  std::string what) {
  const auto state = state_;
  const auto too_many = [&](const char* where) {
    return fail(Errc::kUnavailable, "too many " + what + where + "; try again");
  };
  const auto give_back = [state, caller](void*) { state->end(caller); };
  const auto self = state->of(caller);
  if (self->all() >= limits_.of_caller) co_return too_many(" of this caller are under way");
  if (state->under_way < limits_.under_way) {
    state->begin(self);
    co_return std::shared_ptr<void>(state.get(), give_back);
  }
  if (state->waiting >= limits_.waiting && !state->make_room(self)) {
    state->forget_if_gone(self);
    co_return too_many(" are under way");
  }
  Waiter waiter(co_await boost::asio::this_coro::executor);
  self->waiting.push_back(&waiter);
  ++state->waiting;
  struct Leave {
    const std::shared_ptr<State>& state;
    const std::string& caller;
    Waiter& waiter;
    bool has_taken = false;
    ~Leave() {
      if (waiter.is == Waiter::kWaits) state->leave(caller, waiter);
      // A turn came while the coroutine was being ended.
      if (waiter.is == Waiter::kHasTurn && !has_taken) state->end(caller);
    }
  } leave{state, caller, waiter};
  co_await waiter.answered.wait(clock_.steady() + limits_.patience);
  if (waiter.is != Waiter::kHasTurn) co_return too_many(" are under way");
  leave.has_taken = true;
  co_return std::shared_ptr<void>(state.get(), give_back);
}

}  // namespace faultline::controller
