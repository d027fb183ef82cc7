// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/tcp_socket.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <utility>

#include "agent/kernel/cgroup2.h"
#include "agent/kernel/kernel_fields.h"
#include "agent/kernel/program_grace.h"
#include "api/values.h"

namespace faultline::agent {
namespace {

namespace fs = std::filesystem;

// A connect() without a SYN by then was refused in the call: hook and SYN are microseconds apart.
constexpr std::uint64_t kRefusedNs = 500'000'000;

template <class T>
T load(T& shared) {
  return std::atomic_ref<T>(shared).load(std::memory_order_relaxed);
}
template <class T>
void store(T& shared, T value) {
  std::atomic_ref<T>(shared).store(value, std::memory_order_release);
}

// What bpf/effects/tcp_socket.bpf.c asks for, looked up once for all pods. Empty where that fails:
// then libbpf looks itself, each time.
std::string kernel_fields() {
  static const Result<KernelFields> fields = KernelFields::read(
      {{"sock", "sk_err"}, {"tcp_sock", "tcp_mstamp"}, {"tcp_sock", "first_tx_mstamp"}});
  return fields ? fields->path() : std::string();
}

fl_tcp_counts read_counts(fl_tcp_counts& shared) {
  fl_tcp_counts now{};
  now.attempts = load(shared.attempts);
  now.opened = load(shared.opened);
  now.retransmits = load(shared.retransmits);
  now.unsent = load(shared.unsent);
  now.table_full = load(shared.table_full);
  now.fresh_full = load(shared.fresh_full);
  now.flags_failed = load(shared.flags_failed);
  now.hist_failed = load(shared.hist_failed);
  now.abandoned = load(shared.abandoned);
  now.reset_unused = load(shared.reset_unused);
  now.rtt_late = load(shared.rtt_late);
  now.rtt_no_room = load(shared.rtt_no_room);
  for (std::uint32_t i = 0; i < FL_TCP_ERRNOS; ++i) now.failed[i] = load(shared.failed[i]);
  return now;
}

api::EffectSample counter(const char* metric, std::uint64_t growth) {
  api::EffectSample s;
  s.metric = metric;
  s.value = static_cast<double>(growth);
  return s;
}

void add_histogram(const char* metric, api::Histogram h, std::vector<api::EffectSample>& samples) {
  if (h.buckets.empty()) return;
  api::EffectSample s;
  s.metric = metric;
  s.histogram = std::move(h);
  samples.push_back(std::move(s));
}

void add_gap(const char* metric, std::string reason, std::vector<api::Gap>& gaps) {
  api::Gap g;
  g.metric = metric;
  g.reason = std::move(reason);
  gaps.push_back(std::move(g));
}

void add_old_gap(const std::string& reason, std::vector<api::Gap>& gaps) {
  for (const char* metric : {"tcp.rtt", "tcp.retransmits"})
    add_gap(metric, "connections from before: " + reason, gaps);
}

// Of the cgroup and those below it. One that vanishes meanwhile is left out.
std::set<CgroupId> cgroups_of(const std::string& path) {
  std::set<CgroupId> ids;
  if (const auto id = cgroup_id(path)) ids.insert(*id);
  std::error_code ec;
  for (fs::recursive_directory_iterator it(path, ec), end; !ec && it != end; it.increment(ec)) {
    std::error_code gone;
    if (!it->is_directory(gone)) continue;
    if (const auto id = cgroup_id(it->path())) ids.insert(*id);
  }
  return ids;
}

struct Unsent {
  std::uint64_t cookie;
  std::uint64_t asked_ns;
};

// Entries of fl_tcp_connects without a SYN that were asked before `before_ns`.
Result<std::vector<Unsent>> find_unsent(int map_fd, std::uint64_t before_ns) {
  constexpr std::uint32_t kBatch = 1024;
  std::vector<std::uint64_t> cookies(kBatch);
  std::vector<fl_tcp_connect> connects(kBatch);
  std::vector<Unsent> found;
  std::uint32_t position = 0;
  for (bool first = true;; first = false) {
    std::uint32_t count = kBatch;
    const int rc = bpf_map_lookup_batch(map_fd, first ? nullptr : &position, &position,
                                        cookies.data(), connects.data(), &count, nullptr);
    if (rc != 0 && rc != -ENOENT)
      return fail(from_libbpf(rc, "cannot read the connects in progress"));
    for (std::uint32_t i = 0; i < count; ++i)
      if (connects[i].syn_ns == 0 && connects[i].asked_ns < before_ns)
        found.push_back({cookies[i], connects[i].asked_ns});
    if (rc == -ENOENT) return found;  // the end
  }
}

}  // namespace

TcpSocketCollector::TcpSocketCollector(const Clock& clock, const Pod& pod,
                                       Skeleton<tcp_socket_bpf> skeleton)
    : clock_(clock),
      cgroup_path_(pod.cgroup_path),
      netns_path_(pod.netns_path),
      skeleton_(std::move(skeleton)),
      cut_(skeleton_->bss->fl_cut) {}

Result<std::unique_ptr<TcpSocketCollector>> TcpSocketCollector::start(
    const Pod& pod, const CollectContext& context) {
  if (pod.cgroup_path.empty()) return fail(Errc::kInvalid, "the pod has no cgroup");
  for (const KernelFeature f : {KernelFeature::kSockOps, KernelFeature::kCgroupConnect})
    if (!context.features.has(f)) return fail(Errc::kUnsupported, context.features.reason(f));
  auto skeleton = Skeleton<tcp_socket_bpf>::open("tcp_socket", kernel_fields());
  if (!skeleton) return fail(skeleton.error());
  (*skeleton)->bss->fl_tcp_starting = 1;
  if (auto loaded = skeleton->load(); !loaded) return fail(loaded.error());
  std::unique_ptr<TcpSocketCollector> collector(
      new TcpSocketCollector(context.clock, pod, std::move(*skeleton)));
  if (auto attached = collector->attach(); !attached) return fail(attached.error());
  return collector;
}

Result<> TcpSocketCollector::attach() {
  auto sockops = attach_cgroup(bpf_program__fd(skeleton_->progs.fl_tcp_ops), cgroup_path_,
                               BPF_CGROUP_SOCK_OPS);
  if (!sockops) return fail(sockops.error());
  sockops_ = std::move(*sockops);
  // After sockops: what is established from here on is either in the kernel's list or fresh, and
  // what is both is fresh.
  if (auto found = find_old_connections(); !found) old_unseen_ = found.error().message;
  auto hooks = attach_hooks();
  if (!hooks) return fail(hooks.error());
  hooks_ = std::move(*hooks);
  return {};
}

Result<TcpSocketCollector::Hooks> TcpSocketCollector::attach_hooks() {
  auto v4 = attach_cgroup(bpf_program__fd(skeleton_->progs.fl_tcp_conn4), cgroup_path_,
                          BPF_CGROUP_INET4_CONNECT);
  if (!v4) return fail(v4.error());
  auto v6 = attach_cgroup(bpf_program__fd(skeleton_->progs.fl_tcp_conn6), cgroup_path_,
                          BPF_CGROUP_INET6_CONNECT);
  if (!v6) return fail(v6.error());
  return Hooks{std::move(*v4), std::move(*v6)};
}

Result<> TcpSocketCollector::faults_changed() {
  moved_ = true;
  store<__u32>(skeleton_->bss->fl_tcp_moving, 1);
  auto hooks = attach_hooks();
  behind_ = hooks.has_value();
  if (hooks) hooks_ = std::move(*hooks);  // detaches those that were there
  if (!hooks) return fail(hooks.error());
  return {};
}

// A connect() that began while the hooks were there twice runs them twice, however late that is.
// Not in faults_changed(), since the faults of other pods wait for that.
void TcpSocketCollector::end_move() {
  if (!moved_) return;
  if (auto waited = wait_for_programs(); !waited) return;  // at the next take()
  store<__u32>(skeleton_->bss->fl_tcp_moving, 0);
  moved_ = false;
}

Result<> TcpSocketCollector::find_old_connections() {
  const auto sockets = dump_tcp(netns_path_, TcpDiagStates::kConnected);
  if (!sockets) return fail(sockets.error());
  const std::set<CgroupId> ours = cgroups_of(cgroup_path_);
  for (const TcpDiagSocket& s : *sockets)
    if (s.cgroup == CgroupId{} || ours.contains(s.cgroup)) old_[s.cookie] = s;
  return {};
}

// At the first take() and not right after the look at the kernel's list, so that a program that was
// running then has surely written down its connection.
void TcpSocketCollector::forget_fresh() {
  store<__u32>(skeleton_->bss->fl_tcp_starting, 0);
  const int fd = bpf_map__fd(skeleton_->maps.fl_tcp_fresh);
  for (auto it = old_.begin(); it != old_.end();) {
    __u8 one = 0;
    it = bpf_map_lookup_elem(fd, &it->first, &one) == 0 ? old_.erase(it) : std::next(it);
  }
}

// Of what these connections had acknowledged, the kernel tells only a mean that holds what their
// peers took: no round trip of the path.
void TcpSocketCollector::take_old(std::uint64_t& retransmits, std::uint64_t& used,
                                  std::vector<api::Gap>& gaps) {
  if (!old_unseen_.empty()) add_old_gap(old_unseen_, gaps);
  if (old_.empty()) return;
  const auto sockets = dump_tcp(netns_path_, TcpDiagStates::kConnected);
  if (!sockets) return add_old_gap(sockets.error().message, gaps);
  std::map<std::uint64_t, TcpDiagSocket> still;
  for (const TcpDiagSocket& s : *sockets) {
    const auto before = old_.find(s.cookie);
    if (before == old_.end()) continue;
    retransmits += s.retransmits - before->second.retransmits;
    if (s.bytes_acked != before->second.bytes_acked) ++used;
    still[s.cookie] = s;
  }
  old_ = std::move(still);  // the closed ones are gone
}

void TcpSocketCollector::take_round_trips(const fl_tcp_counts& now, std::uint64_t old_used,
                                          std::vector<api::EffectSample>& samples,
                                          std::vector<api::Gap>& gaps) {
  auto rtt = take_hist(FL_TCP_RTT, rtt_);
  if (!rtt) return add_gap("tcp.rtt", rtt.error().message, gaps);
  const std::uint64_t prompt = rtt->count(), late = now.rtt_late - before_.rtt_late;
  const auto only = [&](std::uint64_t count, const char* reason) {
    // Where some are the path's, the others are no loss: they would be the same.
    if (prompt > 0 || count == 0) return;
    add_gap("tcp.rtt", reason, gaps);
    gaps.back().missed = gaps.back().of = count;
  };
  only(late, "round trips in which the peer may have waited before it acknowledged");
  only(old_used, "connections from before, whose round trips hold what their peers took");
  add_histogram("tcp.rtt", std::move(*rtt), samples);
}

// A connect() that passed our hook and sent no SYN failed in the kernel or at a later hook: nothing
// tells us, so it is found by its age. A socket that sends its SYN with the first data
// (TCP_FASTOPEN_CONNECT) waits in state SYN_SENT, and stays.
Result<> TcpSocketCollector::give_up_unsent() {
  fl_tcp_counts& counts = skeleton_->bss->fl_tcp_counts[0];
  if (load(counts.unsent) <= 0) return {};
  const int fd = bpf_map__fd(skeleton_->maps.fl_tcp_connects);
  const std::uint64_t now = clock_.ktime().ns;
  const auto unsent = find_unsent(fd, now - std::min(now, kRefusedNs));
  if (!unsent) return fail(unsent.error());
  if (unsent->empty()) return {};
  const auto waiting = dump_tcp(netns_path_, TcpDiagStates::kConnecting);
  if (!waiting) return fail(waiting.error());
  for (const Unsent& u : *unsent) {
    if (std::ranges::find(*waiting, u.cookie, &TcpDiagSocket::cookie) != waiting->end()) continue;
    fl_tcp_connect last{};
    if (bpf_map_lookup_and_delete_elem(fd, &u.cookie, &last) != 0) continue;  // ended meanwhile
    if (last.asked_ns != u.asked_ns || last.syn_ns != 0) {  // went on meanwhile: put it back
      bpf_map_update_elem(fd, &u.cookie, &last, BPF_NOEXIST);
      continue;
    }
    std::atomic_ref(counts.unsent).fetch_sub(1);
    std::atomic_ref(counts.failed[0]).fetch_add(1);
  }
  return {};
}

void TcpSocketCollector::take_failures(const fl_tcp_counts& now,
                                       std::vector<api::EffectSample>& samples) {
  std::uint64_t failed = 0;
  for (std::uint32_t i = 0; i < FL_TCP_ERRNOS; ++i) {
    const std::uint64_t growth = now.failed[i] - before_.failed[i];
    failed += growth;
    if (growth > 0) errors_seen_.insert(i);
    if (!errors_seen_.contains(i)) continue;
    samples.push_back(counter("connect.failures", growth));
    samples.back().labels["errno"] =
        i == 0 ? "unknown" : api::ErrnoName{static_cast<int>(i)}.format();
  }
  const std::uint64_t ended = now.opened - before_.opened + failed;
  if (ended == 0) return;
  api::EffectSample s;
  s.metric = "connect.errors";
  s.numerator = static_cast<double>(failed);
  s.denominator = static_cast<double>(ended);
  s.value = s.numerator / s.denominator;
  samples.push_back(std::move(s));
}

void TcpSocketCollector::take_losses(const fl_tcp_counts& now, std::vector<api::Gap>& gaps) {
  const auto lost = [&](__u64 fl_tcp_counts::*which, const char* metric, const char* reason) {
    if (const std::uint64_t n = now.*which - before_.*which; n > 0)
      add_gap(metric, std::string(reason) + ": " + std::to_string(n), gaps);
  };
  lost(&fl_tcp_counts::table_full, "connect.latency",
       "no room to remember connects in progress, which may lack a latency");
  for (const char* metric : {"tcp.rtt", "tcp.retransmits", "connect.failures"})
    lost(&fl_tcp_counts::flags_failed, metric, "sockets whose callbacks could not be switched on");
  for (const char* metric : {"tcp.rtt", "connect.latency"})
    lost(&fl_tcp_counts::hist_failed, metric, "values without a histogram");
  lost(&fl_tcp_counts::rtt_no_room, "tcp.rtt", "sockets that the kernel had no memory for");
  if (starting_ && now.fresh_full > 0) {
    // Which of them are old cannot be told: none is better than twice.
    old_.clear();
    old_unseen_ = "too many new ones while measuring began";
  }
  if (!behind_)
    add_gap("connect.failures",
            "the connect hook is not behind that of a fault: the errno of refused connects is "
            "unknown",
            gaps);
}

void TcpSocketCollector::take(std::vector<api::EffectSample>& samples,
                              std::vector<api::Gap>& gaps) {
  if (auto r = give_up_unsent(); !r) add_gap("connect.failures", r.error().message, gaps);
  const fl_tcp_counts now = read_banks();
  if (starting_) forget_fresh();
  take_losses(now, gaps);
  starting_ = false;

  std::uint64_t retransmits = now.retransmits - before_.retransmits, old_used = 0;
  take_old(retransmits, old_used, gaps);

  samples.push_back(counter("connect.attempts", now.attempts - before_.attempts));
  take_failures(now, samples);
  samples.push_back(counter("connect.abandoned", now.abandoned - before_.abandoned));
  samples.push_back(counter("connect.resets", now.reset_unused - before_.reset_unused));
  samples.push_back(counter("tcp.retransmits", retransmits));
  if (auto h = take_hist(FL_TCP_CONNECT, connect_))
    add_histogram("connect.latency", std::move(*h), samples);
  else
    add_gap("connect.latency", h.error().message, gaps);
  take_round_trips(now, old_used, samples, gaps);
  before_ = now;
  cut_.done();
  end_move();
}

fl_tcp_counts TcpSocketCollector::read_banks() {
  auto& banks = skeleton_->bss->fl_tcp_counts;
  if (cut_.reads_second()) second_bank_ = read_counts(banks[1]);
  fl_tcp_counts now = read_counts(banks[0]);
  now.attempts += second_bank_.attempts;
  now.opened += second_bank_.opened;
  now.retransmits += second_bank_.retransmits;
  now.table_full += second_bank_.table_full;
  now.fresh_full += second_bank_.fresh_full;
  now.flags_failed += second_bank_.flags_failed;
  now.hist_failed += second_bank_.hist_failed;
  now.abandoned += second_bank_.abandoned;
  now.reset_unused += second_bank_.reset_unused;
  now.rtt_late += second_bank_.rtt_late;
  now.rtt_no_room += second_bank_.rtt_no_room;
  for (std::uint32_t i = 0; i < FL_TCP_ERRNOS; ++i) now.failed[i] += second_bank_.failed[i];
  return now;
}

Result<api::Histogram> TcpSocketCollector::take_hist(
    std::uint32_t which, std::array<HistogramGrowth, FL_BANKS>& growth) {
  const int map = bpf_map__fd(skeleton_->maps.fl_tcp_hists);
  auto sum = growth[0].take(map, which);
  if (!sum || !cut_.reads_second()) return sum;
  auto second = growth[1].take(map, which + FL_TCP_HISTS);
  if (!second) return fail(second.error());
  sum->merge(*second);
  return sum;
}

namespace {

Result<std::unique_ptr<Collector>> start(const Pod& pod, const CollectContext& context) {
  auto started = TcpSocketCollector::start(pod, context);
  if (!started) return fail(started.error().with_context("tcp_socket"));
  return std::move(*started);
}

}  // namespace

extern const CollectorType kTcpSocket;
const CollectorType kTcpSocket{"tcp_socket", &start};

}  // namespace faultline::agent
