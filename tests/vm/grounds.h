// SPDX-License-Identifier: Apache-2.0
// What the kernel tests said on each kernel ("ground"), and whether that is enough. All functions
// are thread-safe.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/sync.h"
#include "base/result.h"

namespace faultline::grounds {

struct Outcome {
  enum class Kind { kPassed, kFailed, kSkipped };
  Kind kind = Kind::kPassed;
  std::string reason;  // of a skip: what the test needs, without "needs: "; empty when not said
  std::string output;  // of a failure
};

struct Ground {
  std::string name;  // native, or the kernel's name of scripts/vm
  std::map<std::string, Outcome> tests;
  api::NodeInfo node;
  std::string chosen{};  // regular expression of the tests that it was to run; empty: all
  int exit = 0;          // of the guest; 123: its kernel complained. 0 natively.
};

// A test as ctest --output-junit writes it. Fails when the text is not XML of that form.
[[nodiscard]] Result<std::map<std::string, Outcome>> parse_junit(const std::string& text);

// `folder` as tests/vm/ground leaves it; its name is the ground's. Fails when a file is missing or
// not what it should be.
[[nodiscard]] Result<Ground> read_ground(const std::filesystem::path& folder);

// Why this is no proof, one sentence each; empty when it is: every ground has run every test that
// was chosen for it, none failed, each skip names what it needs, no test was skipped or left out
// everywhere, no kernel complained.
[[nodiscard]] std::vector<std::string> complaints(const std::vector<Ground>& grounds);

// Each skip with its reason, one line each, skips of one reason together.
[[nodiscard]] std::string skips(const std::vector<Ground>& grounds);

// docs/kernels.md.
[[nodiscard]] std::string page(const std::vector<Ground>& grounds);

}  // namespace faultline::grounds
