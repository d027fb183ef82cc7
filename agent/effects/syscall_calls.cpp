// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/syscall_calls.h"

#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <utility>

#include "agent/effects/calls_node.h"
#include "agent/effects/cut.h"
#include "agent/kernel/histogram_reader.h"
#include "agent/kernel/kernel_btf.h"
#include "api/values.h"

namespace faultline::agent {
namespace {

template <class T>
T load(T& shared) {
  return std::atomic_ref<T>(shared).load(std::memory_order_relaxed);
}

using CallsSeat = Seat<CallsNode>;

class SyscallCalls final : public Collector {
 public:
  SyscallCalls(std::unique_ptr<CallsSeat> seat, std::vector<WatchedCall> calls, Fd map,
               MappedArray<fl_call_effect> effects)
      : seat_(std::move(seat)),
        calls_(std::move(calls)),
        map_(std::move(map)),
        effects_(std::move(effects)),
        before_(calls_.size()),
        cut_(seat_->slot().cut) {}
  SyscallCalls(const SyscallCalls&) = delete;
  SyscallCalls& operator=(const SyscallCalls&) = delete;
  ~SyscallCalls() override {
    if (auto left = seat_->leave(); !left) spdlog::warn("{}", left.error().message);
    // The slot may be another pod's afterwards, which must not count into this map.
    if (auto done = seat_->node().count_no_more(seat_->slot_number()); !done) {
      spdlog::warn("{}", done.error().message);
      seat_->spoil();
    }
  }

  Result<> begin(const Pod& pod) {
    fl_call_watch& watch = seat_->slot();
    watch.effects = seat_->slot_number();
    std::memset(watch.index_of, FL_CALL_NONE, sizeof watch.index_of);
    for (std::size_t i = 0; i < calls_.size(); ++i)
      watch.index_of[syscall_number(*calls_[i].call)] = static_cast<std::uint8_t>(i);
    if (auto given = seat_->node().count_into(watch.effects, map_.get()); !given) return given;
    watch.since_ns = SystemClock().ktime().ns;
    return seat_->show(pod.cgroup, pod.cgroup_path);
  }

  // One that makes the call wait must come after ours.
  Result<> faults_changed() override { return seat_->node().run_first(calls_); }

  void take(std::vector<api::EffectSample>& samples, std::vector<api::Gap>& gaps) override {
    for (std::size_t i = 0; i < calls_.size(); ++i) take_call(i, samples);
    tell_lost(load(seat_->slot().missed), missed_, "calls whose beginning was not seen: ", gaps);
    tell_lost(seat_->missed(), recursion_,
              "calls that the kernel did not show, because it was within one already: ", gaps);
    cut_.done();
  }

  void cut_at(KtimeNs at) override { cut_.at(at); }
  void cut_has_come() override { cut_.come(); }

 private:
  struct Before {
    std::array<HistogramGrowth, FL_BANKS> latency;
    std::array<std::uint64_t, FL_CALL_ERRNOS> failed{}, failed_second{};
  };

  void take_call(std::size_t index, std::vector<api::EffectSample>& samples) {
    const std::string name(calls_[index].call->name);
    fl_call_effect& effect = effects_[FL_BANKS * index];
    fl_call_effect& second = effects_[FL_BANKS * index + 1];
    Before& before = before_[index];
    api::EffectSample latency;
    latency.metric = "syscall.latency";
    latency.labels = {{"call", name}};
    api::Histogram growth = before.latency[0].advance({effect.latency});
    if (cut_.reads_second()) growth.merge(before.latency[1].advance({second.latency}));
    api::EffectSample rate;
    rate.metric = "syscall.rate";
    rate.labels = latency.labels;
    rate.value = static_cast<double>(growth.count());
    samples.push_back(std::move(rate));
    if (growth.count() > 0) {
      latency.histogram = std::move(growth);
      samples.push_back(std::move(latency));
    }
    for (std::size_t e = 0; e < FL_CALL_ERRNOS; ++e) {
      if (cut_.reads_second()) before.failed_second[e] = load(second.failed[e]);
      const std::uint64_t now = load(effect.failed[e]) + before.failed_second[e];
      // Once it happened it is told in each window: 0 is news, too.
      if (now == 0) continue;
      api::EffectSample failures;
      failures.metric = "syscall.failures";
      failures.labels = {
          {"call", name},
          {"errno", e == 0 ? "other" : api::ErrnoName{static_cast<int>(e)}.format()}};
      failures.value = static_cast<double>(now - std::exchange(before.failed[e], now));
      samples.push_back(std::move(failures));
    }
  }

  static void tell_lost(std::uint64_t now, std::uint64_t& before, const char* reason,
                        std::vector<api::Gap>& gaps) {
    const std::uint64_t lost = now - std::exchange(before, now);
    if (lost == 0) return;
    for (const char* metric : {"syscall.latency", "syscall.rate", "syscall.failures"}) {
      api::Gap gap;
      gap.metric = metric;
      gap.reason = reason + std::to_string(lost);
      gaps.push_back(std::move(gap));
    }
  }

  std::unique_ptr<CallsSeat> seat_;
  std::vector<WatchedCall> calls_;
  Fd map_;
  MappedArray<fl_call_effect> effects_;
  std::vector<Before> before_;
  std::uint64_t missed_ = 0, recursion_ = 0;
  CutSwitch cut_;
};

Result<std::unique_ptr<Collector>> start(const Pod& pod, const CollectContext& context) {
  if (context.syscalls.empty()) return nullptr;
  if (!context.features.has(KernelFeature::kTrampoline))
    return fail(Errc::kUnsupported,
                "needs fentry and fexit: " + context.features.reason(KernelFeature::kTrampoline));
  const auto wanted = api::expand_syscalls(context.syscalls);
  if (!wanted) return fail(wanted.error());
  const auto btf = KernelBtf::load();
  if (!btf) return fail(btf.error());
  std::vector<WatchedCall> calls;
  for (const api::Syscall* call : *wanted)
    if (const int id = btf->function(syscall_function(*call));
        syscall_number(*call) >= 0 && id >= 0 && calls.size() < FL_CALLS)
      calls.push_back({call, id});
  if (calls.empty()) return fail(Errc::kUnsupported, "this kernel has none of the calls");

  auto seat = CallsSeat::take([&](CallsNode& node) { return node.join(calls); });
  if (!seat) return fail(seat.error());
  auto map = make_effects(calls.size());
  if (!map) return fail(map.error());
  auto effects = MappedArray<fl_call_effect>::map(map->get(), FL_BANKS * calls.size());
  if (!effects) return fail(effects.error());
  auto collector = std::make_unique<SyscallCalls>(std::move(*seat), std::move(calls),
                                                  std::move(*map), std::move(*effects));
  if (auto begun = collector->begin(pod); !begun) return fail(begun.error());
  return collector;
}

}  // namespace

const CollectorType kSyscallCalls{"syscall_calls", &start};

}  // namespace faultline::agent
