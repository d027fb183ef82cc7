// SPDX-License-Identifier: Apache-2.0
#include "controller/watched_text.h"

#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <iterator>

namespace faultline::controller {

Result<std::optional<std::string>> WatchedText::look() {
  // A pipe would keep the event loop waiting for somebody who writes.
  struct stat known {};
  if (stat(path_.c_str(), &known) == 0 && !S_ISREG(known.st_mode)) {
    text_.reset();
    if (std::exchange(unreadable_, true)) return std::optional<std::string>();
    return fail(Errc::kInvalid, what_ + " " + path_ + " is no regular file");
  }
  errno = 0;
  std::ifstream in(path_, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (!in) {
    text_.reset();
    if (std::exchange(unreadable_, true)) return std::optional<std::string>();
    return fail(from_errno(errno != 0 ? errno : EIO, "cannot read " + what_ + " " + path_));
  }
  unreadable_ = false;
  if (text_ == text) return std::optional<std::string>();
  text_ = text;
  return std::optional(std::move(text));
}

}  // namespace faultline::controller
