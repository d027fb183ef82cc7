// SPDX-License-Identifier: Apache-2.0
#include "testbed/shell.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <stdexcept>

namespace faultline::testbed {

CommandResult command(const std::vector<std::string>& words, const std::string& input) {
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  const int input_fd = input.empty() ? -1 : memfd_create("input", MFD_CLOEXEC);
  if (!input.empty() &&
      (input_fd < 0 || write(input_fd, input.data(), input.size()) != std::ssize(input) ||
       lseek(input_fd, 0, SEEK_SET) != 0))
    throw std::runtime_error("cannot write a command's input");
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid == 0) {
    if (input_fd >= 0) dup2(input_fd, 0);
    dup2(pipe_fds[1], 1);
    dup2(pipe_fds[1], 2);
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  close(pipe_fds[1]);
  if (input_fd >= 0) close(input_fd);
  CommandResult result;
  char buffer[4096];
  for (ssize_t n; (n = read(pipe_fds[0], buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR);)
    if (n > 0) result.output.append(buffer, static_cast<std::size_t>(n));
  close(pipe_fds[0]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

void must(const std::vector<std::string>& words, const std::string& input) {
  const CommandResult result = command(words, input);
  if (result.status == 0) return;
  std::string text;
  for (const std::string& word : words) text += word + " ";
  throw std::runtime_error(text + "failed (" + std::to_string(result.status) +
                           "): " + result.output);
}

}  // namespace faultline::testbed
