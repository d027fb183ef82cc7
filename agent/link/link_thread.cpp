// SPDX-License-Identifier: Apache-2.0
#include "agent/link/link_thread.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <iterator>
#include <utility>

#include "agent/link/sleep.h"

namespace faultline::agent {

namespace asio = boost::asio;

namespace {

// The shortest lease of the runs that are wanted.
std::optional<std::chrono::nanoseconds> lease_of(const api::SyncResponse& response) {
  std::optional<std::chrono::nanoseconds> shortest;
  for (const api::DesiredRun& run : response.runs) {
    const std::chrono::nanoseconds lease = Lease::length_of(run.leaseSeconds);
    shortest = std::min(shortest.value_or(lease), lease);
  }
  return shortest;
}

}  // namespace

LinkThread::LinkThread(asio::io_context& owner_loop, const Clock& clock, LinkOptions options,
                       Conversation conversation, Owner owner)
    : owner_loop_(owner_loop),
      clock_(clock),
      owner_(std::move(owner)),
      came_timer_(loop_),
      done_timer_(loop_),
      link_(loop_.get_executor(), clock, std::move(options), std::move(conversation),
            LinkOwner{
                .news = [this] { return news(); },
                .answered = [this](api::SyncResponse response,
                                   AnswerTimes times) { answered(std::move(response), times); }}) {}

LinkThread::~LinkThread() { stop_thread(); }

void LinkThread::stop_thread() {
  loop_.stop();
  if (thread_.joinable()) thread_.join();
}

void LinkThread::start() {
  // An exception is an error of ours: the owner's loop throws it, and all faults end with it.
  const auto failed = [this](const std::exception_ptr& error) {
    if (error) asio::post(owner_loop_, [error] { std::rethrow_exception(error); });
  };
  asio::co_spawn(loop_, link_.run(), [this, failed](const std::exception_ptr& error) {
    ended_ = true;
    done_timer_.cancel();
    failed(error);
  });
  thread_ = std::thread([this, failed] {
    const auto work = asio::make_work_guard(loop_);
    try {
      loop_.run();
    } catch (...) {
      failed(std::current_exception());
    }
  });
  started_ = true;
}

void LinkThread::wake() {
  asio::post(loop_, [this] { link_.wake(); });
}

void LinkThread::pods(std::vector<api::PodRef> pods) {
  asio::post(loop_, [this, pods = std::move(pods)]() mutable {
    if (link_.conversation().pods(std::move(pods))) link_.wake();
  });
}

std::chrono::nanoseconds LinkThread::silence() const {
  return asked_at_ ? clock_.steady() - *asked_at_ : std::chrono::nanoseconds(0);
}

void LinkThread::ask() {
  if (asked_at_) return;  // what it will say to that is as good
  asked_at_ = clock_.steady();
  asio::post(owner_loop_, [this] {
    asio::post(loop_, [this, news = owner_.news()]() mutable {
      asked_at_.reset();
      if (came_)  // to a question that was given up
        news.batches.insert(news.batches.begin(), std::move_iterator(came_->batches.begin()),
                            std::move_iterator(came_->batches.end()));
      came_ = std::move(news);
      came_timer_.cancel();
    });
  });
}

asio::awaitable<OwnerNews> LinkThread::news() {
  ask();
  while (asked_at_ && !ending_) {
    const std::chrono::nanoseconds silent = silence();
    if (silent >= kPatience && silent < kMostSilence && !last_.acting) break;
    co_await sleep(came_timer_, silent < kPatience ? kPatience - silent : kPatience);
  }
  if (!came_) co_return last_;
  OwnerNews news = std::move(*came_);
  came_.reset();
  last_ = {{}, news.situation, news.armed_lease, news.acting};
  co_return news;
}

void LinkThread::answered(api::SyncResponse response, AnswerTimes times) {
  // Until the owner says what it makes of it: a run that is wanted here is talked about as often as
  // its lease asks.
  if (const auto lease = lease_of(response)) {
    std::optional<std::chrono::nanoseconds>& shortest = last_.situation.lease;
    shortest = std::min(shortest.value_or(*lease), *lease);
  }
  const std::scoped_lock lock(mutex_);
  const bool waiting = answer_.has_value();
  answer_ = Answer{std::move(response), times};
  if (waiting) return;
  asio::post(owner_loop_, [this] {
    std::unique_lock taking(mutex_);
    const Answer answer = std::move(*answer_);
    answer_.reset();
    taking.unlock();
    owner_.answered(answer.response, answer.times);
  });
}

asio::awaitable<bool> LinkThread::end(std::chrono::milliseconds limit) {
  link_.stop();
  ending_ = true;
  came_timer_.cancel();
  while (started_ && !ended_) {
    co_await sleep(done_timer_, limit);
  }
  ending_ = false;
  const bool told = co_await link_.flush(limit);
  co_return told;
}

}  // namespace faultline::agent
