// SPDX-License-Identifier: Apache-2.0
// When each group of an Alertmanager existed. Not thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "controller/observe/alertmanager.h"
#include "controller/observe/room.h"

namespace faultline::controller::observe {

// Keeps each group once, with the times at which it came and went.
class GroupTimes {
 public:
  explicit GroupTimes(std::size_t most, std::shared_ptr<Room> of_all = nullptr)
      : room_(most, std::move(of_all)) {}

  // `there`: all groups that exist at `at`, of which those that are `wanted` are kept. False: there
  // was no room for one of them.
  [[nodiscard]] bool look(const std::vector<AlertGroup>& there, UtcTime at,
                          const std::function<bool(const AlertGroup&)>& wanted);
  // Whether one that `is` it existed at this time.
  [[nodiscard]] bool any(UtcTime at, const std::function<bool(const AlertGroup&)>& is) const;

 private:
  struct Spell {
    UtcTime since;
    std::optional<UtcTime> gone;
  };
  struct Times {
    std::vector<Spell> spells;
    std::uint64_t seen = 0;  // the look that saw it last
    [[nodiscard]] bool there() const { return !spells.empty() && !spells.back().gone; }
  };
  std::map<AlertGroup, Times> groups_;
  std::uint64_t looks_ = 0;
  Room room_;
};

}  // namespace faultline::controller::observe
