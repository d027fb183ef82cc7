// SPDX-License-Identifier: Apache-2.0
#include "kube/object_cache.h"

#include <set>

#include "kube/json.h"

namespace faultline::kube {

using boost::json::object;

ObjectKey key_of(const object& of) {
  return {std::string(meta(of, "namespace")), std::string(meta(of, "name"))};
}

const object* ObjectCache::find(const ObjectKey& key) const {
  const auto found = objects_.find(key);
  return found != objects_.end() ? &found->second : nullptr;
}

void ObjectCache::drop(const ObjectKey& key, const OnChange& on_change) {
  const auto found = objects_.find(key);
  if (found == objects_.end()) return;
  Change change{Change::Type::kDeleted, std::move(found->second), {}};
  objects_.erase(found);
  on_change(std::move(change));
}

void ObjectCache::put(object now, const OnChange& on_change) {
  const ObjectKey key = key_of(now);
  if (key.name.empty()) return;  // nothing that the API would serve
  if (const object* known = find(key)) {
    if (meta(*known, "uid") != meta(now, "uid")) {
      drop(key, on_change);
    } else {
      // A resourceVersion may only be compared for equality.
      if (meta(*known, "resourceVersion") == meta(now, "resourceVersion")) return;
      object& place = objects_[key];
      Change change{Change::Type::kModified, std::move(place), now};
      place = std::move(now);
      on_change(std::move(change));
      return;
    }
  }
  Change change{Change::Type::kAdded, {}, now};
  objects_[key] = std::move(now);
  on_change(std::move(change));
}

void ObjectCache::replace(std::vector<object> all, const OnChange& on_change) {
  std::set<ObjectKey> there;
  for (const object& one : all) there.insert(key_of(one));
  std::vector<ObjectKey> gone;
  for (const auto& [key, known] : objects_)
    if (!there.contains(key)) gone.push_back(key);
  for (const ObjectKey& key : gone) drop(key, on_change);
  for (object& one : all) put(std::move(one), on_change);
}

void ObjectCache::apply(WatchEvent event, const OnChange& on_change) {
  switch (event.type) {  // no default: a new type must be handled here
    case WatchEvent::Type::kAdded:
    case WatchEvent::Type::kModified:
      put(std::move(event.object), on_change);
      break;
    case WatchEvent::Type::kDeleted: {
      const ObjectKey key = key_of(event.object);
      const object* known = find(key);
      // The deletion of an older object of this name, which a list has already shown to be gone.
      if (known == nullptr || meta(*known, "uid") != meta(event.object, "uid")) break;
      objects_[key] = std::move(event.object);  // its last state, e.g. with deletionTimestamp
      drop(key, on_change);
      break;
    }
    case WatchEvent::Type::kBookmark:
      break;
  }
}

}  // namespace faultline::kube
