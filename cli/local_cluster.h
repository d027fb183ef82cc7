// SPDX-License-Identifier: Apache-2.0
// A controller and an agent of one's own, on loopback, for one run. Linux only; the process must
// have no other thread when start() is called. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/controller_api.h"
#include "cli/interrupt.h"
#include "cli/process.h"

namespace faultline::cli {

struct LocalClusterOptions {
  std::string programs;  // folder of faultline-controller and faultline-agent
  std::string pods;      // the pods file
  std::string temp;      // where the folder of the run is made, e.g. /tmp
  std::vector<std::string> controller_options;  // more of the controller's, e.g. --prometheus URL
};

class LocalCluster {
 public:
  // Starts both and waits until the agent has told the controller of its pods. Errors say which
  // program failed and what it said last. An interrupt ends the wait (kUnavailable).
  [[nodiscard]] static Result<std::unique_ptr<LocalCluster>> start(
      const LocalClusterOptions& options, const Interrupt& interrupt);
  // Ends the agent, then the controller, and removes the folder; waits until that is done.
  ~LocalCluster();
  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;

  [[nodiscard]] const ControllerApi& api() const { return *api_; }
  // The options by which another command reaches it while this one works.
  [[nodiscard]] std::string options_of_others() const {
    return "--controller http://127.0.0.1:" + port_ + " --token-file " + token_file();
  }
  // What the guardian has to say: an Error once a program has gone without being asked to.
  [[nodiscard]] Result<> check();

 private:
  LocalCluster() = default;
  [[nodiscard]] std::string token_file() const { return folder_ + "/person.token"; }
  Result<> launch(const LocalClusterOptions& options);
  Result<> wait_ready(const Interrupt& interrupt);
  // Reads status lines for at most `limit`.
  Result<> listen(std::chrono::milliseconds limit, const Interrupt* interrupt);
  Result<> on_line(const std::string& line);
  [[nodiscard]] Error gone(const std::string& program, const std::string& how) const;

  std::string folder_;
  std::string node_;
  pid_t guardian_ = -1;
  Fd control_;  // closing it ends all
  Fd status_;
  std::string unread_;
  std::string port_;
  bool agent_started_ = false;
  std::optional<ControllerApi> api_;
};

}  // namespace faultline::cli
