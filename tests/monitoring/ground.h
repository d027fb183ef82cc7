// SPDX-License-Identifier: Apache-2.0
// Debian's Prometheus and Alertmanager on loopback, scraping an exporter of the test's own and
// telling its webhook. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "api/monitoring_record.h"
#include "tests/unit/http/loopback.h"

namespace faultline::controller::observe::test {

// A program that ends with this; its output is in a file of the folder.
class Program {
 public:
  Program(const std::vector<std::string>& command, const std::filesystem::path& log);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  void signal(int number) const;

 private:
  pid_t pid_ = -1;
};

class Ground {
 public:
  // `rules` and `alertmanager` are the texts of their files; in the latter HOOK is the address of
  // the webhook. `labels`: Prometheus' external ones, as YAML.
  Ground(const std::string& rules, std::string alertmanager, const std::string& labels = "{}");
  ~Ground();
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;

  // Waits until both answer and the exporter has been scraped; false: it took longer than 60 s.
  [[nodiscard]] bool ready() const;
  // The gauge `name` of the exporter, from the next scrape on.
  void set(const std::string& name, double value);
  // What the exporter says beside its gauges: called at each scrape, on the server's thread.
  void text(std::function<std::string()> more);
  // What arrived at the webhook since the last call, with the time it arrived.
  [[nodiscard]] std::vector<api::AlertNotification> notifications();
  // To Prometheus, e.g. SIGSTOP.
  void signal_prometheus(int number) const { prometheus_->signal(number); }
  // kill -9, and anew with what it has stored.
  void restart_prometheus();
  // The same of Alertmanager, in two steps.
  void kill_alertmanager() { alertmanager_.reset(); }
  void start_alertmanager();
  [[nodiscard]] std::string prometheus() const { return url(prometheus_port_); }
  [[nodiscard]] std::string alertmanager() const { return url(alertmanager_port_); }
  // For files of a test; gone with this.
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  // Runs amtool against the Alertmanager; whether it succeeded.
  [[nodiscard]] bool amtool(const std::string& arguments) const;

 private:
  [[nodiscard]] static std::string url(int port) {
    return "http://127.0.0.1:" + std::to_string(port);
  }
  std::filesystem::path folder_;
  std::mutex mutex_;  // the server has a thread of its own
  std::map<std::string, double> gauges_;
  std::function<std::string()> more_;
  std::vector<api::AlertNotification> arrived_;
  http::Loopback server_;
  int prometheus_port_ = 0, alertmanager_port_ = 0;
  std::unique_ptr<Program> alertmanager_, prometheus_;
};

}  // namespace faultline::controller::observe::test
