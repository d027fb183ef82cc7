// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/program_places.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <cerrno>
#include <utility>

#include "agent/kernel/counters.h"

namespace faultline::agent {
namespace {

// Of the link of an fentry program: is no other, ours or another's, attached to its function that
// runs before it? The kernel runs the newest first. Also false where that cannot be told.
bool runs_first_now(int link_fd) {
  bpf_link_info own{};
  if (__u32 size = sizeof own; bpf_obj_get_info_by_fd(link_fd, &own, &size) != 0) return false;
  std::uint32_t id = own.id;  // numbers only grow, until they have wrapped
  while (bpf_link_get_next_id(id, &id) == 0) {
    const Fd other(bpf_link_get_fd_by_id(id));
    if (!other.valid()) {
      if (errno == ENOENT) continue;  // gone meanwhile
      return false;
    }
    bpf_link_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(other.get(), &info, &size) != 0) return false;
    if (info.type == BPF_LINK_TYPE_TRACING && info.tracing.attach_type == BPF_TRACE_FENTRY &&
        info.tracing.target_obj_id == own.tracing.target_obj_id &&
        info.tracing.target_btf_id == own.tracing.target_btf_id)
      return false;
  }
  return true;
}

}  // namespace

void ProgramPlaces::enter(const std::string& name, int program_fd) {
  Place& place = places_[name];
  place.program = program_fd;
  place.shared_program = SharedObject(SharedKind::kProgram, program_fd);
}

void ProgramPlaces::enter(const std::string& name, Fd program) {
  enter(name, program.get());
  places_[name].own = std::move(program);
}

Result<> ProgramPlaces::join(const Names& names) {
  for (const std::string& name : names) {
    Place& place = places_.at(name);
    if (place.link.attached()) continue;
    if (auto attached = attach(name, place); !attached) {
      for (auto& [other, at] : places_)
        if (at.users == 0) detach(at);
      return attached;
    }
  }
  for (const std::string& name : names) ++places_.at(name).users;
  return {};
}

Result<> ProgramPlaces::attach(const std::string& name, Place& place) const {
  auto link = attach_tracing(place.program);
  if (!link) return fail(link.error().with_context(name));
  if (of_faults_) link->move_up();
  place.shared_link = SharedObject(SharedKind::kLink, link->fd());
  place.link = std::move(*link);
  return {};
}

Result<> ProgramPlaces::run_first(const Names& names) {
  for (const std::string& name : names) {
    Place& place = places_.at(name);
    if (place.link.attached() && runs_first_now(place.link.fd())) continue;
    detach(place);
    if (auto attached = attach(name, place); !attached) return attached;
  }
  return {};
}

void ProgramPlaces::leave(const Names& names) {
  for (const std::string& name : names)
    if (Place& place = places_.at(name); --place.users == 0) detach(place);
}

std::uint64_t ProgramPlaces::missed(const Names& names) const {
  std::uint64_t missed = 0;
  for (const std::string& name : names) missed += recursion_misses(places_.at(name).program);
  return missed;
}

void ProgramPlaces::detach(Place& place) {
  place.link.detach();
  place.shared_link = {};
}

}  // namespace faultline::agent
