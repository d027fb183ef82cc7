// SPDX-License-Identifier: Apache-2.0
// The process whose pages are waited at. It mounts the FUSE file system in a mount namespace of its
// own that holds nothing else, maps its file, and then does nothing but watch that the server
// lives: unless the server postpones it, it ends the connection, which frees all who wait. It ends
// with the thread that launched it.
//
// It holds no file descriptor and no BPF memory of the agent, so that it keeps nothing alive; and
// after its setup it never changes its address space, since that would have to wait for all readers
// of its pages (mmap_lock).
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "agent/kernel/fd.h"
#include "base/clock.h"
#include "base/result.h"

namespace faultline::agent {

// Launched, used and destroyed by one thread.
class PageHelper {
 public:
  struct Pages {
    std::uint64_t base = 0;  // in the helper's memory
    pid_t pid = 0;           // as this process sees it
  };

  PageHelper() = default;
  PageHelper(const PageHelper&) = delete;
  PageHelper& operator=(const PageHelper&) = delete;
  ~PageHelper();  // kills it and waits for it

  // Forks. The caller serves `fuse` from now on, or the helper cannot mount it. `bytes` of the file
  // are mapped. The connection ends at `free_at` unless it is postponed.
  Result<> launch(int fuse, std::uint64_t bytes, KtimeNs free_at);
  // Readable when pages() has an answer.
  [[nodiscard]] int report() const { return report_.get(); }
  // Once. Errors: what failed in the helper.
  Result<Pages> pages();
  // Readable when it has ended.
  [[nodiscard]] int ended() const { return process_.get(); }
  // It ends the connection and then itself.
  void end();
  // A plain store.
  void postpone(KtimeNs free_at);

 private:
  Fd report_, process_;
  pid_t pid_ = -1;
  std::uint64_t* free_at_ = nullptr;  // memory shared with the helper
};

}  // namespace faultline::agent
