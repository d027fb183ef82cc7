// SPDX-License-Identifier: Apache-2.0
// A controller whose state lies on a small file system of its own, an agent, both with the shim,
// and what can be done to them. Not thread-safe. Failures of the ground itself throw
// std::runtime_error.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/codec.h"
#include "tests/e2e/program.h"
#include "tests/kills/schedule.h"
#include "tests/kills/shim.h"

namespace faultline::kills {

class World {
 public:
  // `pods`: the pods file. `address`: where the controller listens, of loopback. Needs a mount
  // namespace that is ours alone.
  World(const test::Folder& folder, std::string pods, std::string address);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  // Starts what does not run, then waits until the controller sees the agent; throws after 30 s.
  void mend();
  void start_controller();
  void start_agent();
  test::Program& controller() { return *controller_; }
  test::Program& agent() { return *agent_; }
  ShimControl& shim(Victim victim) {
    return victim == Victim::kAgent ? *agent_shim_ : *controller_shim_;
  }
  // `faultline run` of an experiment in the background, with its report in `report`.
  test::Program command(const std::string& experiment, const std::string& report);
  // The process of ours with that name below `parent`: "fl-undo", "fl-delay". 0: none.
  static pid_t below(pid_t parent, const std::string& name);

  // How many descriptors of BPF programs and links it has.
  static std::size_t programs_held(pid_t pid);

  void fill_disk();
  void empty_disk();

  // Of the controller; an error when it does not answer.
  Result<std::vector<api::RunSummary>> runs();
  Result<api::RunRecord> record(const std::string& run);
  Result<api::Report> report(const std::string& run);
  Result<std::vector<api::NodeStatus>> nodes();
  // What the store itself says of itself (PRAGMA integrity_check): "ok". The controller may run.
  [[nodiscard]] std::string store_check() const;

 private:
  template <class T>
  Result<T> get(const std::string& target);
  test::Program start(std::vector<std::string> words, const std::string& name,
                      const std::string& shim);
  ShimControl* map(const std::string& name);

  const test::Folder& folder_;
  [[nodiscard]] std::string url() const { return "http://" + address_ + ":" + port_; }

  std::string pods_, address_, state_, port_, token_;
  ShimControl *agent_shim_, *controller_shim_;
  std::optional<test::Program> controller_, agent_;
  int count_ = 0;
};

}  // namespace faultline::kills
