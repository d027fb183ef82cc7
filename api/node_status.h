// SPDX-License-Identifier: Apache-2.0
// A node as the controller knows it: one element of the answer to GET /api/v1/nodes.
#pragma once

#include <boost/describe.hpp>
#include <vector>

#include "api/selector.h"
#include "api/sync.h"
#include "api/values.h"

namespace faultline::api {

struct NodeStatus {
  NodeInfo info;
  std::vector<PodRef> pods;
  bool connected = false;  // a sync is held open or was answered within the lease
  Timestamp lastSeen;      // the controller's clock
};
BOOST_DESCRIBE_STRUCT(NodeStatus, (), (info, pods, connected, lastSeen))

}  // namespace faultline::api
