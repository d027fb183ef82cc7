// SPDX-License-Identifier: Apache-2.0
#include <boost/json/parse.hpp>
#include <charconv>
#include <cmath>

#include "api/detail/type_name.h"
#include "api/detail/vary.h"

namespace faultline::api::detail {
namespace {

template <class T>
inline constexpr bool kVaries = std::is_same_v<T, Duration> || std::is_same_v<T, Probability> ||
                                std::is_same_v<T, BitRate> || std::is_same_v<T, ByteSize> ||
                                (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
template <class T>
inline constexpr bool kVaries<std::optional<T>> = kVaries<T>;

// Calls `use(member pointer, rule)` for the field `key` of a T, if it can vary.
template <class T, class Use>
void with_field(std::string_view key, const Use& use) {
  boost::mp11::mp_for_each<Members<T>>([&]<class Member>(Member) {
    using Type = std::remove_cvref_t<decltype(std::declval<T>().*Member::pointer)>;
    if constexpr (kVaries<Type>) {
      static constexpr const FieldRule& rule = rule_of<T>(key_of(Member::name));
      if (key_of(Member::name) == key) use(Member::pointer, rule);
    }
  });
}

// The same for a fault, with the field itself.
template <class Use>
void with_field_of(Fault& fault, std::string_view key, const Use& use) {
  std::visit(
      [&]<class T>(T& spec) {
        with_field<T>(key, [&](auto pointer, const FieldRule& rule) { use(spec.*pointer, rule); });
      },
      fault.spec);
}

template <class T>
struct Plain {
  using Type = T;
};
template <class T>
struct Plain<std::optional<T>> {
  using Type = T;
};

// A number stands in a document without quotes.
template <class T>
json::value as_written(const std::string& text) {
  if constexpr (std::is_arithmetic_v<T>) {
    const auto read = [&]<class N>(N number) -> json::value {
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc{} || end != text.data() + text.size()) return nullptr;
      return number;
    };
    json::value number = read(std::int64_t{});
    if (number.is_null()) number = read(double{});
    if (!number.is_null()) return number;
  }
  return json::value(std::string_view(text));
}

}  // namespace

std::vector<std::string_view> varied_keys(const Fault& fault) {
  std::vector<std::string_view> keys;
  std::visit(
      [&]<class T>(const T&) {
        boost::mp11::mp_for_each<Members<T>>([&]<class Member>(Member) {
          using Type = std::remove_cvref_t<decltype(std::declval<T>().*Member::pointer)>;
          if constexpr (kVaries<Type>) keys.push_back(key_of(Member::name));
        });
      },
      fault.spec);
  return keys;
}

json::value place_holder(std::string_view fault, std::string_view key) {
  json::value found;
  boost::mp11::mp_for_each<boost::mp11::mp_transform<std::type_identity, FaultSpec>>(
      [&]<class T>(std::type_identity<T>) {
        if (kFaultName<T> != fault) return;
        with_field<T>(key, [&](auto, const FieldRule& rule) {
          if (rule.required && !rule.example.empty()) found = json::parse(rule.example);
        });
      });
  return found;
}

bool set_varied(Decoder& d, Fault& fault, std::string_view key, const std::string& text) {
  Problems own;
  with_field_of(fault, key, [&]<class T>(T& field, const FieldRule& rule) {
    using Value = typename Plain<T>::Type;
    Value value{};
    const json::value written = as_written<Value>(text);
    Decoder quiet(own);
    decode(quiet, written, value, rule);
    if (own.empty())
      field = value;
    else
      decode(d, written, value, rule);  // again, where it stands
  });
  return own.empty();
}

double varied_value(const Fault& fault, std::string_view key) {
  double found = 0;
  Fault copy = fault;
  with_field_of(copy, key, [&]<class T>(T& field, const FieldRule&) {
    if constexpr (kIsOptional<T>)
      found = field ? magnitude(*field) : 0;
    else
      found = magnitude(field);
  });
  return found;
}

std::optional<double> varied_step(const Fault& fault, std::string_view key,
                                  const std::string& text) {
  std::optional<double> found;
  Fault copy = fault;
  with_field_of(copy, key, [&]<class T>(T&, const FieldRule&) {
    using Value = typename Plain<T>::Type;
    Value value{};
    Problems problems;
    Decoder decoder(problems);
    decode(decoder, as_written<Value>(text), value);
    if (problems.empty() && magnitude(value) > 0 && std::isfinite(magnitude(value)))
      found = magnitude(value);
  });
  return found;
}

std::string varied_text(const Fault& fault, std::string_view key, double value) {
  std::string text;
  Fault copy = fault;
  // Nine digits after the point: sums of fractions are not exact.
  const double rounded = std::round(value * 1e9) / 1e9;
  with_field_of(copy, key, [&]<class T>(T&, const FieldRule&) {
    using Value = typename Plain<T>::Type;
    if constexpr (std::is_same_v<Value, Duration>)
      text = Duration{std::chrono::nanoseconds(std::llround(value * 1e9))}.format();
    else if constexpr (std::is_same_v<Value, Probability>)
      text = Probability{rounded}.format();
    else if constexpr (std::is_same_v<Value, BitRate>)
      text = BitRate{static_cast<std::uint64_t>(std::llround(value))}.format();
    else if constexpr (std::is_same_v<Value, ByteSize>)
      text = ByteSize{static_cast<std::uint64_t>(std::llround(value))}.format();
    else if constexpr (std::is_integral_v<Value>)
      text = std::to_string(std::llround(value));
    else
      text = number_text(rounded);
  });
  return text;
}

}  // namespace faultline::api::detail
