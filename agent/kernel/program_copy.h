// SPDX-License-Identifier: Apache-2.0
// A tracing program attaches to the one function it was loaded for: to have it on several, it is
// loaded several times, with the maps and globals of the first.
#pragma once

#include <string>

#include "agent/kernel/fd.h"
#include "base/result.h"

struct bpf_program;

namespace faultline::agent {

// Another of `loaded` (its object is loaded and outlives the copy) for the function with that BTF
// id. Errors: the errno's kind, with the verifier's last word.
Result<Fd> load_copy(const bpf_program* loaded, int function_id);

}  // namespace faultline::agent
