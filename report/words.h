// SPDX-License-Identifier: Apache-2.0
// Parts of asked_words() that explain_words() uses too. Pure and thread-safe.
#pragma once

#include <string>
#include <vector>

#include "api/fault.h"

namespace faultline::report {

// "on what it sends", "on what it receives", "both directions".
[[nodiscard]] std::string direction_words(api::Direction direction);
// "port 8080", "tcp only", "peers in 10.0.0.0/8"; direction is left out.
[[nodiscard]] std::vector<std::string> filter_words(const api::NetworkFilter& filter);
[[nodiscard]] std::string length_words(double length);  // "8", "2.50"
[[nodiscard]] std::string megabits_words(const api::BitRate& rate);
[[nodiscard]] std::string operation_words(api::SocketOperation operation);

}  // namespace faultline::report
