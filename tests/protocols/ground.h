// SPDX-License-Identifier: Apache-2.0
// Two pods, real servers in one and real clients in the other, and all collectors on both. Each
// test of this folder is one row of docs/what-is-measured.md.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/effects/effect.h"
#include "testbed/test_pod.h"
#include "tests/protocols/figures.h"

namespace faultline::test {

// All collectors that there are, on one pod. A thread takes a window each second, as the agent
// does.
class Measuring {
 public:
  Measuring(const agent::Pod& pod, const agent::CollectContext& context);
  Measuring(const Measuring&) = delete;
  Measuring& operator=(const Measuring&) = delete;
  ~Measuring();
  // Everything since the last call.
  [[nodiscard]] Seen take();
  void faults_changed();

 private:
  void take_window();  // holds mutex_
  std::mutex mutex_;
  std::vector<std::unique_ptr<agent::Collector>> collectors_;
  Seen seen_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class Ground {
 public:
  Ground() = default;
  [[nodiscard]] const testbed::TestPod& server() const { return server_; }
  [[nodiscard]] const testbed::TestPod& client() const { return client_; }
  [[nodiscard]] const std::string& folder() const { return folder_.path(); }
  [[nodiscard]] std::string file(const std::string& name) const { return folder() + "/" + name; }
  // Starts a server in its pod; returns when `port` accepts connections (0: at once).
  void serve(const std::vector<std::string>& words, std::uint16_t port);
  // A program of the client's pod, or of the server's: its output. Throws when it fails.
  [[nodiscard]] std::string ask(const std::vector<std::string>& words) const;
  [[nodiscard]] std::string at_server(const std::vector<std::string>& words) const;
  // A program of the client's pod that runs on; what it prints goes into `output`.
  [[nodiscard]] testbed::Child start_client(const std::vector<std::string>& words,
                                            const std::string& output) const;
  // A program of programs/ with Debian's python3.
  [[nodiscard]] static std::vector<std::string> python(const std::string& program,
                                                       const std::vector<std::string>& words);

 private:
  testbed::TestNetwork net_;
  testbed::TestPod server_{net_, "srv"}, client_{net_, "cli"};
  testbed::TestFolder folder_;
  std::vector<testbed::Child> children_;
};

// What the programs of programs/ print.
[[nodiscard]] Truth truth_of_json(const std::string& output);

struct Protocol {
  std::string name;  // of the row
  std::uint16_t port = 0;
  std::function<Truth()> ask;  // a client's run, of a few seconds
  // By the server's own count, from its begin on; checked against the client's. May be empty.
  std::function<double()> served = {};
  std::function<void()> before = {};  // called before the measurement begins
};

// A test suite per server: it is started once for the suite.
class Protocols : public testing::Test {
 protected:
  static void TearDownTestSuite() { ground_.reset(); }
  void SetUp() override;
  // Runs the protocol without and with 50 ms on the server, seen from both pods. What is wrong in
  // four runs, by another stopwatch each time, fails the test: a busy machine is wrong once. The
  // test is skipped, with that reason, when segments overtook each other in every run, on a path
  // without a fault too, so that a figure which the page calls right was a gap.
  void check(const Protocol& protocol);

  static Ground& ground() {
    if (ground_ == nullptr) ground_ = std::make_unique<Ground>();
    return *ground_;
  }
  static bool started() { return ground_ != nullptr; }
  Family family_ = Family::kPackets;  // whose figures check() judges

 private:
  Row run(const Protocol& protocol);
  static std::unique_ptr<Ground> ground_;
};

}  // namespace faultline::test
