// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/receive_steering.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>

#include "agent/kernel/fd.h"

namespace faultline::agent {
namespace {

// sysfs shows the devices of the network namespace in which it was made, and the one at /sys may be
// another's, or read-only. This one is mounted nowhere, and goes with its descriptor.
Result<Fd> own_sysfs() {
  const Fd context(::fsopen("sysfs", FSOPEN_CLOEXEC));
  if (!context.valid()) return fail(from_errno(errno, "cannot make a sysfs"));
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return fail(from_errno(errno, "cannot make a sysfs"));
  Fd mounted(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
  if (!mounted.valid()) return fail(from_errno(errno, "cannot mount a sysfs"));
  return mounted;
}

// The CPUs that this process may run on, as the kernel reads sets of them: 32 a word, in
// hexadecimal, the highest first.
Result<std::string> own_cpus() {
  std::array<cpu_set_t, 8> set{};  // 8 192 CPUs, more than the kernel can have
  if (::sched_getaffinity(::getpid(), sizeof set, set.data()) != 0)
    return fail(from_errno(errno, "cannot read our CPUs"));
  std::string text;
  for (std::size_t word = sizeof set / 4; word-- > 0;) {
    std::uint32_t bits = 0;
    for (std::size_t bit = 0; bit < 32; ++bit)
      bits |= CPU_ISSET_S(word * 32 + bit, sizeof set, set.data()) ? 1U << bit : 0;
    if (text.empty() && bits == 0) continue;
    std::array<char, 12> digits{};
    std::snprintf(digits.data(), digits.size(), "%s%08x", text.empty() ? "" : ",", bits);
    text += digits.data();
  }
  return text;
}

}  // namespace

Result<> steer_received(const std::string& device) {
  const auto sysfs = own_sysfs();
  if (!sysfs) return fail(sysfs.error());
  const std::string path = "class/net/" + device + "/queues/rx-0/rps_cpus";
  const Fd file(::openat(sysfs->get(), path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid() && errno == ENOENT)
    return fail(Errc::kUnsupported, "the kernel cannot steer what a device receives (CONFIG_RPS)");
  if (!file.valid()) return fail(from_errno(errno, "cannot open " + path));
  const auto cpus = own_cpus();
  if (!cpus) return fail(cpus.error());
  if (::write(file.get(), cpus->data(), cpus->size()) != static_cast<ssize_t>(cpus->size()))
    return fail(from_errno(errno, "cannot write " + path));
  return {};
}

}  // namespace faultline::agent
