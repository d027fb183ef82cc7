// SPDX-License-Identifier: Apache-2.0
// Ctrl-C, SIGTERM and SIGHUP as something that can be asked and waited for. The first asks the
// command to end in order; a second leaves at once with exit code 4.
#pragma once

#include <string>

#include "base/result.h"

namespace faultline::cli {

// While one lives, the signals come here; before and after it they act as they did. One at a time
// in a process.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  [[nodiscard]] bool requested() const;
  // Becomes readable when requested; -1 if the system gave none. Owned by this.
  [[nodiscard]] int fd() const { return fd_; }
  // What a second signal prints before it leaves, e.g. how to stop what goes on.
  void last_words(const std::string& words);
  // Forgets the signal, so that the next one is a first one again.
  void forget();

 private:
  int fd_ = -1;
};

}  // namespace faultline::cli
