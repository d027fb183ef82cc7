// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/calls_node.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <string>
#include <utility>

#include "agent/kernel/program_copy.h"

namespace faultline::agent {
namespace {

std::string end_of(const WatchedCall& call) { return syscall_function(*call.call) + " end"; }
std::string beginning_of(const WatchedCall& call) {
  return syscall_function(*call.call) + " beginning";
}

}  // namespace

Result<CallsNode::Places> CallsNode::join(const std::vector<WatchedCall>& calls) {
  const std::scoped_lock lock(mutex_);
  Places names, beginnings;
  for (const WatchedCall& call : calls) {
    if (!places_.has(beginning_of(call)))
      if (auto loaded = load(call); !loaded)
        return fail(loaded.error().with_context(std::string(call.call->name)));
    // Ends before beginnings: no beginning waits for an end that is not seen.
    names.push_back(end_of(call));
    names.push_back(beginning_of(call));
    beginnings.push_back(names.back());
  }
  if (auto joined = places_.join(names); !joined) return fail(joined.error());
  if (auto moved = places_.run_first(beginnings); !moved) {
    places_.leave(names);
    return fail(moved.error());
  }
  return names;
}

// The first call has the object's own programs, further ones have copies.
Result<> CallsNode::load(const WatchedCall& call) {
  if (first() == nullptr) {
    const auto loaded = load_object("syscall_calls", [&](syscall_calls_bpf& object) -> Result<> {
      for (bpf_program* program : {object.progs.fl_call_in, object.progs.fl_call_out})
        bpf_program__set_attach_target(program, 0, syscall_function(*call.call).c_str());
      return {};
    });
    if (!loaded) return fail(loaded.error());
    places_.enter(end_of(call), bpf_program__fd((*loaded)->progs.fl_call_out));
    places_.enter(beginning_of(call), bpf_program__fd((*loaded)->progs.fl_call_in));
    return {};
  }
  auto end = load_copy(first()->progs.fl_call_out, call.function_id);
  if (!end) return fail(end.error());
  auto beginning = load_copy(first()->progs.fl_call_in, call.function_id);
  if (!beginning) return fail(beginning.error());
  places_.enter(end_of(call), std::move(*end));
  places_.enter(beginning_of(call), std::move(*beginning));
  return {};
}

Result<> CallsNode::run_first(const std::vector<WatchedCall>& calls) {
  const std::scoped_lock lock(mutex_);
  Places names;
  for (const WatchedCall& call : calls) names.push_back(beginning_of(call));
  return places_.run_first(names);
}

Result<> CallsNode::count_into(std::uint32_t slot, int effects_fd) {
  const std::scoped_lock lock(mutex_);
  if (const int rc = bpf_map_update_elem(bpf_map__fd(first()->maps.fl_call_effects), &slot,
                                         &effects_fd, BPF_ANY);
      rc != 0)
    return fail(from_libbpf(rc, "cannot give the programs a map to count into"));
  return {};
}

// Who changes a map of maps waits for the programs that run (agent/kernel/program_grace.cpp).
Result<> CallsNode::count_no_more(std::uint32_t slot) {
  const std::scoped_lock lock(mutex_);
  const int rc = bpf_map_delete_elem(bpf_map__fd(first()->maps.fl_call_effects), &slot);
  if (rc != 0 && rc != -ENOENT)
    return fail(from_libbpf(rc, "cannot take the map to count into from the programs"));
  return {};
}

Result<Fd> make_effects(std::size_t calls) {
  LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
  Fd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "fl_call_effects", sizeof(__u32),
                        sizeof(fl_call_effect), static_cast<__u32>(FL_BANKS * calls), &opts));
  if (!map.valid()) return fail(from_libbpf(map.get(), "cannot make a map for system calls"));
  return map;
}

}  // namespace faultline::agent
