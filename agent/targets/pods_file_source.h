// SPDX-License-Identifier: Apache-2.0
// Pods of a machine without Kubernetes: a YAML file that is read again when it changes.
#pragma once

#include <string>
#include <vector>

#include "agent/kernel/netlink.h"
#include "agent/targets/target_source.h"
#include "api/pods.h"

namespace faultline::agent {

// Every poll() also resolves each pod anew, which is how a restarted pod is seen. A file that
// became unreadable or wrong is an error of poll(), once for each of its versions; the pods that
// were known stay.
class PodsFileSource final : public TargetSource {
 public:
  // Reads and resolves once. `node` is written into each PodRef. Errors: kInvalid with file and
  // line, kNotFound; a pod that is not there is no error (missing()).
  static Result<PodsFileSource> open(std::string path, std::string node);

  [[nodiscard]] const std::vector<Pod>& pods() const override { return pods_; }
  [[nodiscard]] const std::vector<MissingPod>& missing() const override { return missing_; }
  Result<bool> poll() override;

 private:
  PodsFileSource(std::string path, std::string node, Netlink host)
      : path_(std::move(path)), node_(std::move(node)), host_(std::move(host)) {}
  Result<> read();
  bool resolve();

  std::string path_, node_, text_;
  Netlink host_;
  std::vector<api::PodEntry> entries_;
  std::vector<Pod> pods_;
  std::vector<MissingPod> missing_;
};

}  // namespace faultline::agent
