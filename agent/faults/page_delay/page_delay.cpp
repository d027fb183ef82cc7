// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/page_delay/page_delay.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <system_error>
#include <utility>

#include "agent/kernel/timing_thread.h"

namespace faultline::agent {
namespace {

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr std::uint64_t kBeat = 100 * kMs;  // the watchdog is postponed at least so often
constexpr std::uint64_t kLookForKilled = 10 * kMs;
constexpr std::chrono::seconds kStart{5};  // to mount and map, on a busy machine

KtimeNs now_ns() { return SystemClock().ktime(); }
KtimeNs after(KtimeNs t, std::uint64_t ns) { return {t.ns + ns}; }
std::uint64_t count(std::chrono::nanoseconds t) { return static_cast<std::uint64_t>(t.count()); }

// A signal that kills becomes SIGKILL on each thread (complete_signal(), kernel/signal.c); others
// wait in the mask until the call is over, as they do for a disk.
bool is_dying(pid_t thread) {
  std::ifstream status("/proc/" + std::to_string(thread) + "/status");
  if (!status) return true;
  constexpr std::uint64_t kKill = 1ULL << (9 - 1);
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("SigPnd:") || line.starts_with("ShdPnd:"))
      if ((std::stoull(line.substr(7), nullptr, 16) & kKill) != 0) return true;
  return false;
}

KtimeNs end_of(fl_lease& lease) {
  if (std::atomic_ref(lease.armed).load(std::memory_order_acquire) == 0) return {};
  return {std::atomic_ref(lease.deadline_ns).load(std::memory_order_relaxed)};
}

}  // namespace

PageDelay::PageDelay(fl_waits& waits, Lines lines, FuseChannel channel)
    : waits_(waits), channel_(std::move(channel)), lines_(std::move(lines)) {}

Result<std::unique_ptr<PageDelay>> PageDelay::start(fl_waits& waits, Lines lines) {
  const auto page_size = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
  auto channel = FuseChannel::open(std::uint64_t{FL_WAIT_PAGES} * page_size);
  if (!channel) return fail(channel.error());
  waits.page_size = page_size;
  std::unique_ptr<PageDelay> delay(new PageDelay(waits, std::move(lines), std::move(*channel)));
  delay->wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!delay->wake_.valid()) return fail(from_errno(errno, "eventfd"));
  std::promise<Result<>> promise;
  auto started = promise.get_future();
  try {
    delay->thread_ = std::thread(
        [&self = *delay](std::promise<Result<>> p) { self.run(std::move(p)); }, std::move(promise));
  } catch (const std::system_error& e) {
    return fail(from_errno(e.code().value(), "start the thread that serves pages"));
  }
  if (auto done = started.get(); !done) return fail(done.error());
  return delay;
}

PageDelay::~PageDelay() { stop(); }

PageDelay::Lines PageDelay::stop() {
  stop_.store(true, std::memory_order_release);
  wake();
  if (thread_.joinable()) thread_.join();
  const std::scoped_lock lock(mutex_);
  return lines_;
}

void PageDelay::add(std::uint32_t slot, fl_lease& lease, DelayModel model) {
  const std::scoped_lock lock(mutex_);
  lines_.insert_or_assign(slot, Line{&lease, model});
  wake();  // the watchdog may have to come earlier
}

void PageDelay::remove(std::uint32_t slot) {
  const std::scoped_lock lock(mutex_);
  const auto line = lines_.find(slot);
  if (line == lines_.end()) return;
  answer_all_of(line->second);
  lines_.erase(line);
}

Result<> PageDelay::check() const {
  const std::scoped_lock lock(mutex_);
  return health_;
}

api::Histogram served(fl_hist& waits) {
  api::Histogram histogram;
  for (std::uint32_t i = 0; i < FL_HIST_BUCKETS; ++i)
    if (const auto n = std::atomic_ref(waits.slots[i]).load(std::memory_order_relaxed))
      histogram.buckets[i] = n;
  const auto seconds = [](__u64& ns) {
    return static_cast<double>(std::atomic_ref(ns).load(std::memory_order_relaxed)) / 1e9;
  };
  histogram.sum = seconds(waits.sum_ns);
  histogram.max = seconds(waits.max_ns);
  return histogram;
}

void PageDelay::run(std::promise<Result<>> started) {
  TimingThread timing("fl-pages");
  Result<> mapped = launch();
  const bool serving = mapped.has_value();
  started.set_value(std::move(mapped));
  while (serving && !ended_ && !stop_.load(std::memory_order_acquire)) {
    wait(next_look());
    timing.turn(now_ns());
    serve_once();
  }
  std::atomic_ref(waits_.helper).store(0, std::memory_order_release);
  if (serving && !ended_) end_connection();
  const std::scoped_lock lock(mutex_);
  answer_all();
  postpones_ = false;
  // The connection goes before the helper: it could wait for an answer of ours.
  channel_.close();
  helper_.reset();
}

void PageDelay::serve_once() {
  const std::scoped_lock lock(mutex_);
  take_requests();
  helper_->postpone(free_by(now_ns()));
  if (helper_gone_) answer_all();
  answer_ended();
  answer_due();
  answer_killed();
}

// By the helper: closing our descriptor is not enough where a process was forked with a copy of it.
// Until it is done there may be those who were on the way to their page.
void PageDelay::end_connection() {
  {
    const std::scoped_lock lock(mutex_);
    postpones_ = false;
    helper_->end();
  }
  const KtimeNs end = after(now_ns(), count(kWatchdog));
  pollfd fds[2] = {{channel_.fd(), POLLIN, 0}, {helper_->ended(), POLLIN, 0}};
  do {
    {
      const std::scoped_lock lock(mutex_);
      take_requests();
      answer_all();
    }
    ::poll(fds, 2, static_cast<int>(kBeat / kMs));
  } while (!ended_ && fds[1].revents == 0 && now_ns() < end);
}

Result<> PageDelay::launch() {
  helper_ = std::make_unique<PageHelper>();
  const std::uint64_t bytes = std::uint64_t{FL_WAIT_PAGES} * waits_.page_size;
  if (auto done = helper_->launch(channel_.fd(), bytes, after(now_ns(), count(kStart))); !done)
    return done;
  const KtimeNs end = after(now_ns(), count(kStart));
  pollfd fds[2] = {{helper_->report(), POLLIN, 0}, {channel_.fd(), POLLIN, 0}};
  while ((fds[0].revents & (POLLIN | POLLHUP)) == 0) {
    if (now_ns() > end) return fail(Errc::kInternal, "FUSE was not mounted within 5 s");
    ::poll(fds, 2, static_cast<int>(kBeat / kMs));
    // POLLERR until it is mounted.
    if ((fds[1].revents & POLLIN) != 0) {
      const std::scoped_lock lock(mutex_);
      take_requests();
    } else if ((fds[1].revents & POLLERR) != 0) {
      ::usleep(1000);
    }
    if (ended_) return check();
  }
  const auto pages = helper_->pages();
  if (!pages) return fail(pages.error());
  const std::scoped_lock lock(mutex_);
  helper_->postpone(free_by(now_ns()));
  postpones_ = true;
  waits_.base = pages->base;
  std::atomic_ref(waits_.helper)
      .store(static_cast<std::uint32_t>(pages->pid), std::memory_order_release);
  return {};
}

void PageDelay::take_requests() {
  for (;;) {
    const auto request = channel_.next();
    if (!request) {
      ended_ = true;
      return fail_with(request.error());
    }
    switch (request->what) {
      case FuseChannel::What::kNone:
        return;
      case FuseChannel::What::kAnswered:
        break;
      case FuseChannel::What::kRead:
        accept(*request);
        count_work();
        break;
      case FuseChannel::What::kInterrupt:
        if (waiters_.contains(request->unique)) signalled_.insert(request->unique);
        break;
      case FuseChannel::What::kEnded:
        ended_ = true;
        return fail_with(
            {Errc::kUnavailable,
             "the watchdog ended the delays, since the agent did not run for a while"});
    }
  }
}

void PageDelay::accept(const FuseChannel::Request& request) {
  const std::uint64_t page = request.offset / waits_.page_size;
  if (page >= FL_WAIT_PAGES) return channel_.refuse(request.unique, EIO);
  fl_wait_page& at = waits_.page[page];
  const std::uint64_t since = std::atomic_ref(at.state).load(std::memory_order_acquire);
  // Nobody waits there, or it was answered and the kernel asks once more (it may after it let go of
  // mmap_lock).
  if (since < FL_WAIT_SINCE) return channel_.refuse(request.unique, EIO);
  Waiter waiter{{since}, static_cast<std::uint32_t>(page), since, at.slot, request.thread};
  const auto line = lines_.find(waiter.slot);
  if (line != lines_.end()) {
    waiter.due = {since + count(line->second.model.next())};
    line->second.waiters.insert(request.unique);
  }
  waiters_[request.unique] = waiter;
  by_due_.emplace(waiter.due, request.unique);
  if (line == lines_.end()) answer(request.unique, FL_WAIT_CUT);  // its fault has ended
}

void PageDelay::answer(std::uint64_t unique, std::uint64_t outcome) {
  const auto found = waiters_.find(unique);
  if (found == waiters_.end()) return;
  const Waiter& waiter = found->second;
  // Before the answer, after which the page is the waiter's again; where the connection was ended
  // it may be another's already, and is left alone.
  __u64 since = waiter.since;
  std::atomic_ref(waits_.page[waiter.page].state).compare_exchange_strong(since, outcome);
  channel_.refuse(unique, EIO);
  by_due_.erase({waiter.due, unique});
  signalled_.erase(unique);
  if (const auto line = lines_.find(waiter.slot); line != lines_.end())
    line->second.waiters.erase(unique);
  waiters_.erase(found);
  count_work();
}

// Thousands of waiters may take longer than the watchdog has patience for, on a busy CPU: it is
// postponed after each 64 of them.
void PageDelay::count_work() {
  if (postpones_ && ++work_ % 64 == 0) helper_->postpone(free_by(now_ns()));
}

void PageDelay::answer_due() {
  while (!by_due_.empty() && by_due_.begin()->first <= now_ns())
    answer(by_due_.begin()->second, FL_WAIT_SERVED);
}

void PageDelay::answer_all_of(Line& line) {
  while (!line.waiters.empty()) answer(*line.waiters.begin(), FL_WAIT_CUT);
}

void PageDelay::answer_all() {
  while (!waiters_.empty()) answer(waiters_.begin()->first, FL_WAIT_CUT);
}

// Whose lease is over.
void PageDelay::answer_ended() {
  const KtimeNs now = now_ns();
  for (auto& [slot, line] : lines_)
    if (now >= end_of(*line.lease)) answer_all_of(line);
}

void PageDelay::answer_killed() {
  for (auto it = signalled_.begin(); it != signalled_.end();) {
    const std::uint64_t unique = *it++;  // answer() erases it
    if (is_dying(waiters_.at(unique).thread)) answer(unique, FL_WAIT_CUT);
  }
}

// Of the leases that are not over; in no time that comes where there is none.
KtimeNs PageDelay::first_lease_end(KtimeNs now) const {
  KtimeNs first{UINT64_MAX};
  for (const auto& [slot, line] : lines_)
    if (const KtimeNs end = end_of(*line.lease); end > now) first = std::min(first, end);
  return first;
}

KtimeNs PageDelay::free_by(KtimeNs now) const {
  const std::uint64_t left = first_lease_end(now).ns - now.ns;
  return after(now, std::clamp(left, count(kLeastWatchdog), count(kWatchdog)));
}

KtimeNs PageDelay::next_look() const {
  const std::scoped_lock lock(mutex_);
  const KtimeNs now = now_ns();
  KtimeNs until = after(now, signalled_.empty() ? kBeat : kLookForKilled);
  if (!by_due_.empty()) until = std::min({until, by_due_.begin()->first, first_lease_end(now)});
  return until;
}

void PageDelay::wait(KtimeNs until) {
  const KtimeNs now = now_ns();
  const std::uint64_t ns = until > now ? until.ns - now.ns : 0;
  pollfd fds[3] = {
      {wake_.get(), POLLIN, 0}, {channel_.fd(), POLLIN, 0}, {helper_->ended(), POLLIN, 0}};
  const timespec timeout = {static_cast<time_t>(ns / kSecond), static_cast<long>(ns % kSecond)};
  ::ppoll(fds, helper_gone_ ? 2 : 3, &timeout, nullptr);
  std::uint64_t woken;
  if ((fds[0].revents & POLLIN) != 0) (void)!::read(wake_.get(), &woken, sizeof woken);
  if (!helper_gone_ && (fds[2].revents & POLLIN) != 0) {
    helper_gone_ = true;  // those who wait still hold its memory: they are answered on
    std::atomic_ref(waits_.helper).store(0, std::memory_order_release);
    const std::scoped_lock lock(mutex_);
    fail_with({Errc::kUnavailable, "the helper process of the delays has ended"});
  }
}

void PageDelay::wake() const {
  const std::uint64_t one = 1;
  if (wake_.valid()) (void)!::write(wake_.get(), &one, sizeof one);
}

void PageDelay::fail_with(Error error) {
  if (health_) health_ = fail(std::move(error));
}

}  // namespace faultline::agent
