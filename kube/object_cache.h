// SPDX-License-Identifier: Apache-2.0
// What is known of a collection, and what an answer of the server changes in it. Pure; not
// thread-safe.
#pragma once

#include <boost/json/object.hpp>
#include <compare>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kube/client.h"

namespace faultline::kube {

struct ObjectKey {
  std::string ns, name;
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
};
[[nodiscard]] ObjectKey key_of(const boost::json::object& object);

struct Change {
  enum class Type { kAdded, kModified, kDeleted };
  Type type;
  boost::json::object before;  // empty when added
  boost::json::object now;     // empty when deleted
};

// A change is handed out when the cache holds its result already. An object that was deleted and
// made again under the same name (another uid) is a deletion and an addition, also when nobody saw
// it happen. An event that tells nothing new changes nothing.
class ObjectCache {
 public:
  using Objects = std::map<ObjectKey, boost::json::object>;
  using OnChange = std::function<void(Change)>;

  void replace(std::vector<boost::json::object> all, const OnChange& on_change);
  // Not for bookmarks.
  void apply(WatchEvent event, const OnChange& on_change);

  [[nodiscard]] const Objects& objects() const { return objects_; }
  [[nodiscard]] const boost::json::object* find(const ObjectKey& key) const;

 private:
  void put(boost::json::object object, const OnChange& on_change);
  void drop(const ObjectKey& key, const OnChange& on_change);

  Objects objects_;
};

}  // namespace faultline::kube
