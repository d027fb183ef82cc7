// SPDX-License-Identifier: Apache-2.0
#include "api/detail/instances.h"

FAULTLINE_CODEC_STRUCT(, ExperimentSpec)
FAULTLINE_CODEC_STRUCT(, Experiment)

namespace faultline::api {
FAULTLINE_CODEC(Experiment)
}
