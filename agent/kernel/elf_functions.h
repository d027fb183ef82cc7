// SPDX-License-Identifier: Apache-2.0
// Where functions are in a file that a pod brought along. The file may be anything: every number in
// it is checked before it is used, and no more than a bound is read.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace faultline::agent {

using FunctionOffsets = std::map<std::string, std::uint64_t, std::less<>>;

// Offsets in the file of those of `names` that are functions with a body in it, by the symbols for
// dynamic linking and, where there are any, all others. Errors: kInvalid where the file is no ELF
// file of this machine's kind, or a broken one, or has more symbols than are read (64 MB).
Result<FunctionOffsets> functions_in(int fd, std::span<const std::string_view> names);

}  // namespace faultline::agent
