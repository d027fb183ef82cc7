// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace faultline::test {

/// Where the tree lies that the tests were built from, and its build folder: the only file that
/// knows is generated, so that a clone elsewhere finds everything else in the compiler cache.
std::filesystem::path source_dir();
std::filesystem::path build_dir();

}  // namespace faultline::test
