// SPDX-License-Identifier: Apache-2.0
// The objects of this kernel: BPF programs, maps and links by their ids, network devices of the
// agent's own namespace, and who holds them by what /proc/<pid>/fdinfo says; processes of ours
// inside pods, and whose children they are.
#pragma once

#include <filesystem>

#include "agent/link/residue.h"

namespace faultline::agent {

class LiveKernelObjects final : public KernelObjects {
 public:
  explicit LiveKernelObjects(std::filesystem::path proc = "/proc") : proc_(std::move(proc)) {}
  [[nodiscard]] ObjectSet named_ours() const override;
  [[nodiscard]] ObjectSet held_here() const override;
  [[nodiscard]] ObjectSet shared_here() const override;
  [[nodiscard]] ObjectSet shared_by_measured() const override;
  [[nodiscard]] ObjectSet held_elsewhere(const ObjectSet& wanted) const override;
  [[nodiscard]] std::optional<std::string> describe(const ObjectKey& object) const override;

 private:
  // What the descriptors of one process hold.
  void held_by(const std::filesystem::path& process, ObjectSet& held) const;
  std::filesystem::path proc_;
};

}  // namespace faultline::agent
