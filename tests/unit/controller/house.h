// SPDX-License-Identifier: Apache-2.0
// A whole controller on loopback, and a double of an agent that talks to it over real HTTP. The
// double injects nothing: it reports what an agent would report.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include "controller/routes/service.h"
#include "fixtures.h"
#include "http/client.h"
#include "http/token.h"

namespace faultline::controller::test {

struct HouseOptions {
  std::string store_path;
  std::uint16_t port = 0;
  RunTimes times = {.lease = milliseconds(700),
                    .answer = milliseconds(2000),
                    .early_recovery = milliseconds(200)};
  std::string audit_path;                   // empty: none
  Service::May may;                         // who may what; empty: everybody everything
  Service::FetchText config_maps, secrets;  // empty: none can be read
  // Gives it the journals that it goes on with; empty: it has only its store.
  std::function<void(boost::asio::any_io_executor, const Clock&, Service&)> journal;
  std::vector<api::EventDestination> events;             // who is told of runs
  std::string prometheus;                                // its URL; empty: there is none
  std::vector<api::MonitoringEndpoint> monitoring = {};  // sources beside it
  std::function<Leadership()> leadership = {};           // empty: it leads
};

// A Prometheus that has so long for an answer.
api::MonitoringEndpoint endpoint(const std::string& name, const std::string& url,
                                 std::chrono::nanoseconds timeout = seconds(1));

class House {
 public:
  explicit House(const HouseOptions& options);
  ~House();
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  // As on SIGTERM. How long it took.
  std::chrono::nanoseconds end();
  // As when the configuration is read again.
  void destinations(std::vector<api::EventDestination> events);
  void monitoring(std::vector<api::MonitoringEndpoint> sources);
  // As kill -9: nothing is ended, told or written.
  void kill();

  [[nodiscard]] std::uint16_t port() const { return port_; }
  // What is asked of the service goes through its loop.
  [[nodiscard]] Service& service() { return *service_; }
  boost::asio::io_context& loop() { return loop_; }
  [[nodiscard]] http::ClientOptions client(const std::string& token) const;
  http::ClientResponse call(const std::string& method, const std::string& target,
                            const std::string& body = "",
                            const std::string& token = "person-token") const;
  [[nodiscard]] boost::json::value get(const std::string& target) const;
  [[nodiscard]] api::RunRecord record(const std::string& run) const;
  // Waits until the run is in this state; the record then.
  api::RunRecord until(const std::string& run, api::RunState state,
                       std::chrono::nanoseconds limit = seconds(10)) const;

 private:
  boost::asio::awaitable<void> ending();

  SystemClock clock_;
  std::unique_ptr<AuditLog> audit_;
  boost::asio::io_context loop_{1};
  std::shared_ptr<Service> service_;
  std::unique_ptr<http::Server> server_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

// A double of faultline-agent: reports each step of each run as soon as it is told.
class AgentDouble {
 public:
  AgentDouble(http::ClientOptions client, std::string node, std::string instance = "a",
              bool blocks = false, const std::string& space = "shop");
  ~AgentDouble() { end(); }
  AgentDouble(const AgentDouble&) = delete;
  AgentDouble& operator=(const AgentDouble&) = delete;

  void end();
  // The moment it was first told this phase, or that the run is gone (nullopt).
  SteadyTime told_at(std::optional<api::RunPhase> phase) const;
  [[nodiscard]] int refused() const { return refused_; }

 private:
  struct Known {
    api::DesiredRun desired;
    UtcTime measured_until;
    bool measuring = false;
  };

  void run();

  void obey(const std::vector<api::DesiredRun>& wanted, SteadyTime now);

  void note(std::optional<api::RunPhase> phase, SteadyTime now);

  // All that matched was hit; 50 ms each.
  api::InjectionStatus status(const api::DesiredRun& desired);

  void report(const api::DesiredRun& desired, api::RunEventKind kind);

  void measure(Known& known);

  SystemClock clock_;
  http::ClientOptions client_;
  std::string node_, instance_;
  bool blocks_ = false;  // every fault
  std::vector<api::PodRef> pods_;
  std::map<std::string, Known> runs_;
  std::vector<api::NumberedBatch> waiting_;
  std::uint64_t number_ = 0;
  UtcTime armed_at_;
  mutable std::mutex mutex_;
  std::map<std::optional<api::RunPhase>, SteadyTime> told_;
  std::atomic<int> refused_ = 0;
  std::atomic<bool> ends_ = false;
  std::thread thread_;
};

}  // namespace faultline::controller::test
