// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace faultline::controller {

// Who leads, where there are several controllers.
struct Leadership {
  bool leads = true;
  std::uint64_t term = 0;       // grows with each change of leader; 0: there is no election
  std::string leader, address;  // of who leads, as far as known: a pod's name, 10.0.0.7:7878
};

}  // namespace faultline::controller
