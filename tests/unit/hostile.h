// SPDX-License-Identifier: Apache-2.0
// Words as somebody would choose them who wants to steer a terminal, add a line to a log or a
// script to a page, and what must hold of everything that shows them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "api/codec.h"
#include "api/metrics.h"
#include "api/strings.h"
#include "base/printable.h"

namespace faultline::testing_words {

// The escapes of a terminal in C0 and in C1 (as UTF-8), a line of its own, what turns the direction
// of writing and what cannot be seen, and the marks of HTML and Markdown.
inline const std::string kHostile =
    "x\x1b]0;PWNED\x07\x1b[2J\nFORGED line\r\nFORGED too\t\xc2\x9b"
    "31m\x7f\u202e\u2066\u200e\u061c\u200b\ufeff\u2028\u2029\U000e0041"
    "<img src=x onerror=alert(1)></script><script>alert(2)</script><!-- \" onload='y"
    "|`*_[a](javascript:b)www.c.de";

// As it, for what has no encoding of its own (files, arguments): bytes that are not UTF-8, too.
inline const std::string kHostileBytes = kHostile + "\x9b\xff\xc3";

// `text` may go to a terminal: line feeds and tabs are the writer's, nothing else is hidden, and no
// line begins with what kHostile wanted to be a line. Sequences that set a colour are allowed where
// the writer was asked for colour.
inline void expect_tame(std::string_view text, std::string_view writer, bool color = false) {
  std::string plain(text);
  for (std::size_t at = 0; color && (at = plain.find("\033[", at)) != std::string::npos;) {
    const std::size_t end = plain.find_first_not_of("0123456789;", at + 2);
    if (end != std::string::npos && plain[end] == 'm')
      plain.erase(at, end + 1 - at);
    else
      ++at;
  }
  EXPECT_EQ(printable_lines(plain), plain) << writer;
  EXPECT_FALSE(("\n" + plain).find("\nFORGED") != std::string::npos) << writer << "\n" << plain;
}

// As expect_tame(), and nothing of it is markup where HTML is read.
inline void expect_no_markup(std::string_view text, std::string_view writer) {
  EXPECT_EQ(text.find("<img src=x"), text.npos) << writer;
  EXPECT_EQ(text.find("<script>alert"), text.npos) << writer;
}

// Every text of `value` with kHostile behind it; the names of metrics stay, for nothing is written
// of a metric that does not exist.
template <class T>
T all_hostile(T value) {
  api::for_each_text(value, [](std::string& text) {
    if (api::find_metric(text) == nullptr) text += kHostile;
  });
  return value;
}

// As all_hostile(), but only those texts for which the codec takes the message: what a peer can
// really send.
template <class T>
T hostile_as_sent(T value) {
  int count = 0;
  api::for_each_text(value, [&](std::string&) { ++count; });
  for (int wanted = 0; wanted < count; ++wanted) {
    T changed = value;
    int at = 0;
    api::for_each_text(changed, [&](std::string& text) {
      if (at++ == wanted && api::find_metric(text) == nullptr) text += kHostile;
    });
    if (api::from_json<T>(api::to_json(changed))) value = std::move(changed);
  }
  return value;
}

}  // namespace faultline::testing_words
