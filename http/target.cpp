// SPDX-License-Identifier: Apache-2.0
#include "http/target.h"

#include <algorithm>

#include "base/printable.h"

namespace faultline::http {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<> parse_query(std::string_view text, std::map<std::string, std::string>& query) {
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    auto key = percent_decode(pair.substr(0, equals), true);
    if (!key) return fail(key.error());
    auto value =
        percent_decode(equals == pair.npos ? std::string_view{} : pair.substr(equals + 1), true);
    if (!value) return fail(value.error());
    query[*key] = std::move(*value);
  }
  return {};
}

}  // namespace

Result<std::string> percent_decode(std::string_view text, bool plus_is_blank) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_blank) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return fail(Errc::kInvalid, "broken percent escape in the request target");
      if (high == 0 && low == 0) return fail(Errc::kInvalid, "%00 in the request target");
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

Result<Target> parse_target(std::string_view target) {
  if (target.starts_with("http://") || target.starts_with("https://")) {
    const std::size_t slash = target.find('/', target.find("//") + 2);
    target = slash == target.npos ? std::string_view("/") : target.substr(slash);
  }
  if (!target.starts_with('/'))
    return fail(Errc::kInvalid, "the request target must begin with '/'");
  target = target.substr(0, target.find('#'));

  Target result;
  const std::size_t mark = target.find('?');
  if (mark != target.npos)
    if (auto done = parse_query(target.substr(mark + 1), result.query); !done)
      return fail(done.error());

  std::string_view path = target.substr(0, mark);
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::string_view raw = path.substr(0, path.find('/'));
    path.remove_prefix(raw.size());
    auto segment = percent_decode(raw, false);
    if (!segment) return fail(segment.error());
    result.path += '/' + *segment;
    result.segments.push_back(std::move(*segment));
  }
  // Names from here are compared, stored and sent on as JSON, which has no other bytes.
  bool good = is_utf8(result.path);
  for (const auto& [key, value] : result.query) good = good && is_utf8(key) && is_utf8(value);
  if (!good) return fail(Errc::kInvalid, "expected UTF-8 in the request target");
  return result;
}

}  // namespace faultline::http
