// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/syscalls/latency_plan.h"

#include <utility>

#include "agent/kernel/feature_tries.h"
#include "agent/kernel/kernel_btf.h"

namespace faultline::agent {
namespace {

// Why a call may not be delayed at a hook; empty: it may. With task work it goes on from there and
// waits when it has given every lock back.
std::string not_at_hook(LatencyWay way, const SecurityHook& hook, const KernelBtf* btf) {
  if (way == LatencyWay::kTaskWork) return {};
  const std::string name(hook.name);
  if (!hook.held.empty())
    return "at the security hook " + name + " the kernel holds " + std::string(hook.held) +
           ": others would wait as long";
  if (way == LatencyWay::kExit && !tries::sleepable_hook(btf->function("bpf_lsm_" + name)))
    return "a program at the security hook " + name + " may not sleep";
  return {};
}

}  // namespace

std::string call_words(LatencyWay way) {
  switch (way) {  // no default: a new way must be thought about here
    case LatencyWay::kTaskWork:
      return "fentry + task work";
    case LatencyWay::kExit:
      return "fentry + fexit.s";
    case LatencyWay::kSpin:
      return "spin by fentry";
  }
  return {};
}

std::string security_words(LatencyWay way) {
  switch (way) {  // no default: a new way must be thought about here
    case LatencyWay::kTaskWork:
      return "lsm + task work";
    case LatencyWay::kExit:
      return "lsm.s";
    case LatencyWay::kSpin:
      return "spin by lsm";
  }
  return {};
}

LatencyLadder waiting_ladder(const FeatureProbe& features) {
  LatencyLadder ladder{.way = LatencyWay::kTaskWork, .reasons = {}};
  RungReasons& reasons = ladder.reasons;
  reasons.cgroup = "a program there cannot wait";
  for (const KernelFeature needed :
       {KernelFeature::kReadKernel, KernelFeature::kTaskFromPid, KernelFeature::kFuse})
    if (reasons.system_call.empty()) reasons.system_call = features.reason(needed);
  reasons.security = reasons.system_call;
  if (!reasons.system_call.empty()) return ladder;
  if (features.has(KernelFeature::kTaskWork) && features.has(KernelFeature::kTrampoline)) {
    reasons.security = features.reason(KernelFeature::kLsm);
    return ladder;
  }
  ladder.way = LatencyWay::kExit;
  reasons.system_call = features.reason(KernelFeature::kSleepableSyscall);
  reasons.security = features.reason(KernelFeature::kSleepableLsm);
  return ladder;
}

LatencyLadder spinning_ladder(const FeatureProbe& features) {
  const auto reason = [&](KernelFeature needed) {
    const std::string read = features.reason(KernelFeature::kReadKernel);
    return read.empty() ? features.reason(needed) : read;
  };
  return {.way = LatencyWay::kSpin,
          .reasons = {.system_call = reason(KernelFeature::kTrampoline),
                      .security = reason(KernelFeature::kLsm),
                      .cgroup = "a program there cannot wait"}};
}

Result<LatencyPlan> plan_latency(const api::SyscallLatency& spec, const FeatureProbe& features) {
  const KernelBtf* btf = nullptr;
  const auto loaded = KernelBtf::load();
  if (loaded) btf = &*loaded;
  const auto attempt = [&](LatencyLadder&& ladder) -> Result<LatencyPlan> {
    ladder.reasons.hook = [way = ladder.way, btf](const SecurityHook& hook) {
      return not_at_hook(way, hook, btf);
    };
    auto calls = plan_calls(spec, ladder.reasons, btf);
    if (!calls) return fail(calls.error());
    return LatencyPlan{ladder.way, std::move(*calls)};
  };
  auto planned = attempt(waiting_ladder(features));
  if (planned || planned.error().code != Errc::kUnsupported) return planned;
  if (!spec.spin) {
    planned.error().message += "; `spin: true` would hold the CPU instead, for at most 1 ms";
    return planned;
  }
  if (spec.latency.value + spec.jitter.value > kLongestSpin) {
    planned.error().message += "; to spin it is too long: latency and jitter may be 1 ms together";
    return planned;
  }
  return attempt(spinning_ladder(features));
}

}  // namespace faultline::agent
