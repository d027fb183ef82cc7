// SPDX-License-Identifier: Apache-2.0
// Which instance of an alert does Alertmanager speak of? Internal to report/detections.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "report/alert_episodes.h"

namespace faultline::report {

// Alertmanager tells times to the millisecond, and a clock's offset is known to some.
inline constexpr double kSameStart = 1;  // seconds

// Prometheus adds its external labels on the way, and relabelling may take others away or change
// them: what has all labels of an instance is of that one, and of no other. Else the same start
// tells, if it is that of one instance alone and no label speaks against it; if not, it is not
// known of which it is. Thread-safe when const; `instances` must outlive it.
class AlertOwners {
 public:
  explicit AlertOwners(const std::vector<Instance>& instances);

  enum class Match { no, yes, perhaps };
  // `told`: an api::AlertNotification or api::AlertHeld.
  template <class T>
  [[nodiscard]] Match match(const T& told, const Instance& instance, const Episode& episode) const {
    if (told.alert != instance.alert) return Match::no;
    return match(told.labels, told.startsAt, instance, episode);
  }

 private:
  struct OfAlert {
    // By the names of their labels, then by the labels: one look for each set of names, however
    // many instances there are.
    std::map<std::set<std::string>, std::map<AlertLabels, std::vector<const Instance*>>> by_names;
    bool all = true;  // false: there are more sets of names than are looked through
    std::multimap<api::Timestamp, const Instance*> firing;
  };
  static constexpr std::size_t kMostNameSets = 8;  // of one rule: one, or two after `or`

  [[nodiscard]] Match match(const AlertLabels& told, const api::Timestamp& starts_at,
                            const Instance& instance, const Episode& episode) const;
  std::map<std::string, OfAlert> alerts_;
};

}  // namespace faultline::report
