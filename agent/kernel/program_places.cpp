// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/program_places.h"

#include <utility>

#include "agent/kernel/counters.h"

namespace faultline::agent {

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
