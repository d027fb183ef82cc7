// SPDX-License-Identifier: Apache-2.0
#include "controller/store/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace faultline::controller {

Result<> StoreReserve::hold() const {
  const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
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
  // Its own file only: of a link, or of another name for it, somebody else's would be emptied.
  const int fd = ::open(path_.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  struct stat file {};
  const bool released = ::fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_nlink == 1 &&
                        file.st_blocks > 0 && ::ftruncate(fd, 0) == 0;
  ::close(fd);
  return released;
}

}  // namespace faultline::controller
