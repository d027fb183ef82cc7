// SPDX-License-Identifier: Apache-2.0
#include "base/printable.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace faultline {
namespace {

struct Character {
  std::size_t bytes = 1;
  std::uint32_t code = 0;
  bool valid = false;  // else `bytes` is 1 and `code` that byte
};

// The first character of `text`, which is not empty.
Character first_of(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, lead, true};
  const std::size_t bytes = lead >= 0xc2 && lead < 0xe0   ? 2
                            : lead >= 0xe0 && lead < 0xf0 ? 3
                            : lead >= 0xf0 && lead < 0xf5 ? 4
                                                          : 0;
  if (bytes == 0 || bytes > text.size()) return {1, lead, false};
  std::uint32_t code = lead & (0xffU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {1, lead, false};
    code = code << 6 | (byte(i) & 0x3fU);
  }
  const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  if (overlong || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff) return {1, lead, false};
  return {bytes, code, true};
}

// Characters that steer a terminal, reorder or break what stands around them, or show nothing at
// all: the controls (Cc), and the format characters and other invisible ones of Unicode 15 that
// names have no honest use for. Sorted. Variation selectors stay: emoji are written with them.
constexpr std::array<std::pair<std::uint32_t, std::uint32_t>, 20> kHidden{{
    {0x0000, 0x001f},    // C0
    {0x007f, 0x009f},    // DEL and C1
    {0x00ad, 0x00ad},    // soft hyphen
    {0x034f, 0x034f},    // combining grapheme joiner
    {0x0600, 0x0605},    // Arabic number signs, which go around what follows
    {0x061c, 0x061c},    // Arabic letter mark
    {0x115f, 0x1160},    // Hangul fillers
    {0x17b4, 0x17b5},    // Khmer inherent vowels
    {0x180e, 0x180e},    // Mongolian vowel separator
    {0x200b, 0x200f},    // zero-width space, joiners, left-to-right and right-to-left marks
    {0x2028, 0x202e},    // line and paragraph separator, bidi embeddings and overrides
    {0x2060, 0x206f},    // word joiner, invisible operators, bidi isolates, old format controls
    {0x3164, 0x3164},    // Hangul filler
    {0xfeff, 0xfeff},    // byte order mark
    {0xffa0, 0xffa0},    // halfwidth Hangul filler
    {0xfff0, 0xfffb},    // unassigned and invisible, interlinear annotation
    {0xfffe, 0xffff},    // not characters
    {0x1bca0, 0x1bca3},  // shorthand format controls
    {0x1d173, 0x1d17a},  // musical format controls
    {0xe0000, 0xe0fff},  // tags
}};

bool hidden(std::uint32_t code) {
  if (code >= 0x20 && code < 0x7f) return false;
  const auto it = std::ranges::lower_bound(kHidden, code, {}, [](auto& r) { return r.second; });
  return it != kHidden.end() && it->first <= code;
}

void hex(std::string& out, std::uint32_t value, int digits) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += kDigits[value >> shift & 15];
}

void escape(std::string& out, const Character& c) {
  if (c.valid && (c.code == '\n' || c.code == '\r' || c.code == '\t')) {
    out += '\\';
    out += c.code == '\n' ? 'n' : c.code == '\r' ? 'r' : 't';
  } else if (!c.valid || c.code < 0x80) {
    out += "\\x";
    hex(out, c.code, 2);
  } else if (c.code <= 0xffff) {
    out += "\\u";
    hex(out, c.code, 4);
  } else {
    out += "\\U";
    hex(out, c.code, 8);
  }
}

enum class Breaks { kEscaped, kKept, kBlanks };  // what becomes of line feeds and tabs

std::string shown(std::string_view text, std::size_t limit, Breaks breaks) {
  constexpr std::string_view kEllipsis = "...";
  std::string out;
  out.reserve(std::min(text.size(), limit));
  std::size_t room = 0;  // how much of `out` stays when the rest must give way to the ellipsis
  while (!text.empty()) {
    const Character c = first_of(text);
    if (out.size() + kEllipsis.size() <= limit) room = out.size();
    const bool space = c.valid && (c.code == '\n' || c.code == '\t' || c.code == '\r');
    if (c.valid && (!hidden(c.code) || (space && breaks == Breaks::kKept && c.code != '\r')))
      out += text.substr(0, c.bytes);
    else if (space && breaks == Breaks::kBlanks)
      out += ' ';
    else
      escape(out, c);
    text.remove_prefix(c.bytes);
    if (out.size() > limit) {
      out.resize(room);
      return out += kEllipsis.substr(0, limit - room);
    }
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  return shown(text, limit, Breaks::kEscaped);
}

std::string printable_lines(std::string_view text) { return shown(text, kNoLimit, Breaks::kKept); }

std::string printable_prose(std::string_view text) {
  const std::size_t end = text.find_last_not_of(" \n\r\t");
  return shown(text.substr(0, end == text.npos ? 0 : end + 1), kNoLimit, Breaks::kBlanks);
}

std::string printable_json(std::string text) {
  const auto plain = [](char c) { return static_cast<signed char>(c) >= 0 && c != 0x7f; };
  if (std::ranges::all_of(text, plain)) return text;
  std::string out;
  out.reserve(text.size() + 16);
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto ascii =
        static_cast<std::size_t>(std::ranges::find_if_not(rest, plain) - rest.begin());
    out += rest.substr(0, ascii);
    rest.remove_prefix(ascii);
    if (rest.empty()) break;
    const Character c = first_of(rest);
    if (!c.valid) {
      out += "\\ufffd";
    } else if (!hidden(c.code)) {
      out += rest.substr(0, c.bytes);
    } else if (c.code <= 0xffff) {
      out += "\\u";
      hex(out, c.code, 4);
    } else {
      out += "\\u";
      hex(out, 0xd800 + ((c.code - 0x10000) >> 10), 4);
      out += "\\u";
      hex(out, 0xdc00 + ((c.code - 0x10000) & 0x3ff), 4);
    }
    rest.remove_prefix(c.bytes);
  }
  return out;
}

bool is_printable(std::string_view text) {
  while (!text.empty()) {
    const Character c = first_of(text);
    if (!c.valid || hidden(c.code)) return false;
    text.remove_prefix(c.bytes);
  }
  return true;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Character c = first_of(text);
    if (!c.valid) return false;
    text.remove_prefix(c.bytes);
  }
  return true;
}

}  // namespace faultline
