// SPDX-License-Identifier: Apache-2.0
// How many bytes may be held. Not thread-safe.
#pragma once

#include <boost/describe.hpp>
#include <boost/mp11/algorithm.hpp>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace faultline::controller::observe {

// About what a value of api/ takes in memory, with its texts, lists and nodes of maps.
template <class T>
std::size_t bytes_of(const T& value);
template <class K, class V>
std::size_t bytes_of(const std::map<K, V>& map);
template <class T>
std::size_t bytes_of(const std::vector<T>& list);
inline std::size_t bytes_of(const std::string& text) { return sizeof text + text.size(); }
template <class K, class V>
std::size_t bytes_of(const std::map<K, V>& map) {
  constexpr std::size_t kNode = 32;
  std::size_t out = sizeof map;
  for (const auto& [key, value] : map) out += kNode + bytes_of(key) + bytes_of(value);
  return out;
}
template <class T>
std::size_t bytes_of(const std::vector<T>& list) {
  std::size_t out = sizeof list;
  for (const T& one : list) out += bytes_of(one);
  return out;
}
template <class T>
std::size_t bytes_of(const T& value) {
  std::size_t out = 0;
  if constexpr (boost::describe::has_describe_members<T>::value)
    boost::mp11::mp_for_each<boost::describe::describe_members<T, boost::describe::mod_public>>(
        [&](auto member) { out += bytes_of(value.*member.pointer); });
  else
    out = sizeof value;
  return out;
}

// A share of a run, which is also taken from what all runs have together.
class Room {
 public:
  explicit Room(std::size_t most, std::shared_ptr<Room> of_all = nullptr)
      : most_(most), of_all_(std::move(of_all)) {}
  ~Room() { give_back(used_); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  // False: there are no `bytes` left, of this or of all; then none are taken.
  [[nodiscard]] bool take(std::size_t bytes) {
    if (bytes > most_ - used_) return false;
    if (of_all_ != nullptr && !of_all_->take(bytes)) return false;
    used_ += bytes;
    return true;
  }
  void give_back(std::size_t bytes) {
    used_ -= bytes;
    if (of_all_ != nullptr) of_all_->give_back(bytes);
  }
  [[nodiscard]] std::size_t used() const { return used_; }

 private:
  std::size_t most_, used_ = 0;
  std::shared_ptr<Room> of_all_;
};

}  // namespace faultline::controller::observe
