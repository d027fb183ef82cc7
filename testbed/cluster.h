// SPDX-License-Identifier: Apache-2.0
// A controller and an agent as processes of their own, as on a real node.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "testbed/child.h"

namespace faultline::testbed {

class Cluster {
 public:
  // `programs`: the folder of the executables. State and logs go to `folder`, which must exist.
  // `options`: more of the controller's. Returns when the agent has joined and the controller knows
  // `pod`, one of the file. Throws std::runtime_error with what they said.
  Cluster(const std::string& programs, const std::string& folder, const std::string& pods_file,
          const std::string& pod, std::vector<std::string> options = {});
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  // SIGTERM to the agent, then to the controller; SIGKILL to one that does not end within 5 s.
  ~Cluster();

  [[nodiscard]] const std::string& url() const { return url_; }
  [[nodiscard]] std::string token_file() const { return folder_ + "/person.token"; }
  [[nodiscard]] pid_t agent_pid() const { return agent_->pid(); }
  // kill -9, and waits until the kernel has ended it.
  void kill_agent();
  // kill -9, and a new one on the same port with the same state. Returns when it listens.
  void restart_controller();

 private:
  void start_controller();
  [[nodiscard]] std::string log(const std::string& program) const;
  const std::string programs_, folder_;
  const std::vector<std::string> options_;
  int port_ = 0;  // 0: any that is free
  std::string url_;
  std::optional<Child> controller_, agent_;
};

}  // namespace faultline::testbed
