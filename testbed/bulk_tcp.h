// SPDX-License-Identifier: Apache-2.0
// Much data over one connection between two pods, and what their kernel counted.
#pragma once

#include <cstddef>
#include <string>

#include "testbed/test_pod.h"

namespace faultline::testbed {

// Sends `bytes`, whole blocks of 256 KiB, to `address` of `to`, at port 7300; how many arrived
// right and in order. Throws when there is no listener.
std::size_t transfer(const TestPod& from, const TestPod& to, const std::string& address,
                     std::size_t bytes);

// Of /proc/net/snmp and netstat in the pod, e.g. RetransSegs. Throws when there is none of the
// name.
long tcp_counter(const TestPod& pod, const std::string& name);

}  // namespace faultline::testbed
