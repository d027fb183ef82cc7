// SPDX-License-Identifier: Apache-2.0
// struct -> boost::json::value; what decode.h reads back. What a person writes (the strict types)
// and the status of a resource leave out empty text, lists, maps and options; messages and reports
// write everything. A double that is no number becomes null.
#pragma once

#include <boost/json/value.hpp>
#include <cmath>

#include "api/detail/decode.h"

namespace faultline::api::detail {

struct Encoder {
  bool leave_out_empty = false;
};

[[nodiscard]] json::value encode_fault(const Encoder& e, const Fault& fault);
// Text, list, map or null without anything in it.
[[nodiscard]] bool is_empty(const json::value& v);

template <Struct T>
json::value encode_struct(const Encoder& outside, const T& value);

template <class T>
json::value encode(const Encoder& e, const T& value, const FieldRule& rule = kNoRule) {
  if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) return nullptr;
    return value;
  } else if constexpr (std::is_arithmetic_v<T>) {
    return value;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return json::value(std::string_view(value));
  } else if constexpr (Enum<T>) {
    for (const auto& [word, v] : enum_words<T>())
      if (v == value) return json::value(std::string_view(word));
    return nullptr;  // not reached with a value of the enum
  } else if constexpr (std::is_same_v<T, Timestamp>) {
    if (!value.set()) return nullptr;
    return json::value(std::string_view(value.format()));
  } else if constexpr (Scalar<T>) {
    return json::value(std::string_view(value.format()));
  } else if constexpr (kIsOptional<T>) {
    if (!value) return nullptr;
    if constexpr (kIsList<typename T::value_type>)
      if (value->empty() && !rule.empty_word.empty()) return json::value(rule.empty_word);
    return encode(e, *value);
  } else if constexpr (kIsList<T>) {
    json::array items;
    items.reserve(value.size());
    for (const auto& item : value) items.push_back(encode(e, item));
    return items;
  } else if constexpr (kIsTextMap<T>) {
    json::object object;
    for (const auto& [key, item] : value) object.emplace(key, encode(e, item));
    return object;
  } else if constexpr (std::is_same_v<T, Buckets>) {
    json::array pairs;
    pairs.reserve(value.size());
    for (const auto& [index, count] : value) pairs.push_back(json::array{index, count});
    return pairs;
  } else if constexpr (std::is_same_v<T, Fault>) {
    return encode_fault(e, value);
  } else {
    return encode_struct(e, value);
  }
}

template <Struct T>
json::value encode_struct(const Encoder& outside, const T& value) {
  const Encoder e{outside.leave_out_empty || kLeavesOutEmpty<T>};
  json::object object;
  boost::mp11::mp_for_each<Members<T>>([&]<class Member>(Member) {
    constexpr std::string_view key = key_of(Member::name);
    static constexpr const FieldRule& rule = rule_of<T>(key);
    json::value member = encode(e, value.*Member::pointer, rule);
    if (e.leave_out_empty && !rule.required && is_empty(member)) return;
    object.emplace(key, std::move(member));
  });
  return object;
}

}  // namespace faultline::api::detail
