// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/flow_node.h"

#include <bpf/bpf.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "agent/kernel/node_programs.h"

namespace faultline::agent {
namespace {

// A map of maps by slot, and what is in it of one pod.
struct Entry {
  const bpf_map* of_all;
  const bpf_map* of_pod;  // nullptr: nothing
};
using Entries = std::array<Entry, 6>;

Entries entries(const flow_segments_bpf& shared, const packet_flow_bpf* pod) {
  const auto of = [pod](auto member) { return pod == nullptr ? nullptr : pod->maps.*member; };
  using Maps = decltype(packet_flow_bpf::maps);
  return {{{shared.maps.fl_flow_data_of, of(&Maps::bss)},
           {shared.maps.fl_flow_counters_of, of(&Maps::fl_flow_counters)},
           {shared.maps.fl_flow_conns_of, of(&Maps::fl_flow_conns)},
           {shared.maps.fl_flow_h2_of, of(&Maps::fl_flow_h2)},
           {shared.maps.fl_flow_streams_of, of(&Maps::fl_flow_streams)},
           {shared.maps.fl_flow_held_of, of(&Maps::fl_flow_held)}}};
}

int write(const Entry& entry, std::uint32_t slot) {
  if (entry.of_pod == nullptr) {
    const int rc = bpf_map_delete_elem(bpf_map__fd(entry.of_all), &slot);
    return rc == -ENOENT ? 0 : rc;
  }
  const int fd = bpf_map__fd(entry.of_pod);
  return bpf_map_update_elem(bpf_map__fd(entry.of_all), &slot, &fd, BPF_ANY);
}

// Each write waits until the programs that run have ended, some ten milliseconds. All at once they
// wait for the same ones; where no thread can be had, one after the other. Returns the first error,
// or 0.
int write_all(const Entries& entries, std::uint32_t slot) {
  std::array<std::future<int>, std::tuple_size_v<Entries>> done;
  std::ranges::transform(entries, done.begin(), [slot](const Entry& entry) {
    return std::async(std::launch::async | std::launch::deferred,
                      [entry, slot] { return write(entry, slot); });
  });
  int first = 0;
  for (auto& one : done)
    if (const int rc = one.get(); first == 0) first = rc;
  return first;
}

// Global data that differ from those of the shared object's template in nothing: Linux 6.1 tells a
// map whose type libbpf has described, as it does with .bss, from one that has sizes only.
Result<Fd> make_data() {
  LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
  Fd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "fl_flow_data", sizeof(__u32), sizeof(fl_flow_pod), 1,
                        &opts));
  if (!map.valid()) return fail(from_libbpf(map.get(), "cannot make the data of a measured pod"));
  return map;
}

}  // namespace

Result<> FlowNode::load() {
  auto shared = Skeleton<flow_segments_bpf>::open("flow_segments");
  if (!shared) return fail(shared.error());
  if (auto loaded = shared->load(); !loaded) return fail(loaded.error());
  const auto& object = **shared;
  for (const auto& [index, program] : {std::pair{FL_FLOW_TAIL_OPENS, object.progs.fl_flow_opens},
                                       {FL_FLOW_TAIL_CLIENT, object.progs.fl_flow_of_client},
                                       {FL_FLOW_TAIL_SERVER, object.progs.fl_flow_of_server},
                                       {FL_FLOW_TAIL_SWEEP, object.progs.fl_flow_sweeps}}) {
    const int fd = bpf_program__fd(program);
    if (const int rc =
            bpf_map_update_elem(bpf_map__fd(object.maps.fl_flow_tails), &index, &fd, BPF_ANY);
        rc != 0)
      return fail(from_libbpf(rc, "cannot enter a program that all measured pods share"));
  }
  const bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object.obj)
      objects_.emplace_back(SharedKind::kMap, bpf_map__fd(map), SharedBy::kMeasured);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object.obj)
      objects_.emplace_back(SharedKind::kProgram, bpf_program__fd(program), SharedBy::kMeasured);
  bpf_map_info info{};
  __u32 size = sizeof info;
  bpf_obj_get_info_by_fd(bpf_map__fd(object.maps.fl_flow_tails), &info, &size);
  tails_id_ = info.id;
  shared_.emplace(std::move(*shared));
  taken_.assign(FL_FLOW_PODS, false);
  return {};
}

// Whoever looks at an array of programs while the kernel clears it makes the kernel keep it for
// ever (testbed/residue.cpp), and this process looks at all maps when a run is over. So it waits
// until the array's number is no longer one of those that there are, which opens nothing.
FlowNode::~FlowNode() {
  objects_.clear();
  shared_.reset();
  for (int i = 0; tails_id_ != 0 && i < 500; ++i) {
    std::uint32_t next = 0;
    if (bpf_map_get_next_id(tails_id_ - 1, &next) != 0 || next != tails_id_) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

Result<std::uint32_t> FlowNode::take_slot(packet_flow_bpf& opened) {
  const std::scoped_lock lock(mutex_);
  if (!shared_)
    if (auto loaded = load(); !loaded) return fail(loaded.error());
  const auto free = std::ranges::find(taken_, false);
  if (free == taken_.end())
    return fail(Errc::kUnsupported,
                std::to_string(FL_FLOW_PODS) + " pods of this node are measured, more cannot be");
  const auto data = make_data();
  if (!data) return fail(data.error());
  const auto& shared = (*shared_)->maps;
  for (const auto& [map, fd] : {std::pair{opened.maps.bss, data->get()},
                                {opened.maps.fl_flow_tails, bpf_map__fd(shared.fl_flow_tails)},
                                {opened.maps.fl_flow_handed, bpf_map__fd(shared.fl_flow_handed)}})
    if (const int rc = bpf_map__reuse_fd(map, fd); rc != 0)
      return fail(from_libbpf(rc, "cannot share a map of packet_flow"));
  const auto slot = static_cast<std::uint32_t>(free - taken_.begin());
  opened.rodata->fl_flow_slot = slot;
  *free = true;
  return slot;
}

Result<> FlowNode::show(std::uint32_t slot, const packet_flow_bpf& loaded) {
  const std::scoped_lock lock(mutex_);
  if (const int rc = write_all(entries(**shared_, &loaded), slot); rc != 0)
    return fail(from_libbpf(rc, "cannot give the maps of a pod to the programs that all share"));
  return {};
}

void FlowNode::give_back(std::uint32_t slot) {
  const std::scoped_lock lock(mutex_);
  if (const int rc = write_all(entries(**shared_, nullptr), slot); rc != 0) {
    // It stays taken: who got it would count into maps that are not its own.
    spdlog::warn("{}", from_libbpf(rc, "cannot take the maps of a pod back").message);
    return;
  }
  taken_[slot] = false;
}

Result<std::unique_ptr<FlowSeat>> FlowSeat::take(packet_flow_bpf& opened) {
  auto node = node_of_process<FlowNode>();
  const auto slot = node->take_slot(opened);
  if (!slot) return fail(slot.error());
  return std::unique_ptr<FlowSeat>(new FlowSeat(std::move(node), *slot));
}

}  // namespace faultline::agent
