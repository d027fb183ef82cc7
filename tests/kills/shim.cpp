// SPDX-License-Identifier: Apache-2.0
// Preloaded into a controller or an agent: moves its wall clock, and makes its store's disk fail.
// What it does is told by a file that kills maps, too ($FAULTLINE_KILLS_SHIM, struct ShimControl).
//
// A shim and not the kernel, because CLOCK_REALTIME is one for the whole machine (a time namespace
// moves only the monotonic clocks), and because this kernel has no device mapper, whose dm-error
// would fail a disk at will. CLOCK_MONOTONIC stays as it is: that is what happens when somebody
// sets a clock.
#include "tests/kills/shim.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

using faultline::kills::ShimControl;

namespace {

ShimControl* control() {
  static ShimControl* const mapped = []() -> ShimControl* {
    const char* path = getenv("FAULTLINE_KILLS_SHIM");
    if (path == nullptr) return nullptr;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return nullptr;
    void* at = mmap(nullptr, sizeof(ShimControl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return at == MAP_FAILED ? nullptr : static_cast<ShimControl*>(at);
  }();
  return mapped;
}

template <class F>
F next(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

// Is the disk to fail, and is this a file of the store?
bool fails(int fd) {
  const ShimControl* told = control();
  if (told == nullptr || !told->store_fails.load()) return false;
  char link[64], path[512];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return false;
  path[length] = '\0';
  if (strstr(path, "store.db") == nullptr) return false;
  control()->failed.fetch_add(1);
  errno = EIO;
  return true;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) {
  static const auto real = next<int (*)(clockid_t, timespec*)>("clock_gettime");
  const int rc = real(clock, now);
  if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    if (const ShimControl* told = control()) now->tv_sec += told->clock_seconds.load();
  return rc;
}

int gettimeofday(timeval* now, void* zone) {
  static const auto real = next<int (*)(timeval*, void*)>("gettimeofday");
  const int rc = real(now, zone);
  if (const ShimControl* told = control(); rc == 0 && told != nullptr)
    now->tv_sec += told->clock_seconds.load();
  return rc;
}

time_t time(time_t* out) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

#define FAULTLINE_FAILING(result, name, parameters, arguments)   \
  result name parameters {                                       \
    static const auto real = next<result(*) parameters>(#name);  \
    return fails(fd) ? static_cast<result>(-1) : real arguments; \
  }
FAULTLINE_FAILING(ssize_t, write, (int fd, const void* from, size_t n), (fd, from, n))
FAULTLINE_FAILING(ssize_t, pwrite, (int fd, const void* from, size_t n, off_t at),
                  (fd, from, n, at))
FAULTLINE_FAILING(ssize_t, pwrite64, (int fd, const void* from, size_t n, off64_t at),
                  (fd, from, n, at))
FAULTLINE_FAILING(int, fsync, (int fd), (fd))
FAULTLINE_FAILING(int, fdatasync, (int fd), (fd))
FAULTLINE_FAILING(int, ftruncate, (int fd, off_t length), (fd, length))
FAULTLINE_FAILING(int, ftruncate64, (int fd, off64_t length), (fd, length))

}  // extern "C"
