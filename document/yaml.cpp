// SPDX-License-Identifier: Apache-2.0
#include "document/yaml.h"

#include <yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>

#include "base/printable.h"
#include "base/quoted.h"

namespace faultline::document {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostDirectives = 8;
constexpr std::string_view kYamlTags = "tag:yaml.org,2002:";

json::value plain_scalar(std::string_view text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char* begin = text.data();
  const char* const end = begin + text.size();
  if (*begin == '+') ++begin;
  // from_chars also takes "inf" and "nan", which are text here.
  const char* digit = begin != end && *begin == '-' ? begin + 1 : begin;
  if (digit == end || (*digit != '.' && (*digit < '0' || *digit > '9'))) return json::value(text);
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
  return json::value(text);
}

std::string_view view(const yaml_char_t* text, std::size_t size) {
  return {reinterpret_cast<const char*>(text), size};
}
std::string_view view(const yaml_char_t* text) {
  return text == nullptr ? std::string_view{}
                         : std::string_view(reinterpret_cast<const char*>(text));
}
int line_of(const yaml_mark_t& mark) { return static_cast<int>(mark.line) + 1; }

// libyaml compares each %TAG with all before it, within one call: thousands of them would take
// minutes. The line of the first that is too many, else 0.
int line_of_too_many_directives(std::string_view text) {
  std::size_t found = 0;
  for (std::size_t at = text.find("%TAG"); at != text.npos; at = text.find("%TAG", at + 4)) {
    // Only what begins a line is a directive. Line breaks of YAML 1.1 end in one of these bytes,
    // the byte order mark in 0xbf.
    constexpr std::string_view kBefore = "\n\r\x85\xa8\xa9\xbf";
    if (at != 0 && kBefore.find(text[at - 1]) == kBefore.npos) continue;
    if (++found > kMostDirectives)
      return 1 +
             static_cast<int>(std::count(text.begin(), text.begin() + static_cast<long>(at), '\n'));
  }
  return 0;
}

// The four digits of "\\ud83d" at `at`, if the text has such an escape there.
std::optional<unsigned> escaped_unit(std::string_view text, std::size_t at) {
  constexpr std::size_t kLength = 6;
  if (text.size() < at + kLength || text.substr(at, 2) != "\\u") return std::nullopt;
  unsigned unit = 0;
  const char* const begin = text.data() + at + 2;
  const auto [end, error] = std::from_chars(begin, text.data() + at + kLength, unit, 16);
  if (error != std::errc{} || end != begin + 4) return std::nullopt;
  return unit;
}

// JSON writes what is beyond 16 bits as a pair of escapes, which YAML does not know: the same text
// with each pair as one escape of YAML. Nothing: it has none, or is no JSON.
std::optional<std::string> with_pairs_joined(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n", kBeforeText = "{[,:", kLow = "\\ud",
                             kHigh = "\\uD";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == text.npos || (text[first] != '{' && text[first] != '[')) return std::nullopt;
  if (text.find(kLow) == text.npos && text.find(kHigh) == text.npos) return std::nullopt;
  std::string joined;
  bool quoted = false;
  char before = '\0';  // the last byte outside of a text that is no blank
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char byte = text[at];
    if (!quoted) {
      if (byte == '\'' || byte == '#') return std::nullopt;
      if (byte == '"' && kBeforeText.find(before) == kBeforeText.npos) return std::nullopt;
      quoted = byte == '"';
      if (kBlank.find(byte) == kBlank.npos) before = byte;
    } else if (byte == '\\') {
      const auto high = escaped_unit(text, at), low = escaped_unit(text, at + 6);
      if (high && low && *high >= 0xd800 && *high < 0xdc00 && *low >= 0xdc00 && *low < 0xe000) {
        char escape[16];
        const unsigned point = 0x10000 + ((*high - 0xd800) << 10) + (*low - 0xdc00);
        std::snprintf(escape, sizeof escape, "\\U%08x", point);
        joined += escape;
        at += 11;
        continue;
      }
      joined += byte;
      if (++at == text.size()) break;
    } else if (byte == '"') {
      quoted = false;
    }
    joined += text[at];
  }
  return joined;
}

class Parser {
 public:
  explicit Parser(std::string_view text)
      : text_(text), good_(yaml_parser_initialize(&parser_) != 0) {
    if (!good_) return;
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);  // else it would guess UTF-16
  }
  ~Parser() {
    if (good_) yaml_parser_delete(&parser_);
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  [[nodiscard]] bool next(yaml_event_t& event) {
    return good_ && yaml_parser_parse(&parser_, &event) != 0;
  }

  // Why next() was false.
  [[nodiscard]] Problem why() const {
    std::string words = "not valid YAML: ";
    if (!good_ || parser_.problem == nullptr) return {0, "", words + "no memory to read it"};
    words += parser_.problem;
    if (parser_.error == YAML_READER_ERROR) {  // of bytes, so it knows no line
      const auto end =
          text_.begin() + static_cast<long>(std::min(parser_.problem_offset, text_.size()));
      return {1 + static_cast<int>(std::count(text_.begin(), end, '\n')), "", std::move(words)};
    }
    return {line_of(parser_.problem_mark), "", std::move(words)};
  }

 private:
  yaml_parser_t parser_{};
  std::string_view text_;
  bool good_;
};

struct Event {
  yaml_event_t data{};
  Event() = default;
  ~Event() { yaml_event_delete(&data); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
};

class Reader {
 public:
  Reader(std::string_view text, const YamlOptions& options)
      : options_(options), parser_(text), tree_(options.budget, &lines_) {}

  YamlContent read() {
    bool more = true;
    while (more) {
      Event event;
      if (!parser_.next(event.data)) {
        tree_.problems().push_back(parser_.why());
        content_.complete = false;
        break;
      }
      if (event.data.type == YAML_STREAM_END_EVENT) break;
      more = take(event.data);
    }
    if (tree_.stopped()) content_.complete = false;
    content_.problems = std::move(tree_.problems());
    return std::move(content_);
  }

 private:
  bool take(const yaml_event_t& event) {
    const int line = line_of(event.start_mark);
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        if (++documents_ <= options_.documents) return true;
        return tree_.stop(line,
                          options_.documents == 1
                              ? std::string("expected one document, a second begins here")
                              : "more than " + std::to_string(options_.documents) + " documents");
      case YAML_DOCUMENT_END_EVENT:
        if (json::value value = tree_.take(&lines_); !value.is_null())
          content_.documents.push_back({std::move(value), std::move(lines_)});
        lines_ = LineMap();
        return true;
      case YAML_ALIAS_EVENT:
        return tree_.stop(line, "aliases like " +
                                    in_quotes("*" + std::string(view(event.data.alias.anchor))) +
                                    " are not supported: write it out");
      case YAML_SCALAR_EVENT:
        return scalar(event, line);
      case YAML_SEQUENCE_START_EVENT:
        return container(view(event.data.sequence_start.tag), line) && tree_.begin_array(line);
      case YAML_MAPPING_START_EVENT:
        return container(view(event.data.mapping_start.tag), line) && tree_.begin_object(line);
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        tree_.end();
        return true;
      default:
        return true;
    }
  }

  bool container(std::string_view tag, int line) {
    if (tree_.wants_key()) return tree_.stop(line, "keys must be plain words");
    return known_tag(tag, line);
  }

  bool known_tag(std::string_view tag, int line) {
    if (tag.empty() || tag == "!" || tag.starts_with(kYamlTags)) return true;
    return tree_.problem(line, "tags like " + in_quotes(tag) + " have no meaning here");
  }

  bool scalar(const yaml_event_t& event, int line) {
    const auto& data = event.data.scalar;
    const std::string_view text = view(data.value, data.length), tag = view(data.tag);
    if (tree_.wants_key()) return known_tag(tag, line) && tree_.key(text, line);
    if (!known_tag(tag, line)) return false;
    // "!" says that it is text, as quotes do.
    const bool plain = tag.empty() ? data.style == YAML_PLAIN_SCALAR_STYLE
                                   : tag != "!" && tag != "tag:yaml.org,2002:str";
    if (!plain) return tree_.scalar(json::value(text), line);
    json::value value = plain_scalar(text);
    if (options_.texts && !value.is_null()) value = text;
    return tree_.scalar(std::move(value), line);
  }

  const YamlOptions& options_;
  Parser parser_;
  LineMap lines_;  // of the document that is being read
  Tree tree_;
  YamlContent content_;
  std::size_t documents_ = 0;
};

}  // namespace

YamlContent read_yaml(std::string_view text, const YamlOptions& options) {
  const auto refused = [](int line, std::string why) {
    YamlContent content;
    content.problems.push_back({line, "", std::move(why)});
    content.complete = false;
    return content;
  };
  if (text.size() > options.budget.bytes)
    return refused(0, "the document is larger than " + size_words(options.budget.bytes));
  if (const int line = line_of_too_many_directives(text); line != 0)
    return refused(line, "more than " + std::to_string(kMostDirectives) + " %TAG directives");
  try {
    const std::optional<std::string> joined = with_pairs_joined(text);
    return Reader(joined ? std::string_view(*joined) : text, options).read();
  } catch (const std::exception& e) {  // of Boost.JSON: no memory, or a text longer than it takes
    return refused(0, std::string("not valid YAML: ") + e.what());
  }
}

Result<std::vector<YamlDocument>> read_documents(std::string_view text, std::string_view file,
                                                 const YamlOptions& options) {
  YamlContent content = read_yaml(text, options);
  if (content.problems.empty()) return std::move(content.documents);
  std::string message;
  for (const Problem& problem : content.problems) {
    if (!message.empty()) message += '\n';
    message += printable(file) + ":";
    if (problem.line > 0) message += std::to_string(problem.line) + ":";
    message += ' ';
    if (!problem.path.empty()) message += problem.path + ": ";
    message += problem.message;
  }
  return fail(Errc::kInvalid, std::move(message));
}

}  // namespace faultline::document
