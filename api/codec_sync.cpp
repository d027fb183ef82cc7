// SPDX-License-Identifier: Apache-2.0
#include "api/detail/instances.h"

FAULTLINE_CODEC_STRUCT(, InjectionStatus)
FAULTLINE_CODEC_STRUCT(, EffectWindow)
FAULTLINE_CODEC_STRUCT(, RunPod)
FAULTLINE_CODEC_STRUCT(, Gap)
FAULTLINE_CODEC_STRUCT(, RunEvent)

namespace faultline::api {
FAULTLINE_CODEC(SyncRequest)
FAULTLINE_CODEC(SyncResponse)
FAULTLINE_CODEC(DesiredRun)
FAULTLINE_CODEC(RunBatch)
FAULTLINE_CODEC(NumberedBatch)
FAULTLINE_CODEC(RunEvent)
FAULTLINE_CODEC(Gap)
FAULTLINE_CODEC(InjectionStatus)
FAULTLINE_CODEC(std::vector<InjectionStatus>)
FAULTLINE_CODEC(EffectWindow)
FAULTLINE_CODEC(std::vector<EffectWindow>)
FAULTLINE_CODEC(RunPod)
FAULTLINE_CODEC(std::vector<RunPod>)
}  // namespace faultline::api
