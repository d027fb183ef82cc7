// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/packet_flow.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "agent/effects/cut.h"
#include "agent/effects/flow_gaps.h"
#include "agent/effects/flow_node.h"
#include "agent/effects/flow_services.h"
#include "agent/effects/flow_table.h"
#include "agent/effects/past_hook.h"
#include "agent/effects/recent_sum.h"
#include "agent/effects/sweep.h"
#include "agent/kernel/counters.h"
#include "agent/kernel/passing.h"
#include "agent/kernel/skeleton.h"
#include "agent/kernel/tc.h"

namespace faultline::agent {
namespace {

fl_flow_counters sum_of(fl_flow_counters sum, const std::vector<fl_flow_counters>& cpus) {
  for (const fl_flow_counters& c : cpus) {
    for (const std::uint32_t d : {FL_FLOW_TO, FL_FLOW_FROM}) {
      sum.packets[d] += c.packets[d];
      sum.bytes[d] += c.bytes[d];
    }
    sum.resets += c.resets;
    sum.connections += c.connections;
    sum.no_service += c.no_service;
    sum.errors += c.errors;
    sum.active += c.active;
    sum.udp += c.udp;
    sum.to_pod_outside += c.to_pod_outside;
    sum.to_pod_inside += c.to_pod_inside;
    for (std::uint32_t gap = 0; gap < FL_GAPS; ++gap) sum.gaps[gap] += c.gaps[gap];
  }
  return sum;
}

// 4100 -> "4 100"
std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, " ");
  return text;
}

class PacketFlow final : public Collector {
 public:
  PacketFlow(std::shared_ptr<const PassingTable> passing, std::unique_ptr<FlowSeat> seat,
             Skeleton<packet_flow_bpf> skeleton, Pod pod, TcMeans means)
      : passing_(std::move(passing)),
        seat_(std::move(seat)),
        skeleton_(std::move(skeleton)),
        pod_(std::move(pod)),
        means_(means),
        cut_(shared().cut),
        past_hook_(pod_.interfaces),
        services_(shared().services) {}

  Result<> attach() {
    const packet_flow_bpf& object = *skeleton_;
    for (const PodInterface& interface : pod_.interfaces) {
      if (auto done = attach_inside(object, interface); !done)
        return fail(done.error().with_context(interface.name + " in the pod"));
      // Without a host-side device the pod's own is the only place there is.
      if (interface.host_index == IfIndex{}) {
        if (auto done = hang(links_, attach_tc(means_, bpf_program__fd(object.progs.fl_flow_out_to),
                                               interface.pod_index, TcHook::kEgress,
                                               pod_.netns_path, TcPlace::kBehindOurs));
            !done)
          return done;
        if (auto done =
                hang(links_, attach_tc(means_, bpf_program__fd(object.progs.fl_flow_out_from),
                                       interface.pod_index, TcHook::kIngress, pod_.netns_path,
                                       TcPlace::kFirst));
            !done)
          return done;
        continue;
      }
      if (auto done =
              hang(links_, attach_tc(means_, bpf_program__fd(object.progs.fl_flow_out_to),
                                     interface.host_index, TcHook::kIngress, TcPlace::kBehindOurs));
          !done)
        return fail(done.error().with_context(interface.host_name));
    }
    return attach_before_faults();
  }

  void take(std::vector<api::EffectSample>& samples, std::vector<api::Gap>& gaps) override {
    sweep(gaps);
    take_counters(services_.take(cut_.reads_second(), samples), samples, gaps);
    cut_.done();
  }
  void cut_at(KtimeNs at) override { cut_.at(at); }
  void cut_has_come() override { cut_.come(); }

  Result<> faults_changed() override {
    return is_before_faults() ? Result<>() : attach_before_faults();
  }

  // The map forgets whom it uses least, and may change while it is read: then an entry is seen
  // twice, or not at all this time. One call reads the whole map: it has thousands of entries.
  void add_peers(PeerAddresses& peers) override {
    std::vector<fl_flow_key> keys(FL_FLOW_CONNECTIONS);
    std::vector<fl_flow_connection> connections(keys.size());
    auto count = static_cast<__u32>(keys.size());
    __u32 next = 0;
    const int rc = bpf_map_lookup_batch(bpf_map__fd(skeleton_->maps.fl_flow_conns), nullptr, &next,
                                        keys.data(), connections.data(), &count, nullptr);
    if (rc != 0 && rc != -ENOENT) return;  // ENOENT: that was all of it
    for (__u32 i = 0; i < count; ++i)
      peers.insert(std::bit_cast<PeerAddresses::key_type>(keys[i].peer));
  }

  // After the hooks are there, so that no connection is missed. One that the hooks have seen to be
  // opened since stays as they saw it.
  Result<> enter_older() {
    const auto older = older_connections_in(pod_.netns_path);
    if (!older) return fail(older.error());
    for (const OlderConnection& connection : *older) {
      fl_flow_connection entry{};
      entry.side = static_cast<__u8>(connection.side);
      entry.flags = FL_FLOW_OLD;
      entry.service = FL_FLOW_NO_SERVICE;
      const int rc = bpf_map_update_elem(bpf_map__fd(skeleton_->maps.fl_flow_conns),
                                         &connection.key, &entry, BPF_NOEXIST);
      if (rc != 0 && rc != -EEXIST) return fail(from_libbpf(rc, "cannot enter a connection"));
      const std::uint16_t port = connection.key.pod_port;
      std::atomic_ref(shared().ports[connection.side][port >> 5]).fetch_or(1U << (port & 31));
    }
    std::atomic_ref(shared().ready).store(1);
    return {};
  }

 private:
  // What the programs share with us, mapped.
  [[nodiscard]] fl_flow_pod& shared() const { return skeleton_->bss->fl_flow_pod; }
  static Result<> hang(std::vector<Link>& links, Result<Link> link) {
    if (!link) return fail(link.error());
    links.push_back(std::move(*link));
    return {};
  }

  Result<> attach_inside(const packet_flow_bpf& object, const PodInterface& interface) {
    if (auto done = hang(links_, attach_tc(means_, bpf_program__fd(object.progs.fl_flow_in_to),
                                           interface.pod_index, TcHook::kEgress, pod_.netns_path));
        !done)
      return done;
    return hang(links_, attach_tc(means_, bpf_program__fd(object.progs.fl_flow_in_from),
                                  interface.pod_index, TcHook::kIngress, pod_.netns_path,
                                  TcPlace::kBehindOurs));
  }

  // The one that attach_before_faults() attached last, or attaches next.
  [[nodiscard]] const bpf_program* before_faults(bool second) const {
    return second ? skeleton_->progs.fl_flow_out_frm2 : skeleton_->progs.fl_flow_out_from;
  }
  // A fault takes its place behind it, where no program of others has come before it meanwhile, and
  // always but with clsact filters.
  [[nodiscard]] bool is_before_faults() const {
    const int program = bpf_program__fd(before_faults(!second_));
    return std::ranges::all_of(pod_.interfaces, [&](const PodInterface& interface) {
      return interface.host_index == IfIndex{} ||
             is_before_ours(program, interface.host_index, TcHook::kEgress);
    });
  }
  // Attaches anew at the head, then lets the old links go: seen twice is seen once, because a
  // segment counts only when its data is new.
  Result<> attach_before_faults() {
    const bpf_program* program = before_faults(second_);
    std::vector<Link> fresh;
    for (const PodInterface& interface : pod_.interfaces) {
      if (interface.host_index == IfIndex{}) continue;
      if (auto done = hang(fresh, attach_tc(means_, bpf_program__fd(program), interface.host_index,
                                            TcHook::kEgress, TcPlace::kFirst));
          !done)
        return fail(done.error().with_context(interface.host_name));
    }
    before_faults_ = std::move(fresh);
    second_ = !second_;
    return {};
  }

  // Ends what ended because nothing more came: in the kernel, where nothing can come in between.
  void sweep(std::vector<api::Gap>& gaps) {
    if (auto swept = run_sweep(bpf_program__fd(skeleton_->progs.fl_flow_sweep)); !swept)
      for (const char* metric : {"request.duration", "request.unanswered"})
        add_gap(gaps, metric, swept.error().message);
    std::atomic_ref(shared().window).fetch_add(1);
  }

  void take_counters(std::uint64_t requests, std::vector<api::EffectSample>& samples,
                     std::vector<api::Gap>& gaps) {
    const auto read = read_counters();
    if (!read) {
      for (const char* metric : {"net.packets", "net.bytes", "tcp.resets"})
        add_gap(gaps, metric, read.error().message);
      return;
    }
    const fl_flow_counters& now = *read;
    for (const auto& [index, name] : {std::pair{FL_FLOW_TO, "to"}, {FL_FLOW_FROM, "from"}}) {
      samples.push_back(counter_sample("net.packets", {{"direction", name}},
                                       now.packets[index] - last_.packets[index]));
      samples.push_back(counter_sample("net.bytes", {{"direction", name}},
                                       now.bytes[index] - last_.bytes[index]));
    }
    samples.push_back(counter_sample("tcp.resets", {}, now.resets - last_.resets));
    tell_lost(now, gaps);
    tell_unmeasured(now, requests, gaps);
    past_hook_.tell(now.to_pod_outside, now.to_pod_inside, gaps);
    last_ = now;
  }

  // Both banks; of the second what was read last where it is not a part of this reading.
  Result<fl_flow_counters> read_counters() {
    const int map = bpf_map__fd(skeleton_->maps.fl_flow_counters);
    const auto first = read_per_cpu<fl_flow_counters>(map, std::uint32_t{0});
    if (!first) return fail(first.error());
    if (cut_.reads_second()) {
      const auto second = read_per_cpu<fl_flow_counters>(map, std::uint32_t{1});
      if (!second) return fail(second.error());
      second_bank_ = sum_of({}, *second);
    }
    return sum_of(second_bank_, *first);
  }

  void tell_lost(const fl_flow_counters& now, std::vector<api::Gap>& gaps) {
    std::string reason;
    const std::uint64_t opened = now.connections - last_.connections;
    opened_lately_.add(opened);
    const std::chrono::nanoseconds longest(std::atomic_ref(shared().longest_wait_ns).load());
    if (now.no_service != last_.no_service)
      reason = std::to_string(now.no_service - last_.no_service) +
               " connections on ports beyond the first " + std::to_string(FL_FLOW_SERVICES);
    else if (now.errors != last_.errors)
      reason = std::to_string(now.errors - last_.errors) + " connections found no room";
    // A window is about a second. Who was forgotten in it had been silent while thousands came.
    else if (opened > FL_FLOW_CONNECTIONS / 2)
      reason = grouped(opened) + " new connections at once: requests on older ones may be missing";
    else if (may_have_forgotten(opened_lately_, FL_FLOW_CONNECTIONS, longest))
      reason =
          "requests wait for so long, and so many connections begin meanwhile, that those "
          "which waited longest may be missing: " +
          grouped(FL_FLOW_CONNECTIONS) + " are remembered";
    if (reason.empty()) return;
    add_gap(gaps, kOfRequests, reason);
  }

  // One gap a reason.
  void tell_unmeasured(const fl_flow_counters& now, std::uint64_t requests,
                       std::vector<api::Gap>& gaps) const {
    std::uint64_t missed_requests = 0;
    for (std::uint32_t gap = FL_GAP_FIRST_OF_REQUESTS; gap < FL_GAPS; ++gap)
      if (metrics_of(gap) == kOfRequests) missed_requests += now.gaps[gap] - last_.gaps[gap];
    for (std::uint32_t gap = 1; gap < FL_GAPS; ++gap) {
      const std::uint64_t missed = now.gaps[gap] - last_.gaps[gap];
      if (missed == 0) continue;
      const bool of_requests = gap >= FL_GAP_FIRST_OF_REQUESTS;
      const std::uint64_t of = std::max<std::uint64_t>(
          missed, of_requests ? requests + missed_requests : now.active - last_.active);
      add_gap(gaps, metrics_of(gap),
              grouped(missed) + " of " + grouped(of) +
                  (of_requests ? " requests: " : " connections: ") + words_of(gap));
      gaps.back().missed = missed;
      gaps.back().of = of;
    }
    // Most pods ask for names over UDP, which is no reason to doubt what they do over TCP.
    const std::uint64_t udp = now.udp - last_.udp;
    const std::uint64_t packets = now.packets[FL_FLOW_TO] - last_.packets[FL_FLOW_TO] +
                                  now.packets[FL_FLOW_FROM] - last_.packets[FL_FLOW_FROM];
    if (udp * 2 > packets)
      add_gap(gaps, kOfRequests,
              grouped(udp) + " of " + grouped(packets) +
                  " packets: UDP, whose requests are not told apart");
  }

  std::shared_ptr<const PassingTable> passing_;
  std::unique_ptr<FlowSeat> seat_;  // goes after the object
  Skeleton<packet_flow_bpf> skeleton_;
  Pod pod_;
  TcMeans means_;
  std::vector<Link> links_, before_faults_;
  bool second_ = false;  // the next to take the head is fl_flow_out_frm2
  CutSwitch cut_;
  PastHook past_hook_;
  fl_flow_counters last_{}, second_bank_{};
  RecentSum opened_lately_;
  FlowServices services_;
};

}  // namespace

Result<std::unique_ptr<Collector>> start_packet_flow(const Pod& pod,
                                                     const CollectContext& context) {
  const auto means = tc_means(context.features);
  if (!means) return fail(means.error());
  if (pod.interfaces.empty())
    return fail(Errc::kUnsupported, "the pod has no network interface of its own");
  std::unique_ptr<FlowSeat> seat;  // goes after the object
  auto skeleton = Skeleton<packet_flow_bpf>::open("packet_flow");
  if (!skeleton) return fail(skeleton.error());
  auto passing = PassingTable::of_process();
  if (!passing) return fail(passing.error());
  if (auto done = (*passing)->enter(**skeleton); !done) return fail(done.error());
  auto taken = FlowSeat::take(**skeleton);
  if (!taken) return fail(taken.error());
  seat = std::move(*taken);
  if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());
  (*skeleton)->bss->fl_flow_pod.window = 1;
  if (auto shown = seat->show(**skeleton); !shown) return fail(shown.error());
  auto flow = std::make_unique<PacketFlow>(std::move(*passing), std::move(seat),
                                           std::move(*skeleton), pod, *means);
  if (auto attached = flow->attach(); !attached) return fail(attached.error());
  if (auto entered = flow->enter_older(); !entered) return fail(entered.error());
  return flow;
}

extern const CollectorType kPacketFlow;
const CollectorType kPacketFlow{"packet_flow", &start_packet_flow};

}  // namespace faultline::agent
