// SPDX-License-Identifier: Apache-2.0
// What Alertmanager posts to a webhook (version 4 of its payload). Pure and thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/monitoring_record.h"
#include "base/clock.h"
#include "base/result.h"

namespace faultline::controller {

inline constexpr std::size_t kLongestNotification = 8 << 20;  // bytes of a body

struct Notification {
  std::string receiver;
  std::vector<api::AlertNotification> alerts;
};

// `at`: when it arrived. Alerts without a name, and labels beyond a sensible length or number, are
// left out. kInvalid: it is no such payload, with the field.
[[nodiscard]] Result<Notification> parse_notification(std::string_view body, UtcTime at);

}  // namespace faultline::controller
