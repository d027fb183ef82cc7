// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/receive_steering.h"

#include <fcntl.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <system_error>

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

Result<ReceiveSteering> ReceiveSteering::of(const std::string& device) {
  const auto sysfs = own_sysfs();
  if (!sysfs) return fail(sysfs.error());
  const std::string path = "class/net/" + device + "/queues/rx-0/rps_cpus";
  Fd file(::openat(sysfs->get(), path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file.valid() && errno == ENOENT)
    return fail(Errc::kUnsupported, "the kernel cannot steer what a device receives (CONFIG_RPS)");
  if (!file.valid()) return fail(from_errno(errno, "cannot open " + path));
  const auto cpus = own_cpus();
  if (!cpus) return fail(cpus.error());
  if (::pwrite(file.get(), cpus->data(), cpus->size(), 0) != static_cast<ssize_t>(cpus->size()))
    return fail(from_errno(errno, "cannot write " + path));
  return ReceiveSteering(std::move(file));
}

ReceiveSteering& ReceiveSteering::operator=(ReceiveSteering&& o) noexcept {
  end();
  setting_ = std::move(o.setting_);
  return *this;
}

ReceiveSteering::~ReceiveSteering() { end(); }

void ReceiveSteering::end() {
  if (setting_.valid() && ::pwrite(setting_.get(), "0", 1, 0) != 1)
    spdlog::warn("cannot end the steering of a device: {}", std::generic_category().message(errno));
}

}  // namespace faultline::agent
