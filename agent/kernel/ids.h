// SPDX-License-Identifier: Apache-2.0
// Strong types for what the kernel numbers.
#pragma once

#include <cstdint>

namespace faultline::agent {

// Inode of the cgroup2 directory, as bpf_get_current_cgroup_id() says.
enum class CgroupId : std::uint64_t {};
enum class NetnsId : std::uint64_t {};  // inode of the namespace file
enum class IfIndex : std::uint32_t {};  // within one network namespace; 0: none

[[nodiscard]] constexpr std::uint32_t number(IfIndex i) { return static_cast<std::uint32_t>(i); }
[[nodiscard]] constexpr std::uint64_t number(CgroupId i) { return static_cast<std::uint64_t>(i); }
[[nodiscard]] constexpr std::uint64_t number(NetnsId i) { return static_cast<std::uint64_t>(i); }

}  // namespace faultline::agent
