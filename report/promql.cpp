// SPDX-License-Identifier: Apache-2.0
#include "report/promql.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>

namespace faultline::report {
namespace {

constexpr std::size_t kMostMetrics = 256;

struct Unit {
  std::string_view name;
  double seconds;
};
constexpr std::array kUnits = {Unit{"y", 31'536'000}, Unit{"w", 604'800}, Unit{"d", 86'400},
                               Unit{"h", 3'600},      Unit{"m", 60},      Unit{"s", 1},
                               Unit{"ms", 0.001}};

// Words of the language that stand where the name of a metric could stand.
constexpr std::array<std::string_view, 14> kOperators = {
    "and",        "or",          "unless", "bool", "offset", "atan2", "inf",
    "group_left", "group_right", "start",  "end",  "nan",    "Inf",   "NaN"};
// Words that a list of labels in parentheses follows.
constexpr std::array<std::string_view, 6> kBeforeLabels = {"by",       "without",    "on",
                                                           "ignoring", "group_left", "group_right"};
constexpr std::array<std::string_view, 14> kAggregations = {
    "sum",   "min",     "max",  "avg",      "group",  "stddev",      "stdvar",
    "count", "bottomk", "topk", "quantile", "limitk", "limit_ratio", "count_values"};

bool starts_name(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || c == ':';
}
bool in_name(char c) { return starts_name(c) || (c >= '0' && c <= '9'); }

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  PromqlText run() {
    while (at_ < text_.size()) step();
    return std::move(out_);
  }

 private:
  void step() {
    const char c = text_[at_];
    if (c == '#') {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (c == '"' || c == '\'' || c == '`') {
      static_cast<void>(quoted());
    } else if (c == '{') {
      const std::size_t from = at_;
      matchers(false);
      add_selector(text_.substr(from, at_ - from));
    } else if (c == '@') {
      out_.fixed_time = true;
      ++at_;
    } else if (c == '[') {
      window();
    } else if (starts_name(c)) {
      word();
    } else if (c >= '0' && c <= '9') {
      while (at_ < text_.size() && (in_name(text_[at_]) || text_[at_] == '.')) ++at_;
    } else {
      ++at_;
    }
  }

  void blanks() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }
  [[nodiscard]] char next_char() {
    blanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  std::string quoted() {
    const char quote = text_[at_++];
    std::string out;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] == '\\' && quote != '`' && at_ + 1 < text_.size()) ++at_;
      out.push_back(text_[at_++]);
    }
    if (at_ < text_.size()) ++at_;
    return out;
  }
  std::string_view name() {
    const std::size_t from = at_;
    while (at_ < text_.size() && in_name(text_[at_])) ++at_;
    return text_.substr(from, at_ - from);
  }

  void window() {
    const std::size_t end = std::min(text_.find(']', at_), text_.size());
    std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    inside = inside.substr(0, inside.find(':'));  // of a subquery the resolution follows
    std::erase_if(buffer_ = std::string(inside),
                  [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; });
    if (const auto seconds = parse_promql_duration(buffer_))
      out_.longest_window = std::max(out_.longest_window, *seconds);
    at_ = std::min(end + 1, text_.size());
  }

  // {job="x", __name__="y"}; `named`: the metric stood before it.
  void matchers(bool named) {
    ++at_;
    bool found = named;
    bool value = false;  // what stands in quotes is the value of a label, not a name
    while (at_ < text_.size() && next_char() != '}' && at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' || c == '\'' || c == '`') {
        const std::string text = quoted();
        const char after = next_char();
        if (!value && (after == ',' || after == '}')) {  // {"a.name.in.utf8"}
          add(text);
          found = true;
        }
      } else if (starts_name(c)) {
        const std::string_view label = name();
        if (label != "__name__" || next_char() != '=') continue;
        ++at_;
        const char quote = next_char();
        if (quote != '"' && quote != '\'' && quote != '`') continue;
        add(quoted());
        found = true;
      } else {
        if (c == '=' || c == '~' || c == ',') value = c != ',';
        ++at_;
      }
    }
    if (at_ < text_.size()) ++at_;
    if (!found) out_.incomplete = true;
  }

  void offset() {
    if (next_char() == '-') return;
    const std::size_t from = at_;
    while (at_ < text_.size() && std::isalnum(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
    if (const auto seconds = parse_promql_duration(text_.substr(from, at_ - from)))
      out_.longest_offset = std::max(out_.longest_offset, *seconds);
  }

  void word() {
    const std::size_t from = at_;
    const std::string_view word = name();
    if (word == "offset") return offset();
    const char after = next_char();
    if (std::ranges::find(kBeforeLabels, word) != kBeforeLabels.end()) {
      if (after == '(') at_ = std::min(text_.find(')', at_), text_.size());
      return;
    }
    if (after == '(' || std::ranges::find(kOperators, word) != kOperators.end()) return;
    if (std::ranges::find(kAggregations, word) != kAggregations.end() &&
        (text_.substr(at_).starts_with("by") || text_.substr(at_).starts_with("without")))
      return;
    add(word);
    if (after == '{') {
      matchers(true);
      add_selector(text_.substr(from, at_ - from));
    } else {
      add_selector(word);
    }
  }

  void add_selector(std::string_view selector) {
    if (out_.selectors.size() >= kMostMetrics)
      out_.incomplete = true;
    else if (std::ranges::find(out_.selectors, selector) == out_.selectors.end())
      out_.selectors.emplace_back(selector);
  }

  void add(std::string_view metric) {
    if (out_.metrics.size() >= kMostMetrics) {
      out_.incomplete = true;
      return;
    }
    if (std::ranges::find(out_.metrics, metric) == out_.metrics.end())
      out_.metrics.emplace_back(metric);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string buffer_;
  PromqlText out_;
};

}  // namespace

PromqlText scan_promql(std::string_view text) { return Scanner(text).run(); }

std::optional<double> parse_promql_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  double sum = 0;
  bool bare = true;
  while (!text.empty()) {
    double value = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc{} || value < 0) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    std::size_t letters = 0;
    while (letters < text.size() && text[letters] >= 'a' && text[letters] <= 'z') ++letters;
    const std::string_view unit = text.substr(0, letters);
    text.remove_prefix(letters);
    if (unit.empty()) return bare && text.empty() ? std::optional(value) : std::nullopt;
    const auto known = std::ranges::find(kUnits, unit, &Unit::name);
    if (known == kUnits.end()) return std::nullopt;
    bare = false;
    sum += value * known->seconds;
  }
  return std::isfinite(sum) ? std::optional(sum) : std::nullopt;
}

std::string promql_duration_words(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e12) return "?";
  auto left = static_cast<std::uint64_t>(std::llround(seconds * 1000));
  if (left == 0) return "0s";
  std::string out;
  for (const Unit& unit : kUnits) {
    const auto size = static_cast<std::uint64_t>(std::llround(unit.seconds * 1000));
    // As Prometheus does it: weeks and years only where nothing is left over.
    if ((unit.name == "y" || unit.name == "w") && left % size != 0) continue;
    if (left < size) continue;
    out += std::to_string(left / size) + std::string(unit.name);
    left %= size;
  }
  return out;
}

}  // namespace faultline::report
