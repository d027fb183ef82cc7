// SPDX-License-Identifier: Apache-2.0
// A stopwatch of its own: asks a URL again and again, each time on a new TCP connection, and keeps
// when each request began and how long it took. It knows nothing of Faultline, so its figures check
// Faultline's. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace faultline::demo {

using Steady = std::chrono::steady_clock;

struct Probe {
  Steady::time_point begin;
  std::chrono::nanoseconds took{};
  int status = 0;  // HTTP status; 0: no answer (refused, reset, none within 3 s)
  [[nodiscard]] Steady::time_point end() const { return begin + took; }
};

class Prober {
 public:
  // Starts a thread that enters the network namespace at `netns_path`, then asks
  // http://address:port/ every `interval` until destroyed. It does not wait for one answer before
  // it asks again, so a slow answer hides none. Throws std::runtime_error when the namespace
  // cannot be entered.
  Prober(const std::string& netns_path, const std::string& address, std::uint16_t port,
         std::chrono::milliseconds interval);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // Those that began in [from, to) and have ended, in the order of their end.
  [[nodiscard]] std::vector<Probe> between(Steady::time_point from, Steady::time_point to) const;

 private:
  void run();
  void keep(const Probe& probe);

  std::string request_;
  std::uint32_t address_ = 0;  // network byte order
  std::uint16_t port_;
  std::chrono::milliseconds interval_;
  mutable std::mutex mutex_;
  std::vector<Probe> probes_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// Of the answered ones; zero without any.
[[nodiscard]] std::chrono::nanoseconds median(const std::vector<Probe>& probes);
// The share that was not answered with status 200; zero without any.
[[nodiscard]] double failed_share(const std::vector<Probe>& probes);

}  // namespace faultline::demo
