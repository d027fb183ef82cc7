// SPDX-License-Identifier: Apache-2.0
// The monitoring of the shop: Debian's Prometheus, Alertmanager and blackbox exporter on loopback,
// with the rules of rules.yml. All of them are gone when this is destroyed. For the main thread
// only.
#pragma once

#include <string>
#include <vector>

#include "demo/shop.h"
#include "testbed/child.h"

namespace faultline::demo {

class Monitoring {
 public:
  // `rules`: the file of the rules. Returns when checkout was probed and the rules evaluated.
  // Throws Interrupted, and std::runtime_error with what the programs said.
  Monitoring(const Shop& shop, const std::string& rules);
  [[nodiscard]] const std::string& prometheus() const { return prometheus_; }  // its URL
  [[nodiscard]] const std::string& alertmanager() const { return alertmanager_; }

  // Whether the query, encoded for a URL, has a result now.
  [[nodiscard]] bool holds(const std::string& query) const;
  // When Prometheus itself has stored that the alert fired first after `from`; seconds since the
  // epoch, 0: it did not.
  [[nodiscard]] double first_fired(const std::string& alert, double from) const;

 private:
  void start(const std::string& name, const std::vector<std::string>& words);

  std::string folder_, prometheus_, alertmanager_;
  std::vector<testbed::Child> programs_;
};

}  // namespace faultline::demo
