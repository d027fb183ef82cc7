// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/tc.h"

#include "agent/kernel/clsact.h"
#include "agent/kernel/netns.h"

namespace faultline::agent {

Result<TcMeans> tc_means(const FeatureProbe& features) {
  if (features.has(KernelFeature::kTcx)) return TcMeans::kTcx;
  if (features.has(KernelFeature::kClsact)) return TcMeans::kClsact;
  return fail(Errc::kUnsupported, "needs tcx links: " + features.reason(KernelFeature::kTcx) +
                                      "; or clsact: " + features.reason(KernelFeature::kClsact));
}

const char* name(TcMeans means) { return means == TcMeans::kTcx ? "tcx" : "clsact"; }

Result<Link> attach_tc(TcMeans means, int program_fd, IfIndex device, TcHook hook, TcPlace place) {
  return means == TcMeans::kTcx ? attach_tcx(program_fd, device, hook, place)
                                : attach_clsact(program_fd, device, hook, place);
}

Result<Link> attach_tc(TcMeans means, int program_fd, IfIndex device, TcHook hook,
                       const std::string& netns_path, TcPlace place) {
  auto inside = ScopedNetns::enter(netns_path);
  if (!inside) return fail(inside.error());
  return attach_tc(means, program_fd, device, hook, place);
}

}  // namespace faultline::agent
