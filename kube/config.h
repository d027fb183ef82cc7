// SPDX-License-Identifier: Apache-2.0
// Where the API server is and how to speak to it: from a pod's mounts or from kubeconfig files.
// Environment and file system roots are passed in. Thread-safe; the credentials in a Config are
// not.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kube/credentials.h"

namespace faultline::kube {

struct Config {
  std::string server;  // https://10.96.0.1:443
  std::string ns;      // namespace of those who give none: "default" unless configured
  std::string origin;  // for messages: "the pod's service account" or "context dev of /root/..."
  std::shared_ptr<Credentials> credentials;
};

struct InCluster {
  std::string host, port;  // KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT
  std::string directory = "/var/run/secrets/kubernetes.io/serviceaccount";
  std::string token_file;  // another one than token of `directory`: a token for an audience
};
// What a kubelet puts into a container's environment; for the main() of a program.
[[nodiscard]] InCluster from_environment();
// kNotFound: not in a cluster. token and ca.crt are read again whenever they change.
[[nodiscard]] Result<Config> in_cluster(const InCluster& from);

struct Kubeconfig {
  std::vector<std::string> files;  // merged as kubectl does: the first to say something wins
  std::string context;             // empty: current-context
  std::chrono::milliseconds exec_timeout{30'000};  // for credential plugins
};
// Errors name file and field. kNotFound: none of the files is there. kInvalid: also a field that
// Faultline refuses, with the reason. Checks everything that the chosen context needs, and nothing
// else; credential plugins are not run.
[[nodiscard]] Result<Config> load_kubeconfig(const Kubeconfig& from);

// What kubectl would read: the list in `variable` (the value of KUBECONFIG), or
// `home`/.kube/config.
[[nodiscard]] std::vector<std::string> kubeconfig_files(std::string_view variable,
                                                        std::string_view home);

}  // namespace faultline::kube
