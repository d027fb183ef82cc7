// SPDX-License-Identifier: Apache-2.0
#include "api/detail/instances.h"

FAULTLINE_CODEC_STRUCT(, MonitoringRecord)
FAULTLINE_CODEC_STRUCT(, DetectionReport)
FAULTLINE_CODEC_STRUCT(, SignalReport)

namespace faultline::api {
FAULTLINE_CODEC(MonitoringRecord)
}  // namespace faultline::api
