// SPDX-License-Identifier: Apache-2.0
// A real etcd and a real kube-apiserver on loopback, without nodes, for tests of the API alone.
// Their ports, files and processes end with the object, and with this process.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace faultline::cluster {

// The folder of Kubernetes' programs that `scripts/cluster build` made; kUnsupported: there is
// none.
[[nodiscard]] Result<std::filesystem::path> kubernetes_programs();

class ControlPlane {
 public:
  struct Answer {
    int exit_code = -1;
    std::string text;  // standard output and error
  };

  ControlPlane() = default;
  ~ControlPlane();
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  // Until /readyz says ok, at most 180 s (it takes 5 on an idle machine).
  [[nodiscard]] Result<> start();
  // kubectl as the administrator, with `input` as its standard input.
  [[nodiscard]] Answer kubectl(const std::string& arguments, const std::string& input = "") const;

 private:
  [[nodiscard]] Result<> launch(const std::vector<std::string>& words, const std::string& log);

  std::filesystem::path programs_, folder_;
  std::string server_;
  std::vector<pid_t> children_;
};

}  // namespace faultline::cluster
