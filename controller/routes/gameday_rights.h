// SPDX-License-Identifier: Apache-2.0
// What the cluster said of who may end which game day, for the moments in which it says nothing:
// who wants to end what injects must not wait for an API server that hangs. Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "http/server.h"

namespace faultline::controller {

class DayRights {
 public:
  // How long a yes is good while the cluster says nothing, and how long it may take to say
  // something before that counts.
  static constexpr std::chrono::minutes kProven{5};
  static constexpr std::chrono::seconds kPatience{1};
  // Of somebody who looks at a day the answer is asked for ahead, at most so often.
  static constexpr std::chrono::seconds kAhead{60};
  static constexpr std::size_t kMost = 1024;  // people and days

  // The person with everything that rights may hang on: user, uid, groups, extra; and the day.
  [[nodiscard]] static std::string key(const http::Identity& who, const std::string& day);

  // Whether it is to be asked ahead: nobody has asked for a while. Beyond kMost keys: no.
  [[nodiscard]] bool is_due(const std::string& key, SteadyTime now) const;
  void asked(const std::string& key, SteadyTime now);
  // What the cluster said. A no takes back what it said before; where it could not be asked, say
  // nothing here.
  void said(const std::string& key, bool may, SteadyTime now);
  [[nodiscard]] bool proven(const std::string& key, SteadyTime now) const;
  [[nodiscard]] std::size_t size() const { return known_.size(); }

 private:
  struct Known {
    SteadyTime asked;
    std::optional<SteadyTime> proven;
  };
  [[nodiscard]] static bool is_old(const Known& known, SteadyTime now);
  Known* of(const std::string& key, SteadyTime now);  // null: there is no room
  std::map<std::string, Known> known_;
};

}  // namespace faultline::controller
