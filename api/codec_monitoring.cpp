// SPDX-License-Identifier: Apache-2.0
#include "api/alerts.h"
#include "api/detail/instances.h"
#include "api/tune.h"

FAULTLINE_CODEC_STRUCT(, MonitoringRecord)
FAULTLINE_CODEC_STRUCT(, DetectionReport)
FAULTLINE_CODEC_STRUCT(, SignalReport)

namespace faultline::api {
FAULTLINE_CODEC(MonitoringRecord)
FAULTLINE_CODEC(AlertList)
FAULTLINE_CODEC(RuleTestFiles)
FAULTLINE_CODEC(TuneReport)
}  // namespace faultline::api
