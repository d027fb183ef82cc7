// SPDX-License-Identifier: Apache-2.0
#include "api/detail/instances.h"

namespace faultline::api {
FAULTLINE_CODEC(Report)
FAULTLINE_CODEC(RunRecord)
FAULTLINE_CODEC(RunLogEntry)
FAULTLINE_CODEC(RunSummary)
FAULTLINE_CODEC(std::vector<RunSummary>)
FAULTLINE_CODEC(PhaseMark)
FAULTLINE_CODEC(std::vector<PhaseMark>)
FAULTLINE_CODEC(NodeRecord)
}  // namespace faultline::api
