// SPDX-License-Identifier: Apache-2.0
#include "testbed/hidden.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace faultline::testbed {
namespace {

namespace fs = std::filesystem;

void must_work(int rc, const std::string& what) {
  if (rc != 0) throw std::runtime_error(what + ": " + std::strerror(errno));
}

void mount_empty(const std::string& path) {
  must_work(mount("none", path.c_str(), "tmpfs", MS_NOSUID, "mode=0755"), "cannot hide " + path);
}

}  // namespace

void leave_mount_namespace() {
  must_work(unshare(CLONE_NEWNS), "cannot make a mount namespace");
  must_work(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "cannot make it private");
}

void hide_folder(const std::string& path) { mount_empty(path); }

void hide_device(const std::string& device) {
  // The devices that stay are bound from a way to the old /dev that the new one does not cover.
  const int old = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (old < 0) throw std::runtime_error("cannot open /dev");
  mount_empty("/dev");
  for (const char* kept : {"null", "zero", "full", "random", "urandom", "tty", "fuse", "net/tun"}) {
    const fs::path from = "/proc/self/fd/" + std::to_string(old) + "/" + kept;
    const fs::path to = std::string("/dev/") + kept;
    if (kept == device || !fs::exists(from)) continue;
    fs::create_directories(to.parent_path());
    std::ofstream(to).flush();
    must_work(mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr),
              std::string("cannot keep ") + kept);
  }
  close(old);
}

}  // namespace faultline::testbed
