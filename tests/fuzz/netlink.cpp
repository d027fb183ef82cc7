// SPDX-License-Identifier: Apache-2.0
// Messages of the kernel: devices, addresses, sockets. The sources are included for the functions
// that only they see; what is read lies at the end of its memory.
#include "agent/kernel/netlink.cpp"  // NOLINT(bugprone-suspicious-include)

#include "agent/effects/tcp_diag.cpp"  // NOLINT(bugprone-suspicious-include)
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {

void fuzz(std::string_view input) {
  const unsigned which = choose(input, 3);
  const std::size_t size = sizeof(nlmsghdr) + input.size();
  std::vector<std::uint64_t> memory(size / 8 + 1);
  std::uint8_t* bytes = reinterpret_cast<std::uint8_t*>(memory.data());
  auto* message = reinterpret_cast<nlmsghdr*>(bytes);
  message->nlmsg_len = static_cast<__u32>(size);
  std::memcpy(bytes + sizeof(nlmsghdr), input.data(), input.size());
  if (which == 0)
    (void)agent::read_link(*message);
  else if (which == 1)
    (void)agent::read_address(*message);
  else
    (void)agent::read(message);
}

}  // namespace faultline::fuzz
