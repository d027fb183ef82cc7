// SPDX-License-Identifier: Apache-2.0
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "cli/command.h"

namespace {

int terminal_width() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 100;
}

int terminal_height() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) return size.ws_row;
  return 40;
}

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value && *value ? std::optional<std::string>(value) : std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that left must not keep a run from ending cleanly
  std::error_code ec;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ec);
  faultline::cli::Console console{.out = std::cout, .err = std::cerr, .in = std::cin};
  console.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  console.in_is_terminal = isatty(STDIN_FILENO) == 1;
  console.color = console.out_is_terminal && !environment("NO_COLOR") &&
                  environment("TERM").value_or("dumb") != "dumb";
  console.width = terminal_width;
  console.height = terminal_height;
  console.env = environment;
  console.programs = self.parent_path().string();
  // kubectl runs what is called so in PATH, with our words and its environment.
  console.plugin = argc > 0 && std::filesystem::path(argv[0]).filename() == "kubectl-faultline";
  return faultline::cli::run_cli({argv + 1, argv + argc}, console);
}
