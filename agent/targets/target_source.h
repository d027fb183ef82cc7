// SPDX-License-Identifier: Apache-2.0
// Where an agent's pods come from.
#pragma once

#include <string>
#include <vector>

#include "agent/targets/pod.h"
#include "base/result.h"

namespace faultline::agent {

// A pod that is wanted but not there: it is told, never dropped silently.
struct MissingPod {
  api::PodRef ref;
  std::string reason;     // one line: which path, and what the kernel said
  std::string container;  // only this one of it is not there; empty: the pod
  // It may come at any moment without anybody saying so; not set where somebody will (a pod that is
  // Pending) or nobody can (one that has completed).
  bool awaited = true;
  friend bool operator==(const MissingPod&, const MissingPod&) = default;
};

// Used from one thread, in the host's network namespace.
class TargetSource {
 public:
  virtual ~TargetSource() = default;
  // As of the last poll(), sorted by id.
  [[nodiscard]] virtual const std::vector<Pod>& pods() const = 0;
  [[nodiscard]] virtual const std::vector<MissingPod>& missing() const = 0;
  // Looks again: true when pods() or missing() changed. A pod or container that was restarted
  // behind the same name has new ids (Pod::same_place). Takes milliseconds; call it a few times a
  // second at most. Errors: the source itself cannot be read or is wrong; pods() stay as they were.
  virtual Result<bool> poll() = 0;
};

}  // namespace faultline::agent
