// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/shared_objects.h"

#include <bpf/bpf.h>

#include <mutex>
#include <set>

namespace faultline::agent {
namespace {

using Key = std::pair<SharedKind, std::uint32_t>;

struct Registry {
  std::mutex mutex;
  std::multiset<Key> keys;
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

SharedObject::SharedObject(SharedKind kind, int fd) : kind_(kind), id_(id_of(kind, fd)) {
  if (id_ == 0) return;
  const std::scoped_lock lock(registry().mutex);
  registry().keys.insert({kind_, id_});
}

SharedObject::~SharedObject() {
  if (id_ == 0) return;
  const std::scoped_lock lock(registry().mutex);
  if (const auto found = registry().keys.find({kind_, id_}); found != registry().keys.end())
    registry().keys.erase(found);
}

std::vector<std::pair<SharedKind, std::uint32_t>> SharedObject::all() {
  const std::scoped_lock lock(registry().mutex);
  return {registry().keys.begin(), registry().keys.end()};
}

}  // namespace faultline::agent
