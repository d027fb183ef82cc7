// SPDX-License-Identifier: Apache-2.0
// What libbpf and the verifier say, kept for the person who asked. libbpf prints through one
// process-wide callback; ours sends every line to spdlog at debug level, and to the innermost
// LibbpfLog of the same thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace faultline::agent {

// Collects what libbpf prints on this thread while it lives. Use on the stack, on one thread; may
// be nested. The first one installs the callback.
class LibbpfLog {
 public:
  LibbpfLog();
  ~LibbpfLog();
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;

  [[nodiscard]] const std::string& text() const { return text_; }
  // "what: Permission denied: <the verifier's last word>". `negative_errno` as libbpf returns it.
  [[nodiscard]] Error error(long negative_errno, std::string_view what) const;

 private:
  friend struct LibbpfPrinter;
  std::string text_;
  LibbpfLog* outer_;
};

// The line of a verifier log that says why: the last one that is not statistics; empty when there
// is none.
[[nodiscard]] std::string verifier_reason(std::string_view log);

}  // namespace faultline::agent
