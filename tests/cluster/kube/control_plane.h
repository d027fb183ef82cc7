// SPDX-License-Identifier: Apache-2.0
// A real etcd and kube-apiserver on free ports of loopback, without nodes: Pods and Nodes are plain
// objects. Failures throw std::runtime_error. The binaries are those that scripts/cluster builds,
// or of the folder $FAULTLINE_KUBERNETES.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kube/config.h"
#include "testbed/program.h"
#include "tests/unit/kube/loop.h"

namespace faultline::kube {

class ControlPlane {
 public:
  // What keeps the tests from running; empty: nothing.
  static std::string missing();

  ControlPlane();  // makes keys and starts both
  ControlPlane(const ControlPlane&) = delete;
  ControlPlane& operator=(const ControlPlane&) = delete;

  // kill -9 and start again.
  void kill_api_server();
  void start_api_server();
  // Restarts it when it does not have this setting yet: without a watch cache every watch and list
  // goes to etcd.
  void watch_cache(bool on);
  void pause_api_server(bool on);  // SIGSTOP, SIGCONT

  // Runs it as the administrator; returns what it printed, without the last line break.
  std::string kubectl(std::vector<std::string> words) const;
  void create(const std::string& manifest) const;
  // Forgets all history up to now, for good.
  void compact_etcd() const;
  // HTTP status of a GET with this token, by curl.
  int status_with(const std::string& token, const std::string& target) const;

  [[nodiscard]] Config admin() const { return with_token("admintoken"); }
  [[nodiscard]] Config with_token(const std::string& token) const;
  [[nodiscard]] std::string kubeconfig() const { return folder_.path("kubeconfig"); }
  [[nodiscard]] std::string url() const;
  [[nodiscard]] std::string ca_file() const { return folder_.path("ca.crt"); }
  [[nodiscard]] const Folder& folder() const { return folder_; }

 private:
  void start_etcd();

  Folder folder_;
  std::uint16_t etcd_port_, peer_port_, api_port_;
  bool watch_cache_ = true;
  std::optional<testbed::Child> etcd_, api_;
};

// The one of this process, made at first use.
ControlPlane& control_plane();

}  // namespace faultline::kube
