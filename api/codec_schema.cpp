// SPDX-License-Identifier: Apache-2.0
// The JSON Schema, from the same descriptions and rules as the decoder.
#include <boost/json/parse.hpp>

#include "api/detail/decode.h"
#include "api/detail/encode.h"
#include "api/detail/rules_gameday.h"
#include "api/detail/rules_sweep.h"
#include "api/detail/schema_patterns.h"
#include "api/detail/type_name.h"

namespace faultline::api {
namespace detail {
namespace {

class Schema {
 public:
  template <class T>
  json::object of(const FieldRule& rule = kNoRule) {
    json::object out;
    if constexpr (std::is_same_v<T, bool>) {
      out["type"] = "boolean";
    } else if constexpr (std::is_arithmetic_v<T>) {
      out["type"] = std::is_integral_v<T> ? "integer" : "number";
      if (std::is_unsigned_v<T> && !std::isfinite(rule.min)) out["minimum"] = 0;
      range(out, rule);
    } else if constexpr (std::is_same_v<T, std::string>) {
      text(out, rule);
    } else if constexpr (Enum<T>) {
      json::array words;
      for (const auto& [word, value] : enum_words<T>()) words.emplace_back(std::string_view(word));
      out["enum"] = std::move(words);
    } else if constexpr (Scalar<T>) {
      scalar<T>(out, rule);
    } else if constexpr (kIsOptional<T>) {
      return of<typename T::value_type>(rule);
    } else if constexpr (kIsList<T>) {
      out["type"] = "array";
      FieldRule item = rule;
      item.not_empty = false;
      out["items"] = of<typename T::value_type>(item);
      if (rule.not_empty) out["minItems"] = 1;
      if (rule.max_items != 0) out["maxItems"] = rule.max_items;
    } else if constexpr (kIsTextMap<T>) {
      out["type"] = "object";
      out["additionalProperties"] =
          of<typename T::mapped_type>(rule.values != nullptr ? *rule.values : kNoRule);
      if (rule.not_empty) out["minProperties"] = 1;
      if (rule.max_items != 0) out["maxProperties"] = rule.max_items;
      if (rule.keys != nullptr) {
        json::object keys;
        text(keys, *rule.keys);
        out["propertyNames"] = std::move(keys);
      }
    } else if constexpr (std::is_same_v<T, Fault>) {
      fault(out);
    } else {
      const std::string name(type_name<T>());
      define<T>(name);
      out["$ref"] = "#/$defs/" + name;
    }
    return out;
  }

  json::object defs;

 private:
  static void range(json::object& out, const FieldRule& rule) {
    if (std::isfinite(rule.min))
      out[rule.more_than_min ? "exclusiveMinimum" : "minimum"] = rule.min;
    if (std::isfinite(rule.max)) out["maximum"] = rule.max;
  }

  static void text(json::object& out, const FieldRule& rule) {
    if (rule.number_ok)
      out["type"] = json::array{"string", "number"};
    else
      out["type"] = "string";
    if (rule.not_empty || (rule.required && !rule.words.empty())) out["minLength"] = 1;
    if (!rule.pattern.empty()) out["pattern"] = rule.pattern;
    if (rule.words.empty()) out["maxLength"] = rule.max_length;
    if (rule.words.empty()) return;
    json::array words;
    for (const std::string_view word : rule.words) words.emplace_back(word);
    out["enum"] = std::move(words);
  }

  template <Scalar T>
  static void scalar(json::object& out, const FieldRule& rule) {
    scalar_words<T>(out, rule);
    if (!out.contains("enum")) out["maxLength"] = kMostScalar;
  }

  template <Scalar T>
  static void scalar_words(json::object& out, const FieldRule& rule) {
    out["type"] = "string";
    if constexpr (std::is_same_v<T, Duration>) {
      json::object words{{"type", "string"}, {"pattern", kDurationPattern}};
      if (rule.more_than_min) words["not"] = json::object{{"pattern", "^[0.nuµμmsh]+$"}};
      out.erase("type");
      if (rule.more_than_min)
        out = std::move(words);
      else
        out["anyOf"] = json::array{std::move(words), json::object{{"const", 0}}};
    } else if constexpr (std::is_same_v<T, Probability>) {
      out.erase("type");
      json::object number{{"type", "number"}, {"minimum", 0}, {"maximum", 1}};
      json::object words{{"type", "string"}, {"pattern", kProbabilityPattern}};
      if (rule.more_than_min) {
        number.erase("minimum");
        number["exclusiveMinimum"] = 0;
        words["not"] = json::object{{"pattern", "^[0.]+%?$"}};
      }
      out["anyOf"] = json::array{std::move(words), std::move(number)};
    } else if constexpr (std::is_same_v<T, ErrnoName>) {
      json::array names;
      for (const auto& [name, value] : errno_names()) names.emplace_back(name);
      out["enum"] = std::move(names);
    } else if constexpr (std::is_same_v<T, BitRate>) {
      out["pattern"] = kRatePattern;
    } else if constexpr (std::is_same_v<T, Timestamp>) {
      out["pattern"] = kTimePattern;
    } else if constexpr (std::is_same_v<T, ByteSize>) {
      out.erase("type");
      out["anyOf"] = json::array{
          json::object{{"type", "string"}, {"pattern", kSizePattern}},
          json::object{{"type", "integer"}, {"minimum", std::isfinite(rule.min) ? rule.min : 0}}};
    } else if constexpr (std::is_same_v<T, Cidr>) {
      out["pattern"] = kCidrPattern;
    }
  }

  template <Struct T>
  void define(const std::string& name) {
    if (defs.contains(name)) return;
    defs[name] = nullptr;  // a type that contains itself finds it
    json::object properties;
    json::array required;
    const json::value defaults = encode_struct(Encoder{}, T{});
    boost::mp11::mp_for_each<Members<T>>([&]<class Member>(Member) {
      constexpr std::string_view key = key_of(Member::name);
      const FieldRule& rule = rule_of<T>(key);
      using Type = std::remove_cvref_t<decltype(std::declval<T>().*Member::pointer)>;
      json::object field = of<Type>(rule);
      if (!rule.help.empty()) field["description"] = rule.help;
      if (!rule.example.empty()) field["examples"] = json::array{json::parse(rule.example)};
      const json::value* value = defaults.get_object().if_contains(key);
      if (rule.required)
        required.emplace_back(key);
      else if (value != nullptr && !is_empty(*value) && !value->is_object())
        field["default"] = *value;
      properties.emplace(key, std::move(field));
    });
    json::object out{{"type", "object"},
                     {"description", Rules<T>::help},
                     {"properties", std::move(properties)},
                     {"additionalProperties", false}};
    if (!required.empty()) out["required"] = std::move(required);
    if (!Rules<T>::schema.empty()) {
      const json::value extra = json::parse(Rules<T>::schema);
      for (const auto& [key, value] : extra.get_object()) {
        if (key != "properties") {
          out[key] = value;
          continue;
        }
        for (const auto& [field, more] : value.as_object())  // narrows what is already there
          for (const auto& [word, narrow] : more.as_object())
            out["properties"].as_object().at(field).as_object()[word] = narrow;
      }
    }
    defs[name] = std::move(out);
  }

  void fault(json::object& out) {
    out["$ref"] = "#/$defs/Fault";
    if (defs.contains("Fault")) return;
    defs["Fault"] = nullptr;
    json::object properties;
    boost::mp11::mp_for_each<boost::mp11::mp_transform<std::type_identity, FaultSpec>>(
        [&]<class T>(std::type_identity<T>) {
          json::object field = of<T>();
          field["description"] = Rules<T>::help;
          properties.emplace(kFaultName<T>, std::move(field));
        });
    defs["Fault"] = json::object{{"type", "object"},
                                 {"description", "One fault: a map with its name."},
                                 {"properties", std::move(properties)},
                                 {"additionalProperties", false},
                                 {"minProperties", 1},
                                 {"maxProperties", 1}};
  }
};

}  // namespace
}  // namespace detail

boost::json::value experiment_schema() {
  detail::Schema schema;
  boost::json::object root{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                           {"$id", "https://faultline.dev/schema/v1alpha1/experiment.json"},
                           {"title", "Faultline experiment"}};
  for (auto& [key, value] : schema.of<Experiment>()) root[key] = value;
  root["$defs"] = std::move(schema.defs);
  return root;
}

namespace {

// Of a row the fault's own required keys are not required: the one that varies is not written, and
// which that is the schema cannot say.
void relax_rows(boost::json::object& defs) {
  boost::json::object row = defs.at("Fault").as_object();
  for (auto& [name, field] : row.at("properties").as_object()) {
    const std::string ref(field.as_object().at("$ref").as_string());
    boost::json::object fault = defs.at(ref.substr(ref.rfind('/') + 1)).as_object();
    for (const char* word : {"required", "oneOf", "anyOf", "not", "if", "then", "else"})
      fault.erase(word);
    field = std::move(fault);
  }
  defs["FaultOfRow"] = std::move(row);
  defs.at("SweptFault").as_object().at("properties").as_object().at("fault").as_object()["$ref"] =
      "#/$defs/FaultOfRow";
}

}  // namespace

boost::json::value sweep_schema() {
  detail::Schema schema;
  boost::json::object root{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                           {"$id", "https://faultline.dev/schema/v1alpha1/sweep.json"},
                           {"title", "Faultline sweep"}};
  for (auto& [key, value] : schema.of<Sweep>()) root[key] = value;
  relax_rows(schema.defs);
  root["$defs"] = std::move(schema.defs);
  return root;
}

boost::json::value gameday_schema() {
  detail::Schema schema;
  boost::json::object root{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                           {"$id", "https://faultline.dev/schema/v1alpha1/gameday.json"},
                           {"title", "Faultline game day"}};
  for (auto& [key, value] : schema.of<GameDay>()) root[key] = value;
  relax_rows(schema.defs);
  root["$defs"] = std::move(schema.defs);
  return root;
}

}  // namespace faultline::api
