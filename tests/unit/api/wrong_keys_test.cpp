// SPDX-License-Identifier: Apache-2.0
// "Must hold 8", by the JSON Schema: each key of an experiment and of each fault is made wrong in
// turn (type, range, unknown, missing). The keys come from the schema, so none can be forgotten.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <map>
#include <set>

#include "api/codec.h"

namespace faultline::api {
namespace {

namespace json = boost::json;

// YAML of one key or item a line, and the line of each path.
class Page {
 public:
  // What is at `flow` is written on the line of its key: where a mistake of several parts is one.
  Page(const json::value& document, const std::string& flow) : flow_(flow) {
    write(document, "", 0);
  }
  std::string text;
  std::map<std::string, int> lines{{"", 1}};

 private:
  void put(const json::value& value, const std::string& path, int indent) {
    const bool nested = path != flow_ && ((value.is_object() && !value.get_object().empty()) ||
                                          (value.is_array() && !value.get_array().empty()));
    if (!nested) text += " " + json::serialize(value);
    text += "\n";
    if (nested) write(value, path, indent);
  }
  void write(const json::value& value, const std::string& path, int indent) {
    const auto begin = [&](const std::string& at) {
      lines[at] = 1 + static_cast<int>(std::ranges::count(text, '\n'));
      text += std::string(static_cast<std::size_t>(indent), ' ');
    };
    if (value.is_array()) {
      for (std::size_t i = 0; i < value.get_array().size(); ++i) {
        const std::string at = path + "[" + std::to_string(i) + "]";
        begin(at);
        text += "-";
        put(value.get_array()[i], at, indent + 2);
      }
      return;
    }
    for (const auto& [key, item] : value.get_object()) {
      const std::string at = path + (path.empty() ? "" : ".") + std::string(key);
      begin(at);
      text += std::string(key) + ":";
      put(item, at, indent + 2);
    }
  }
  std::string flow_;
};

// What is wrong, and words that the message must have besides file, line and path.
struct Wrong {
  json::value value;
  std::string says;
};

class EachKey {
 public:
  EachKey() : schema_(experiment_schema()), types_(schema_.at("$defs").as_object()) {}

  void run() {
    const json::value good = smallest("Experiment");
    visit(good, "", "", "Experiment");
  }
  // "Type.key" of all that the schema knows and of all that were made wrong.
  [[nodiscard]] std::set<std::string> known() const {
    std::set<std::string> keys;
    for (const auto& [type, schema] : types_)
      for (const auto& [key, field] : schema.at("properties").as_object())
        keys.insert(std::string(type) + "." + std::string(key));
    return keys;
  }
  std::set<std::string> wrong_type, unknown, missing, out_of_range;
  int documents = 0;

 private:
  static std::string type_of(const json::value& schema) {
    const json::value* ref = schema.as_object().if_contains("$ref");
    if (ref == nullptr) return {};
    const std::string_view name = ref->as_string();
    return std::string(name.substr(name.rfind('/') + 1));
  }

  // A valid value; the schema's example where it has one.
  json::value sample(const json::value& schema) const {
    if (const std::string type = type_of(schema); !type.empty()) return smallest(type);
    const json::object& s = schema.as_object();
    if (const auto* given = s.if_contains("examples")) return given->as_array().at(0);
    if (const auto* words = s.if_contains("enum")) return words->as_array().at(0);
    if (const auto* value = s.if_contains("default")) return *value;
    if (const auto* items = s.if_contains("items")) return json::array{sample(*items)};
    if (const auto* value = s.if_contains("additionalProperties"))
      return json::object{{"k", sample(*value)}};
    return "a";
  }

  // The required keys, and what rules over several keys need.
  json::object smallest(const std::string& type) const {
    static const std::map<std::string, json::object> kNeeded = {
        {"Selector", {{"namespaces", json::array{"shop"}}}},
        {"ExpectEffect", {{"metric", "request.latency"}, {"below", "1s"}}},
        {"AbortCondition", {{"effect", "request.errors"}, {"above", "50%"}}},
        {"DnsError", {{"rcode", "NXDOMAIN"}}},
        {"NetworkException", {{"ports", json::array{22}}}},
    };
    if (const auto found = kNeeded.find(type); found != kNeeded.end()) return found->second;
    const json::object& schema = types_.at(type).as_object();
    json::object out;
    if (const auto* required = schema.if_contains("required"))
      for (const json::value& key : required->as_array())
        out[key.as_string()] = sample(schema.at("properties").at(key.as_string()));
    if (type == "Fault") out["networkPartition"] = json::object{};
    return out;
  }

  static void wrong_number(const json::object& s, std::vector<Wrong>& out) {
    const bool whole = s.at("type") == "integer";
    if (whole) out.push_back({1.5, "got 1.5"});
    const auto number = [&](double v) {
      return whole ? json::value(static_cast<std::int64_t>(v)) : json::value(v);
    };
    if (const auto* min = s.if_contains("minimum"))
      out.push_back({number(min->to_number<double>() - 1), ""});
    if (const auto* min = s.if_contains("exclusiveMinimum"))
      out.push_back({number(min->to_number<double>()), "must be more than"});
    if (const auto* max = s.if_contains("maximum"))
      out.push_back({number(max->to_number<double>() + 1), ""});
  }

  static void wrong_text(const json::object& s, std::vector<Wrong>& out) {
    const json::value* pattern = s.if_contains("pattern");
    const bool size =
        pattern != nullptr && pattern->as_string().find("[KMGTP]i") != std::string::npos;
    if (s.contains("enum")) out.push_back({"no-such-word", "expected"});
    if (s.contains("minLength") && !s.contains("enum")) out.push_back({"", "must not be empty"});
    if (s.contains("not")) out.push_back({size ? "0" : "0%", ""});
    if (pattern != nullptr) {
      out.push_back({json::string(300, '?'), ""});
      const std::string_view p = pattern->as_string();
      if (p.find("ms|s|m|h") != std::string_view::npos) {
        for (const char* text : {"-1s", "1 parsec", "25h"}) out.push_back({text, ""});
        if (s.contains("not")) out.push_back({"0s", "must be more than 0s"});
      }
    }
  }

  // Values that this field must refuse: another type first, then what is out of range.
  std::vector<Wrong> wrong_values(const json::value& schema, std::size_t& types) const {
    const json::object map{{"a", 1}};
    std::vector<Wrong> out;
    const json::object& s = schema.as_object();
    const json::value* type = s.if_contains("type");
    const auto is = [&](std::string_view word) {
      return type != nullptr && *type == json::value(word);
    };
    if (!type_of(schema).empty() || is("object")) {
      for (json::value v : {json::value("text"), json::value(1), json::value(json::array{"a"})})
        out.push_back({std::move(v), "expected a map, got"});
    } else if (is("array")) {
      for (json::value v : {json::value("text"), json::value(1), json::value(map)})
        out.push_back({std::move(v), "expected a list, got"});
    } else {
      out.push_back({map, "expected"});
      out.push_back({json::array{"a"}, "expected"});
      out.push_back({json::array{}, "expected"});
      if (is("boolean") || is("integer") || is("number")) out.push_back({"text", "expected"});
      if (is("string") || is("boolean") || s.contains("enum")) out.push_back({1, "expected"});
      if (!is("boolean")) out.push_back({true, "expected"});
    }
    types = out.size();
    if (is("integer") || is("number")) wrong_number(s, out);
    wrong_text(s, out);
    if (const auto* any = s.if_contains("anyOf"))
      for (const json::value& one : any->as_array()) {
        const json::object& part = one.as_object();
        const json::value* kind = part.if_contains("type");
        if (kind != nullptr && *kind == "string") wrong_text(part, out);
        if (kind != nullptr && *kind == "number") wrong_number(part, out);
        if (kind != nullptr && *kind == "integer") {
          const std::size_t first = out.size();
          wrong_number(part, out);
          out.at(first).says = "\"1.5\"";  // as it was written
        }
      }
    if (is("object") && s.contains("minProperties"))
      out.push_back({json::object{}, "must not be empty"});
    if (is("array")) {
      if (s.contains("minItems")) out.push_back({json::array{}, "must not be empty"});
      if (const auto* most = s.if_contains("maxItems")) {
        json::array many;
        for (int i = 0; i <= most->to_number<int>(); ++i) many.push_back(sample(s.at("items")));
        out.push_back({std::move(many), "must have at most"});
      }
    }
    return out;
  }

  // The document with this value at the pointer.
  static json::value with(const json::value& document, const std::string& pointer,
                          const json::value& value) {
    json::value changed = document;
    const auto cut = pointer.rfind('/');
    const std::string key = pointer.substr(cut + 1);
    json::value& parent = cut == 0 ? changed : changed.at_pointer(pointer.substr(0, cut));
    if (parent.is_array())
      parent.get_array().at(std::stoul(key)) = value;
    else
      parent.get_object()[key] = value;
    return changed;
  }

  // `path`: that must be named. Lines from `first` to `last` are right.
  void expect_error(const Page& page, const std::string& path, const std::string& says, int first,
                    int last) {
    ++documents;
    const auto parsed = parse_experiment(page.text, "bad.yaml");
    ASSERT_FALSE(parsed) << "accepted, wrong at " << path << ":\n" << page.text;
    const std::string& message = parsed.error().message;
    EXPECT_EQ(parsed.error().code, Errc::kInvalid);
    EXPECT_EQ(message.find('\n'), std::string::npos) << "not one line, wrong at " << path << ":\n"
                                                     << message << "\n"
                                                     << page.text;
    int line = 0;
    EXPECT_EQ(std::sscanf(message.c_str(), "bad.yaml:%d: ", &line), 1) << message;
    EXPECT_TRUE(line >= first && line <= last) << message << "\n" << page.text;
    if (!path.empty()) {
      EXPECT_NE(message.find(" " + path + ": "), std::string::npos) << path << " in " << message;
    }
    EXPECT_NE(message.find(says), std::string::npos) << says << " in " << message;
  }

  void expect_wrong(const json::value& document, const std::string& pointer,
                    const std::string& path, const json::value& field, const std::string& name) {
    std::size_t types = 0;
    const auto wrong = wrong_values(field, types);
    EXPECT_GT(types, 0U);
    if (types > 0) wrong_type.insert(name);
    if (wrong.size() > types) out_of_range.insert(name);
    for (const Wrong& w : wrong) {
      const Page page(with(document, pointer, w.value), path);
      const int line = page.lines.at(path);
      expect_error(page, path, w.says, line, line);
      if (testing::Test::HasFatalFailure()) return;
    }
  }

  // `document` is valid and has an object of `type` at `pointer`, called `path` in messages.
  void visit(const json::value& document, const std::string& pointer, const std::string& path,
             const std::string& type) {
    if (testing::Test::HasFatalFailure()) return;
    const Page whole(document, "none");
    const auto good = parse_experiment(whole.text, "good.yaml");
    ASSERT_TRUE(good) << good.error().message << "\n" << whole.text;
    const json::object& schema = types_.at(type).as_object();
    const bool fault = type == "Fault";
    for (const auto& [key_text, field] : schema.at("properties").as_object()) {
      const std::string key(key_text), name = type + "." + key;
      const std::string at = pointer + "/" + key, there = path + (path.empty() ? "" : ".") + key;
      json::value base = document;
      if (fault) base.at_pointer(pointer) = json::object{};  // one fault only
      expect_wrong(base, at, there, field, name);

      // A misspelt key is named, and so is the right one.
      const Page page(with(base, at + "x", "a"), "none");
      const int line = page.lines.at(there + "x");
      expect_error(page, there + "x", fault ? "unknown fault" : "unknown key", line, line);
      unknown.insert(name);

      if (!type_of(field).empty()) visit(with(base, at, sample(field)), at, there, type_of(field));
      if (const auto* items = field.as_object().if_contains("items")) {
        if (const std::string item = type_of(*items); !item.empty())
          visit(with(base, at, json::array{smallest(item)}), at + "/0", there + "[0]", item);
        else
          expect_wrong(with(base, at, json::array{sample(*items)}), at + "/0", there + "[0]",
                       *items, name);
      }
      if (const auto* value = field.as_object().if_contains("additionalProperties"))
        expect_wrong(with(base, at, json::object{{"k", sample(*value)}}), at + "/k", there + ".k",
                     *value, name);
    }
    const auto* required = schema.if_contains("required");
    if (required == nullptr) return;
    for (const json::value& key : required->as_array()) {
      json::value without = document;
      json::value& object = pointer.empty() ? without : without.at_pointer(pointer);
      object.as_object().erase(key.as_string());
      const Page page(without, "none");
      const int line = page.lines.at(path);
      expect_error(page, path, "missing required key \"" + std::string(key.as_string()) + "\"",
                   line, line + 1);
      missing.insert(type + "." + std::string(key.as_string()));
    }
  }

  const json::value schema_;
  const json::object& types_;
};

TEST(WrongKeys, EachKeyOfTheSchemaMadeWrongGivesOneLineWithItsPlaceAndName) {
  EachKey each;
  each.run();
  EXPECT_EQ(each.wrong_type, each.known());
  EXPECT_EQ(each.unknown, each.known());
  EXPECT_GT(each.out_of_range.size(), each.known().size() / 2);
  std::set<std::string> required, faults;
  const json::value schema = experiment_schema();
  for (const auto& [type, description] : schema.at("$defs").as_object())
    if (const auto* keys = description.as_object().if_contains("required"))
      for (const json::value& key : keys->as_array())
        required.insert(std::string(type) + "." + std::string(key.as_string()));
  EXPECT_EQ(each.missing, required);
  for (const std::string& key : each.wrong_type)
    if (key.starts_with("Fault.")) faults.insert(key);
  EXPECT_EQ(faults.size(), 16U);
  EXPECT_GT(each.documents, 1000);
}

}  // namespace
}  // namespace faultline::api
