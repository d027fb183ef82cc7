// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/shared_objects.h"

#include <bpf/bpf.h>

#include <mutex>
#include <set>

namespace faultline::agent {
namespace {

struct Registry {
  std::mutex mutex;
  std::multiset<SharedObject::Said> said;
};

Registry& registry() {
  static Registry all;
  return all;
}

template <class Info>
Info info_of(int fd) {
  Info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) return {};
  return info;
}

std::uint32_t id_of(SharedKind kind, int fd) {
  switch (kind) {  // no default: a new kind must be thought about here
    case SharedKind::kProgram:
      return info_of<bpf_prog_info>(fd).id;
    case SharedKind::kMap:
      return info_of<bpf_map_info>(fd).id;
    case SharedKind::kLink:
      return info_of<bpf_link_info>(fd).id;
  }
  return 0;
}

}  // namespace

SharedObject::SharedObject(SharedKind kind, int fd, SharedBy by)
    : kind_(kind), by_(by), id_(id_of(kind, fd)) {
  if (id_ == 0) return;
  const std::scoped_lock lock(registry().mutex);
  registry().said.insert({kind_, id_, by_});
}

SharedObject::~SharedObject() {
  if (id_ == 0) return;
  const std::scoped_lock lock(registry().mutex);
  auto& said = registry().said;
  if (const auto found = said.find({kind_, id_, by_}); found != said.end()) said.erase(found);
}

std::vector<SharedObject::Said> SharedObject::all() {
  const std::scoped_lock lock(registry().mutex);
  return {registry().said.begin(), registry().said.end()};
}

}  // namespace faultline::agent
