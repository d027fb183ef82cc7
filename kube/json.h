// SPDX-License-Identifier: Apache-2.0
// Reading objects of the API: what is missing or of another type is empty. Pure and thread-safe;
// results point into the object.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::kube {

// Nothing: it is no JSON object. Deeper than Boost.JSON's own limit of 32 levels, which the schema
// of a custom resource exceeds.
[[nodiscard]] std::optional<boost::json::object> parse_object(std::string_view text);
// Nothing also when it takes more than `most` bytes of memory, which short texts of many small
// parts do. What is copied from the result is not bounded.
[[nodiscard]] std::optional<boost::json::object> parse_object(std::string_view text,
                                                              std::size_t most);

[[nodiscard]] inline const boost::json::object* object_at(const boost::json::object& object,
                                                          std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}
[[nodiscard]] inline const boost::json::array* array_at(const boost::json::object& object,
                                                        std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_array() : nullptr;
}
[[nodiscard]] inline std::string_view text_at(const boost::json::object& object,
                                              std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return {};
  return {value->get_string().data(), value->get_string().size()};
}
[[nodiscard]] inline std::optional<std::int64_t> number_at(const boost::json::object& object,
                                                           std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = value->if_int64()) return *number;
  return std::nullopt;
}
[[nodiscard]] inline bool flag_at(const boost::json::object& object, std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}
// metadata.`key`, e.g. meta(pod, "uid").
[[nodiscard]] inline std::string_view meta(const boost::json::object& object,
                                           std::string_view key) {
  const boost::json::object* metadata = object_at(object, "metadata");
  return metadata != nullptr ? text_at(*metadata, key) : std::string_view{};
}
[[nodiscard]] inline std::vector<std::string> texts_at(const boost::json::object& object,
                                                       std::string_view key) {
  std::vector<std::string> texts;
  if (const auto* array = array_at(object, key))
    for (const auto& value : *array)
      if (value.is_string()) texts.emplace_back(value.get_string().c_str());
  return texts;
}

}  // namespace faultline::kube
