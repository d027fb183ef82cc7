// SPDX-License-Identifier: Apache-2.0
// A program of ours in the background, and a folder for what a test writes. Failures throw
// std::runtime_error.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "testbed/child.h"

namespace faultline::test {

// Made in the system's folder for temporary files; removed with all that is in it.
class Folder {
 public:
  Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder();
  [[nodiscard]] std::string file(const std::string& name) const { return path_ / name; }
  // Writes a file of that name; its path.
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const;

 private:
  std::filesystem::path path_;
};

std::string content(const std::string& path);  // empty when there is no such file
bool empty_folder(const std::string& path);

// Killed on destruction, also when it is stopped.
class Program {
 public:
  // `argv`: name of a program of ours ("faultline-agent"), or the path of another, and arguments.
  // Its standard output and error go to files in `folder`, named `name`. `temp`: its TMPDIR. It
  // finds no controller by its environment.
  Program(const std::vector<std::string>& argv, const Folder& folder, const std::string& name,
          const std::string& temp);
  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const;
  // Exit code, or 128 + signal. Throws with what it said when it runs on after `limit`. Any number
  // of times.
  int wait(std::chrono::seconds limit = std::chrono::seconds(30));
  [[nodiscard]] bool ended() const;
  [[nodiscard]] std::string out() const { return content(out_); }
  [[nodiscard]] std::string err() const { return content(err_); }

 private:
  std::string out_, err_;
  testbed::Child child_;
  pid_t pid_;
  int status_ = -1;
};

// From /proc.
struct ProcessState {
  char state = 0;  // R, S, T (stopped) ...; 0: there is no such process
  long resident_kb = 0;
  int descriptors = 0;
  int threads = 0;
};
ProcessState look_at(pid_t pid);
// Names of the fl_* programs that `bpftool` lists and that the process holds.
std::vector<std::string> programs_of(pid_t pid);
// Living processes of ours that have this test among their ancestors: "12 faultline-agent". Orphans
// are among them only after adopt_orphans().
std::vector<std::string> descendants();
void adopt_orphans();

}  // namespace faultline::test
