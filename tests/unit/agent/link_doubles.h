// SPDX-License-Identifier: Apache-2.0
// Doubles of what runs stand on, so that the reconciler is tested without a kernel: a clock that is
// moved by hand, fault types and a collector that only write down what is done with them, and a
// kernel that holds what it is told. The real ones are tested in tests/kernel.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "agent/link/reconciler.h"
#include "api/codec.h"

namespace faultline::agent::test {

using namespace std::chrono_literals;

class HandClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime steady() const override { return steady_; }
  [[nodiscard]] UtcTime utc() const override { return utc_; }
  void move(std::chrono::nanoseconds by) {
    steady_ += by;
    utc_ += by;
  }
  void set_wall(std::chrono::nanoseconds by) { utc_ += by; }

 private:
  SteadyTime steady_{1000s};
  UtcTime utc_{std::chrono::seconds(1'800'000'000)};
};

// What the doubles did, and what they shall do. One at a time: fault types are plain functions.
struct World {
  World() { now = this; }
  ~World() { now = nullptr; }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  static inline World* now = nullptr;

  struct Armed {
    std::string pod, fault;
    CgroupId cgroup;
    std::uint64_t seed;
    KtimeNs deadline;
    PeerSets peers;
    std::optional<PodTraffic> before;
    FaultCounters counters;
    bool alive = true, disarmed = false;
  };
  std::vector<std::unique_ptr<Armed>> armed;  // all that ever were
  std::vector<std::string> log;               // "arm shop/a networkLatency", "take shop/a" ...
  std::string refuse;                         // arming fails with these words
  bool unreadable = false;                    // counters cannot be read
  bool unfollowed = false;                    // peers cannot be changed
  std::string no_collector;                   // starting it fails with these words
  TlsProbes tls_probes{};                     // what the newest collector was told
  int late = 0;  // faults that still injected while another was being taken down
  std::map<std::string, double> packets;            // by pod: what the next take() reports
  std::map<std::string, double> bytes;              // by direction: what each take() reports
  std::map<std::string, std::string> met;           // by pod: the address of its one peer
  std::function<void(const void*)> renewed, ended;  // told the collector
  std::function<void()> arming, disarming;          // before a fault is armed, taken down
  std::function<void()> measuring;                  // before a collector is started

  [[nodiscard]] std::vector<Armed*> alive() const {
    std::vector<Armed*> found;
    for (const auto& a : armed)
      if (a->alive && !a->disarmed) found.push_back(a.get());
    return found;
  }
  [[nodiscard]] std::ptrdiff_t index(const std::string& line) const {
    const auto it = std::find(log.begin(), log.end(), line);
    return it == log.end() ? -1 : it - log.begin();
  }
  [[nodiscard]] long count(const std::string& line) const {
    return std::count(log.begin(), log.end(), line);
  }
};

class NotedFault final : public ArmedFault {
 public:
  explicit NotedFault(World::Armed* note) : note_(note) {}
  ~NotedFault() override { note_->alive = false; }
  void renew(KtimeNs deadline) override { note_->deadline = deadline; }
  Result<> follow(const PeerSets& peers) override {
    if (World::now->unfollowed) return fail(Errc::kInternal, "no room in the map");
    note_->peers = peers;
    return {};
  }
  [[nodiscard]] Result<FaultCounters> read() const override {
    if (World::now->unreadable) return fail(Errc::kInternal, "no counters");
    return note_->counters;
  }
  Result<> disarm() override {
    if (World::now->disarming) World::now->disarming();
    note_->disarmed = true;
    for (const World::Armed* other : World::now->alive())
      if (other->deadline.ns > 1) ++World::now->late;
    World::now->log.push_back("disarm " + note_->pod + " " + note_->fault);
    return {};
  }
  [[nodiscard]] std::string mechanism() const override { return "double"; }

 private:
  World::Armed* note_;
};

inline Result<std::unique_ptr<ArmedFault>> arm_noted(const api::Fault& fault, const Pod& pod,
                                                     const ArmContext& context) {
  if (!World::now->refuse.empty()) return fail(Errc::kUnsupported, World::now->refuse);
  if (World::now->arming) World::now->arming();
  World::now->armed.push_back(std::make_unique<World::Armed>(World::Armed{pod.ref.id(),
                                                                          std::string(fault.name()),
                                                                          pod.cgroup,
                                                                          context.seed,
                                                                          context.deadline,
                                                                          context.peers,
                                                                          context.before,
                                                                          {}}));
  World::now->log.push_back("arm " + pod.ref.id() + " " + std::string(fault.name()));
  return std::make_unique<NotedFault>(World::now->armed.back().get());
}
inline api::FaultSupport support_noted(const FeatureProbe&) { return {.supported = true}; }
inline const FaultType kNotedLatency{"networkLatency", support_noted, arm_noted};
inline const FaultType kNotedLoss{"networkLoss", support_noted, arm_noted};
inline const FaultType kNotedSocket{"socketError", support_noted, arm_noted, true};
inline const FaultType kNotedPause{"processPause", support_noted, arm_noted};

class NotedCollector final : public Collector {
 public:
  explicit NotedCollector(std::string pod) : pod_(std::move(pod)) {
    World::now->log.push_back("measure " + pod_);
  }
  ~NotedCollector() override {
    World::now->log.push_back("end " + pod_);
    if (World::now->ended) World::now->ended(this);
  }
  void take(std::vector<api::EffectSample>& samples, std::vector<api::Gap>&) override {
    World::now->log.push_back("take " + pod_);
    api::EffectSample sample;
    sample.metric = "net.packets";
    sample.value = std::exchange(World::now->packets[pod_], 0);
    samples.push_back(std::move(sample));
    for (const auto& [direction, bytes] : World::now->bytes) {
      sample.metric = "net.bytes";
      sample.labels = {{"direction", direction}};
      sample.value = bytes;
      samples.push_back(sample);
    }
  }
  void add_peers(PeerAddresses& peers) override {
    const auto met = World::now->met.find(pod_);
    if (met == World::now->met.end()) return;
    const auto address = api::Cidr::parse(met->second);
    if (address) peers.insert(std::to_array(address->address));
  }
  Result<> faults_changed() override {
    World::now->log.push_back("changed " + pod_);
    if (World::now->renewed) World::now->renewed(this);
    return {};
  }

 private:
  std::string pod_;
};
inline Result<std::unique_ptr<Collector>> start_noted(const Pod& pod,
                                                      const CollectContext& context) {
  World::now->tls_probes = context.tls;
  if (!World::now->no_collector.empty()) return fail(Errc::kUnsupported, World::now->no_collector);
  if (World::now->measuring) World::now->measuring();
  return std::make_unique<NotedCollector>(pod.ref.id());
}
inline const CollectorType kNotedCollector{"noted", start_noted};

class HeldKernel final : public KernelObjects {
 public:
  ObjectSet ours, here, elsewhere, shared, measured;
  [[nodiscard]] ObjectSet named_ours() const override { return ours; }
  mutable int looks = 0;  // at what this process holds
  [[nodiscard]] ObjectSet held_here() const override {
    ++looks;
    return here;
  }
  [[nodiscard]] ObjectSet shared_here() const override { return shared; }
  [[nodiscard]] ObjectSet shared_by_measured() const override { return measured; }
  [[nodiscard]] ObjectSet held_elsewhere(const ObjectSet& wanted) const override {
    ObjectSet found;
    for (const ObjectKey& key : wanted)
      if (elsewhere.contains(key)) found.insert(key);
    return found;
  }
  [[nodiscard]] std::optional<std::string> describe(const ObjectKey& key) const override {
    if (!ours.contains(key)) return std::nullopt;
    return "object " + std::to_string(key.id);
  }
};

inline Pod pod(const std::string& name, std::uint64_t place = 1,
               const std::string& name_space = "shop") {
  Pod p;
  p.ref = {name_space, name, "node-1", {{"app", "payments"}}};
  p.cgroup = CgroupId{1000 + place};
  p.netns = NetnsId{2000 + place};
  p.interfaces = {{"eth0", IfIndex{2}, IfIndex{static_cast<std::uint32_t>(10 + place)}, "veth"}};
  p.addresses = {"10.0.0." + std::to_string(place)};
  return p;
}

inline api::Experiment experiment(const std::string& faults = "[{networkLatency: {latency: 20ms}}]",
                                  const std::string& more = "") {
  auto parsed = api::parse_experiment(
      "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: slow}\nspec:\n"
      "  target: {selector: {labelSelectors: {app: payments}}, mode: all}\n  faults: " +
          faults + "\n  seed: 42\n" + more,
      "test");
  if (!parsed) ADD_FAILURE() << parsed.error().message;
  return parsed ? *parsed : api::Experiment{};
}

// A reconciler of one node with the doubles, and what it told so far, in one piece.
struct Node {
  explicit Node(NetnsId host = NetnsId{}, bool may_probe_tls = false) {
    reconciler.emplace(Reconciler::Deps{
        clock,
        features,
        [](std::string_view name) -> const FaultType* {
          for (const FaultType* type : {&kNotedLatency, &kNotedLoss, &kNotedSocket, &kNotedPause})
            if (name == type->name) return type;
          return nullptr;
        },
        collectors,
        kernel,
        host,
        {},
        [this] { return slept; },
        may_probe_tls});
  }
  World world;
  HandClock clock;
  std::chrono::nanoseconds slept{0};
  FeatureProbe features;
  HeldKernel kernel;
  const CollectorType* const types[1] = {&kNotedCollector};
  std::span<const CollectorType* const> collectors{types};
  std::optional<Reconciler> reconciler;
  std::vector<Pod> pods = {pod("a", 1), pod("b", 2)};
  api::RunBatch told;

  static api::DesiredRun run(api::RunPhase phase, api::Experiment e = experiment(),
                             const std::string& id = "slow-1") {
    api::DesiredRun r;
    r.run = id;
    r.experiment = std::move(e);
    r.phase = phase;
    r.pods = {{pod("a").ref, api::PodRole::target}, {pod("b").ref, api::PodRole::observed}};
    r.matching = 2;
    r.targets = 1;
    r.leaseSeconds = 3;
    return r;
  }
  // Of a request that is answered at once.
  [[nodiscard]] AnswerTimes now() const { return {clock.steady(), clock.steady()}; }
  void answer(std::vector<api::DesiredRun> runs) {
    reconciler->answer(runs, now());
    collect();
  }
  void give() {
    reconciler->pods(pods);
    collect();
  }
  // Time passes in ticks; `answered`: with the desired state twice a second.
  void pass(std::chrono::milliseconds time, const std::vector<api::DesiredRun>& answered = {}) {
    for (auto t = 0ms; t < time; t += 50ms) {
      clock.move(50ms);
      reconciler->tick();
      if (!answered.empty() && (t / 50ms) % 10 == 9) reconciler->answer(answered, now());
    }
    collect();
  }
  void begin(api::RunPhase phase = api::RunPhase::baseline, api::Experiment e = experiment()) {
    give();
    answer({run(phase, std::move(e))});
  }
  void collect() {
    for (api::RunBatch& batch : reconciler->drain()) {
      told.run = batch.run;
      told.phase = batch.phase;
      for (auto& i : batch.injections) told.injections.push_back(std::move(i));
      for (auto& w : batch.windows) told.windows.push_back(std::move(w));
      for (auto& g : batch.gaps) told.gaps.push_back(std::move(g));
      for (auto& e : batch.events) told.events.push_back(std::move(e));
    }
  }
  [[nodiscard]] std::vector<std::string> events() const {
    std::vector<std::string> words;
    for (const auto& e : told.events) {
      static constexpr const char* kWords[] = {"measuring",     "armed",    "disarmed",
                                               "pod_restarted", "pod_gone", "lease_expired",
                                               "blocked",       "closed",   "connected"};
      words.emplace_back(kWords[static_cast<int>(e.kind)]);
    }
    return words;
  }
  [[nodiscard]] const api::InjectionStatus& status() const { return told.injections.back(); }
};

}  // namespace faultline::agent::test
