// SPDX-License-Identifier: Apache-2.0
// The folder a controller keeps its state in: store.db, agent.token, person.token. Held with a lock
// as long as the object lives, so that two controllers never write one store.
#pragma once

#include <string>

#include "base/result.h"

namespace faultline::controller {

class StateDir {
 public:
  // Makes the folder (mode 0700) when it is not there. kConflict: another controller holds it.
  static Result<StateDir> open(const std::string& path);
  ~StateDir();
  StateDir(StateDir&& other) noexcept;
  StateDir& operator=(StateDir&&) = delete;

  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  StateDir(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}
  std::string path_;
  int lock_fd_ = -1;
};

// Writes a file so that it appears whole or not at all, mode 0644.
Result<> write_whole(const std::string& path, const std::string& text);

}  // namespace faultline::controller
