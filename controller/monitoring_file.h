// SPDX-License-Identifier: Apache-2.0
// Where the monitoring is, in a file that may change at any time (a mounted ConfigMap). Not
// thread-safe.
#pragma once

#include <optional>
#include <string>

#include "api/monitoring_config.h"
#include "base/result.h"
#include "controller/watched_text.h"

namespace faultline::controller {

class MonitoringFile {
 public:
  explicit MonitoringFile(std::string path) : text_(std::move(path), "the monitoring file") {}

  // As PolicyFile::look(): the configuration when it is another one than at the last call.
  Result<std::optional<api::MonitoringConfig>> look();
  [[nodiscard]] const std::string& path() const { return text_.path(); }

 private:
  WatchedText text_;
};

}  // namespace faultline::controller
