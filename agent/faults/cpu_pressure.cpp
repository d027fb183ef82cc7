// SPDX-License-Identifier: Apache-2.0
#include "agent/faults/cpu_pressure.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <utility>
#include <vector>

#include "agent/faults/busy_workers/busy_workers.h"

namespace faultline::agent {
namespace {

constexpr double kMostWorkers = 1024;

std::uint64_t milliseconds(std::chrono::nanoseconds time) {
  return static_cast<std::uint64_t>(time.count()) / 1'000'000;
}

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

std::string cpus_text(double cpus) { return number_text(cpus) + (cpus == 1 ? " CPU" : " CPUs"); }

class ArmedPressure final : public ArmedFault {
 public:
  ArmedPressure(std::unique_ptr<BusyWorkers> workers, std::string mechanism)
      : workers_(std::move(workers)), mechanism_(std::move(mechanism)) {}

  void renew(KtimeNs deadline) override { workers_->renew(deadline); }
  Result<FaultCounters> read() const override {
    const WorkersUse use = workers_->read();
    FaultCounters counters;
    counters.matched = milliseconds(use.asked);
    counters.errors = use.not_started;
    counters.lost = std::min(milliseconds(use.dead), counters.matched);
    // What a worker used to start with is beyond what was asked.
    counters.injected = std::min(milliseconds(use.got), counters.matched - counters.lost);
    counters.stalled = milliseconds(use.halted);
    if (counters.injected > 0) {
      counters.first_injected = use.first;
      counters.last_injected = use.last;
    }
    return counters;
  }
  Result<> disarm() override { return workers_->end(); }
  std::string mechanism() const override { return mechanism_; }

 private:
  std::unique_ptr<BusyWorkers> workers_;
  std::string mechanism_;
};

// Where a process may be, in a pod whose own cgroup may hold none because it gives its controllers
// to those below it, as in Kubernetes: the cgroups of its containers, and not that of the sandbox,
// whose weight is the least there is.
std::vector<std::string> places_below(const Pod& pod) {
  std::vector<std::string> places;
  for (const Container& container : pod.containers)
    if (container.cgroup_path.starts_with(pod.cgroup_path + "/"))
      for (std::string& place : cgroups_with_processes(container.cgroup_path))
        places.push_back(std::move(place));
  return places.empty() ? cgroups_with_processes(pod.cgroup_path) : places;
}

Result<std::unique_ptr<BusyWorkers>> start_below(const Pod& pod, BusyWorkers::Plan plan,
                                                 const std::vector<CgroupMount>& mounts,
                                                 const Clock& clock) {
  plan.places.clear();
  for (const std::string& place : places_below(pod)) {
    auto dirs = controller_dirs(place, mounts);
    if (!dirs) return fail(dirs.error());
    plan.places.push_back(std::move(*dirs));
  }
  if (plan.places.empty())
    return fail(Errc::kUnsupported, "no cgroup of the pod holds a process: nothing runs in it");
  return BusyWorkers::start(std::move(plan), clock);
}

Result<std::unique_ptr<ArmedFault>> arm_pressure(const api::CpuPressure& spec, const Pod& pod,
                                                 const ArmContext& context) {
  const auto mounts = cgroup_mounts();
  if (!mounts) return fail(mounts.error());
  const auto dirs = controller_dirs(pod.cgroup_path, *mounts);
  if (!dirs) return fail(dirs.error());
  const auto plan =
      plan_pressure(spec, cpu_limit(*dirs), static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN)));
  if (!plan) return fail(plan.error());
  const BusyWorkers::Plan wanted{
      .cgroup = pod.cgroup_path, .places = {*dirs}, .count = plan->workers, .share = plan->share};
  auto workers = BusyWorkers::start(wanted, context.clock);
  const bool below = !workers && workers.error().sys_errno == EBUSY;
  if (below) workers = start_below(pod, wanted, *mounts, context.clock);
  if (!workers) return fail(workers.error());
  (*workers)->renew(context.deadline);
  std::string mechanism = std::string((*workers)->means()) + ": " + plan->words;
  if (below) mechanism += ", in its containers";
  return std::make_unique<ArmedPressure>(std::move(*workers), std::move(mechanism));
}

Result<std::unique_ptr<ArmedFault>> arm(const api::Fault& fault, const Pod& pod,
                                        const ArmContext& context) {
  const auto* spec = std::get_if<api::CpuPressure>(&fault.spec);
  if (spec == nullptr) return fail(Errc::kInternal, "cpuPressure was given another fault");
  if (pod.cgroup_path.empty()) return fail(Errc::kInvalid, "the pod has no cgroup");
  auto armed = arm_pressure(*spec, pod, context);
  if (!armed) return fail(armed.error().with_context("cpuPressure on " + pod.ref.id()));
  return armed;
}

api::FaultSupport support(const FeatureProbe& features) {
  api::FaultSupport answer{.fault = "cpuPressure"};
  answer.supported = features.has(KernelFeature::kCgroup2);
  if (!answer.supported)
    answer.reason = features.reason(KernelFeature::kCgroup2);
  else
    answer.mechanism = features.has(KernelFeature::kCloneIntoCgroup) ? "clone3" : "cgroup.procs";
  return answer;
}

}  // namespace

Result<PressurePlan> plan_pressure(const api::CpuPressure& spec,
                                   const std::optional<CpuLimit>& limit, double cpus) {
  PressurePlan plan;
  std::string of;
  if (!spec.percent) {
    plan.workers = static_cast<std::uint32_t>(spec.workers.value_or(1));
    plan.share = spec.load / 100;
  } else {
    const double total = *spec.percent / 100 * (limit ? limit->cpus : cpus);
    const double count = std::max(1.0, std::ceil(total / (spec.load / 100) - 1e-9));
    if (count > kMostWorkers)
      return fail(Errc::kUnsupported, number_text(*spec.percent) + " % of " +
                                          cpus_text(limit ? limit->cpus : cpus) +
                                          " would need more than 1024 workers");
    plan.workers = static_cast<std::uint32_t>(count);
    plan.share = total / count;
    of = " = " + number_text(*spec.percent) + " % of " +
         (limit ? std::string(limit->own ? "its limit" : "the limit above it") + " of " +
                      cpus_text(limit->cpus)
                : "the node's " + cpus_text(cpus));
  }
  plan.words = std::to_string(plan.workers) + (plan.workers == 1 ? " worker" : " workers") +
               " at " + number_text(plan.share * 100) + " % of a CPU" + of;
  return plan;
}

const FaultType kCpuPressure{"cpuPressure", support, arm, true};

}  // namespace faultline::agent
