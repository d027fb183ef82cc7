// SPDX-License-Identifier: Apache-2.0
// The lease of a loaded object: `struct fl_lease` in its mmapped .bss. While armed is not 0 and
// bpf_ktime_get_ns() is before the deadline, the object injects; the kernel stops it on time
// without us. All three are stores without a system call, and may be called from any thread.
#pragma once

#include <atomic>

#include "base/clock.h"
#include "fault_abi.h"

namespace faultline::agent {

inline void renew_lease(fl_lease& lease, KtimeNs deadline) {
  std::atomic_ref(lease.deadline_ns).store(deadline.ns, std::memory_order_relaxed);
}
inline void arm_lease(fl_lease& lease, KtimeNs deadline) {
  renew_lease(lease, deadline);
  // The deadline must be there before a program sees that it is armed.
  std::atomic_ref(lease.armed).store(1, std::memory_order_release);
}
inline void disarm_lease(fl_lease& lease) {
  std::atomic_ref(lease.armed).store(0, std::memory_order_release);
}

}  // namespace faultline::agent
