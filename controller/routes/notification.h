// SPDX-License-Identifier: Apache-2.0
// What Alertmanager posts to a webhook (version 4 of its payload). Pure and thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/monitoring_record.h"
#include "base/clock.h"
#include "base/result.h"
#include "controller/observe/labels.h"

namespace faultline::controller {

inline constexpr std::size_t kLongestNotification = 8 << 20;  // bytes of a body

struct Notification {
  std::string receiver;
  std::vector<api::AlertNotification> alerts;
  observe::NotTaken not_taken;  // alerts with labels that are too much
  // How many alerts Alertmanager itself left off, by the receiver's max_alerts.
  std::uint64_t left_off = 0;
  std::string alert;  // of all that belong to it, by groupLabels; empty: they may be of any
};

// `at`: when it arrived. Alerts without a name are left out. kInvalid: it is no such payload, with
// the field.
[[nodiscard]] Result<Notification> parse_notification(std::string_view body, UtcTime at);

}  // namespace faultline::controller
