// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/edt/edt_memory.h"

#include <bpf/bpf.h>

#include <atomic>
#include <cerrno>
#include <mutex>

namespace faultline::agent {

Result<std::shared_ptr<const EdtMemory>> EdtMemory::of_process() {
  static std::mutex mutex;
  static std::weak_ptr<const EdtMemory> shared;
  const std::lock_guard lock(mutex);
  if (auto memory = shared.lock()) return memory;
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
  Fd map(::bpf_map_create(BPF_MAP_TYPE_ARRAY, "fl_edt_held", sizeof(std::uint32_t),
                          sizeof(std::int64_t), 1, &options));
  if (!map.valid()) return fail(from_errno(errno, "make the figure of what packets hold"));
  auto bytes = MappedArray<std::int64_t>::map(map.get(), 1);
  if (!bytes) return fail(bytes.error());
  auto memory = std::make_shared<const EdtMemory>(std::move(map), std::move(*bytes));
  shared = memory;
  return memory;
}

std::int64_t EdtMemory::held() const { return std::atomic_ref(bytes_[0]).load(); }

void EdtMemory::give_back(std::int64_t bytes) const { std::atomic_ref(bytes_[0]).fetch_sub(bytes); }

}  // namespace faultline::agent
