// SPDX-License-Identifier: Apache-2.0
#include "controller/monitoring_file.h"

namespace faultline::controller {

Result<std::optional<api::MonitoringConfig>> MonitoringFile::look() {
  auto text = text_.look();
  if (!text) return fail(std::move(text.error()));
  if (!*text) return std::optional<api::MonitoringConfig>();
  auto config = api::parse_monitoring(**text, text_.path());
  if (!config) return fail(std::move(config.error()));
  return std::optional(std::move(*config));
}

}  // namespace faultline::controller
