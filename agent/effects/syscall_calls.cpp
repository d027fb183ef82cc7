// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/syscall_calls.h"

#include <array>
#include <atomic>
#include <cstring>
#include <utility>

#include "agent/effects/cut.h"
#include "agent/kernel/cgroup2.h"
#include "agent/kernel/counters.h"
#include "agent/kernel/histogram_reader.h"
#include "agent/kernel/kernel_btf.h"
#include "agent/kernel/link.h"
#include "agent/kernel/program_copy.h"
#include "agent/kernel/skeleton.h"
#include "agent/kernel/syscalls.h"
#include "api/values.h"
#include "syscall_calls.skel.h"

namespace faultline::agent {
namespace {

template <class T>
T load(T& shared) {
  return std::atomic_ref<T>(shared).load(std::memory_order_relaxed);
}

struct Watched {
  const api::Syscall* call;
  int function_id;
};

class SyscallCalls final : public Collector {
 public:
  SyscallCalls(Skeleton<syscall_calls_bpf> skeleton, std::vector<Watched> calls)
      : skeleton_(std::move(skeleton)),
        calls_(std::move(calls)),
        before_(calls_.size()),
        cut_(skeleton_->bss->fl_cut) {}

  Result<> attach() {
    const auto& programs = skeleton_->progs;
    for (const Watched& watched : calls_) {
      Call call;
      // Ends before beginnings: no beginning waits for an end that is not seen.
      for (const auto& [program, to] :
           {std::pair{programs.fl_call_out, &call.out}, {programs.fl_call_in, &call.in}}) {
        auto copy = load_copy(program, watched.function_id);
        if (!copy) return fail(copy.error().with_context(std::string(watched.call->name)));
        to->program = std::move(*copy);
        auto link = attach_tracing(to->program.get());
        if (!link) return fail(link.error().with_context(std::string(watched.call->name)));
        to->link = std::move(*link);
      }
      attached_.push_back(std::move(call));
    }
    return {};
  }

  // The programs on a function run newest first: one that makes the call wait must be behind ours.
  Result<> faults_changed() override {
    for (Call& call : attached_) {
      call.in.link.detach();
      auto link = attach_tracing(call.in.program.get());
      if (!link) return fail(link.error());
      call.in.link = std::move(*link);
    }
    return {};
  }

  void take(std::vector<api::EffectSample>& samples, std::vector<api::Gap>& gaps) override {
    for (std::size_t i = 0; i < calls_.size(); ++i) take_call(i, samples);
    tell_lost(load(skeleton_->bss->fl_call_full), full_,
              "no room to remember calls under way: ", gaps);
    tell_lost(load(skeleton_->bss->fl_call_missed), missed_,
              "calls whose beginning was not seen: ", gaps);
    tell_lost(recursion(), recursion_,
              "calls that the kernel did not show, because it was within one already: ", gaps);
    cut_.done();
  }

  void cut_at(KtimeNs at) override { cut_.at(at); }
  void cut_has_come() override { cut_.come(); }

 private:
  struct Attached {
    Fd program;
    Link link;
  };
  struct Call {
    Attached out, in;
  };
  struct Before {
    std::array<HistogramGrowth, FL_BANKS> latency;
    std::array<std::uint64_t, FL_CALL_ERRNOS> failed{}, failed_second{};
  };

  [[nodiscard]] std::uint64_t recursion() const {
    std::uint64_t sum = 0;
    for (const Call& call : attached_)
      sum += recursion_misses(call.in.program.get()) + recursion_misses(call.out.program.get());
    return sum;
  }

  void take_call(std::size_t index, std::vector<api::EffectSample>& samples) {
    const std::string name(calls_[index].call->name);
    fl_call_effect& effect = skeleton_->bss->fl_call_effects[0][index];
    fl_call_effect& second = skeleton_->bss->fl_call_effects[1][index];
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

  Skeleton<syscall_calls_bpf> skeleton_;
  std::vector<Watched> calls_;
  std::vector<Call> attached_;
  std::vector<Before> before_;
  std::uint64_t full_ = 0, missed_ = 0, recursion_ = 0;
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
  std::vector<Watched> calls;
  for (const api::Syscall* call : *wanted)
    if (const int id = btf->function(syscall_function(*call));
        syscall_number(*call) >= 0 && id >= 0 && calls.size() < FL_CALLS)
      calls.push_back({call, id});
  if (calls.empty()) return fail(Errc::kUnsupported, "this kernel has none of the calls");

  auto skeleton = Skeleton<syscall_calls_bpf>::open("syscall_calls");
  if (!skeleton) return fail(skeleton.error());
  syscall_calls_bpf& object = **skeleton;
  std::memset(const_cast<std::uint8_t*>(object.rodata->fl_index_of), FL_CALL_NONE, FL_CALL_NUMBERS);
  for (std::size_t i = 0; i < calls.size(); ++i)
    object.rodata->fl_index_of[syscall_number(*calls[i].call)] = static_cast<std::uint8_t>(i);
  const std::string first = syscall_function(*calls.front().call);
  for (bpf_program* program : {object.progs.fl_call_in, object.progs.fl_call_out})
    bpf_program__set_attach_target(program, 0, first.c_str());
  if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());
  if (auto put = put_cgroup(bpf_map__fd(object.maps.fl_pod), pod.cgroup_path); !put)
    return fail(put.error());
  auto collector = std::make_unique<SyscallCalls>(std::move(*skeleton), std::move(calls));
  if (auto attached = collector->attach(); !attached) return fail(attached.error());
  return collector;
}

}  // namespace

const CollectorType kSyscallCalls{"syscall_calls", &start};

}  // namespace faultline::agent
