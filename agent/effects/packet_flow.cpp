// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/packet_flow.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>

#include "agent/effects/cut.h"
#include "agent/kernel/counters.h"
#include "agent/kernel/histogram_reader.h"
#include "agent/kernel/netns.h"
#include "agent/kernel/skeleton.h"
#include "agent/kernel/tc.h"
#include "packet_flow.skel.h"

namespace faultline::agent {
namespace {

template <class T>
T load(T& value) {
  return std::atomic_ref(value).load(std::memory_order_relaxed);
}

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
  }
  return sum;
}

api::EffectSample counter(std::string metric, std::map<std::string, std::string> labels,
                          std::uint64_t growth) {
  api::EffectSample sample;
  sample.metric = std::move(metric);
  sample.labels = std::move(labels);
  sample.value = static_cast<double>(growth);
  return sample;
}

void add_gap(std::vector<api::Gap>& gaps, std::string metric, std::string reason) {
  api::Gap gap;
  gap.metric = std::move(metric);
  gap.reason = std::move(reason);
  gaps.push_back(std::move(gap));
}

class PacketFlow final : public Collector {
 public:
  PacketFlow(Skeleton<packet_flow_bpf> skeleton, Pod pod, TcMeans means)
      : skeleton_(std::move(skeleton)),
        pod_(std::move(pod)),
        means_(means),
        cut_(skeleton_->bss->fl_cut) {}

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
                                       interface.pod_index, TcHook::kIngress, pod_.netns_path));
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
    take_counters(samples, gaps);
    const std::uint32_t used =
        std::min<std::uint32_t>(load(skeleton_->bss->fl_flow_used), FL_FLOW_SERVICES);
    for (std::uint32_t i = 0; i < used; ++i) take_service(i, samples);
    cut_.done();
  }
  void cut_at(KtimeNs at) override { cut_.at(at); }
  void cut_has_come() override { cut_.come(); }

  Result<> faults_changed() override { return attach_before_faults(); }

  void mark_servers(const std::vector<std::uint16_t>& ports) {
    for (const std::uint16_t port : ports)
      std::atomic_ref(skeleton_->bss->fl_flow_server[port >> 5]).fetch_or(1U << (port & 31));
  }

 private:
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

  // Attaches anew at the head, then lets the old links go: seen twice is seen once, because a
  // segment counts only when its data is new.
  Result<> attach_before_faults() {
    const bpf_program* program =
        second_ ? skeleton_->progs.fl_flow_out_frm2 : skeleton_->progs.fl_flow_out_from;
    std::vector<Link> fresh;
    for (const PodInterface& interface : pod_.interfaces) {
      if (interface.host_index == IfIndex{}) continue;
      if (auto done = hang(fresh, attach_tc(means_, bpf_program__fd(program), interface.host_index,
                                            TcHook::kEgress));
          !done)
        return fail(done.error().with_context(interface.host_name));
    }
    before_faults_ = std::move(fresh);
    second_ = !second_;
    return {};
  }

  void take_counters(std::vector<api::EffectSample>& samples, std::vector<api::Gap>& gaps) {
    const auto read = read_counters();
    if (!read) {
      for (const char* metric : {"net.packets", "net.bytes", "tcp.resets"})
        add_gap(gaps, metric, read.error().message);
      return;
    }
    const fl_flow_counters& now = *read;
    for (const auto& [index, name] : {std::pair{FL_FLOW_TO, "to"}, {FL_FLOW_FROM, "from"}}) {
      samples.push_back(
          counter("net.packets", {{"direction", name}}, now.packets[index] - last_.packets[index]));
      samples.push_back(
          counter("net.bytes", {{"direction", name}}, now.bytes[index] - last_.bytes[index]));
    }
    samples.push_back(counter("tcp.resets", {}, now.resets - last_.resets));
    tell_lost(now, gaps);
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

  void tell_lost(const fl_flow_counters& now, std::vector<api::Gap>& gaps) const {
    std::string reason;
    if (now.no_service != last_.no_service)
      reason = std::to_string(now.no_service - last_.no_service) +
               " requests on ports beyond the first " + std::to_string(FL_FLOW_SERVICES);
    else if (now.errors != last_.errors)
      reason = std::to_string(now.errors - last_.errors) + " requests: no room for the connection";
    // A window is about a second. Who was forgotten in it had been silent while thousands came.
    else if (now.connections - last_.connections > FL_FLOW_CONNECTIONS / 2)
      reason = std::to_string(now.connections - last_.connections) +
               " new connections at once: requests on older ones may be missing";
    if (reason.empty()) return;
    for (const char* metric : {"request.latency", "request.rate", "request.errors"})
      add_gap(gaps, metric, reason);
  }

  void take_service(std::uint32_t index, std::vector<api::EffectSample>& samples) {
    fl_flow_service& service = skeleton_->bss->fl_flow_services[index];
    Last& last = services_[index];
    if (service.port == 0) return;  // its number was taken by another CPU's entry
    const std::map<std::string, std::string> labels = {
        {"side", service.side == FL_FLOW_SERVER ? "server" : "client"},
        {"port", std::to_string(service.port)}};
    api::Histogram growth = last.latency[0].advance({service.latency[0]});
    last.unanswered_now[0] = load(service.unanswered[0]);
    if (cut_.reads_second()) {
      growth.merge(last.latency[1].advance({service.latency[1]}));
      last.unanswered_now[1] = load(service.unanswered[1]);
    }
    const auto answered = static_cast<double>(growth.count());
    samples.push_back(counter("request.rate", labels, growth.count()));
    if (answered > 0) {
      api::EffectSample latency;
      latency.metric = "request.latency";
      latency.labels = labels;
      latency.histogram = std::move(growth);
      samples.push_back(std::move(latency));
    }
    // Shrinks when a client that closed its half got its answer after all: then the next window
    // starts with less.
    const std::int64_t unanswered = last.unanswered_now[0] + last.unanswered_now[1];
    const std::int64_t failed = std::max<std::int64_t>(unanswered - last.unanswered, 0);
    if (failed == 0 && answered == 0) return;
    last.unanswered += failed;
    api::EffectSample errors;
    errors.metric = "request.errors";
    errors.labels = labels;
    errors.numerator = static_cast<double>(failed);
    errors.denominator = static_cast<double>(failed) + answered;
    samples.push_back(std::move(errors));
  }

  struct Last {
    std::array<HistogramGrowth, FL_BANKS> latency;
    std::array<std::int64_t, FL_BANKS> unanswered_now{};  // as read last
    std::int64_t unanswered = 0;                          // told
  };
  Skeleton<packet_flow_bpf> skeleton_;
  Pod pod_;
  TcMeans means_;
  std::vector<Link> links_, before_faults_;
  bool second_ = false;  // the next to take the head is fl_flow_out_frm2
  CutSwitch cut_;
  fl_flow_counters last_{}, second_bank_{};
  std::map<std::uint32_t, Last> services_;
};

Result<std::vector<std::uint16_t>> listening_in(const std::string& netns_path) {
  auto inside = ScopedNetns::enter(netns_path);
  if (!inside) return fail(inside.error());
  std::vector<std::uint16_t> ports;
  for (const char* path : {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"})
    if (std::ifstream in(path); in)
      for (const std::uint16_t port : listening_ports(in)) ports.push_back(port);
  return ports;
}

}  // namespace

// "  0: 0100007F:1F90 00000000:0000 0A ..." : the local port in hex, and the state; 0A is LISTEN.
std::vector<std::uint16_t> listening_ports(std::istream& proc_net_tcp) {
  std::vector<std::uint16_t> ports;
  std::string line;
  std::getline(proc_net_tcp, line);  // titles
  while (std::getline(proc_net_tcp, line)) {
    std::istringstream words(line);
    std::string number, local, remote, state;
    if (!(words >> number >> local >> remote >> state) || state != "0A") continue;
    const std::size_t colon = local.rfind(':');
    if (colon == std::string::npos) continue;
    ports.push_back(static_cast<std::uint16_t>(std::stoul(local.substr(colon + 1), nullptr, 16)));
  }
  return ports;
}

Result<std::unique_ptr<Collector>> start_packet_flow(const Pod& pod,
                                                     const CollectContext& context) {
  const auto means = tc_means(context.features);
  if (!means) return fail(means.error());
  if (pod.interfaces.empty())
    return fail(Errc::kUnsupported, "the pod has no network interface of its own");
  auto skeleton = Skeleton<packet_flow_bpf>::open("packet_flow");
  if (!skeleton) return fail(skeleton.error());
  if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());
  // Before the hooks, so that no connection of a server is taken for a client's.
  auto ports = listening_in(pod.netns_path);
  if (!ports) return fail(ports.error());
  auto flow = std::make_unique<PacketFlow>(std::move(*skeleton), pod, *means);
  flow->mark_servers(*ports);
  if (auto attached = flow->attach(); !attached) return fail(attached.error());
  return flow;
}

extern const CollectorType kPacketFlow;
const CollectorType kPacketFlow{"packet_flow", &start_packet_flow};

}  // namespace faultline::agent
