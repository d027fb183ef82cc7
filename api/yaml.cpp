// SPDX-License-Identifier: Apache-2.0
#include "api/detail/yaml.h"

#include <yaml-cpp/yaml.h>

#include <cctype>

#include "api/detail/text.h"
#include "base/printable.h"
#include "document/yaml.h"

namespace faultline::api::detail {
namespace {

namespace json = boost::json;

// kubectl reads YAML 1.1, where these too are no text.
bool is_word_of_yaml(const std::string& text) {
  if (text.size() > 5) return false;
  std::string small;
  for (const char c : text) small += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const char* word : {"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
    if (small == word) return true;
  return false;
}

// Words that YAML would read as something else, or not as one word, are quoted; what is not safe to
// show becomes an escape that YAML reads back as the same.
void emit_text(YAML::Emitter& out, const std::string& text) {
  const bool plain =
      !text.empty() && std::isalpha(static_cast<unsigned char>(text[0])) && !is_word_of_yaml(text);
  const bool shown = is_printable(text);
  if (!plain || !shown) out << YAML::DoubleQuoted;
  if (!shown) out << YAML::EscapeNonAscii;
  out << text;
}

void emit(YAML::Emitter& out, const json::value& v) {
  using json::kind;
  switch (v.kind()) {
    case kind::object:
      out << YAML::BeginMap;
      for (const auto& [key, item] : v.get_object()) {
        out << YAML::Key;
        emit_text(out, std::string(key));
        out << YAML::Value;
        emit(out, item);
      }
      out << YAML::EndMap;
      break;
    case kind::array:
      out << YAML::BeginSeq;
      for (const auto& item : v.get_array()) emit(out, item);
      out << YAML::EndSeq;
      break;
    case kind::string:
      emit_text(out, std::string(v.get_string()));
      break;
    case kind::double_:
      out << number_text(v.get_double());
      break;
    case kind::int64:
      out << v.get_int64();
      break;
    case kind::uint64:
      out << v.get_uint64();
      break;
    case kind::bool_:
      out << v.get_bool();
      break;
    case kind::null:
      out << YAML::Null;
      break;
  }
}

}  // namespace

std::string write_yaml(const json::value& value) {
  YAML::Emitter out;
  emit(out, value);
  return std::string(out.c_str()) + "\n";
}

bool read_yaml(std::string_view text, const document::Budget& budget, json::value& value,
               SourceMap& map, Problems& problems) {
  document::YamlOptions options;
  options.budget = budget;
  document::YamlContent content = document::read_yaml(text, options);
  for (document::Problem& problem : content.problems) problems.add(std::move(problem));
  if (!content.complete) return false;
  if (content.documents.empty()) {
    problems.add("", "the document is empty");
    return false;
  }
  value = std::move(content.documents.front().value);
  map = std::move(content.documents.front().lines);
  return true;
}

}  // namespace faultline::api::detail
