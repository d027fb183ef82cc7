// SPDX-License-Identifier: Apache-2.0
// What routes about alerts need of a run's record, and of a request. Pure and thread-safe.
#pragma once

#include <string>

#include "api/run_record.h"
#include "base/result.h"
#include "http/server.h"

namespace faultline::controller {

// The value of a key of the query; `other` where it is not there.
[[nodiscard]] std::string query_or(const http::Request& request, const std::string& name,
                                   std::string other);

// t2 of a run: the kernel's own time of the first injected event. Not set: there was none.
[[nodiscard]] api::Timestamp first_injected(const api::RunRecord& record);

// The rule of an alert in a run's record, which must outlive it. kInvalid names the nearest, or all
// that there are.
[[nodiscard]] Result<const api::AlertRule*> rule_of(const api::RunRecord& record,
                                                    const std::string& alert);

}  // namespace faultline::controller
