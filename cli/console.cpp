// SPDX-License-Identifier: Apache-2.0
#include "cli/console.h"

#include <algorithm>
#include <boost/json.hpp>
#include <ostream>

#include "base/printable.h"
#include "cli/text.h"

namespace faultline::cli {

int exit_code_of(Errc code) {
  switch (code) {  // no default: a new Errc must be given its code here
    case Errc::kInvalid:
    case Errc::kNotFound:
      return kExitBadInput;
    case Errc::kUnsupported:
      return kExitNotReal;
    case Errc::kConflict:
    case Errc::kDenied:
    case Errc::kUnavailable:
    case Errc::kInternal:
      break;
  }
  return kExitCouldNotRun;
}

std::string_view code_word(Errc code) {
  switch (code) {
    case Errc::kInvalid:
      return "invalid";
    case Errc::kNotFound:
      return "not-found";
    case Errc::kUnsupported:
      return "unsupported";
    case Errc::kConflict:
      return "conflict";
    case Errc::kDenied:
      return "denied";
    case Errc::kUnavailable:
      return "unavailable";
    case Errc::kInternal:
      break;
  }
  return "internal";
}

void print_error(Console& console, const Error& error, bool json,
                 const std::vector<std::string>& documents) {
  if (json) {
    print_json(console.out, boost::json::object{{"error",
                                                 {{"code", code_word(error.code)},
                                                  {"message", error.message},
                                                  {"exitCode", exit_code_of(error.code)}}}});
    return;
  }
  for (const std::string& line : split_lines(error.message)) {
    const bool located = std::ranges::any_of(
        documents, [&](const std::string& name) { return line.starts_with(name + ":"); });
    console.err << (located ? "" : "faultline: ") << printable(line) << "\n";
  }
  console.err.flush();
}

}  // namespace faultline::cli
