// SPDX-License-Identifier: Apache-2.0
// A stopwatch of its own: asks a URL again and again with a new TCP connection each time and keeps when each request began
// and how long it took. It knows nothing of Faultline, so its figures check Faultline's. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace faultline::demo {

struct Probe {
  std::chrono::steady_clock::time_point begin;
  std::chrono::nanoseconds took{};
  int status = 0;  // HTTP status; 0: no answer (refused, reset, time-out of 2 s)
};

class Prober {
 public:
  // Starts a thread that first enters the network namespace at `netns_path`, then asks http://address:port/ every
  // `interval` until destroyed.
  Prober(std::string netns_path, std::string address, std::uint16_t port, std::chrono::milliseconds interval);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  [[nodiscard]] std::vector<Probe> since(std::chrono::steady_clock::time_point from) const;
  // Median of the answered probes that began in [from, to); zero without any.
  [[nodiscard]] std::chrono::nanoseconds median(std::chrono::steady_clock::time_point from,
                                                std::chrono::steady_clock::time_point to) const;

 private:
  void run(const std::string& netns_path, const std::string& address, std::uint16_t port,
           std::chrono::milliseconds interval);

  mutable std::mutex mutex_;
  std::vector<Probe> probes_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace faultline::demo
