// SPDX-License-Identifier: Apache-2.0
#include "report/promql_tokens.h"

#include <algorithm>
#include <cctype>

namespace faultline::report {
namespace {

using Kind = PromqlToken::Kind;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool starts_word(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || c == ':';
}
bool in_word(char c) { return starts_word(c) || is_digit(c); }
bool is_quote(char c) { return c == '"' || c == '\'' || c == '`'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<PromqlToken> run() {
    while (at_ < text_.size()) step();
    return std::move(out_);
  }

 private:
  [[nodiscard]] char peek(std::size_t ahead) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  void step() {
    const char c = text_[at_];
    const std::size_t from = at_;
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      ++at_;
    } else if (c == '#') {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (is_quote(c)) {
      pass_quoted();
      add(Kind::string, from);
    } else if (c == '{') {
      pass_matchers();
      add(Kind::matchers, from);
    } else if (c == '[') {
      const std::size_t end = text_.find(']', at_);
      at_ = end == std::string_view::npos ? text_.size() : end + 1;
      add(Kind::range, from);
    } else if (starts_word(c)) {
      while (at_ < text_.size() && in_word(text_[at_])) ++at_;
      add(Kind::word, from);
    } else if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      pass_number();
      add(Kind::number, from);
    } else {
      const bool two =
          (c == '=' || c == '!' || c == '<' || c == '>') && (peek(1) == '=' || peek(1) == '~');
      at_ += two ? 2 : 1;
      add(c == '(' ? Kind::open : c == ')' ? Kind::close : Kind::op, from);
    }
  }

  void add(Kind kind, std::size_t from) {
    out_.push_back({kind, from, text_.substr(from, at_ - from)});
  }

  void pass_quoted() {
    const char quote = text_[at_++];
    while (at_ < text_.size() && text_[at_] != quote)
      at_ += text_[at_] == '\\' && quote != '`' && at_ + 1 < text_.size() ? 2 : 1;
    if (at_ < text_.size()) ++at_;
  }

  void pass_matchers() {
    ++at_;
    while (at_ < text_.size() && text_[at_] != '}') {
      if (is_quote(text_[at_]))
        pass_quoted();
      else
        ++at_;
    }
    if (at_ < text_.size()) ++at_;
  }

  // 0.5, 1e-3, 0x1F, 1_000, and the durations of `offset`: 1h30m.
  void pass_number() {
    const bool hexadecimal = text_[at_] == '0' && (peek(1) == 'x' || peek(1) == 'X');
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool exponent = !hexadecimal && (c == 'e' || c == 'E') &&
                            (peek(1) == '+' || peek(1) == '-') && is_digit(peek(2));
      if (!exponent && c != '.' && !is_digit(c) && c != '_' &&
          std::isalpha(static_cast<unsigned char>(c)) == 0)
        return;
      at_ += exponent ? 2 : 1;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<PromqlToken> out_;
};

}  // namespace

std::vector<PromqlToken> promql_tokens(std::string_view text) { return Lexer(text).run(); }

}  // namespace faultline::report
