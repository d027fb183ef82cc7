// SPDX-License-Identifier: Apache-2.0
#include "controller/watched_text.h"

#include <cerrno>
#include <fstream>
#include <iterator>

namespace faultline::controller {

Result<std::optional<std::string>> WatchedText::look() {
  errno = 0;
  std::ifstream in(path_, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in) {
    if (std::exchange(unreadable_, true)) return std::optional<std::string>();
    return fail(from_errno(errno != 0 ? errno : EIO, "cannot read " + what_ + " " + path_));
  }
  unreadable_ = false;
  if (text_ == text) return std::optional<std::string>();
  text_ = text;
  return std::optional(std::move(text));
}

}  // namespace faultline::controller
