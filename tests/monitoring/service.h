// SPDX-License-Identifier: Apache-2.0
// A service that is made up: it answers so many requests a second, each after the same time, and
// tells so in metrics as a real one does. What is true of it is known exactly.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <vector>

namespace faultline::controller::observe::test {

struct Behaviour {
  double rate = 100;      // requests a second
  double latency = 0.01;  // seconds, of each
  double failed = 0;      // the share that is answered with 500
  double cpu = 0.1;       // cores
  std::string silent{};   // the histogram that is not told any more
};

// Thread-safe.
class Service {
 public:
  struct Histogram {
    std::string name;           // without _bucket
    std::vector<double> edges;  // but for +Inf
    double factor = 1;          // of the true latency: what it measures
  };
  explicit Service(std::vector<Histogram> histograms);

  // From now on.
  void behave(Behaviour behaviour);
  // As an exporter tells it.
  [[nodiscard]] std::string text();

 private:
  struct Told {
    Histogram as;
    std::vector<double> counts;  // of each edge, not summed up
    double sum = 0, count = 0;
  };
  void advance();

  std::mutex mutex_;
  Behaviour now_;
  std::chrono::steady_clock::time_point until_ = std::chrono::steady_clock::now();
  std::vector<Told> histograms_;
  double answered_ = 0, failed_ = 0, cpu_ = 0;
};

}  // namespace faultline::controller::observe::test
