// SPDX-License-Identifier: Apache-2.0
// What the description of a struct cannot say of its fields: which are required, their ranges and
// their help. One Rules<T> per type, in rules_*.h; the decoder and the JSON Schema both read it.
#pragma once

#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <limits>
#include <span>
#include <string_view>

namespace faultline::api::detail {

// Characters of a text whose rule says nothing else, and of a scalar ("200ms", "10.0.0.0/8").
inline constexpr std::size_t kMostText = 64 << 10;
inline constexpr std::size_t kMostScalar = 64;

struct FieldRule {
  std::string_view key;
  std::string_view help;  // one sentence; the schema's description
  bool required = false;
  // Of lists, maps, text and selectors. One that is not required can be left out: it is a filter,
  // and one that is given and names nothing is refused, since it would match everything.
  bool not_empty = false;
  bool number_ok = false;  // text that may also be written as a number
  // Of numbers; of durations in seconds, of probabilities as fractions. For lists: of each item.
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool more_than_min = false;          // min itself is not allowed
  std::size_t max_items = 0;           // of lists and maps; 0: no bound
  std::size_t max_length = kMostText;  // of text, for lists of each item: in characters
  // Of text, for lists of each item: an ECMAScript regular expression that is anchored at both
  // ends, and what it means in words ("expected ...").
  std::string_view pattern;
  std::string_view pattern_words;
  std::span<const std::string_view> words;  // the only valid texts
  std::string_view empty_word;              // of an optional list: how JSON writes an empty one
  std::string_view example;                 // JSON
  // Of maps: of their keys, which are text, and of what the keys stand for.
  const FieldRule* keys = nullptr;
  const FieldRule* values = nullptr;
};

template <class T>
struct Rules {
  static constexpr std::string_view help{};  // what the type is; the schema's description
  static constexpr std::span<const FieldRule> fields{};
  static constexpr std::string_view schema{};  // JSON: more keywords of the schema
};

// Unknown keys are errors in these types and in everything inside them. Elsewhere (the messages
// between programs) they are ignored, so that versions can be mixed during an upgrade.
template <class T>
inline constexpr bool kStrict = false;

// Types whose JSON leaves out empty text, lists, maps and options, and so does all inside them.
template <class T>
inline constexpr bool kLeavesOutEmpty = kStrict<T>;

template <class T>
using Members = boost::describe::describe_members<T, boost::describe::mod_any_access |
                                                         boost::describe::mod_inherited>;

// The key of a C++ member name: "errno" of "errno_".
constexpr std::string_view key_of(std::string_view member) {
  if (member.ends_with('_')) member.remove_suffix(1);
  return member;
}

inline constexpr FieldRule kNoRule{};

// The rule of a key: the type's own, else a base's.
template <class T>
constexpr const FieldRule& rule_of(std::string_view key) {
  for (const FieldRule& rule : Rules<T>::fields)
    if (rule.key == key) return rule;
  const FieldRule* found = &kNoRule;
  boost::mp11::mp_for_each<boost::describe::describe_bases<T, boost::describe::mod_any_access>>(
      [&]<class Base>(Base) {
        if (found == &kNoRule) found = &rule_of<typename Base::type>(key);
      });
  return *found;
}

// Every rule names a member: a misspelt rule does not compile.
template <class T>
consteval bool rules_fit() {
  for (const FieldRule& rule : Rules<T>::fields) {
    bool found = false;
    boost::mp11::mp_for_each<Members<T>>([&]<class Member>(Member) {
      if (key_of(Member::name) == rule.key) found = true;
    });
    if (!found) return false;
  }
  return true;
}

}  // namespace faultline::api::detail
