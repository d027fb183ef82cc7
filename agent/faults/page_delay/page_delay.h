// SPDX-License-Identifier: Apache-2.0
// Makes system calls wait without holding the CPU: answers the reads of pages that programs with
// page_delay.bpf.h wait at, each when its delay is over. Why a page:
// docs/decisions/0009-delaying-system-calls.md.
//
// Nobody waits longer than the lease: at its end all go on. When this thread does not run (the
// agent was stopped), the helper process frees them within kWatchdog or the rest of the lease,
// whichever is less (but not below kLeastWatchdog); when the agent is killed, the kernel does.
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
[[nodiscard]] api::Histogram served(fl_waits& waits);

// Owned and called by one thread. Alive means serving, destroyed means that nobody waits, the
// helper has ended, and its mount with it.
class PageDelay {
 public:
  static constexpr std::chrono::milliseconds kWatchdog{1000}, kLeastWatchdog{300};

  // `waits` and `lease` are the .bss of loaded programs, mapped as long as this lives. Before the
  // lease is armed, all who wait are freed at once. Errors: kUnsupported and kDenied with the
  // reason in one line (no /dev/fuse, a pid namespace of our own, what may not be mounted).
  static Result<std::unique_ptr<PageDelay>> start(fl_waits& waits, fl_lease& lease,
                                                  DelayModel model);
  PageDelay(const PageDelay&) = delete;
  PageDelay& operator=(const PageDelay&) = delete;
  ~PageDelay();

  // Errors: it does not serve any more, and why; calls go on without a delay since.
  [[nodiscard]] Result<> check() const;

 private:
  // Whoever waits: unique and page of the read, and the thread.
  struct Waiter {
    KtimeNs due;
    std::uint32_t page;
    pid_t thread;
  };

  PageDelay(fl_waits& waits, fl_lease& lease, DelayModel model, FuseChannel channel);
  void run(std::promise<Result<>> started);
  Result<> launch();
  Result<> serve_until_mapped();
  void end_connection();
  void take_requests();
  void accept(const FuseChannel::Request& request);
  void answer(std::uint64_t unique, std::uint64_t outcome);
  void answer_due();
  void answer_all(std::uint64_t outcome);
  void answer_killed();
  void wait();
  void fail_with(Error error);
  [[nodiscard]] KtimeNs free_by(KtimeNs now) const;
  [[nodiscard]] KtimeNs lease_end() const;

  fl_waits& waits_;
  fl_lease& lease_;
  DelayModel model_;
  FuseChannel channel_;
  Fd wake_;
  // Of the thread:
  std::unique_ptr<PageHelper> helper_;
  std::map<std::uint64_t, Waiter> waiters_;             // by unique
  std::set<std::pair<KtimeNs, std::uint64_t>> by_due_;  // due, unique
  std::set<std::uint64_t> signalled_;                   // unique: may have been killed
  bool helper_gone_ = false;
  bool ended_ = false;  // the connection

  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;
  Result<> health_;
  std::thread thread_;
};

}  // namespace faultline::agent
