// SPDX-License-Identifier: Apache-2.0
// Makes system calls wait without holding the CPU: answers the reads of pages that programs with
// page_delay.bpf.h wait at, each when its delay is over. Why a page:
// docs/decisions/0009-delaying-system-calls.md.
//
// One serves all faults of the node, each by the slot that is written beside the page. Nobody waits
// longer than the lease of the fault: at its end they go on. When this thread does not run (the
// agent was stopped), the helper process frees all within kWatchdog or the rest of the lease that
// ends first, whichever is less (but not below kLeastWatchdog); when the agent is killed, the
// kernel does.
#pragma once

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "agent/faults/delay_line/delay_model.h"
#include "agent/faults/page_delay/fuse_channel.h"
#include "agent/faults/page_delay/page_helper.h"
#include "api/histogram.h"
#include "base/clock.h"
#include "base/result.h"
#include "page_delay_abi.h"

namespace faultline::agent {

// How long the waits really lasted, of those that did not end early. From any thread.
[[nodiscard]] api::Histogram served(fl_hist& waits);

// Thread-safe. Alive means serving, destroyed means that nobody waits, the helper has ended, and
// its mount with it.
class PageDelay {
 public:
  static constexpr std::chrono::milliseconds kWatchdog{1000}, kLeastWatchdog{300};

  // A fault whose waiters are answered.
  struct Line {
    fl_lease* lease;
    DelayModel model;
    std::set<std::uint64_t> waiters{};  // unique
  };
  using Lines = std::map<std::uint32_t, Line>;  // by slot

  // `waits` is the .bss of loaded programs, mapped as long as this lives, and so are the leases of
  // the lines. Errors: kUnsupported and kDenied with the reason in one line (no /dev/fuse, a pid
  // namespace of our own, what may not be mounted).
  static Result<std::unique_ptr<PageDelay>> start(fl_waits& waits, Lines lines = {});
  PageDelay(const PageDelay&) = delete;
  PageDelay& operator=(const PageDelay&) = delete;
  ~PageDelay();

  // From now on those who wait for the slot do so by the model. Before the lease is armed they are
  // freed at once. The slot has no line.
  void add(std::uint32_t slot, fl_lease& lease, DelayModel model);
  // Nobody waits for the slot any more: who does is freed, and who comes yet is, too.
  void remove(std::uint32_t slot);
  // Ends as the destructor does, but for its lines. Returns those.
  Lines stop();
  // Errors: it does not serve any more, and why; calls go on without a delay since.
  [[nodiscard]] Result<> check() const;

 private:
  // Whoever waits: the page of the read and what it held then, the slot, and the thread.
  struct Waiter {
    KtimeNs due;
    std::uint32_t page;
    std::uint64_t since;
    std::uint32_t slot;
    pid_t thread;
  };

  PageDelay(fl_waits& waits, Lines lines, FuseChannel channel);
  void run(std::promise<Result<>> started);
  Result<> launch();
  void serve_once();
  void end_connection();
  void take_requests();
  void accept(const FuseChannel::Request& request);
  void answer(std::uint64_t unique, std::uint64_t outcome);
  void answer_due();
  void answer_all_of(Line& line);
  void answer_all();
  void answer_ended();
  void answer_killed();
  void count_work();
  [[nodiscard]] KtimeNs next_look() const;
  void wait(KtimeNs until);
  void wake() const;
  void fail_with(Error error);
  [[nodiscard]] KtimeNs first_lease_end(KtimeNs now) const;
  [[nodiscard]] KtimeNs free_by(KtimeNs now) const;

  fl_waits& waits_;
  Fd wake_;
  // Of the thread, but that who holds mutex_ may postpone the helper while postpones_.
  std::unique_ptr<PageHelper> helper_;
  bool helper_gone_ = false;
  bool ended_ = false;  // the connection

  // Below: of who holds it.
  mutable std::mutex mutex_;
  bool postpones_ = false;  // the helper is there, and is not told to end
  std::uint64_t work_ = 0;  // requests taken, and answers given
  FuseChannel channel_;
  Lines lines_;
  std::map<std::uint64_t, Waiter> waiters_;             // by unique
  std::set<std::pair<KtimeNs, std::uint64_t>> by_due_;  // due, unique
  std::set<std::uint64_t> signalled_;                   // unique: may have been killed
  Result<> health_;

  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace faultline::agent
