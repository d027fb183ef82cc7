// SPDX-License-Identifier: Apache-2.0
// payments of the game days: a service that does some work for each order, and writes the order
// down before it says that it is paid.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace faultline::demo {

// Listens on all addresses of its namespace and serves one order after the other, as a service with
// one worker does: `work` of CPU time, then a line in the file `ledger`. An order that could not be
// written down is answered with 500. Does not return, unless it cannot listen: 1.
int serve_orders(std::uint16_t port, std::chrono::microseconds work, const std::string& ledger);

}  // namespace faultline::demo
