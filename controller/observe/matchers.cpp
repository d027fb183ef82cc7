// SPDX-License-Identifier: Apache-2.0
// Matchers of labels: their syntax, and whether they hold.
#include <regex.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/quoted.h"
#include "controller/observe/routes.h"

namespace faultline::controller::observe {
namespace {

constexpr std::size_t kLongestPattern = 1024;
constexpr std::size_t kMostMatchers = 64;

bool in_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == ':';
}

// RE2's syntax as a POSIX extended expression, as far as rules of Alertmanager use it. Empty: it is
// not understood. Repetitions by number are not, nor is one of a group that has one inside: where
// they are nested, the C library makes gigabytes of a small text.
std::optional<std::string> as_posix(std::string_view pattern) {
  if (pattern.size() > kLongestPattern) return std::nullopt;
  std::string out;
  const auto repeats = [](char one) { return one == '*' || one == '+' || one == '?'; };
  std::vector<bool> repeated{false};  // of each open group: has it a repetition inside
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (c == '{') return std::nullopt;
    if (c == '(') repeated.push_back(false);
    if (repeats(c)) repeated.back() = true;
    if (c == ')') {
      if (repeated.size() < 2 || (repeated.back() && repeats(next))) return std::nullopt;
      const bool inside = repeated.back();
      repeated.pop_back();
      repeated.back() = repeated.back() || inside;
    }
    if ((c == '*' || c == '+' || c == '?') && (next == '?' || next == '+' || next == '*'))
      return std::nullopt;  // lazy; for a whole match it would not matter, POSIX has none
    if (c == '(' && next == '?') {
      if (pattern.substr(i, 3) != "(?:") return std::nullopt;
      out += '(';
      i += 2;
    } else if (c == '[') {
      const std::size_t end = pattern.find(']', i + 2);
      const std::string_view set = pattern.substr(i, end == std::string_view::npos ? end : end - i);
      if (end == std::string_view::npos || set.find('\\') != std::string_view::npos ||
          set.find("[:") != std::string_view::npos)
        return std::nullopt;
      out += set;
      out += ']';
      i = end;
    } else if (c == '\\') {
      ++i;
      switch (next) {
        case 'd':
          out += "[0-9]";
          break;
        case 'w':
          out += "[0-9A-Za-z_]";
          break;
        case 's':
          out += "[ \t\n\r\f]";
          break;
        default:
          if (next == '\0' || in_name(next)) return std::nullopt;  // \b, \A, \1, \p ...
          out += '\\';
          out += next;
      }
    } else {
      out += c;
    }
  }
  return "^(" + out + ")$";
}

std::optional<bool> regex_holds(const std::string& pattern, const std::string& value) {
  if (value.size() > 8192 || value.find('\0') != std::string::npos) return std::nullopt;
  if (pattern.empty() || pattern == ".*") return pattern == ".*" || value.empty();
  if (pattern == ".+") return !value.empty();
  const auto posix = as_posix(pattern);
  regex_t compiled;
  if (!posix || ::regcomp(&compiled, posix->c_str(), REG_EXTENDED | REG_NOSUB) != 0)
    return std::nullopt;
  const int result = ::regexec(&compiled, value.c_str(), 0, nullptr, 0);
  ::regfree(&compiled);
  return result == 0;
}

}  // namespace

std::optional<bool> matches(const Matcher& matcher, const Labels& labels) {
  const auto found = labels.find(matcher.name);
  const std::string value = found != labels.end() ? found->second : std::string();
  if (!matcher.regex) return (value == matcher.value) == matcher.equal;
  const auto holds = regex_holds(matcher.value, value);
  return holds ? std::optional(*holds == matcher.equal) : std::nullopt;
}

bool all_match(const std::vector<Matcher>& matchers, const Labels& labels) {
  return std::ranges::all_of(
      matchers, [&](const Matcher& one) { return matches(one, labels).value_or(false); });
}

Result<std::vector<Matcher>> parse_matchers(std::string_view text) {
  const std::string_view whole = text;
  const auto bad = [&] { return fail(Errc::kInvalid, in_quotes(whole) + " is no matcher"); };
  const auto blanks = [&] {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  };
  std::vector<Matcher> out;
  blanks();
  const bool braces = text.starts_with('{');
  if (braces) text.remove_prefix(1);
  for (blanks(); !text.empty() && !(braces && text.starts_with('}')); blanks()) {
    if (out.size() >= kMostMatchers) return bad();
    Matcher one;
    while (!text.empty() && in_name(text.front())) {
      one.name.push_back(text.front());
      text.remove_prefix(1);
    }
    blanks();
    if (one.name.empty() || text.empty()) return bad();
    if (text.starts_with("=~") || text.starts_with("!~")) {
      one.regex = true;
      one.equal = text.front() == '=';
      text.remove_prefix(2);
    } else if (text.starts_with("!=")) {
      one.equal = false;
      text.remove_prefix(2);
    } else if (text.starts_with('=')) {
      text.remove_prefix(1);
    } else {
      return bad();
    }
    blanks();
    if (text.starts_with('"')) {
      text.remove_prefix(1);
      while (!text.empty() && text.front() != '"') {
        // \" and \\ and \n; any other backslash is itself, as Alertmanager reads it.
        if (text.front() == '\\' && text.size() > 1 &&
            (text[1] == '"' || text[1] == '\\' || text[1] == 'n')) {
          one.value.push_back(text[1] == 'n' ? '\n' : text[1]);
          text.remove_prefix(2);
          continue;
        }
        one.value.push_back(text.front());
        text.remove_prefix(1);
      }
      if (text.empty()) return bad();
      text.remove_prefix(1);
    } else {
      while (!text.empty() && text.front() != ',' && !(braces && text.front() == '}')) {
        one.value.push_back(text.front());
        text.remove_prefix(1);
      }
      while (one.value.ends_with(' ')) one.value.pop_back();
    }
    out.push_back(std::move(one));
    blanks();
    if (text.starts_with(','))
      text.remove_prefix(1);
    else if (!text.empty() && !(braces && text.starts_with('}')))
      return bad();
  }
  if (braces && text != "}") return bad();
  if (out.empty()) return bad();
  return out;
}

}  // namespace faultline::controller::observe
