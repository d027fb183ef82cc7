// SPDX-License-Identifier: Apache-2.0
#include "controller/store/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace faultline::controller {

Result<> StoreReserve::hold() const {
  const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail(from_errno(errno, "cannot make " + path_));
  int error = ::posix_fallocate(fd, 0, kBytes);  // nothing to do where it has its room
  // A file system may have given it what was left, which the store needs more.
  if (error != 0 && ::ftruncate(fd, 0) != 0) error = errno;
  ::close(fd);
  if (error == 0) return {};
  return fail(from_errno(error, "no room for the " + std::to_string(kBytes >> 20) +
                                    " MiB that a restart would need, " + path_));
}

bool StoreReserve::release() const {
  struct stat file {};
  return ::stat(path_.c_str(), &file) == 0 && file.st_blocks > 0 &&
         ::truncate(path_.c_str(), 0) == 0;
}

}  // namespace faultline::controller
