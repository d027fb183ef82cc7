// SPDX-License-Identifier: Apache-2.0
// The service that the demo breaks, on pods of this machine:
//
//   customers (wrk) -> checkout (nginx, proxy) -> payments (nginx)      catalog (nginx), a
//   neighbour
//
// For game days payments is a program that works for each order within a CPU limit and writes it
// down (demo/till.h), checkout gives up on it after half a second, and customers are fewer.
//
// All of it is gone when this is destroyed, or when the demo dies.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "demo/prober.h"
#include "testbed/cgroup_limits.h"
#include "testbed/test_pod.h"

namespace faultline::demo {

inline constexpr std::uint16_t kPort = 8080;

class Shop {
 public:
  enum class Kind { kQuick, kWorking };  // kWorking: for game days
  // Returns when all of them answer. Throws std::runtime_error.
  explicit Shop(Kind kind = Kind::kQuick);
  [[nodiscard]] const std::string& pods_file() const { return pods_file_; }
  [[nodiscard]] const std::string& folder() const { return folder_.path(); }
  // "10.1.2.3:8080", to be reached from this machine too.
  [[nodiscard]] std::string checkout_address() const;
  // Asks checkout as a customer does.
  [[nodiscard]] const Prober& checkout() const { return *checkout_prober_; }
  // Another one, to see more exactly when something happened.
  [[nodiscard]] std::unique_ptr<Prober> ask_checkout(std::chrono::milliseconds interval) const;
  // Asks catalog, which nothing is done to; this is also the traffic that catalog has.
  [[nodiscard]] const Prober& catalog() const { return *catalog_prober_; }
  // How long payments was kept from its CPUs by its limit: the kernel's own figure. Of a working
  // shop.
  [[nodiscard]] double payments_throttled_seconds() const { return limits_->throttled_seconds(); }

 private:
  void write_pods_file() const;
  void start_nginx(const testbed::TestPod& pod, const std::string& name,
                   const std::string& location);
  void start_till();
  void start_customers();
  void wait_until_open();

  testbed::TestFolder folder_;
  testbed::TestNetwork network_;
  testbed::TestPod payments_, checkout_, customers_, catalog_;
  const Kind kind_;
  std::optional<testbed::CgroupLimits> limits_;  // of payments
  std::string pods_file_;
  std::vector<testbed::Child> programs_;
  std::unique_ptr<Prober> checkout_prober_, catalog_prober_;
};

}  // namespace faultline::demo
