// SPDX-License-Identifier: Apache-2.0
// One function for each KernelFeature: does it once, for a moment, and leaves nothing: programs and
// links are closed before it returns, a device of ours vanishes with its descriptor. They change
// what happens to nobody: programs let everything pass.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace faultline::agent::tries {

Result<> btf();
Result<> tcx();  // on lo, for some microseconds
Result<> tun();
// A program of the cgroup hook that calls bpf_set_retval. Loaded only: where it would be attached
// is a pod's cgroup.
Result<> cgroup_hook(std::uint32_t program_type, std::uint32_t attach_type);
Result<> sockopt();
Result<> sock_ops();
Result<> tp_btf();
Result<> trampoline();     // fentry, attached: some kernels load it and refuse that
Result<> lsm();            // attached, and seen to act on a system call of this thread
Result<> read_kernel();    // loaded only
Result<> fmod_syscall();   // on swapon, which nobody calls
Result<> sleepable_lsm();  // as lsm(), then loaded
// The same for one hook, by the BTF id of bpf_lsm_<hook>: not all may sleep.
Result<> sleepable_hook(int function_id);
Result<> sleepable_syscall();  // on swapon
Result<> task_from_pid();      // loaded only
Result<> task_work();          // whether the kernel names it: there is nothing to try without a map
Result<> fuse();               // /dev/fuse, and a file system that is not mounted
Result<> kprobe();
// At a function of our own, which a child with a filter of seccomp calls, too.
Result<> uprobe();
Result<> fq();      // at a device of ours
Result<> clsact();  // the qdisc and a bpf filter, at a device of ours
Result<> iter_tcp();
Result<> sock_diag();
Result<> psi();
Result<> clone_into_cgroup();  // a cgroup that is no descriptor: nothing is cloned

}  // namespace faultline::agent::tries
