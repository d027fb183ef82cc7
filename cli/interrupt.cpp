// SPDX-License-Identifier: Apache-2.0
#include "cli/interrupt.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "base/printable.h"
#include "cli/console.h"

namespace faultline::cli {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

// What the handler may touch. `words` is filled while `length` is 0.
volatile std::sig_atomic_t signals = 0;
volatile std::sig_atomic_t event = -1;
volatile std::sig_atomic_t length = 0;
char words[512];
std::array<struct sigaction, kSignals.size()> before;

void on_signal(int) {
  const int saved = errno;
  signals = signals + 1;
  if (signals > 1) {
    // Nothing can be done where these fail.
    if (write(STDERR_FILENO, words, static_cast<std::size_t>(length)) < 0) _exit(kExitAborted);
    _exit(kExitAborted);
  }
  const std::uint64_t one = 1;
  if (event >= 0 && write(event, &one, sizeof one) < 0) errno = saved;
  errno = saved;
}

}  // namespace

Interrupt::Interrupt() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  signals = 0;
  event = fd_;
  last_words("");
  struct sigaction action {};
  action.sa_handler = on_signal;  // without SA_RESTART: a read from the terminal ends
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before[i]);
    // nohup: stays ignored. A shell's "&" ignores SIGINT too, but who sends it to a fault means it.
    if (kSignals[i] == SIGHUP && before[i].sa_handler == SIG_IGN) continue;
    sigaction(kSignals[i], &action, nullptr);
  }
}

Interrupt::~Interrupt() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before[i], nullptr);
  event = -1;
  if (fd_ >= 0) close(fd_);
}

bool Interrupt::requested() const { return signals > 0; }

void Interrupt::last_words(const std::string& text) {
  length = 0;
  const std::string line =
      "\nfaultline: leaving at once" + (text.empty() ? "" : "; " + printable(text)) + "\n";
  const std::size_t n = std::min(line.size(), sizeof words);
  std::memcpy(words, line.data(), n);
  length = static_cast<std::sig_atomic_t>(n);
}

void Interrupt::forget() {
  signals = 0;
  std::uint64_t count;
  if (read(fd_, &count, sizeof count) < 0 && errno != EAGAIN) signals = 0;
}

}  // namespace faultline::cli
