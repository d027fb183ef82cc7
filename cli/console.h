// SPDX-License-Identifier: Apache-2.0
// Where a command reads, writes and looks around: passed in, so that tests can stand in for a
// shell.
#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace faultline::cli {

struct Console {
  std::ostream& out;  // results
  std::ostream& err;  // what is not a result
  std::istream& in;
  bool out_is_terminal = false;
  bool in_is_terminal = false;
  bool color = false;
  std::function<int()> width = [] { return 100; };  // columns; asked again as windows change
  std::function<int()> height = [] { return 40; };  // lines; the same
  std::function<std::optional<std::string>(const std::string&)> env;
  std::string programs;  // the folder with faultline-agent and faultline-controller
  bool plugin = false;   // called as `kubectl faultline`
};

// Exit codes of docs/cli.md. Those of a finished run come from report::exit_code().
inline constexpr int kExitMet = 0;
inline constexpr int kExitMissed = 1;
inline constexpr int kExitNotReal = 2;
inline constexpr int kExitBadInput = 3;
inline constexpr int kExitAborted = 4;
inline constexpr int kExitCouldNotRun = 5;
[[nodiscard]] int exit_code_of(Errc code);
[[nodiscard]] std::string_view code_word(Errc code);  // "not-found"

// For people: on `err`, each line with "faultline: " before it, except those that begin with the
// name of a document and so already say where to look. For programs (`json`): on `out`,
// {"error": {"code", "message", "exitCode"}}.
void print_error(Console& console, const Error& error, bool json,
                 const std::vector<std::string>& documents);

}  // namespace faultline::cli
