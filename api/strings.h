// SPDX-License-Identifier: Apache-2.0
// One walk over every text of a struct of api/, by its description (Boost.Describe): members,
// lists, maps with their keys, options, the fields of faults. A member that is added later is
// reached, too.
#pragma once

#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "api/fault.h"

namespace faultline::api {

// Calls `change(std::string&)` for each text that `value` holds. Keys of a map that become the same
// are one entry afterwards. Values that are no text but are written as text (durations, times,
// addresses) are not visited: their writers write digits and fixed words only.
template <class T, class Change>
void for_each_text(T& value, const Change& change);

namespace detail {

struct TextWalk {
  template <class T, class Change>
  static void into(T&, const Change&) {}  // numbers, enums, times
  template <class T, class Change>
  static void into(std::optional<T>& value, const Change& change) {
    if (value) for_each_text(*value, change);
  }
  template <class T, class Change>
  static void into(std::vector<T>& values, const Change& change) {
    for (T& value : values) for_each_text(value, change);
  }
  template <class T, class Change>
  static void into(std::map<std::string, T>& values, const Change& change) {
    std::map<std::string, T> changed;
    for (auto& [key, value] : values) {
      std::string name = key;
      change(name);
      for_each_text(value, change);
      changed.insert_or_assign(std::move(name), std::move(value));
    }
    values = std::move(changed);
  }
};

}  // namespace detail

template <class T, class Change>
void for_each_text(T& value, const Change& change) {
  if constexpr (std::is_same_v<T, std::string>) {
    change(value);
  } else if constexpr (std::is_same_v<T, Fault>) {
    std::visit([&](auto& spec) { for_each_text(spec, change); }, value.spec);
  } else if constexpr (boost::describe::has_describe_members<T>::value) {
    using Members = boost::describe::describe_members<T, boost::describe::mod_any_access |
                                                             boost::describe::mod_inherited>;
    boost::mp11::mp_for_each<Members>(
        [&](auto member) { for_each_text(value.*decltype(member)::pointer, change); });
  } else {
    detail::TextWalk::into(value, change);
  }
}

}  // namespace faultline::api
