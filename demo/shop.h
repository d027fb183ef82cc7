// SPDX-License-Identifier: Apache-2.0
// The service that the demo breaks, on pods of this machine:
//
//   customers (wrk) -> checkout (nginx, proxy) -> payments (nginx)      catalog (nginx), a
//   neighbour
//
// All of it is gone when this is destroyed, or when the demo dies.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "demo/prober.h"
#include "testbed/test_pod.h"

namespace faultline::demo {

inline constexpr std::uint16_t kPort = 8080;

class Shop {
 public:
  // Returns when all of them answer. Throws std::runtime_error.
  Shop();
  [[nodiscard]] const std::string& pods_file() const { return pods_file_; }
  [[nodiscard]] const std::string& folder() const { return folder_.path(); }
  // Asks checkout as a customer does.
  [[nodiscard]] const Prober& checkout() const { return *checkout_prober_; }
  // Another one, to see more exactly when something happened.
  [[nodiscard]] std::unique_ptr<Prober> ask_checkout(std::chrono::milliseconds interval) const;
  // Asks catalog, which nothing is done to; this is also the traffic that catalog has.
  [[nodiscard]] const Prober& catalog() const { return *catalog_prober_; }

 private:
  void write_pods_file() const;
  void start_nginx(const testbed::TestPod& pod, const std::string& name,
                   const std::string& location);
  void start_customers();
  void wait_until_open();

  testbed::TestFolder folder_;
  testbed::TestNetwork network_;
  testbed::TestPod payments_, checkout_, customers_, catalog_;
  std::string pods_file_;
  std::vector<testbed::Child> programs_;
  std::unique_ptr<Prober> checkout_prober_, catalog_prober_;
};

}  // namespace faultline::demo
