// SPDX-License-Identifier: Apache-2.0
#include "api/detail/yaml.h"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <optional>

#include "api/detail/text.h"

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

}  // namespace

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
