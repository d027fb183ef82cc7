// SPDX-License-Identifier: Apache-2.0
// Programs on a device's packets: by a tcx link, or by a clsact filter where the kernel has none.
#pragma once

#include <string>

#include "agent/kernel/feature_probe.h"
#include "agent/kernel/link.h"

namespace faultline::agent {

enum class TcMeans { kTcx, kClsact };

// Errors: kUnsupported with both reasons.
Result<TcMeans> tc_means(const FeatureProbe& features);
// "tcx" or "clsact".
const char* name(TcMeans means);

// A program of type "tc" that lets packets pass by -1 (TCX_NEXT, TC_ACT_UNSPEC). In the calling
// thread's network namespace, and, with `netns_path`, in that one. Errors: kUnsupported, kNotFound
// for no such device, what the kernel said.
Result<Link> attach_tc(TcMeans means, int program_fd, IfIndex device, TcHook hook,
                       TcPlace place = TcPlace::kHead);
Result<Link> attach_tc(TcMeans means, int program_fd, IfIndex device, TcHook hook,
                       const std::string& netns_path, TcPlace place = TcPlace::kHead);

// The same at the ingress of a device of ours in `netlink`'s namespace, which is the calling
// thread's: one that goes with this process, and that is not up yet. The program is a filter and
// goes with the device, so the link is empty. A tcx link, for which the kernel waits for the
// programs that run, is for kernels without clsact.
Result<Link> attach_to_own(Netlink& netlink, TcMeans means, int program_fd, IfIndex device);

}  // namespace faultline::agent
