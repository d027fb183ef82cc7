// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>

#include "kube/config.h"

namespace faultline::kube {

InCluster from_environment() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  return {.host = variable("KUBERNETES_SERVICE_HOST"), .port = variable("KUBERNETES_SERVICE_PORT")};
}

Result<Config> in_cluster(const InCluster& from) {
  if (from.host.empty() || from.port.empty())
    return fail(
        Errc::kNotFound,
        "not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  if (!std::all_of(from.port.begin(), from.port.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return fail(Errc::kInvalid, "KUBERNETES_SERVICE_PORT is no port: " + from.port);
  CredentialSources sources;
  sources.ca_file = from.directory + "/ca.crt";
  sources.token_file = from.token_file.empty() ? from.directory + "/token" : from.token_file;
  for (const std::string* file : {&sources.ca_file, &sources.token_file})
    if (auto text = read_file(*file); !text)
      return fail(text.error().with_context("the pod's service account"));
  Config config;
  const bool v6 = from.host.find(':') != from.host.npos;
  config.server = "https://" + (v6 ? "[" + from.host + "]" : from.host) + ":" + from.port;
  config.ns = "default";
  if (auto text = read_file(from.directory + "/namespace"); text && !text->empty()) {
    while (text->ends_with('\n')) text->pop_back();
    config.ns = *text;
  }
  config.origin = "the pod's service account";
  config.credentials = make_credentials(std::move(sources));
  return config;
}

}  // namespace faultline::kube
