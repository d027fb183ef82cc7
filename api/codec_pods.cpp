// SPDX-License-Identifier: Apache-2.0
#include "api/detail/instances.h"

FAULTLINE_CODEC_STRUCT(, Selector)
FAULTLINE_CODEC_STRUCT(, PodRef)
FAULTLINE_CODEC_STRUCT(, NodeInfo)

namespace faultline::api {
FAULTLINE_CODEC(Selector)
FAULTLINE_CODEC(PodRef)
FAULTLINE_CODEC(std::vector<PodRef>)
FAULTLINE_CODEC(PodsFile)
FAULTLINE_CODEC(Feature)
FAULTLINE_CODEC(FaultSupport)
FAULTLINE_CODEC(NodeInfo)
FAULTLINE_CODEC(std::vector<NodeInfo>)
FAULTLINE_CODEC(NodeStatus)
FAULTLINE_CODEC(std::vector<NodeStatus>)
FAULTLINE_CODEC(RunPlan)
}  // namespace faultline::api
