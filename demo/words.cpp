// SPDX-License-Identifier: Apache-2.0
#include "demo/words.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace faultline::demo {
namespace {

constexpr std::size_t kWidth = 96;

bool colours() {
  static const bool yes =
      isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr &&
      std::string_view(std::getenv("TERM") ? std::getenv("TERM") : "") != "dumb";
  return yes;
}

std::string painted(const std::string& text, const char* code) {
  return colours() ? std::string("\033[") + code + "m" + text + "\033[0m" : text;
}

// Whole lines at once, so that they do not mix with those of the programs that we run.
void say(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

std::string wrapped(const std::string& text, std::size_t indent, std::size_t first) {
  std::istringstream words(text);
  std::string out, line;
  for (std::string word; words >> word;) {
    if (!line.empty() && indent + line.size() + 1 + word.size() > kWidth) {
      out += std::string(out.empty() ? first : indent, ' ') + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return out + std::string(out.empty() ? first : indent, ' ') + line + "\n";
}

}  // namespace

void heading(const std::string& text) {
  say("\n" +
      painted("== " + text + " " + std::string(kWidth - std::min(kWidth, text.size() + 4), '='),
              "1") +
      "\n");
}

void blank() { say("\n"); }

void paragraph(const std::string& text) { say(wrapped(text, 3, 3)); }

void typed(const std::string& command) { say("\n" + painted("$ " + command, "36") + "\n"); }

void table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> width;
  for (const auto& row : rows) {
    width.resize(std::max(width.size(), row.size()));
    for (std::size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], row[c].size());
  }
  for (const auto& row : rows) {
    std::string line = "  ";
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string blank(width[c] - row[c].size(), ' ');
      line += (c == 0 ? " " + row[c] + blank : "   " + blank + row[c]);
    }
    say(line + "\n");
  }
}

bool claim(bool shown, const std::string& text) {
  const std::string word = shown ? "ok" : "NOT SHOWN";
  const std::string body = wrapped(text, word.size() + 5, 0);
  say("   " + painted(word, shown ? "32" : "31") + "  " + body);
  return shown;
}

void note(const std::string& text) { say(wrapped(text, 7, 7)); }

std::string ms_words(std::chrono::nanoseconds time) {
  const double ms = std::chrono::duration<double, std::milli>(time).count();
  char text[48];
  std::snprintf(text, sizeof text, "%.*f ms", ms < 10 ? 2 : ms < 100 ? 1 : 0, ms);
  return text;
}

std::string percent_words(double share) {
  char text[48];
  std::snprintf(text, sizeof text, "%.1f %%", share * 100);
  return text;
}

}  // namespace faultline::demo
