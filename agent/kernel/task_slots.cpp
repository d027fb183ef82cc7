// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/task_slots.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <functional>
#include <set>
#include <utility>

#include "agent/kernel/program_grace.h"

namespace faultline::agent {
namespace {

// Is it this cgroup, or one below it?
bool is_within(const std::string& path, const std::string& cgroup) {
  return path.starts_with(cgroup) && (path.size() == cgroup.size() || path[cgroup.size()] == '/');
}

}  // namespace

std::vector<std::uint32_t> slots_on(const std::string& cgroup_path,
                                    const std::vector<ShownSlot>& shown) {
  std::vector<std::uint32_t> slots;
  for (const ShownSlot& one : shown)
    if (is_within(cgroup_path, one.cgroup_path)) slots.push_back(one.slot);
  return slots;
}

CgroupBits bits_of(const std::vector<ShownSlot>& shown) {
  CgroupBits bits{};
  for (const ShownSlot& one : shown) {
    const std::uint64_t id = number(one.cgroup);
    bits[id / 64 % FL_CGROUP_WORDS] |= std::uint64_t{1} << id % 64;
  }
  return bits;
}

Result<std::uint64_t> pack_levels(const std::vector<ShownSlot>& shown) {
  std::set<std::uint32_t, std::greater<>> levels;
  for (const ShownSlot& one : shown) levels.insert(one.level);
  if (levels.size() > FL_LEVELS)
    return fail(Errc::kUnsupported, "at work on cgroups of more than " + std::to_string(FL_LEVELS) +
                                        " different depths at once");
  std::uint64_t packed = 0;
  int shift = 0;
  for (const std::uint32_t level : levels) {
    if (level == 0 || level > 255)
      return fail(Errc::kUnsupported, "at work on a cgroup " + std::to_string(level) +
                                          " levels below the root; it must be 1 to 255");
    packed |= std::uint64_t{level} << shift;
    shift += 8;
  }
  return packed;
}

Result<std::uint32_t> TaskSlots::take() {
  std::uint32_t slot = next_;
  if (next_ < FL_SLOTS) {
    ++next_;
  } else {
    if (free_.empty() && !resting_.empty()) {
      if (auto waited = wait_for_programs(); !waited) return fail(waited.error());
      free_rested();
    }
    if (free_.empty())
      return fail(Errc::kUnavailable, std::to_string(FL_SLOTS) +
                                          " of this kind are at work on this node, "
                                          "more cannot be");
    slot = free_.back();
    free_.pop_back();
  }
  return slot;
}

// A program enters a slot before it looks whether the slot is armed, and the lease of one that
// rests is over: who is not seen inside here finds that it is.
void TaskSlots::free_rested() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const auto asleep = [this](std::uint32_t slot) {
    return inside_ != nullptr && std::atomic_ref(inside_[slot]).load() != 0;
  };
  const auto idle = std::ranges::partition(resting_, asleep);
  free_.assign(idle.begin(), idle.end());
  resting_.erase(idle.begin(), idle.end());
}

// The entry of each cgroup within `below` that a slot of `shown` is on.
Result<> TaskSlots::write(const std::string& below, const std::vector<ShownSlot>& shown) {
  for (const ShownSlot& one : shown) {
    if (!is_within(one.cgroup_path, below)) continue;
    const auto slots = slots_on(one.cgroup_path, shown);
    if (slots.size() > FL_SLOTS_OF_TASK)
      return fail(Errc::kUnsupported, "more than " + std::to_string(FL_SLOTS_OF_TASK) +
                                          " of this kind on one cgroup and those above it");
    fl_task_slots entry{};
    for (const std::uint32_t slot : slots) entry.slot[entry.count++] = static_cast<__u16>(slot);
    const __u64 id = number(one.cgroup);
    if (const int rc = bpf_map_update_elem(cgroups_fd_, &id, &entry, BPF_ANY); rc != 0)
      return fail(from_libbpf(rc, "cannot tell the programs what is asked of a cgroup"));
  }
  return {};
}

Result<> TaskSlots::show(ShownSlot slot) {
  const std::string below = slot.cgroup_path;
  auto shown = shown_;
  shown.push_back(std::move(slot));
  const auto levels = pack_levels(shown);
  if (!levels) return fail(levels.error());
  if (auto written = write(below, shown); !written) {
    // Back to what was before.
    const CgroupId cgroup = shown.back().cgroup;
    if (std::ranges::find(shown_, cgroup, &ShownSlot::cgroup) == shown_.end()) {
      const __u64 id = number(cgroup);
      bpf_map_delete_elem(cgroups_fd_, &id);
    }
    (void)write(below, shown_);
    return written;
  }
  shown_ = std::move(shown);
  publish(*levels);
  return {};
}

// After the entries: from now on programs look for those of shown_, and for no others.
void TaskSlots::publish(std::uint64_t levels) {
  const CgroupBits bits = bits_of(shown_);
  for (std::size_t i = 0; i < bits.size(); ++i)
    std::atomic_ref(bits_[i]).store(bits[i], std::memory_order_release);
  std::atomic_ref(*levels_).store(levels, std::memory_order_release);
}

Result<> TaskSlots::hide(std::uint32_t slot) {
  const auto found = std::ranges::find(shown_, slot, &ShownSlot::slot);
  if (found == shown_.end()) return {};
  const ShownSlot hidden = *found;
  shown_.erase(found);
  Result<> result;
  if (std::ranges::find(shown_, hidden.cgroup, &ShownSlot::cgroup) == shown_.end()) {
    const __u64 id = number(hidden.cgroup);
    if (const int rc = bpf_map_delete_elem(cgroups_fd_, &id); rc != 0 && rc != -ENOENT)
      result = fail(from_libbpf(rc, "cannot take a cgroup from the programs"));
  }
  if (auto written = write(hidden.cgroup_path, shown_); !written && result) result = written;
  publish(pack_levels(shown_).value_or(*levels_));  // fewer than were fine before
  return result;
}

}  // namespace faultline::agent
