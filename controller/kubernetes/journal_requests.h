// SPDX-License-Identifier: Apache-2.0
// How the journals of runs and of game days ask the API server. Pure, thread-safe.
#pragma once

#include <chrono>
#include <string>

#include "kube/client.h"

namespace faultline::controller {

// After a request that hangs there is time for another one within a lease.
inline kube::ClientSettings journal_settings() {
  kube::ClientSettings settings;
  settings.connect_timeout = std::chrono::milliseconds(2000);
  settings.request_timeout = std::chrono::milliseconds(4000);
  settings.tries = 1;
  return settings;
}

// No second try can help. An etcd that takes less than we expect says so with a 500.
inline bool is_refused_for_good(const kube::ApiError& error) {
  return error.status == 400 || error.status == 413 || error.status == 422 ||
         error.message.find("request is too large") != std::string::npos ||
         error.message.find("message larger than max") != std::string::npos;
}

}  // namespace faultline::controller
