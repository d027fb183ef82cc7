// SPDX-License-Identifier: Apache-2.0
// The programs of one kind on this node, which all that are at work share: one program a place,
// however many pods, and for each of those a slot with what is asked of it. Made when the first
// needs it, and gone, with all that is loaded, when the last one goes.
#pragma once

#include <bpf/libbpf.h>
#include <spdlog/spdlog.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/kernel/cgroup2.h"
#include "agent/kernel/lease.h"
#include "agent/kernel/mapped_array.h"
#include "agent/kernel/program_places.h"
#include "agent/kernel/shared_objects.h"
#include "agent/kernel/skeleton.h"
#include "agent/kernel/task_slots.h"

namespace faultline::agent {

// The one of this process; made, with nothing loaded, where nobody has it. A forked child gets one
// of its own: after a fork the other process goes on with its slots and we know nothing of what it
// does. Thread-safe.
template <class Node>
std::shared_ptr<Node> node_of_process() {
  static std::mutex mutex;
  static std::weak_ptr<Node> in_use;
  static pid_t owner = 0;
  const std::scoped_lock lock(mutex);
  if (owner == ::getpid())
    if (auto node = in_use.lock()) return node;
  auto node = std::make_shared<Node>();
  in_use = node;
  owner = ::getpid();
  return node;
}

// Base of each kind. `Object`: a skeleton with task_slots.bpf.h. `SlotType`: of its fl_slots,
// begins with fl_scope. Thread-safe; what derives from it holds `mutex_` where it uses what is
// protected.
template <class Object, class SlotType>
class NodePrograms {
 public:
  using Slot = SlotType;
  using Places = ProgramPlaces::Names;
  static constexpr bool kOfFaults = requires(Slot & s) { s.lease; };

  NodePrograms() = default;
  NodePrograms(const NodePrograms&) = delete;
  NodePrograms& operator=(const NodePrograms&) = delete;

  // As those of ProgramPlaces.
  void leave(const Places& places) {
    const std::scoped_lock lock(mutex_);
    places_.leave(places);
  }
  [[nodiscard]] std::uint64_t missed(const Places& places) const {
    const std::scoped_lock lock(mutex_);
    return places_.missed(places);
  }

  // As those of TaskSlots, but that a slot is empty when it is taken. An object is loaded.
  Result<std::uint32_t> take_slot() {
    const std::scoped_lock lock(mutex_);
    const auto taken = slots_->take();
    if (taken) slot(*taken) = {};
    return taken;
  }
  [[nodiscard]] Slot& slot(std::uint32_t number) const { return (*array_)[number]; }
  Result<> show(ShownSlot shown) {
    const std::scoped_lock lock(mutex_);
    return slots_->show(std::move(shown));
  }
  Result<> hide(std::uint32_t number) {
    const std::scoped_lock lock(mutex_);
    return slots_->hide(number);
  }
  void give_back(std::uint32_t number) {
    const std::scoped_lock lock(mutex_);
    slots_->give_back(number);
  }

 protected:
  ~NodePrograms() = default;  // nobody owns it by this type

  // Loads one object more, which has the maps and globals of the first, but constants of its own.
  // `name` is for messages. `choose(object)` is called before the load: which programs are wanted.
  // Errors: what the kernel said.
  Result<Object*> load_object(std::string_view name, auto choose) {
    auto skeleton = Skeleton<Object>::open(name);
    if (!skeleton) return fail(skeleton.error());
    Object& object = **skeleton;
    if (auto chosen = choose(object); !chosen) return fail(chosen.error());
    if (!objects_.empty())
      if (auto shared = share_maps(object); !shared) return fail(shared.error());
    if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());
    if (objects_.empty()) {
      auto array = MappedArray<Slot>::map(bpf_map__fd(object.maps.fl_slots), FL_SLOTS);
      if (!array) return fail(array.error());
      array_.emplace(std::move(*array));
      slots_.emplace(bpf_map__fd(object.maps.fl_cgroups), object.bss->fl_levels,
                     object.bss->fl_cgroup_bits, inside_of(object));
    }
    const bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.obj)
        shared_maps_.emplace_back(SharedKind::kMap, bpf_map__fd(map));
    objects_.push_back(std::move(*skeleton));
    return &object;
  }

  // The first loaded object, which owns the maps; nullptr: none is loaded.
  [[nodiscard]] Object* first() const { return objects_.empty() ? nullptr : &*objects_.front(); }

  mutable std::mutex mutex_;

 private:
  // In this order: slots go before maps, links before programs.
  std::vector<Skeleton<Object>> objects_;
  std::optional<MappedArray<Slot>> array_;
  std::optional<TaskSlots> slots_;
  std::vector<SharedObject> shared_maps_;

  // Of an object whose programs sleep within slots.
  static __u32* inside_of(Object& object) {
    if constexpr (requires { object.bss->fl_inside; }) return object.bss->fl_inside;
    return nullptr;
  }
  Result<> share_maps(Object& object) const {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.obj) {
      const std::string_view name = bpf_map__name(map);
      if (name.ends_with(".rodata")) continue;
      const bpf_map* of = bpf_object__find_map_by_name(first()->obj, bpf_map__name(map));
      if (const int rc = bpf_map__reuse_fd(map, bpf_map__fd(of)); rc != 0)
        return fail(from_libbpf(rc, "cannot share the map " + std::string(name)));
    }
    return {};
  }

 protected:
  ProgramPlaces places_{kOfFaults};
};

// A slot of a node's programs, and the places where they are attached for it. Gone: no task is
// asked by it any more. Not thread-safe itself.
template <class Node>
class Seat {
 public:
  using Slot = typename Node::Slot;
  using Places = typename Node::Places;

  // `join(node)`: joins the places and returns their names. The slot is empty and on nobody yet.
  // Errors: those of `join` and TaskSlots::take().
  static Result<std::unique_ptr<Seat>> take(auto join) {
    std::unique_ptr<Seat> seat(new Seat(node_of_process<Node>()));
    Result<Places> places = join(*seat->node_);
    if (!places) return fail(places.error());
    seat->places_ = std::move(*places);
    seat->missed_before_ = seat->node_->missed(seat->places_);
    const auto slot = seat->node_->take_slot();
    if (!slot) return fail(slot.error());
    seat->slot_ = *slot;
    return seat;
  }
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;
  ~Seat() {
    if (auto left = leave(); !left) spdlog::warn("{}", left.error().message);
    if (slot_ && !spoiled_) node_->give_back(*slot_);
  }

  // The slot is filled: from now on it is on the tasks of the cgroup and of those below it. Errors:
  // of cgroup_level() and TaskSlots::show().
  Result<> show(CgroupId cgroup, const std::string& cgroup_path) {
    const auto level = cgroup_level(cgroup_path);
    if (!level) return fail(level.error());
    slot().scope = fl_scope{.cgroup = number(cgroup), .level = *level, ._pad = 0};
    return node_->show({*slot_, cgroup, cgroup_path, *level});
  }
  // Ends its lease, where it has one, and takes it off its tasks; what was counted stays readable.
  // A program that runs may be within the slot for a moment more. Errors: what the kernel said; the
  // lease is over all the same.
  Result<> leave() {
    if (places_.empty()) return {};
    Result<> hidden;
    if (slot_) {
      if constexpr (Node::kOfFaults) disarm_lease(slot().lease);
      hidden = node_->hide(*slot_);
    }
    missed_ = missed();
    node_->leave(std::exchange(places_, {}));
    return hidden;
  }
  // Something of it may have stayed in the kernel: nobody gets the slot again.
  void spoil() { spoiled_ = true; }

  [[nodiscard]] Slot& slot() const { return node_->slot(*slot_); }
  [[nodiscard]] std::uint32_t slot_number() const { return *slot_; }
  [[nodiscard]] Node& node() const { return *node_; }
  // Calls that the kernel did not show to its programs while this was there.
  [[nodiscard]] std::uint64_t missed() const {
    return places_.empty() ? missed_ : node_->missed(places_) - missed_before_;
  }

 private:
  explicit Seat(std::shared_ptr<Node> node) : node_(std::move(node)) {}
  std::shared_ptr<Node> node_;
  std::optional<std::uint32_t> slot_;  // always, once take() has returned
  Places places_;                      // empty: it has left them
  std::uint64_t missed_before_ = 0, missed_ = 0;
  bool spoiled_ = false;
};

}  // namespace faultline::agent
