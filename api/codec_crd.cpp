// SPDX-License-Identifier: Apache-2.0
// The CustomResourceDefinition, from the same descriptions and rules as the decoder.
//
// Its schema is structural: every node says its type itself, nothing refers to a definition, and
// what is inside allOf, anyOf, oneOf and not only narrows what stands outside. Numbers with a
// fraction beside text (5% or 0.05) have no structural type: such a node keeps what it gets, and
// its pattern speaks of texts and its bounds of numbers.
//
// The API server would take unknown keys out without a word, and a misspelt filter would hit
// everything. So each map of the spec keeps them (x-kubernetes-preserve-unknown-fields), and the
// webhook and the controller, which decode strictly, refuse them by name.
#include <boost/json/parse.hpp>

#include "api/detail/encode.h"
#include "api/detail/rules_gameday_status.h"
#include "api/detail/schema_patterns.h"
#include "api/detail/type_name.h"
#include "document/yaml_write.h"

namespace faultline::api {
namespace detail {
namespace {

constexpr std::string_view kKeep = "x-kubernetes-preserve-unknown-fields";
constexpr std::string_view kIntOrString = "x-kubernetes-int-or-string";

// Keywords of Rules<T>::schema in what Kubernetes knows of them: no const, no if/then/else.
json::value narrowing(const json::value& v) {
  if (v.is_array()) {
    json::array out;
    for (const auto& item : v.get_array()) out.push_back(narrowing(item));
    return out;
  }
  if (!v.is_object()) return v;
  json::object out;
  const json::object& object = v.get_object();
  for (const auto& [key, value] : object) {
    if (key == "const")
      out["enum"] = json::array{value};
    else if (key != "if" && key != "then" && key != "else")
      out[key] = key == "enum" || key == "required" ? value : narrowing(value);
  }
  if (const auto* condition = object.if_contains("if")) {
    const json::value holds = narrowing(*condition);
    out["anyOf"] = json::array{
        json::object{{"allOf", json::array{holds, narrowing(object.at("then"))}}},
        json::object{
            {"allOf", json::array{json::object{{"not", holds}}, narrowing(object.at("else"))}}}};
  }
  return out;
}

// Of a GameDay less is said than of an Experiment: a schema cannot refer to itself, and the whole
// of an experiment in each step would be more than `kubectl apply` can keep. What is left open here
// the webhook and the controller read with the words and errors of the file.
class Structural {
 public:
  enum class Of { kExperiment, kGameDay };
  explicit Structural(Of of) : of_(of) {}

  template <class T>
  json::object of(const FieldRule& rule, bool keep) {
    json::object out;
    if constexpr (std::is_same_v<T, bool>) {
      out["type"] = "boolean";
    } else if constexpr (std::is_arithmetic_v<T>) {
      out["type"] = std::is_integral_v<T> ? "integer" : "number";
      if (std::is_integral_v<T> && sizeof(T) == 8) out["format"] = "int64";
      if (std::is_unsigned_v<T> && !std::isfinite(rule.min)) out["minimum"] = 0;
      bounds(out, rule);
    } else if constexpr (std::is_same_v<T, std::string>) {
      text(out, rule);
    } else if constexpr (std::is_same_v<T, Timestamp>) {
      out = {{"type", "string"}, {"format", "date-time"}, {"maxLength", kMostScalar}};
    } else if constexpr (Enum<T>) {
      json::array list;
      for (const auto& [word, value] : enum_words<T>()) list.emplace_back(std::string_view(word));
      out = {{"type", "string"}, {"enum", std::move(list)}};
    } else if constexpr (Scalar<T>) {
      scalar<T>(out, rule);
      if (!out.contains("enum")) out["maxLength"] = kMostScalar;
    } else if constexpr (kIsOptional<T>) {
      return of<typename T::value_type>(rule, keep);
    } else if constexpr (kIsList<T>) {
      using Item = typename T::value_type;
      FieldRule item = rule;
      item.not_empty = false;
      out = {{"type", "array"}, {"items", of<Item>(item, keep)}};
      if (rule.not_empty) out["minItems"] = 1;
      if (rule.max_items != 0) out["maxItems"] = rule.max_items;
      if constexpr (std::is_same_v<Item, Condition>) {
        out["x-kubernetes-list-type"] = "map";
        out["x-kubernetes-list-map-keys"] = json::array{"type"};
      }
    } else if constexpr (kIsTextMap<T>) {
      const FieldRule& values = rule.values != nullptr ? *rule.values : kNoRule;
      out = {{"type", "object"},
             {"additionalProperties", of<typename T::mapped_type>(values, keep)}};
      if (rule.not_empty) out["minProperties"] = 1;
      if (rule.max_items != 0) out["maxProperties"] = rule.max_items;
    } else if constexpr (std::is_same_v<T, Fault>) {
      fault(out);
    } else if constexpr (std::is_same_v<T, SweepSpec>) {
      open(out, "The spec of a Sweep.");
    } else if constexpr (std::is_same_v<T, Step>) {
      if (in_step_) {
        open(out, "A step, as those of spec.steps are.");
      } else {
        in_step_ = true;
        structure<T>(out, keep || kStrict<T>);
        in_step_ = false;
      }
    } else if constexpr (std::is_same_v<T, ExperimentSpec>) {
      if (in_step_)
        open(out, "The spec of an Experiment.");
      else
        structure<T>(out, keep || kStrict<T>);
    } else {
      structure<T>(out, keep || kStrict<T>);
    }
    return out;
  }

 private:
  static void open(json::object& out, std::string_view help) {
    out = {{"description", help}, {"type", "object"}, {kKeep, true}};
  }
  static void bounds(json::object& out, const FieldRule& rule) {
    if (std::isfinite(rule.min)) {
      out["minimum"] = rule.min;
      if (rule.more_than_min) out["exclusiveMinimum"] = true;
    }
    if (std::isfinite(rule.max)) out["maximum"] = rule.max;
  }

  static void text(json::object& out, const FieldRule& rule) {
    if (rule.number_ok && !rule.pattern.empty())
      out[kIntOrString] = true;  // its pattern is of whole numbers
    else if (rule.number_ok)
      out[kKeep] = true;
    else
      out["type"] = "string";
    if (rule.not_empty || (rule.required && !rule.words.empty())) out["minLength"] = 1;
    if (!rule.pattern.empty()) out["pattern"] = rule.pattern;
    if (rule.words.empty()) out["maxLength"] = rule.max_length;
    if (rule.words.empty()) return;
    json::array list;
    for (const std::string_view word : rule.words) list.emplace_back(word);
    out["enum"] = std::move(list);
  }

  // Text of zero has no other digit. The webhook finds the odd ones ("0e-1").
  static void not_zero(json::object& out) {
    out["allOf"] = json::array{json::object{{"pattern", "[1-9]"}}};
  }

  template <Scalar T>
  static void scalar(json::object& out, const FieldRule& rule) {
    if constexpr (std::is_same_v<T, Duration>) {
      out["pattern"] = kDurationPattern;
      if (rule.more_than_min) {
        out["type"] = "string";
        not_zero(out);
      } else {
        out[kIntOrString] = true;  // 0 is a duration
        out["minimum"] = 0;
        out["maximum"] = 0;
      }
    } else if constexpr (std::is_same_v<T, Probability>) {
      out[kKeep] = true;
      out["pattern"] = kProbabilityPattern;
      out["minimum"] = 0;
      out["maximum"] = 1;
      if (rule.more_than_min) {
        out["exclusiveMinimum"] = true;
        not_zero(out);
      }
    } else if constexpr (std::is_same_v<T, ErrnoName>) {
      json::array names;
      for (const auto& [name, value] : errno_names()) names.emplace_back(name);
      out = {{"type", "string"}, {"enum", std::move(names)}};
    } else if constexpr (std::is_same_v<T, BitRate>) {
      out = {{"type", "string"}, {"pattern", kRatePattern}};
    } else if constexpr (std::is_same_v<T, ByteSize>) {
      out[kIntOrString] = true;
      out["pattern"] = kSizePattern;
      out["minimum"] = std::isfinite(rule.min) ? rule.min : 0;
    } else {
      static_assert(std::is_same_v<T, Cidr>, "how is it written?");
      out = {{"type", "string"}, {"pattern", kCidrPattern}};
    }
  }

  static std::string description(const FieldRule& rule) {
    std::string text(rule.help);
    if (!rule.example.empty()) text += " Example: " + std::string(rule.example) + ".";
    return text;
  }

  template <Struct T>
  void structure(json::object& out, bool keep) {
    json::object properties;
    json::array required;
    const json::value defaults = encode_struct(Encoder{}, T{});
    boost::mp11::mp_for_each<Members<T>>([&]<class Member>(Member) {
      constexpr std::string_view key = key_of(Member::name);
      const FieldRule& rule = rule_of<T>(key);
      using Type = std::remove_cvref_t<decltype(std::declval<T>().*Member::pointer)>;
      json::object field;
      if (!rule.help.empty()) field["description"] = description(rule);
      for (auto& [word, value] : of<Type>(rule, keep))
        if (word != "description" || rule.help.empty()) field[word] = std::move(value);
      // Of the spec only: a status says what was seen.
      const json::value* value = defaults.get_object().if_contains(key);
      if (rule.required)
        required.emplace_back(key);
      else if (of_ == Of::kExperiment && keep && value != nullptr && !is_empty(*value) &&
               !value->is_object())
        field["default"] = *value;
      properties.emplace(key, std::move(field));
    });
    out["description"] = Rules<T>::help;
    out["type"] = "object";
    if (keep) {
      out[kKeep] = true;
      // Room for misspelt keys beside those that the server fills in: the webhook names them.
      out["maxProperties"] = properties.size() + 16;
    }
    if (!required.empty()) out["required"] = std::move(required);
    out["properties"] = std::move(properties);
    if (Rules<T>::schema.empty()) return;
    const json::value extra = narrowing(json::parse(Rules<T>::schema));
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

  void fault(json::object& out) {
    json::object properties;
    json::array one_of;
    boost::mp11::mp_for_each<boost::mp11::mp_transform<std::type_identity, FaultSpec>>(
        [&]<class T>(std::type_identity<T>) {
          json::object field = of<T>(kNoRule, true);
          field["nullable"] = true;  // "- networkPartition:" without anything is a fault
          properties.emplace(kFaultName<T>, std::move(field));
          one_of.push_back(json::object{{"required", json::array{kFaultName<T>}}});
        });
    out = {{"description", "One fault: a map with its name."},
           {"type", "object"},
           {kKeep, true},
           {"maxProperties", 1},
           {"oneOf", std::move(one_of)},
           {"properties", std::move(properties)}};
  }

  Of of_;
  bool in_step_ = false;
};

json::object column(std::string_view name, std::string_view type, std::string_view path,
                    std::string_view help, int priority = 0) {
  json::object out{{"name", name}, {"type", type}, {"jsonPath", path}, {"description", help}};
  if (priority != 0) out["priority"] = priority;  // 1: only with -o wide
  return out;
}

template <class Spec, class Status>
json::value version(std::string_view help, Structural::Of of, json::array columns) {
  Structural schema(of);
  const FieldRule& name = rule_of<Metadata>("name");
  json::object root{
      {"description", help},
      {"type", "object"},
      {"required", json::array{"spec"}},
      {"properties",
       json::object{
           {"apiVersion", json::object{{"type", "string"}}},
           {"kind", json::object{{"type", "string"}}},
           {"metadata",
            json::object{
                {"type", "object"},
                {"properties", json::object{{"name", json::object{{"type", "string"},
                                                                  {"pattern", name.pattern}}}}}}},
           {"spec", schema.of<Spec>(kNoRule, true)},
           {"status", schema.of<Status>(kNoRule, false)}}}};
  return json::object{{"name", "v1alpha1"},
                      {"served", true},
                      {"storage", true},
                      {"subresources", json::object{{"status", json::object{}}}},
                      {"additionalPrinterColumns", std::move(columns)},
                      {"schema", json::object{{"openAPIV3Schema", std::move(root)}}}};
}

json::value experiment_version() {
  return version<ExperimentSpec, ExperimentStatus>(
      Rules<Experiment>::help, Structural::Of::kExperiment,
      json::array{column("Phase", "string", ".status.phase", "Where the run is."),
                  column("Pods", "integer", ".status.pods", "How many pods are targets."),
                  column("Injected", "integer", ".status.injected", "Events that were hit."),
                  column("Verdict", "string", ".status.verdict", "What the run showed."),
                  column("Age", "date", ".metadata.creationTimestamp", "Since it was made."),
                  column("Run", "string", ".status.run", "Id of the run.", 1),
                  column("Reason", "string", ".status.reason", "Why it is not well.", 1),
                  column("Purpose", "string", ".spec.purpose", "What it is to show.", 1)});
}

json::value gameday_version() {
  return version<GameDaySpec, GameDayStatus>(
      Rules<GameDay>::help, Structural::Of::kGameDay,
      json::array{column("Phase", "string", ".status.phase", "Where the day is."),
                  column("Step", "string", ".status.step", "The steps that are under way."),
                  column("Verdict", "string", ".status.verdict", "The worst outcome of a step."),
                  column("Age", "date", ".metadata.creationTimestamp", "Since it was made."),
                  column("Waits for", "string", ".status.next", "What the day waits for.", 1),
                  column("Day", "string", ".status.day", "Id of the day.", 1),
                  column("Reason", "string", ".status.reason", "Why it is there.", 1)});
}

json::object definition(std::string_view kind, std::string_view plural, std::string_view singular,
                        std::string_view short_name, json::value of_version) {
  return {{"apiVersion", "apiextensions.k8s.io/v1"},
          {"kind", "CustomResourceDefinition"},
          {"metadata", json::object{{"name", std::string(plural) + ".faultline.dev"}}},
          {"spec", json::object{{"group", "faultline.dev"},
                                {"scope", "Namespaced"},
                                // No category: `kubectl get all` is about workloads.
                                {"names", json::object{{"kind", kind},
                                                       {"listKind", std::string(kind) + "List"},
                                                       {"plural", plural},
                                                       {"singular", singular},
                                                       {"shortNames", json::array{short_name}}}},
                                {"versions", json::array{std::move(of_version)}}}}};
}

std::string yaml_of(const json::value& crd, const std::string& by) {
  return "# SPDX-License-Identifier: Apache-2.0\n"
         "# Generated from api/ by `" +
         by + "`; a test compares them.\n" + document::write_yaml(crd);
}

}  // namespace
}  // namespace detail

boost::json::value experiment_crd() {
  return detail::definition("Experiment", "experiments", "experiment", "flx",
                            detail::experiment_version());
}

std::string experiment_crd_yaml() {
  return detail::yaml_of(experiment_crd(), "faultline schema --crd");
}

boost::json::value gameday_crd() {
  return detail::definition("GameDay", "gamedays", "gameday", "fgd", detail::gameday_version());
}

std::string gameday_crd_yaml() {
  return detail::yaml_of(gameday_crd(), "faultline schema --gameday --crd");
}

}  // namespace faultline::api
