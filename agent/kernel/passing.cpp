// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/passing.h"

#include <bpf/bpf.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <random>

#include "passing_abi.h"

namespace faultline::agent {

Result<std::shared_ptr<const PassingTable>> PassingTable::of_process() {
  static std::mutex mutex;
  static std::weak_ptr<const PassingTable> shared;
  const std::lock_guard lock(mutex);
  if (auto table = shared.lock()) return table;
  Fd map(::bpf_map_create(BPF_MAP_TYPE_ARRAY, "fl_passing", sizeof(__u32), sizeof(fl_passing),
                          FL_PASSING_ENTRIES, nullptr));
  if (!map.valid()) return fail(from_errno(errno, "make the table of packets on their second way"));
  auto table =
      std::make_shared<const PassingTable>(std::move(map), 1 + std::random_device{}() % 0xffff);
  shared = table;
  return table;
}

std::uint32_t PassingTable::next_owner() {
  static std::atomic<std::uint32_t> last{0};
  return ++last;
}

}  // namespace faultline::agent
