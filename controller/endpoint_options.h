// SPDX-License-Identifier: Apache-2.0
// How a source of the monitoring, or a destination of events, is reached: its configuration with
// what its files hold now. Thread-safe; reads files.
#pragma once

#include "api/monitoring_config.h"
#include "base/result.h"
#include "controller/observe/source.h"

namespace faultline::controller {

// Errors name the file, or the field. What a file holds is in none of them.
[[nodiscard]] Result<observe::SourceOptions> read_options(const api::MonitoringEndpoint& endpoint);
[[nodiscard]] Result<observe::SourceOptions> read_options(const api::EventDestination& destination);

}  // namespace faultline::controller
