// SPDX-License-Identifier: Apache-2.0
#include "api/detail/decode.h"

#include <boost/json/serialize.hpp>
#include <mutex>
#include <regex>

#include "base/printable.h"

namespace faultline::api::detail {

std::string enum_word(std::string_view enumerator) {
  std::string word(key_of(enumerator));  // "continue" of continue_
  std::ranges::replace(word, '_', '-');
  return word;
}

bool pattern_matches(std::string_view pattern, const std::string& text) {
  // std::regex recurses per character: no valid text of ours is longer than this.
  if (text.size() > 4096) return false;
  static std::mutex mutex;
  static std::map<std::string_view, std::regex> compiled;
  const std::lock_guard lock(mutex);
  auto found = compiled.find(pattern);
  if (found == compiled.end())
    found = compiled.emplace(pattern, std::regex(pattern.data(), pattern.size())).first;
  return std::regex_match(text, found->second);
}

void Decoder::expected(std::string_view what, const json::value& got) {
  std::string text = "expected " + std::string(what) + ", got ";
  switch (got.kind()) {
    case json::kind::null:
      text += "nothing";
      break;
    case json::kind::bool_:
      text += got.get_bool() ? "true" : "false";
      break;
    case json::kind::string:
      text += in_quotes(got.get_string());
      break;
    case json::kind::array:
      text += "a list";
      break;
    case json::kind::object:
      text += "a map";
      break;
    case json::kind::double_:
      text += number_text(got.get_double());
      break;
    case json::kind::int64:
    case json::kind::uint64:
      text += json::serialize(got);
      break;
  }
  if (what == "text" && (got.is_number() || got.is_bool())) text += " (put it in quotes)";
  problem(std::move(text));
}

void Decoder::unknown_key(std::string_view what, std::string_view key,
                          const std::vector<std::string_view>& valid, const std::string& nearest) {
  std::string text = "unknown " + std::string(what) + ", expected one of " + joined(valid);
  if (valid.empty()) text = "unknown " + std::string(what) + ", expected none";
  if (!nearest.empty()) text += "; did you mean \"" + nearest + "\"?";
  std::string where = path();
  std::string subject = where;
  append_key(where, key);
  // A misspelt key stands for the one that was meant, so that nothing else is said about that.
  append_key(subject, nearest.empty() ? key : std::string_view(nearest));
  problems_.add(std::move(where), std::move(text), Problems::Where::kKey, std::move(subject));
}

void Decoder::missing(std::string_view key) {
  std::string where = path();
  std::string subject = where;
  append_key(subject, key);
  problems_.add(std::move(where), "missing required key \"" + std::string(key) + "\"",
                Problems::Where::kKey, std::move(subject));
}

void Decoder::empty(const FieldRule& rule) {
  problem(rule.required || !strict ? "must not be empty"
                                   : "must not be empty: it names nothing, so everything would "
                                     "match; leave the key out if that is meant");
}

void Decoder::unknown_word(const std::string& got, const std::vector<std::string_view>& valid) {
  std::string text = "expected one of " + joined(valid) + ", got " + in_quotes(got);
  const std::string nearest = nearest_word(got, valid);
  if (!nearest.empty() && valid.size() > 1) text += "; did you mean \"" + nearest + "\"?";
  problem(std::move(text));
}

namespace {

// As JSON Schema and Kubernetes count them.
std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

void Decoder::too_long(const std::string& text, std::size_t most) {
  problem("must have at most " + std::to_string(most) + " characters, got " +
          std::to_string(characters(text)));
}

bool Decoder::text_ok(const std::string& text, const FieldRule& rule) {
  if (!is_utf8(text)) {
    problem("expected UTF-8, got " + in_quotes(text));
    return false;
  }
  if (text.size() > rule.max_length && characters(text) > rule.max_length) {
    too_long(text, rule.max_length);
    return false;
  }
  if (text.empty() && !rule.required && !rule.not_empty) return true;  // as if left out
  if (text.empty() && (rule.not_empty || (rule.pattern.empty() && rule.words.empty()))) {
    if (!rule.not_empty) return true;
    empty(rule);
    return false;
  }
  if (!rule.words.empty() && std::ranges::find(rule.words, text) == rule.words.end()) {
    unknown_word(text, {rule.words.begin(), rule.words.end()});
    return false;
  }
  if (!rule.pattern.empty() && !pattern_matches(rule.pattern, text)) {
    problem("expected " + std::string(rule.pattern_words) + ", got " + in_quotes(text));
    return false;
  }
  return true;
}

std::string Decoder::path() const {
  std::string text;
  for (const Place& place : steps_) {
    if (place.key.data() == nullptr)
      append_index(text, place.index);
    else
      append_key(text, place.key);
  }
  return text;
}

void decode_buckets(Decoder& d, const json::value& v, Buckets& out) {
  if (!v.is_array()) return d.expected("a list of [index, count]", v);
  const auto& pairs = v.get_array();
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const Decoder::Step step(d, {}, i);
    const json::value& pair = pairs[i];
    std::uint32_t index = 0;
    std::uint64_t count = 0;
    boost::system::error_code bad_index, bad_count;
    if (pair.is_array() && pair.get_array().size() == 2 && pair.get_array()[0].is_number() &&
        pair.get_array()[1].is_number()) {
      index = pair.get_array()[0].to_number<std::uint32_t>(bad_index);
      count = pair.get_array()[1].to_number<std::uint64_t>(bad_count);
      if (!bad_index && !bad_count && index < FL_HIST_BUCKETS) {
        if (!out.emplace(index, count).second) d.problem("bucket is given twice");
        continue;
      }
    }
    d.problem("expected [index, count] with an index below " + std::to_string(FL_HIST_BUCKETS));
  }
}

}  // namespace faultline::api::detail
