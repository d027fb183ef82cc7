// SPDX-License-Identifier: Apache-2.0
// What the end-to-end tests share: a pod, experiments, a controller with an agent, and looks at
// what they did by means that are not ours.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>
#include <optional>

#include "testbed/latency_probe.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"
#include "tests/e2e/program.h"

namespace faultline::test {

using namespace std::chrono_literals;

// Longer than a request that crosses an idle veth takes on a busy machine, far below any delay
// that the tests of endings ask for.
constexpr double kUntouchedMs = 60;

// Asks again and again, every 5 ms; whether it came true.
bool comes_true(const std::function<bool()>& what, std::chrono::milliseconds limit);

// Round trip of one echo request in ms; nothing when there is no answer within 400 ms.
std::optional<double> one_ping(const std::string& address);

// A controller and an agent as a person would start them, on loopback. Killed on destruction.
class Cluster {
 public:
  // `controller_options`: more of the controller's.
  Cluster(const Folder& folder, std::string pods, std::string temp,
          std::vector<std::string> controller_options = {});
  ~Cluster();
  // At first on any free port, again on the same with the same state folder.
  void start_controller();
  void start_agent();
  // Until the controller sees the agent with its pods.
  void wait_connected();
  [[nodiscard]] bool connected();
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + port_; }
  // The audit log of the controllers, one after the other.
  [[nodiscard]] std::string audit_log() const { return folder_.file("audit.log"); }
  Program& controller() { return *controller_; }
  Program& agent() { return *agent_; }
  // A command of faultline for this controller in the background.
  Program command(std::vector<std::string> words);
  // The document that the command prints with --output json; throws unless it succeeds.
  boost::json::value ask(const std::vector<std::string>& words);

 private:
  const Folder& folder_;
  std::string pods_, temp_, port_;
  std::vector<std::string> controller_options_;
  std::optional<Program> controller_, agent_;
  int count_ = 0;
};

struct Phases {
  std::string baseline = "0s", fault = "30s", recovery = "0s";
};

class EndToEnd : public testing::Test {
 protected:
  EndToEnd();
  // The file of an experiment with one fault ("networkLatency: {latency: 20ms}") on the pod.
  [[nodiscard]] std::string experiment(const std::string& name, const std::string& fault,
                                       const Phases& phases = {}) const;
  // `faultline run` with a controller and an agent of its own; the report goes to report_folder().
  Program run_privately(const std::string& experiment);
  [[nodiscard]] Cluster cluster();  // started and connected
  // report.json in the folder of report_folder().
  [[nodiscard]] boost::json::value report_json() const;
  [[nodiscard]] std::string report_folder() const { return folder_.file("report"); }
  [[nodiscard]] bool delayed(double at_least_ms) const;
  // Nothing in the kernel, no process and no folder is there that was not there before.
  void expect_nothing_left() const;

  testbed::ResidueCheck residue_;
  Folder folder_;
  std::string temp_ = folder_.file("tmp");
  testbed::TestNetwork net_;
  testbed::TestPod a_{net_, "a"};
  std::string pods_;
};

}  // namespace faultline::test
