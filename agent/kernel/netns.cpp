// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/netns.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace faultline::agent {
namespace {
// Of this thread, which may be in another namespace than the process's first.
constexpr const char* kOwn = "/proc/thread-self/ns/net";
}  // namespace

Result<Fd> open_netns(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return fail(from_errno(errno, "cannot open network namespace " + path));
  // The file of a namespace that was unmounted is an ordinary empty file.
  if (::ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET)
    return fail(Errc::kInvalid, path + " is not a network namespace");
  return fd;
}

Result<ScopedNetns> ScopedNetns::enter(const std::string& path) {
  Fd home(::open(kOwn, O_RDONLY | O_CLOEXEC));
  if (!home.valid()) return fail(from_errno(errno, std::string("cannot open ") + kOwn));
  const auto target = open_netns(path);
  if (!target) return fail(target.error());
  if (::setns(target->get(), CLONE_NEWNET) != 0)
    return fail(from_errno(errno, "cannot enter network namespace " + path));
  return ScopedNetns(std::move(home));
}

ScopedNetns::~ScopedNetns() {
  if (!home_.valid()) return;
  if (::setns(home_.get(), CLONE_NEWNET) == 0) return;
  spdlog::critical("cannot return to our network namespace: {}",
                   std::generic_category().message(errno));
  std::abort();
}

Result<NetnsId> netns_id(const std::string& path) {
  const auto fd = open_netns(path);
  if (!fd) return fail(fd.error());
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) return fail(from_errno(errno, "cannot stat " + path));
  return NetnsId{info.st_ino};
}

}  // namespace faultline::agent
