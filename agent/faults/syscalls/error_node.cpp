// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/syscalls/error_node.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <utility>

#include "agent/faults/syscalls/attach.h"
#include "agent/kernel/counters.h"
#include "agent/kernel/program_copy.h"

namespace faultline::agent {

std::shared_ptr<SyscallErrorNode> SyscallErrorNode::get() {
  static std::mutex mutex;
  static std::weak_ptr<SyscallErrorNode> in_use;
  static pid_t owner = 0;
  const std::scoped_lock lock(mutex);
  // After a fork the other process goes on with its slots and we know nothing of what it does.
  if (owner == ::getpid())
    if (auto node = in_use.lock()) return node;
  auto node = std::make_shared<SyscallErrorNode>();
  in_use = node;
  owner = ::getpid();
  return node;
}

std::string SyscallErrorNode::place_of(const PlannedCall& call, bool lsm) {
  if (call.rung == SyscallRung::kSystemCall) return syscall_function(*call.call);
  return (lsm ? "" : "security_") + std::string(call.hook->name);
}

Result<SyscallErrorNode::Places> SyscallErrorNode::join(const std::vector<PlannedCall>& calls,
                                                        bool lsm) {
  const std::scoped_lock lock(mutex_);
  Wanted wanted, missing;
  for (const PlannedCall& call : calls)
    if (call.rung != SyscallRung::kCgroup) wanted.emplace(place_of(call, lsm), call);
  for (const auto& [name, call] : wanted)
    if (!places_.contains(name)) missing.emplace(name, call);
  if (auto loaded = load(missing, lsm); !loaded) return fail(loaded.error());
  for (const auto& [name, call] : wanted) {
    Place& place = places_.at(name);
    if (place.link.attached()) continue;
    auto link = attach_tracing(place.program);
    if (!link) {
      for (auto& [other, at] : places_)
        if (at.users == 0) detach(at);
      return fail(link.error().with_context(name));
    }
    link->move_up();
    place.shared_link = SharedObject(SharedKind::kLink, link->fd());
    place.link = std::move(*link);
  }
  Places places;
  for (const auto& [name, call] : wanted) {
    ++places_.at(name).users;
    places.push_back(name);
  }
  return places;
}

void SyscallErrorNode::leave(const Places& places) {
  const std::scoped_lock lock(mutex_);
  for (const std::string& name : places)
    if (Place& place = places_.at(name); --place.users == 0) detach(place);
}

std::uint64_t SyscallErrorNode::missed(const Places& places) const {
  const std::scoped_lock lock(mutex_);
  std::uint64_t missed = 0;
  for (const std::string& name : places) missed += recursion_misses(places_.at(name).program);
  return missed;
}

void SyscallErrorNode::detach(Place& place) {
  place.link.detach();
  place.shared_link = {};
}

void SyscallErrorNode::enter(const std::string& name, int program) {
  Place& place = places_[name];
  place.program = program;
  place.shared_program = SharedObject(SharedKind::kProgram, program);
}

// Adds the missing places: those on hooks, and the first ever on a call, by one object; further
// ones on calls are copies.
Result<> SyscallErrorNode::load(const Wanted& missing, bool lsm) {
  std::vector<PlannedCall> by_object;
  bool first_on_call = on_call_ == nullptr;
  for (const auto& [name, call] : missing)
    if (call.rung != SyscallRung::kSystemCall || std::exchange(first_on_call, false))
      by_object.push_back(call);
  if (!by_object.empty())
    if (auto loaded = load_object(by_object, lsm); !loaded) return loaded;
  for (const auto& [name, call] : missing) {
    if (places_.contains(name)) continue;
    auto copy = load_copy(on_call_, call.function_id);
    if (!copy) return fail(copy.error().with_context(std::string(call.call->name)));
    enter(name, copy->get());
    places_[name].copy = std::move(*copy);
  }
  return {};
}

Result<> SyscallErrorNode::load_object(const std::vector<PlannedCall>& calls, bool lsm) {
  auto skeleton = Skeleton<syscall_error_bpf>::open("syscall_error");
  if (!skeleton) return fail(skeleton.error());
  syscall_error_bpf& object = **skeleton;
  choose_programs(object.obj, object.progs.fl_call, calls, lsm);
  if (!objects_.empty())
    if (auto shared = share_maps(object); !shared) return shared;
  if (auto loaded = skeleton->load(); !loaded) return loaded;
  if (objects_.empty()) {
    auto slots =
        CallSlots::map(bpf_map__fd(object.maps.fl_faults), bpf_map__fd(object.maps.fl_cgroups),
                       object.bss->fl_levels, object.bss->fl_cgroup_bits);
    if (!slots) return fail(slots.error());
    slots_.emplace(std::move(*slots));
    for (const bpf_map* map : {object.maps.fl_faults, object.maps.fl_cgroups, object.maps.bss})
      shared_maps_.emplace_back(SharedKind::kMap, bpf_map__fd(map));
  }
  for (const PlannedCall& call : calls) {
    if (call.rung != SyscallRung::kSystemCall) continue;
    on_call_ = object.progs.fl_call;
    enter(place_of(call, lsm), bpf_program__fd(on_call_));
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(
      program, object.obj) if (bpf_program__autoload(program) && !hook_of(program).empty())
      enter((lsm ? "" : "security_") + std::string(hook_of(program)), bpf_program__fd(program));
  objects_.push_back(std::move(*skeleton));
  return {};
}

Result<> SyscallErrorNode::share_maps(syscall_error_bpf& object) const {
  const syscall_error_bpf& first = *objects_.front();
  for (const auto& [map, of] : {std::pair{object.maps.fl_faults, first.maps.fl_faults},
                                {object.maps.fl_cgroups, first.maps.fl_cgroups},
                                {object.maps.bss, first.maps.bss}})
    if (const int rc = bpf_map__reuse_fd(map, bpf_map__fd(of)); rc != 0)
      return fail(from_libbpf(rc, std::string("cannot share the map ") + bpf_map__name(of)));
  return {};
}

Result<std::uint32_t> SyscallErrorNode::take_slot() {
  const std::scoped_lock lock(mutex_);
  return slots_->take();
}

Result<> SyscallErrorNode::show(ShownFault fault) {
  const std::scoped_lock lock(mutex_);
  return slots_->show(std::move(fault));
}

Result<> SyscallErrorNode::hide(std::uint32_t slot) {
  const std::scoped_lock lock(mutex_);
  return slots_->hide(slot);
}

void SyscallErrorNode::give_back(std::uint32_t slot) {
  const std::scoped_lock lock(mutex_);
  slots_->give_back(slot);
}

}  // namespace faultline::agent
