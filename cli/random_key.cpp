// SPDX-License-Identifier: Apache-2.0
#include "cli/random_key.h"

#include <sys/random.h>

#include <cerrno>

namespace faultline::cli {

Result<std::string> random_key() {
  unsigned char bytes[8];
  if (getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes))
    return fail(from_errno(errno, "getrandom"));
  std::string key;
  for (const unsigned char byte : bytes)
    for (const int digit : {byte >> 4, byte & 15}) key += "0123456789abcdef"[digit];
  return key;
}

}  // namespace faultline::cli
