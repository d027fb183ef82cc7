// SPDX-License-Identifier: Apache-2.0
// What is attached: alive means attached. A BPF link is a file descriptor and is never pinned, so
// the kernel detaches it when our process ends, however it ends. A filter (clsact.h) is not, and
// has something to undo.
#pragma once

#include <linux/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "agent/kernel/fd.h"
#include "agent/kernel/ids.h"
#include "agent/kernel/netlink.h"
#include "base/result.h"

namespace faultline::agent {

class Link {
 public:
  Link() = default;
  explicit Link(Fd fd) : fd_(std::move(fd)) {}
  // `undo` is destroyed after `fd` is closed.
  Link(Fd fd, std::shared_ptr<void> undo) : undo_(std::move(undo)), fd_(std::move(fd)) {}
  void detach() {
    fd_.reset();
    undo_.reset();
  }
  // For a fault: goes before everything else when the process dies (Fd::move_up).
  void move_up() { fd_.move_up(); }
  [[nodiscard]] bool attached() const { return fd_.valid(); }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  std::shared_ptr<void> undo_;
  Fd fd_;
};

// Is it a program whose name begins with fl_?
bool is_ours(std::uint32_t program_id);

// The name of the first program of others that comes before one of ours in the device's chain of
// tcx programs; empty: there is none, or none of ours, or no tcx. The device is one of the calling
// thread's network namespace.
std::string foreign_before_ours(IfIndex device, TcHook hook);

// Where in the device's chain. All are before a CNI's programs, which may end the chain.
enum class TcPlace {
  kFirst,       // before all others, for those named fl_flow_out_fr*
  kHead,        // the same, but behind those of kFirst that the chain begins with
  kBehindOurs,  // behind those named fl_*, so that what they did is seen
};

// Is the program, which is in the device's chain at kFirst, still before all of ours but those of
// kFirst? False where that cannot be told.
bool is_before_ours(int program_fd, IfIndex device, TcHook hook);

// The device is one of the calling thread's network namespace; the link stays when the thread
// leaves it. Errors: kUnsupported on kernels before 6.6, kNotFound for no such device.
Result<Link> attach_tcx(int program_fd, IfIndex device, TcHook hook,
                        TcPlace place = TcPlace::kHead);

// For the device of another namespace: enters it (ScopedNetns), attaches, comes back.
Result<Link> attach_tcx(int program_fd, IfIndex device, TcHook hook, const std::string& netns_path,
                        TcPlace place = TcPlace::kHead);

// `attach_type`: BPF_CGROUP_*. Runs for the cgroup and those below it, beside programs of others.
Result<Link> attach_cgroup(int program_fd, const std::string& cgroup_path,
                           std::uint32_t attach_type);

// tp_btf, fentry, fexit, fmod_ret, lsm: the program knows its place since it was loaded.
Result<Link> attach_tracing(int program_fd);

}  // namespace faultline::agent
