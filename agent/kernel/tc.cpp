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

Result<Link> attach_to_own(Netlink& netlink, TcMeans means, int program_fd, IfIndex device) {
  const TcFilter filter{.device = device, .hook = TcHook::kIngress, .pref = 1, .handle = 1};
  auto added = netlink.add_clsact(device);
  if (added) added = netlink.add_filter(filter, program_fd, "fl_own");
  if (added) return Link();
  if (means != TcMeans::kTcx) return fail(added.error());
  return attach_tcx(program_fd, device, TcHook::kIngress);
}

}  // namespace faultline::agent
