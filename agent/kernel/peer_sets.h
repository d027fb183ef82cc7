// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace faultline::agent {

// What the selectors of one filter stand for now: addresses as text, "10.0.0.2", "fd00::2". A set
// whose selector is not given counts for nothing.
struct PeerSets {
  std::vector<std::string> only;    // of `peer`
  std::vector<std::string> except;  // of `except.peer`
  friend bool operator==(const PeerSets&, const PeerSets&) = default;
};

}  // namespace faultline::agent
