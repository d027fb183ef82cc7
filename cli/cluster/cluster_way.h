// SPDX-License-Identifier: Apache-2.0
// The way to the controller of a cluster with a person's own kubeconfig: its certificate authority
// and its leader are read from the API server, `kubectl port-forward` tunnels to the leader's pod,
// and through the tunnel goes TLS. Who the person is the controller learns from their client
// certificate or from a token for it alone; it never sees the one for the API server. Not
// thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/cluster/controller_token.h"
#include "cli/cluster/port_forward.h"
#include "cli/command.h"
#include "cli/way.h"
#include "kube/config.h"

namespace faultline::cli {

// The pod that holds the lease: what is before "_" of "<pod>_<address>". Empty: nobody, or no name
// of a pod. Pure.
[[nodiscard]] std::string pod_of_holder(std::string_view holder);

// What kubectl says when the pod that it should forward to is not (yet, or any more) there. Pure.
[[nodiscard]] bool pod_is_gone(std::string_view said);

struct ClusterWayOptions {
  kube::Config config;              // of the person
  std::string kubectl;              // path
  std::string kubeconfig, context;  // passed on to kubectl; empty: it finds its own
  std::string ns = "faultline";     // of the controller
  // For a leader to be there: a Lease is good for 15 s behind the death of its holder.
  std::chrono::milliseconds patience{20'000};
};

class ClusterWay final : public Way {
 public:
  // Nothing is connected yet.
  explicit ClusterWay(ClusterWayOptions options) : options_(std::move(options)) {}

  // Errors: kNotFound and kDenied in the API server's words, with what is needed; kDenied: there is
  // no token for the controller; kUnavailable.
  Result<http::ClientOptions> options() override;
  bool broken() override;
  bool elsewhere(const std::string& leader) override;
  [[nodiscard]] std::chrono::milliseconds patience() const override {
    return std::chrono::seconds(45);
  }
  // The namespace of the context.
  [[nodiscard]] const std::string& person_namespace() const { return options_.config.ns; }
  // Of the person, for what the API server itself is asked.
  [[nodiscard]] const kube::Config& config() const { return options_.config; }

 private:
  struct Known {
    std::string ca_pem, leader;  // no leader: nobody, or the person may not read the Lease
  };
  Result<Known> ask_cluster();
  Result<> connect();
  [[nodiscard]] std::vector<std::string> command(const std::string& target) const;

  ClusterWayOptions options_;
  std::unique_ptr<PortForward> forward_;
  std::string target_;    // "pod/NAME" of `forward_`
  std::string told_;      // the leader, by one who is not
  bool doubtful_ = true;  // whether `target_` leads
  std::string ca_pem_;
  ControllerToken token_;
};

// By --kubeconfig, --context, $KUBECONFIG and ~/.kube/config. Errors: of the kubeconfig; kNotFound:
// there is no kubectl.
[[nodiscard]] Result<std::shared_ptr<ClusterWay>> cluster_way(const Invocation& call,
                                                              const Console& console);

}  // namespace faultline::cli
