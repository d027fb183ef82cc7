// SPDX-License-Identifier: Apache-2.0
#include "controller/observe/tunable.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <span>

#include "report/promql.h"
#include "report/promql_tokens.h"

namespace faultline::controller::observe {
namespace {

using report::PromqlToken;
using Kind = PromqlToken::Kind;
using Tokens = std::span<const PromqlToken>;

constexpr int kDeepest = 50;  // parentheses in each other
constexpr std::size_t kMostParts = 64;
constexpr double kShortestWindow = 0.001;  // seconds; Prometheus takes no shorter range

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}
bool is_word(const PromqlToken& token, std::string_view word) {
  return token.kind == Kind::word && lower(token.text) == word;
}
bool is_op(const PromqlToken& token, std::string_view op) {
  return token.kind == Kind::op && token.text == op;
}
bool orders(const PromqlToken& token) {
  return is_op(token, ">") || is_op(token, ">=") || is_op(token, "<") || is_op(token, "<=");
}
bool equates(const PromqlToken& token) { return is_op(token, "==") || is_op(token, "!="); }

// For each parenthesis that opens the one that closes it; the end where there is none.
std::vector<std::size_t> closings(Tokens tokens) {
  std::vector<std::size_t> out(tokens.size(), tokens.size());
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].kind == Kind::open) open.push_back(i);
    if (tokens[i].kind != Kind::close || open.empty()) continue;
    out[open.back()] = i;
    open.pop_back();
  }
  return out;
}

// The value of a calculation with numbers alone.
class Calculation {
 public:
  explicit Calculation(Tokens tokens) : tokens_(tokens) {}

  std::optional<double> run() {
    const auto value = sum(0);
    return value && at_ == tokens_.size() && std::isfinite(*value) ? value : std::nullopt;
  }

 private:
  [[nodiscard]] bool next(std::string_view op) {
    if (at_ >= tokens_.size() || !is_op(tokens_[at_], op)) return false;
    ++at_;
    return true;
  }
  std::optional<double> sum(int depth) {
    auto left = product(depth);
    while (left) {
      const bool plus = next("+");
      if (!plus && !next("-")) return left;
      const auto right = product(depth);
      if (!right) return right;
      *left += plus ? *right : -*right;
    }
    return left;
  }
  std::optional<double> product(int depth) {
    auto left = sign(depth);
    while (left) {
      const bool times = next("*"), over = !times && next("/");
      if (!times && !over && !next("%")) return left;
      const auto right = sign(depth);
      if (!right) return right;
      left = times ? *left * *right : over ? *left / *right : std::fmod(*left, *right);
    }
    return left;
  }
  std::optional<double> sign(int depth) {
    bool minus = false;
    for (;;) {
      if (next("-"))
        minus = !minus;
      else if (!next("+"))
        break;
    }
    auto value = power(depth);
    if (value && minus) value = -*value;
    return value;
  }
  std::optional<double> power(int depth) {
    const auto base = number(depth);
    if (!base || !next("^")) return base;
    if (depth >= kDeepest) return std::nullopt;
    const auto exponent = sign(depth + 1);
    return exponent ? std::optional(std::pow(*base, *exponent)) : std::nullopt;
  }
  std::optional<double> number(int depth) {
    if (at_ >= tokens_.size() || depth >= kDeepest) return std::nullopt;
    const PromqlToken& token = tokens_[at_++];
    if (token.kind == Kind::open) {
      const auto value = sum(depth + 1);
      if (!value || at_ >= tokens_.size() || tokens_[at_].kind != Kind::close) return std::nullopt;
      ++at_;
      return value;
    }
    if (token.kind != Kind::number) return std::nullopt;
    std::string_view text = token.text;
    double value = 0;
    const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    if (hexadecimal) text.remove_prefix(2);
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value,
                        hexadecimal ? std::chars_format::hex : std::chars_format::general);
    if (error == std::errc{} && end == text.data() + text.size()) return value;
    return report::parse_promql_duration(text);  // Prometheus 3 takes 5m for 300
  }

  Tokens tokens_;
  std::size_t at_ = 0;
};

class Finder {
 public:
  explicit Finder(Tunable& out)
      : out_(out), tokens_(report::promql_tokens(out.expr)), closings_(closings(tokens_)) {}

  void run() {
    look(tokens_, 0);
    for (const PromqlToken& token : tokens_)
      if (token.kind == Kind::range) add_window(token);
    if (out_.thresholds.empty())
      out_.notes.push_back(
          "no threshold is varied: " +
          (why_.empty() ? "the expression as a whole compares with no number" : why_));
    if (out_.windows.empty()) out_.notes.emplace_back("the expression has no range window to vary");
    together("thresholds", out_.thresholds);
    together("range windows", out_.windows);
    if (unless_) out_.notes.emplace_back("what stands behind `unless` is not varied");
  }

 private:
  // Of tokens[at], a parenthesis that opens; the end of `tokens` where it does not close in them.
  [[nodiscard]] std::size_t closing(Tokens tokens, std::size_t at) const {
    const auto before = static_cast<std::size_t>(tokens.data() - tokens_.data());
    return std::min(closings_[before + at] - before, tokens.size());
  }

  // An expression: parts between and, or, unless; or comparisons.
  void look(Tokens tokens, int depth) {
    while (!tokens.empty() && tokens.front().kind == Kind::open &&
           closing(tokens, 0) == tokens.size() - 1)
      tokens = tokens.subspan(1, tokens.size() - 2);
    if (depth >= kDeepest) {
      why_ = "the expression is nested too deep";
      return;
    }
    std::size_t from = 0;
    bool set = false, behind_unless = false;
    const auto part = [&](std::size_t to) {
      const Tokens inside = without_matching(tokens.subspan(from, to - from));
      if (behind_unless)
        unless_ = true;
      else if (set)
        look(inside, depth + 1);
    };
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i].kind == Kind::open) i = closing(tokens, i);
      if (i >= tokens.size()) break;
      const bool unless = is_word(tokens[i], "unless");
      if (!unless && !is_word(tokens[i], "and") && !is_word(tokens[i], "or")) continue;
      set = true;
      part(i);
      behind_unless = unless;
      from = i + 1;
    }
    if (set)
      part(tokens.size());
    else
      compare(tokens);
  }

  // `on (pod) group_left (x)` at the begin of what an operator is followed by.
  [[nodiscard]] Tokens without_matching(Tokens tokens) const {
    constexpr std::array<std::string_view, 4> kWords = {"on", "ignoring", "group_left",
                                                        "group_right"};
    while (!tokens.empty() && tokens.front().kind == Kind::word &&
           std::ranges::find(kWords, lower(tokens.front().text)) != kWords.end()) {
      std::size_t past = 1;
      if (tokens.size() > 1 && tokens[1].kind == Kind::open)
        past = std::min(closing(tokens, 1) + 1, tokens.size());
      tokens = tokens.subspan(past);
    }
    return tokens;
  }

  // A chain of comparisons from left to right: each has a number on its right, the first perhaps
  // one on its left.
  void compare(Tokens tokens) {
    std::vector<std::size_t> ops;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i].kind == Kind::open) i = closing(tokens, i);
      if (i < tokens.size() && (orders(tokens[i]) || equates(tokens[i]))) ops.push_back(i);
    }
    for (std::size_t i = 0; i < ops.size(); ++i) {
      const std::size_t end = i + 1 < ops.size() ? ops[i + 1] : tokens.size();
      Tokens right = tokens.subspan(ops[i] + 1, end - ops[i] - 1);
      if (equates(tokens[ops[i]])) {
        why_ = "`==` and `!=` know no more or less";
        continue;
      }
      if (!right.empty() && is_word(right.front(), "bool")) {
        why_ = "a comparison with `bool` has a value whatever it finds";
        continue;
      }
      if (!add_threshold(without_matching(right)) && i == 0)
        static_cast<void>(add_threshold(tokens.first(ops[0])));
    }
  }

  bool add_threshold(Tokens tokens) {
    const auto value = tokens.empty() ? std::nullopt : Calculation(tokens).run();
    if (!value || out_.thresholds.size() >= kMostParts) return false;
    const PromqlToken& last = tokens.back();
    out_.thresholds.push_back(
        {tokens.front().at, last.at + last.text.size() - tokens.front().at, *value});
    return true;
  }

  void add_window(const PromqlToken& token) {
    const std::size_t from = token.text.find_first_not_of(" \t\n\r", 1);
    const std::size_t end = token.text.find_first_of(" \t\n\r:]", from);
    if (from == std::string_view::npos || end == std::string_view::npos) return;
    const std::string_view text = token.text.substr(from, end - from);
    const std::size_t next = token.text.find_first_not_of(" \t\n\r", end);
    const bool plain =
        next != std::string_view::npos && (token.text[next] == ':' || token.text[next] == ']');
    const auto seconds = plain ? report::parse_promql_duration(text) : std::nullopt;
    if (!seconds || *seconds <= 0) {
      out_.notes.push_back("the range " + std::string(token.text.substr(0, 60)) +
                           " is no plain length, and not varied");
    } else if (out_.windows.size() < kMostParts) {
      out_.windows.push_back({token.at + from, text.size(), *seconds});
    }
  }

  void together(std::string_view what, const std::vector<TunablePart>& parts) {
    if (parts.size() < 2) return;
    const bool equal = std::ranges::all_of(
        parts, [&](const TunablePart& part) { return part.value == parts.front().value; });
    out_.notes.push_back(std::to_string(parts.size()) + " " + std::string(what) +
                         (equal ? " are varied together"
                                : " are varied by the same factor; the values are those of the "
                                  "first"));
  }

  Tunable& out_;
  std::vector<PromqlToken> tokens_;
  std::vector<std::size_t> closings_;
  std::string why_;
  bool unless_ = false;
};

std::optional<double> reference(const std::vector<TunablePart>& parts) {
  if (parts.empty()) return std::nullopt;
  const auto found =
      std::ranges::find_if(parts, [](const TunablePart& part) { return part.value != 0; });
  return found != parts.end() ? found->value : 0;
}

std::string number_text(double value) {
  char text[40];
  static_cast<void>(std::snprintf(text, sizeof text, "%.12g", value));
  return text;
}

struct Change {
  TunablePart part;
  std::string text;
};

}  // namespace

std::optional<double> Tunable::threshold() const { return reference(thresholds); }
std::optional<double> Tunable::window() const { return reference(windows); }

Tunable tunable(std::string_view expr) {
  Tunable out{.expr = std::string(expr), .thresholds = {}, .windows = {}, .notes = {}};
  if (expr.size() > kLongestTunable)
    out.notes.emplace_back("the expression is too long to vary anything in it");
  else
    Finder(out).run();
  return out;
}

std::string varied(const Tunable& from, std::optional<double> threshold,
                   std::optional<double> window) {
  std::vector<Change> changes;
  const auto change = [&](const std::vector<TunablePart>& parts, std::optional<double> to,
                          std::string (*words)(double)) {
    const auto first = reference(parts);
    if (!first || !to || *to == *first) return;
    for (const TunablePart& part : parts) {
      // All are 0: there is no factor, each gets the value itself.
      const double value = *first == 0 || part.value == *first ? *to : part.value * (*to / *first);
      if (value != part.value) changes.push_back({part, words(value)});
    }
  };
  change(from.thresholds, threshold, &number_text);
  change(from.windows, window, [](double seconds) {
    return report::promql_duration_words(std::max(seconds, kShortestWindow));
  });
  std::ranges::sort(changes, std::greater{}, [](const Change& one) { return one.part.at; });
  std::string out = from.expr;
  for (const Change& one : changes) out.replace(one.part.at, one.part.length, one.text);
  return out;
}

}  // namespace faultline::controller::observe
