// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace faultline::agent {

// Owns a file descriptor. Not thread-safe.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  Fd& operator=(Fd&& o) noexcept {
    if (this != &o) {
      reset();
      fd_ = std::exchange(o.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }
  void reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  // To a number above those in ordinary use, for what must end first when the process dies: the
  // kernel then releases the files one after another, the highest number first (exit_files() queues
  // them, task_work_run() takes the newest first), and a network hook takes milliseconds each.
  // Where the limit of descriptors allows no such number it stays as it was.
  void move_up() {
    int moved = -1;
    for (const int first : {4096, 512})
      if (fd_ >= 0 && moved < 0) moved = ::fcntl(fd_, F_DUPFD_CLOEXEC, first);
    if (moved < 0) return;
    reset();
    fd_ = moved;
  }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace faultline::agent
