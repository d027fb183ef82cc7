// SPDX-License-Identifier: Apache-2.0
// boost::json::value -> struct, driven by Boost.Describe and Rules<T>. YAML takes the same way.
#pragma once

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/codec.h"
#include "api/detail/problems.h"
#include "api/detail/rules_experiment.h"
#include "api/detail/rules_faults.h"
#include "api/detail/rules_messages.h"
#include "api/detail/rules_pods.h"
#include "api/detail/rules_status.h"
#include "api/detail/text.h"
#include "api/histogram.h"

namespace faultline::api::detail {

namespace json = boost::json;

template <class T>
concept Scalar = requires(std::string_view text, const T& value) {
  { T::parse(text) } -> std::same_as<Result<T>>;
  { value.format() } -> std::same_as<std::string>;
};
template <class T>
concept Enum = boost::describe::has_describe_enumerators<T>::value;
template <class T>
concept Struct = boost::describe::has_describe_members<T>::value;

template <class T>
inline constexpr bool kIsList = false;
template <class T>
inline constexpr bool kIsList<std::vector<T>> = true;
template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
inline constexpr bool kIsTextMap = false;
template <class V>
inline constexpr bool kIsTextMap<std::map<std::string, V>> = true;
using Buckets = decltype(Histogram::buckets);

// "fixed-percent" of fixed_percent, "continue" of continue_.
[[nodiscard]] std::string enum_word(std::string_view enumerator);

template <Enum E>
const std::vector<std::pair<std::string, E>>& enum_words() {
  static const auto table = [] {
    std::vector<std::pair<std::string, E>> words;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>(
        [&](auto d) { words.emplace_back(enum_word(d.name), d.value); });
    return words;
  }();
  return table;
}

template <Struct T>
const std::vector<std::string_view>& keys_of() {
  static const auto table = [] {
    std::vector<std::string_view> keys;
    boost::mp11::mp_for_each<Members<T>>([&](auto d) { keys.push_back(key_of(d.name)); });
    return keys;
  }();
  return table;
}

// Walks with the value: knows where it is and whether unknown keys are errors here.
class Decoder {
 public:
  explicit Decoder(Problems& problems) : problems_(problems) {}

  // One step down for the life of the object. `key` must outlive it.
  class Step {
   public:
    Step(Decoder& d, std::string_view key, std::size_t index = 0) : d_(d) {
      d_.steps_.push_back({key, index});
    }
    ~Step() { d_.steps_.pop_back(); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    Decoder& d_;
  };

  void problem(std::string message) { problems_.add(path(), std::move(message)); }
  void expected(std::string_view what, const json::value& got);
  void unknown_key(std::string_view what, std::string_view key,
                   const std::vector<std::string_view>& valid, const std::string& nearest);
  void missing(std::string_view key);
  void empty(const FieldRule& rule);
  void too_long(const std::string& text, std::size_t most);
  void unknown_word(const std::string& got, const std::vector<std::string_view>& valid);
  // False after a problem was noted.
  bool text_ok(const std::string& text, const FieldRule& rule);
  [[nodiscard]] std::string path() const;

  bool strict = false;

 private:
  struct Place {
    std::string_view key;  // data() == nullptr: an index
    std::size_t index;
  };
  Problems& problems_;
  std::vector<Place> steps_;
};

// Is the text matched by an anchored pattern of a rule? Patterns are compiled once.
[[nodiscard]] bool pattern_matches(std::string_view pattern, const std::string& text);

// The kernel's dice have 2^32 sides.
inline constexpr double kLeastChance = 0x1p-32;

// Durations are compared in seconds, probabilities as fractions, the rest as they are.
template <class T>
double magnitude(const T& v) {
  if constexpr (std::is_arithmetic_v<T>)
    return static_cast<double>(v);
  else if constexpr (std::is_same_v<T, Duration>)
    return v.seconds();
  else if constexpr (std::is_same_v<T, Probability>)
    return v.value;
  else if constexpr (std::is_same_v<T, BitRate>)
    return static_cast<double>(v.bits_per_second);
  else if constexpr (std::is_same_v<T, ByteSize>)
    return static_cast<double>(v.bytes);
  else
    return 0;
}

template <class T>
std::string bound_text(double bound) {
  if constexpr (std::is_same_v<T, Duration>)
    return Duration{std::chrono::nanoseconds(std::llround(bound * 1e9))}.format();
  else if constexpr (std::is_same_v<T, Probability>)
    return Probability{bound}.format();
  else if constexpr (std::is_same_v<T, BitRate>)
    return BitRate{static_cast<std::uint64_t>(bound)}.format();
  else if constexpr (std::is_integral_v<T>)
    return std::to_string(static_cast<std::int64_t>(bound));
  else
    return number_text(bound);
}

template <class T>
void check_range(Decoder& d, const T& value, const FieldRule& rule) {
  const double v = magnitude(value);
  if constexpr (std::is_same_v<T, Probability>)
    if (rule.more_than_min && v > 0 && v < kLeastChance)
      return d.problem("is so small that it never happens: must be at least 0.00000003%, got " +
                       value.format());
  const bool too_low = rule.more_than_min ? v <= rule.min : v < rule.min;
  if (!too_low && v <= rule.max) return;
  std::string got;
  if constexpr (Scalar<T>)
    got = value.format();
  else if constexpr (std::is_integral_v<T>)
    got = std::to_string(value);
  else
    got = number_text(value);
  const bool low = std::isfinite(rule.min), high = std::isfinite(rule.max);
  std::string text = "must be ";
  if (low) text += rule.more_than_min ? "more than " : high ? "from " : "at least ";
  if (low) text += bound_text<T>(rule.min);
  if (low && high) text += rule.more_than_min ? " and " : " to ";
  if (high && (!low || rule.more_than_min)) text += "at most ";
  if (high) text += bound_text<T>(rule.max);
  d.problem(text + ", got " + got);
}

template <Struct T>
void decode_struct(Decoder& d, const json::value& v, T& out);
void decode_fault(Decoder& d, const json::value& v, Fault& out);
void decode_buckets(Decoder& d, const json::value& v, Buckets& out);

template <class T>
void decode_number(Decoder& d, const json::value& v, T& out, const FieldRule& rule) {
  if constexpr (std::is_floating_point_v<T>) {
    if (v.is_null() && !d.strict) {  // how a number that is none was written
      out = std::numeric_limits<T>::quiet_NaN();
      return;
    }
    if (!v.is_number()) return d.expected("a number", v);
    out = v.to_number<T>();
  } else {
    if (!v.is_int64() && !v.is_uint64()) return d.expected("a whole number", v);
    boost::system::error_code error;
    const T number = v.to_number<T>(error);
    if (error) {
      FieldRule narrow = rule;
      narrow.min = std::max(rule.min, static_cast<double>(std::numeric_limits<T>::min()));
      narrow.max = std::min(rule.max, static_cast<double>(std::numeric_limits<T>::max()));
      if (narrow.max > 1e15)
        return d.expected(narrow.min >= 0 ? "a whole number of at least 0" : "a whole number", v);
      return check_range(d, v.is_int64() ? v.get_int64() : std::int64_t{1} << 62, narrow);
    }
    out = number;
  }
  check_range(d, out, rule);
}

template <Scalar T>
void decode_scalar(Decoder& d, const json::value& v, T& out, const FieldRule& rule) {
  std::string text;
  if (v.is_string())
    text = v.get_string();
  else if (std::is_same_v<T, Timestamp> && v.is_null())
    return;
  else if (std::is_same_v<T, Probability> && v.is_number())
    text = number_text(v.to_number<double>());
  else if (v.is_int64() && (std::is_same_v<T, ByteSize> || (std::is_same_v<T, Duration>)))
    text = std::to_string(v.get_int64());
  else if (v.is_double())
    text = number_text(v.get_double());
  else if (v.is_number())
    text = json::serialize(v);
  if (text.size() > kMostScalar) return d.too_long(text, kMostScalar);
  auto parsed = T::parse(text);
  if (!parsed) {
    std::string message = parsed.error().message;
    // The parser saw no text at all: say what there was instead.
    if (text.empty() && !v.is_string() && message.ends_with(", got \"\""))
      return d.expected(std::string_view(message).substr(9, message.size() - 9 - 8), v);
    return d.problem(std::move(message));
  }
  out = *parsed;
  check_range(d, out, rule);
}

template <class T>
void decode(Decoder& d, const json::value& v, T& out, const FieldRule& rule = kNoRule) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!v.is_bool()) return d.expected("true or false", v);
    out = v.get_bool();
  } else if constexpr (std::is_arithmetic_v<T>) {
    decode_number(d, v, out, rule);
  } else if constexpr (std::is_same_v<T, std::string>) {
    std::string text;
    if (v.is_string())
      text = v.get_string();
    else if (rule.number_ok && v.is_double())
      text = number_text(v.get_double());
    else if (rule.number_ok && v.is_number())
      text = json::serialize(v);
    else
      return d.expected(rule.number_ok ? "text or a number" : "text", v);
    if (d.text_ok(text, rule)) out = std::move(text);
  } else if constexpr (Enum<T>) {
    if (!v.is_string())
      return d.expected("one of " + joined([] {
                          std::vector<std::string> words;
                          for (const auto& w : enum_words<T>()) words.push_back(w.first);
                          return words;
                        }()),
                        v);
    std::vector<std::string_view> valid;
    for (const auto& [word, value] : enum_words<T>()) {
      if (word == std::string_view(v.get_string())) {
        out = value;
        return;
      }
      valid.push_back(word);
    }
    d.unknown_word(std::string(v.get_string()), valid);
  } else if constexpr (Scalar<T>) {
    decode_scalar(d, v, out, rule);
  } else if constexpr (kIsOptional<T>) {
    // Of a document that a person writes nothing is not the same as left out: a template that
    // rendered nothing would have no filter.
    if (v.is_null() && !d.strict) return;
    if constexpr (kIsList<typename T::value_type>)
      if (!rule.empty_word.empty() && v.is_string() &&
          std::string_view(v.get_string()) == rule.empty_word) {
        out.emplace();
        return;
      }
    decode(d, v, out.emplace(), rule);
  } else if constexpr (kIsList<T>) {
    if (!v.is_array()) return d.expected("a list", v);
    const auto& items = v.get_array();
    if (rule.not_empty && items.empty()) return d.empty(rule);
    if (rule.max_items != 0 && items.size() > rule.max_items)
      return d.problem("must have at most " + std::to_string(rule.max_items) + " items, got " +
                       std::to_string(items.size()));
    out.clear();  // what is written takes the place of a default
    out.reserve(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Decoder::Step step(d, {}, i);
      if (rule.not_empty && items[i].is_string() && items[i].get_string().empty())
        d.problem("must not be empty");
      else
        decode(d, items[i], out.emplace_back(), rule);
    }
  } else if constexpr (kIsTextMap<T>) {
    if (!v.is_object()) return d.expected("a map", v);
    const auto& entries = v.get_object();
    if (rule.not_empty && entries.empty()) return d.empty(rule);
    if (rule.max_items != 0 && entries.size() > rule.max_items)
      return d.problem("must have at most " + std::to_string(rule.max_items) + " entries, got " +
                       std::to_string(entries.size()));
    for (const auto& [key, value] : entries) {
      const Decoder::Step step(d, key);
      std::string word(key);
      if (!d.text_ok(word, rule.keys != nullptr ? *rule.keys : kNoRule)) continue;
      decode(d, value, out[std::move(word)], rule.values != nullptr ? *rule.values : kNoRule);
    }
  } else if constexpr (std::is_same_v<T, Buckets>) {
    decode_buckets(d, v, out);
  } else if constexpr (std::is_same_v<T, Fault>) {
    decode_fault(d, v, out);
  } else {
    if (rule.not_empty && v.is_object() && v.get_object().empty()) return d.empty(rule);
    decode_struct(d, v, out);
  }
}

template <Struct T>
void decode_struct(Decoder& d, const json::value& v, T& out) {
  static_assert(rules_fit<T>(), "a rule names no member");
  if (!v.is_object()) return d.expected("a map", v);
  const bool outside = d.strict;
  d.strict = outside || kStrict<T>;
  const auto& object = v.get_object();
  std::vector<std::string_view> missing;
  boost::mp11::mp_for_each<Members<T>>([&]<class Member>(Member) {
    constexpr std::string_view key = key_of(Member::name);
    static constexpr const FieldRule& rule = rule_of<T>(key);
    if (const auto* value = object.if_contains(key)) {
      const Decoder::Step step(d, key);
      decode(d, *value, out.*Member::pointer, rule);
    } else if (rule.required) {
      missing.push_back(key);
    }
  });
  if (d.strict)
    for (const auto& [key, value] : object) {
      const auto& keys = keys_of<T>();
      if (std::ranges::find(keys, std::string_view(key)) != keys.end()) continue;
      const std::string nearest = nearest_word(key, keys);
      d.unknown_key("key", key, keys, nearest);
      // A misspelt required key is one mistake, not two.
      std::erase(missing, nearest);
    }
  for (const std::string_view key : missing) d.missing(key);
  d.strict = outside;
}

}  // namespace faultline::api::detail
