// SPDX-License-Identifier: Apache-2.0
#include "api/detail/yaml.h"

#include <yaml-cpp/yaml.h>

#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>

#include "api/detail/text.h"
#include "api/documents.h"
#include "base/printable.h"

namespace faultline::api::detail {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxText = 1 << 20;
constexpr int kMaxDepth = 64;
constexpr int kMaxNodes = 100'000;

json::value plain_scalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char* begin = text.data();
  const char* const end = begin + text.size();
  if (*begin == '+') ++begin;
  // from_chars also takes "inf" and "nan", which are text here.
  const char* digit = begin != end && *begin == '-' ? begin + 1 : begin;
  if (digit == end || (*digit != '.' && (*digit < '0' || *digit > '9')))
    return json::value(std::string_view(text));
  std::int64_t whole = 0;
  std::uint64_t large = 0;
  double number = 0;
  if (auto r = std::from_chars(begin, end, whole); r.ec == std::errc{} && r.ptr == end)
    return whole;
  if (auto r = std::from_chars(begin, end, large); r.ec == std::errc{} && r.ptr == end)
    return large;
  if (auto r = std::from_chars(begin, end, number);
      r.ec == std::errc{} && r.ptr == end && std::isfinite(number))
    return number;
  return json::value(std::string_view(text));
}

class Reader {
 public:
  Reader(SourceMap& map, Problems& problems) : map_(map), problems_(problems) {}

  json::value read(const YAML::Node& node, const std::string& path, int key_line, int depth) {
    SourceMap::Lines& lines = map_.lines[path];
    const int own = node.Mark().line + 1;  // 0 where yaml-cpp knows none
    lines.value = node.IsNull() ? key_line : own;
    lines.key = key_line != 0 ? key_line : own;
    if (stopped_) return nullptr;
    // Also what ends an alias that contains itself.
    if (depth > kMaxDepth) return stop(path, "nested more than 64 deep");
    if (++nodes_ > kMaxNodes) return stop(path, "more than 100000 values");
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null:
        return nullptr;
      case YAML::NodeType::Scalar:
        return scalar(node, path);
      case YAML::NodeType::Sequence: {
        json::array items;
        std::size_t index = 0;
        for (const YAML::Node& item : node) {
          std::string at = path;
          append_index(at, index++);
          items.push_back(read(item, at, 0, depth + 1));
        }
        return items;
      }
      case YAML::NodeType::Map:
        return read_map(node, path, depth);
    }
    return nullptr;
  }

 private:
  json::value stop(const std::string& path, std::string why) {
    stopped_ = true;
    problems_.add(path, std::move(why));
    return nullptr;
  }

  json::value scalar(const YAML::Node& node, const std::string& path) {
    const std::string& tag = node.Tag();
    if (tag == "!" || tag == "tag:yaml.org,2002:str")  // "!": it was quoted
      return json::value(std::string_view(node.Scalar()));
    if (!tag.empty() && tag != "?" && !tag.starts_with("tag:yaml.org,2002:"))
      problems_.add(path, "tags like " + in_quotes(tag) + " have no meaning here");
    return plain_scalar(node.Scalar());
  }

  json::value read_map(const YAML::Node& node, const std::string& path, int depth) {
    json::object object;
    std::map<std::string, int, std::less<>> seen;
    for (const auto& entry : node) {
      const int line = entry.first.Mark().line + 1;
      if (!entry.first.IsScalar()) {
        problems_.add(path, "keys must be plain words");
        continue;
      }
      const std::string& key = entry.first.Scalar();
      std::string at = path;
      append_key(at, key);
      const auto [first, is_new] = seen.emplace(key, line);
      if (!is_new) {
        const SourceMap::Lines kept = map_.lines[at];
        map_.lines[at] = {line, line};
        problems_.add(at, "key is given twice, first on line " + std::to_string(first->second),
                      Problems::Where::kKey);
        map_.lines[at] = kept;
        continue;
      }
      object.emplace(key, read(entry.second, at, line, depth + 1));
    }
    return object;
  }

  SourceMap& map_;
  Problems& problems_;
  int nodes_ = 0;
  bool stopped_ = false;
};

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

bool read_yaml(std::string_view text, json::value& value, SourceMap& map, Problems& problems) {
  const auto at_line = [&](int line, std::string message) {
    map.lines[""] = {line, line};
    problems.add("", std::move(message));
    return false;
  };
  if (text.size() > kMaxText) return at_line(0, "the document is larger than 1 MiB");
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.empty() || (documents.size() == 1 && documents[0].IsNull()))
      return at_line(0, "the document is empty");
    if (documents.size() > 1)
      return at_line(documents[1].Mark().line + 1,
                     "expected one document, got " + std::to_string(documents.size()));
    value = Reader(map, problems).read(documents[0], "", 1, 0);
    return true;
  } catch (const YAML::Exception& e) {
    return at_line(e.mark.line + 1, "not valid YAML: " + e.msg);
  } catch (const std::exception& e) {
    return at_line(0, std::string("not valid YAML: ") + e.what());
  }
}

}  // namespace faultline::api::detail

namespace faultline::api {

int YamlDocument::line(std::string_view path) const {
  const auto found = lines.find(path);
  return found == lines.end() ? 0 : found->second;
}

std::string child_path(std::string_view path, std::string_view key) {
  std::string out(path);
  detail::append_key(out, key);
  return out;
}

std::string child_path(std::string_view path, std::size_t index) {
  std::string out(path);
  detail::append_index(out, index);
  return out;
}

Result<std::vector<YamlDocument>> read_documents(std::string_view text, std::string_view file) {
  const auto bad = [&](int line, const std::string& message) {
    const std::string at = line > 0 ? ":" + std::to_string(line) + ": " : ": ";
    return fail(Errc::kInvalid, std::string(file) + at + message);
  };
  if (text.size() > detail::kMaxText) return bad(0, "larger than 1 MiB");
  std::vector<YamlDocument> out;
  try {
    for (const YAML::Node& node : YAML::LoadAll(std::string(text))) {
      if (node.IsNull()) continue;
      detail::SourceMap map;
      detail::Problems problems(file, &map);
      YamlDocument& document = out.emplace_back();
      document.value =
          detail::Reader(map, problems).read(node, "", std::max(1, node.Mark().line + 1), 0);
      if (!problems.empty()) return fail(problems.error());
      for (const auto& [path, lines] : map.lines) document.lines.emplace(path, lines.key);
    }
  } catch (const YAML::Exception& e) {
    return bad(e.mark.line + 1, "not valid YAML: " + e.msg);
  } catch (const std::exception& e) {
    return bad(0, std::string("not valid YAML: ") + e.what());
  }
  if (out.empty()) return bad(0, "there is no document in it");
  return out;
}

}  // namespace faultline::api
