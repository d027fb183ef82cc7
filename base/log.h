// SPDX-License-Identifier: Apache-2.0
// One log format for all programs: text to stderr, UTC with microseconds, so that lines of
// controller and agents can be laid side by side. Log with spdlog itself; it is thread-safe. A
// message is always one line: it goes through printable(), whatever it holds.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace faultline {

// The most bytes of a message; a longer one ends in "...".
inline constexpr std::size_t kLongestLogMessage = 8192;

// `level`: trace, debug, info, warn, error or off. Call once, before other threads start. Colours
// only on a terminal. SIGPIPE is ignored from then on: when the reader of standard error is gone,
// lines are lost, and the program goes on with its runs. Errors: kInvalid, a level that is none.
Result<> init_logging(std::string_view program, std::string_view level);

// While one lives that is `on`, nothing that its thread logs is written, at no level: what is being
// done then is not for whoever reads the log. The innermost one counts. Only of a logger of
// init_logging(). Not to be moved to another thread.
class Unlogged {
 public:
  explicit Unlogged(bool on);
  ~Unlogged();
  Unlogged(const Unlogged&) = delete;
  Unlogged& operator=(const Unlogged&) = delete;

 private:
  bool before_;
};

}  // namespace faultline
