// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/tls_plain.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "agent/effects/cut.h"
#include "agent/effects/recent_sum.h"
#include "agent/effects/sweep.h"
#include "agent/effects/tls_gaps.h"
#include "agent/effects/tls_libraries.h"
#include "agent/kernel/cgroup2.h"
#include "agent/kernel/counters.h"
#include "agent/kernel/histogram_reader.h"
#include "agent/kernel/skeleton.h"
#include "agent/kernel/uprobe.h"
#include "tls_plain.skel.h"

namespace faultline::agent {
namespace {

constexpr std::size_t kMostLibraries = 16;  // of one pod
// Each file takes a grace period or more of the kernel, and other pods' faults wait meanwhile.
constexpr auto kFollowTime = std::chrono::milliseconds(50), kFirstFollowTime = kFollowTime * 8;

template <class T>
T load(T& value) {
  return std::atomic_ref(value).load(std::memory_order_relaxed);
}

// Of one side, what happened since the last reading.
struct Growth {
  api::Histogram latency, duration;
  std::uint64_t failed = 0, cut_off = 0, unanswered = 0, early = 0;
  std::array<std::uint64_t, 8> responses{};
};

// The reading of one side in one bank.
struct Last {
  HistogramGrowth latency, duration;
  std::uint64_t failed = 0, cut_off = 0, unanswered = 0, early = 0;
  std::array<std::uint64_t, 8> responses{};

  static std::uint64_t growth(__u64& counter, std::uint64_t& last) {
    const std::uint64_t now = load(counter);
    return now - std::exchange(last, now);
  }
  void add_growth(fl_plain_side& side, Growth& sum) {
    sum.latency.merge(latency.advance({side.latency}));
    sum.duration.merge(duration.advance({side.duration}));
    sum.failed += growth(side.failed, failed);
    sum.cut_off += growth(side.failed_unanswered, cut_off);
    sum.unanswered += growth(side.unanswered, unanswered);
    sum.early += growth(side.early, early);
    for (std::size_t status = 0; status < sum.responses.size(); ++status)
      sum.responses[status] += growth(side.responses[status], responses[status]);
  }
};

// What is not of a side, of one bank.
struct Losses {
  std::array<std::uint64_t, FL_PLAIN_GAPS> gaps{};
  std::uint64_t active = 0, began = 0, no_call = 0, no_room = 0;

  static Losses of(fl_plain_counts& counts) {
    Losses now;
    for (std::uint32_t gap = 0; gap < FL_PLAIN_GAPS; ++gap) now.gaps[gap] = load(counts.gaps[gap]);
    now.active = load(counts.active);
    now.began = load(counts.began);
    now.no_call = load(counts.no_call);
    now.no_room = load(counts.no_room);
    return now;
  }
  // Each of its numbers joined with that of `o`.
  template <class F>
  [[nodiscard]] Losses with(const Losses& o, F join) const {
    Losses out;
    for (std::uint32_t gap = 0; gap < FL_PLAIN_GAPS; ++gap)
      out.gaps[gap] = join(gaps[gap], o.gaps[gap]);
    out.active = join(active, o.active);
    out.began = join(began, o.began);
    out.no_call = join(no_call, o.no_call);
    out.no_room = join(no_room, o.no_room);
    return out;
  }
};

// The object, loaded, and what is attached.
class Probes {
 public:
  static Result<std::unique_ptr<Probes>> load_for(const Pod& pod) {
    const auto level = cgroup_level(pod.cgroup_path);
    if (!level) return fail(level.error());
    auto skeleton = Skeleton<tls_plain_bpf>::open("tls_plain");
    if (!skeleton) return fail(skeleton.error());
    (*skeleton)->rodata->fl_plain_config.cgroup = static_cast<std::uint64_t>(pod.cgroup);
    (*skeleton)->rodata->fl_plain_config.level = *level;
    (*skeleton)->bss->fl_plain_window = 1;
    const auto& programs = (*skeleton)->progs;
    if (uprobes_by_one_link())
      for (bpf_program* program : {programs.fl_plain_enter, programs.fl_plain_return,
                                   programs.fl_plain_begin, programs.fl_plain_end})
        bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(kUprobeMulti));
    if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());
    return std::make_unique<Probes>(std::move(*skeleton));
  }
  explicit Probes(Skeleton<tls_plain_bpf> skeleton)
      : skeleton_(std::move(skeleton)), cut_(skeleton_->bss->fl_cut) {}

  // All of a library's functions or none. What is tried counts, too: it may take as long.
  Result<> follow(TlsLibrary library) {
    ++tried_;
    struct Group {
      bpf_program* program;
      UprobeAt at;
      std::vector<std::pair<std::string_view, std::uint64_t>> functions;  // and cookies
    };
    const auto& programs = skeleton_->progs;
    // Calls last, and their returns before their beginnings: what is not seen from its beginning
    // shows as such.
    const std::array groups{
        Group{programs.fl_plain_begin,
              UprobeAt::kEntry,
              {{"SSL_set_accept_state", FL_PLAIN_SET_ACCEPT},
               {"SSL_set_connect_state", FL_PLAIN_SET_CONNECT},
               {"SSL_accept", FL_PLAIN_ACCEPT},
               {"SSL_connect", FL_PLAIN_CONNECT}}},
        Group{programs.fl_plain_end,
              UprobeAt::kEntry,
              {{"SSL_free", FL_PLAIN_FREE},
               {"SSL_sendfile", FL_PLAIN_PAST},
               {"SSL_read_early_data", FL_PLAIN_PAST},
               {"SSL_write_early_data", FL_PLAIN_PAST}}},
        Group{programs.fl_plain_return,
              UprobeAt::kReturn,
              {{"SSL_read", 0}, {"SSL_read_ex", 0}, {"SSL_write", 0}, {"SSL_write_ex", 0}}},
        Group{programs.fl_plain_enter,
              UprobeAt::kEntry,
              {{"SSL_read", FL_PLAIN_READ},
               {"SSL_read_ex", FL_PLAIN_READ_EX},
               {"SSL_write", FL_PLAIN_WRITE},
               {"SSL_write_ex", FL_PLAIN_WRITE_EX}}}};
    const std::string path = "/proc/self/fd/" + std::to_string(library.file.get());
    std::vector<Link> links;
    for (const Group& group : groups) {
      std::vector<UprobePlace> places;
      for (const auto& [name, cookie] : group.functions) {
        const auto function = library.functions.find(name);
        const auto is_there = [&](const UprobePlace& p) { return p.offset == function->second; };
        // Two names may be one function.
        if (function != library.functions.end() && std::ranges::none_of(places, is_there))
          places.push_back({function->second, cookie});
      }
      auto attached = attach_uprobes(bpf_program__fd(group.program), path, group.at, places,
                                     uprobes_by_one_link());
      if (!attached) return fail(attached.error());
      std::ranges::move(*attached, std::back_inserter(links));
    }
    followed_.push_back({std::move(library), std::move(links)});
    return {};
  }
  [[nodiscard]] std::size_t tried() const { return tried_; }
  // A file that is written over while it is followed has other functions at the old places, where
  // a program that starts now would break: lets go of those files, and returns their keys.
  std::vector<std::string> let_go_of_changed() {
    std::vector<std::string> keys;
    for (auto it = followed_.begin(); it != followed_.end();) {
      if (FileVersion::of(it->library.file.get()) == it->library.version) {
        ++it;
        continue;
      }
      keys.push_back(it->library.key);
      it = followed_.erase(it);
    }
    return keys;
  }
  CutSwitch& cut() { return cut_; }

  void take(std::vector<api::EffectSample>& samples, std::vector<api::Gap>& gaps) {
    sweep(gaps);
    std::uint64_t requests = 0;
    for (const std::uint32_t side : {FL_PLAIN_SERVER, FL_PLAIN_CLIENT})
      requests += take_side(side, samples);
    take_losses(requests, gaps);
    cut_.done();
  }

 private:
  // Ends what ended because nothing more came.
  void sweep(std::vector<api::Gap>& gaps) {
    if (auto swept = run_sweep(bpf_program__fd(skeleton_->progs.fl_plain_sweep)); !swept)
      for (const char* metric : {"tls.request.duration", "tls.request.unanswered"})
        add_gap(gaps, metric, swept.error().message);
    std::atomic_ref(skeleton_->bss->fl_plain_window).fetch_add(1);
  }

  // Returns how many requests came to an end.
  std::uint64_t take_side(std::uint32_t side, std::vector<api::EffectSample>& samples) {
    Growth sum;
    for (std::uint32_t bank = 0; bank < (cut_.reads_second() ? FL_BANKS : 1); ++bank)
      sides_[side][bank].add_growth(skeleton_->bss->fl_plain_counts[bank].sides[side], sum);
    const std::uint64_t answered = sum.latency.count() + sum.early;
    const std::uint64_t ended = answered + sum.cut_off;
    seen_[side] = seen_[side] || ended + sum.unanswered > 0;
    if (!seen_[side]) return 0;
    const auto add = [&](const char* metric) -> api::EffectSample& {
      api::EffectSample sample;
      sample.metric = metric;
      sample.labels = {{"side", side == FL_PLAIN_SERVER ? "server" : "client"}};
      samples.push_back(std::move(sample));
      return samples.back();
    };
    add("tls.request.rate").value = static_cast<double>(answered);
    add("tls.request.unanswered").value = static_cast<double>(sum.unanswered);
    if (sum.latency.count() > 0) add("tls.request.latency").histogram = std::move(sum.latency);
    if (sum.duration.count() > 0) add("tls.request.duration").histogram = std::move(sum.duration);
    for (std::size_t status = 2; status < sum.responses.size(); ++status) {
      const auto ever = [&](const Last& last) { return last.responses[status] != 0; };
      if (std::ranges::none_of(sides_[side], ever)) continue;
      api::EffectSample& one = add("tls.request.responses");
      one.labels["class"] = std::to_string(status) + "xx";
      one.value = static_cast<double>(sum.responses[status]);
    }
    if (ended == 0) return 0;
    api::EffectSample& errors = add("tls.request.errors");
    errors.numerator = static_cast<double>(sum.failed);
    errors.denominator = static_cast<double>(ended);
    return ended;
  }

  void take_losses(std::uint64_t requests, std::vector<api::Gap>& gaps) {
    auto& banks = skeleton_->bss->fl_plain_counts;
    if (cut_.reads_second()) second_bank_ = Losses::of(banks[1]);
    const Losses now = Losses::of(banks[0]).with(second_bank_, std::plus());
    const Losses growth = now.with(std::exchange(last_, now), std::minus());
    std::uint64_t missed_requests = 0;
    for (std::uint32_t gap = FL_PLAIN_GAP_FIRST_OF_REQUESTS; gap < FL_PLAIN_GAPS; ++gap)
      if (metrics_of_tls(gap) == kOfTlsRequests) missed_requests += growth.gaps[gap];
    for (std::uint32_t gap = 1; gap < FL_PLAIN_GAPS; ++gap) {
      const std::uint64_t missed = growth.gaps[gap];
      if (missed == 0) continue;
      const bool of_requests = gap >= FL_PLAIN_GAP_FIRST_OF_REQUESTS;
      const std::uint64_t of =
          std::max(missed, of_requests ? requests + missed_requests : growth.active);
      add_gap(gaps, metrics_of_tls(gap),
              std::to_string(missed) + " of " + std::to_string(of) +
                  (of_requests ? " requests: " : " connections: ") + words_of_tls(gap));
      gaps.back().missed = missed;
      gaps.back().of = of;
    }
    const auto lost = [&](std::uint64_t number, const char* reason) {
      if (number > 0) add_gap(gaps, kOfTlsRequests, reason + std::to_string(number));
    };
    lost(growth.no_call, "calls of the TLS library whose beginning was not seen: ");
    lost(growth.no_room, "calls or connections of TLS that found no room: ");
    // Who was forgotten had been silent while so many came.
    began_lately_.add(growth.began);
    const std::chrono::nanoseconds longest(load(skeleton_->bss->fl_plain_longest_wait_ns));
    if (growth.began > FL_PLAIN_CONNECTIONS / 2)
      lost(growth.began, "new connections of TLS at once, so that older ones may be missing: ");
    else if (may_have_forgotten(began_lately_, FL_PLAIN_CONNECTIONS, longest))
      lost(FL_PLAIN_CONNECTIONS,
           "requests in TLS wait for so long, and so many connections begin meanwhile, that those "
           "which waited longest may be missing; remembered are ");
    std::uint64_t left_out = 0;
    for (const bpf_program* program :
         {skeleton_->progs.fl_plain_enter, skeleton_->progs.fl_plain_return,
          skeleton_->progs.fl_plain_begin, skeleton_->progs.fl_plain_end})
      left_out += recursion_misses(bpf_program__fd(program));
    lost(left_out - std::exchange(left_out_, left_out),
         "calls of the TLS library that the kernel did not show: ");
  }

  Skeleton<tls_plain_bpf> skeleton_;
  struct Followed {
    TlsLibrary library;
    std::vector<Link> links;
  };
  std::vector<Followed> followed_;
  std::size_t tried_ = 0;
  CutSwitch cut_;
  std::array<std::array<Last, FL_BANKS>, FL_PLAIN_SIDES> sides_;
  std::array<bool, FL_PLAIN_SIDES> seen_{};
  Losses last_, second_bank_;
  std::uint64_t left_out_ = 0;
  RecentSum began_lately_;
};

class TlsPlain final : public Collector {
 public:
  TlsPlain(const Pod& pod, const CollectContext& context)
      : pod_(pod),
        clock_(context.clock),
        features_(context.features),
        libraries_(context.clock, pod.cgroup_path) {}

  // Returns those that are followed from now on.
  std::vector<std::string> find_more(std::chrono::milliseconds most) {
    std::vector<std::string> followed;
    for (TlsLibrary& library : libraries_.look()) {
      if (tried() + waiting_.size() < kMostLibraries)
        waiting_.push_back(std::move(library));
      else
        libraries_.cannot_follow(library.key,
                                 "cannot be followed: the pod has more such files "
                                 "than are followed");
    }
    const SteadyTime late = clock_.steady() + most;
    do {
      if (waiting_.empty()) break;
      const std::string key = waiting_.front().key;
      const std::string words = waiting_.front().process + ": " + waiting_.front().name;
      const auto done = follow(std::move(waiting_.front()));
      waiting_.erase(waiting_.begin());
      if (done)
        followed.push_back(words);
      else
        libraries_.cannot_follow(key, "cannot be followed: " + done.error().message);
    } while (clock_.steady() < late);
    return followed;
  }

  void take(std::vector<api::EffectSample>& samples, std::vector<api::Gap>& gaps) override {
    if (probes_) {
      probes_->take(samples, gaps);
      for (const std::string& key : probes_->let_go_of_changed())
        libraries_.cannot_follow(key, "was written over while it was followed");
    }
    for (const std::string& found : find_more(kFollowTime))
      add_gap(gaps, kOfTlsRequests, found + " was found only now: what it did before is not known");
    for (const std::string& reason : libraries_.not_followed())
      add_gap(gaps, kOfTlsRequests, reason);
    for (const TlsLibrary& library : waiting_)
      add_gap(gaps, kOfTlsRequests, library.process + ": " + library.name + " is not followed yet");
  }

  void cut_at(KtimeNs at) override {
    cut_at_ = at;
    if (probes_) probes_->cut().at(at);
  }
  void cut_has_come() override {
    cut_at_ = {};
    if (probes_) probes_->cut().come();
  }

 private:
  [[nodiscard]] std::size_t tried() const { return probes_ ? probes_->tried() : 0; }

  Result<> follow(TlsLibrary library) {
    if (!features_.has(KernelFeature::kUprobe))
      return fail(Errc::kUnsupported, features_.reason(KernelFeature::kUprobe));
    const SteadyTime begin = clock_.steady();
    if (!probes_) {
      auto loaded = Probes::load_for(pod_);
      if (!loaded) return fail(loaded.error());
      probes_ = std::move(*loaded);
      probes_->cut().at(cut_at_);
    }
    const std::string name = library.name;
    auto followed = probes_->follow(std::move(library));
    spdlog::debug("{}: {} took {:.1f} ms to be followed", pod_.ref.id(), name,
                  std::chrono::duration<double, std::milli>(clock_.steady() - begin).count());
    return followed;
  }

  Pod pod_;
  const Clock& clock_;
  const FeatureProbe& features_;
  TlsLibraries libraries_;
  std::vector<TlsLibrary> waiting_;  // to be followed
  std::unique_ptr<Probes> probes_;
  KtimeNs cut_at_{};
};

}  // namespace

Result<std::unique_ptr<Collector>> start_tls_plain(const Pod& pod, const CollectContext& context) {
  if (pod.cgroup_path.empty()) return fail(Errc::kInvalid, "the pod has no cgroup");
  auto collector = std::make_unique<TlsPlain>(pod, context);
  static_cast<void>(collector->find_more(kFirstFollowTime));
  return collector;
}

namespace {

class NotAllowed final : public Collector {
 public:
  void take(std::vector<api::EffectSample>&, std::vector<api::Gap>& gaps) override {
    add_gap(gaps, kOfTlsRequests,
            "this agent may not put probes on OpenSSL, which other pods would pay for: it was "
            "started without --tls-probes");
  }
};

Result<std::unique_ptr<Collector>> start_if_asked(const Pod& pod, const CollectContext& context) {
  switch (context.tls) {  // no default: a new kind must be thought about here
    case TlsProbes::kNotAskedFor:
      return nullptr;
    case TlsProbes::kForbidden:
      return std::make_unique<NotAllowed>();
    case TlsProbes::kAllowed:
      return start_tls_plain(pod, context);
  }
  return nullptr;
}

}  // namespace

extern const CollectorType kTlsPlain;
const CollectorType kTlsPlain{"tls_plain", &start_if_asked};

}  // namespace faultline::agent
