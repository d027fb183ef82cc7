// SPDX-License-Identifier: Apache-2.0
// Child processes. Functions may be called from one thread of a process that has no other.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"

namespace faultline::cli {

// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  int release();
  void reset();

 private:
  int fd_ = -1;
};

// Whether a child gets the signals of our terminal, or is the first of a process group of its own.
enum class Group { kOurs, kOwn };

// `argv[0]` is the path of the program. Standard input is empty, standard output and error go to
// `output` (a descriptor, borrowed), and no other descriptor is passed on. The child gets SIGKILL
// when this process dies.
// Errors: the system's, also of execve().
[[nodiscard]] Result<pid_t> spawn(const std::vector<std::string>& argv, int output,
                                  Group group = Group::kOurs);

struct Ended {
  int status = 0;  // as waitpid() tells
  [[nodiscard]] bool well() const { return status == 0; }
  [[nodiscard]] std::string words() const;  // "exited with code 5", "was killed by signal 9"
};

struct Captured {
  Ended ended;
  std::string output;  // standard output
  std::string errors;  // standard error
};
// Runs a program to its end and keeps what it says, up to 4 MB each. It is killed after `limit`
// (kUnavailable).
[[nodiscard]] Result<Captured> run_captured(const std::vector<std::string>& argv,
                                            std::chrono::milliseconds limit);

// The path of a program in `folder`. kUnavailable: it is not there or cannot be run.
[[nodiscard]] Result<std::string> program_in(const std::string& folder, const std::string& name);

// The last lines of a text, printable, each "  | line".
[[nodiscard]] std::string tail_lines(const std::string& text, std::size_t lines);

}  // namespace faultline::cli
