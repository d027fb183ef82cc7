// SPDX-License-Identifier: Apache-2.0
// The engine's side that faces people: plans and runs.
#include "controller/engine/engine.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>

#include "controller/engine/abort.h"
#include "controller/engine/choice.h"
#include "controller/engine/node.h"
#include "controller/engine/scope.h"
#include "controller/gameday/words.h"

namespace faultline::controller {
namespace {

constexpr std::chrono::seconds kAbortEvery{1};
constexpr std::chrono::milliseconds kFollowEvery{500};
constexpr std::chrono::hours kForgetNode{24};
constexpr std::size_t kRememberedIds = 10'000;

std::string compact_utc(UtcTime t) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(t));
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts)};
}

bool follows(const Run& run) {
  return run.head().experiment.spec.target.follow && run.step() >= RunStep::kBaseline &&
         run.step() <= RunStep::kFault && !run.ending();
}

}  // namespace

Engine::Engine(EngineOptions options)
    : options_(std::move(options)), last_revision_(options_.first_revision) {}
Engine::~Engine() = default;

namespace {

// As people are told of it: a run that is a surprise of a game day has no name here, since nobody
// knows who will read the words. Whoever leads the day sees it on the day.
template <class Runs>
Hits told(Hits hits, const Runs& runs) {
  for (auto& [pod, run] : hits) {
    const auto entry = runs.find(run);
    if (entry == runs.end()) continue;
    const api::RunRecord& head =
        entry->second.run ? entry->second.run->head() : *entry->second.prepared;
    if (gameday::is_quiet(head)) run.clear();
  }
  return hits;
}

}  // namespace

// ---- plans

Cluster Engine::cluster(const api::Experiment& experiment, Instant now) const {
  Cluster cluster;
  cluster.rules = rules_;
  if (rules_.in_cluster) {
    const Scope scope = scope_of(experiment);
    cluster.comparable = scope.hit;
    cluster.comparable->insert(scope.seen.begin(), scope.seen.end());
  }
  for (const auto& [name, node] : nodes_)
    if (is_connected(*node, now)) cluster.nodes.push_back({name, node->info, node->pods});
  cluster.services = services_;
  cluster.hits = told(hits(), runs_);
  return cluster;
}

Hits Engine::hits() const {
  Hits hits;
  for (const auto& [id, entry] : runs_) {
    if (entry.run && entry.run->over()) continue;
    const api::RunRecord& head = entry.run ? entry.run->head() : *entry.prepared;
    for (const api::RunPod& pod : head.pods)
      if (pod.role == api::PodRole::target && !pod.leftAt.set()) hits[pod.pod.id()] = id;
  }
  return hits;
}

// Each run is told what the others hit; after every change of what is hit.
void Engine::tell_hits(Instant now) {
  if (!std::exchange(hits_changed_, false)) return;
  const Hits all = hits(), names = told(all, runs_);
  for (auto& [id, entry] : runs_) {
    if (!entry.run || entry.run->over()) continue;
    Hits others;
    for (const api::RunPod& pod : entry.run->head().pods)
      if (const auto hit = all.find(pod.pod.id()); hit != all.end() && hit->second != id)
        others[hit->first] = names.at(hit->first);
    entry.run->others_hit(others, now);
    settle(entry);
  }
}

// Below 2^32, so that every JSON reader keeps it exact.
std::uint64_t Engine::seed_for(std::uint64_t asked) const {
  return asked != 0 ? asked : 1 + options_.random() % 0xffffffff;
}

Result<api::RunPlan> Engine::plan(api::Experiment experiment, Instant now) const {
  experiment.spec.seed = seed_for(experiment.spec.seed);
  auto plan = resolve(experiment, cluster(experiment, now));
  if (plan) plan->leaseSeconds = std::chrono::duration<double>(options_.times.lease).count();
  return plan;
}

Result<> Engine::never_runs(const api::Experiment& experiment, Instant now) const {
  std::vector<const api::NodeInfo*> connected;
  for (const auto& [name, node] : nodes_)
    if (is_connected(*node, now)) connected.push_back(&node->info);
  return can_run(experiment, rules_, connected);
}

std::string Engine::new_run_id(const std::string& name, UtcTime now) const {
  if (used_ids_.size() > kRememberedIds) used_ids_.clear();  // all but certainly of other seconds
  const std::string base = name + "-" + compact_utc(now);
  std::string id = base;
  for (int n = 2; !used_ids_.insert(id).second || runs_.contains(id); ++n)
    id = base + "-" + std::to_string(n);
  return id;
}

Result<api::RunRecord> Engine::prepare(api::Experiment experiment, const std::string& requested_by,
                                       Instant now, const std::string& uid) {
  experiment.spec.seed = seed_for(experiment.spec.seed);
  const Cluster known = cluster(experiment, now);
  Result<api::RunPlan> plan = resolve(experiment, known);
  if (!plan) return fail(std::move(plan.error()));
  if (auto fine = as_agreed(experiment, *plan); !fine) return fail(std::move(fine.error()));
  if (auto fine = require_supported(*plan); !fine) return fail(std::move(fine.error()));

  api::RunRecord head{.run = new_run_id(experiment.metadata.name, now.utc),
                      .experiment = std::move(experiment),
                      .requestedBy = requested_by,
                      .experimentUid = uid,
                      .history = {{api::RunState::Pending, {now.utc}, ""}},
                      .pods = run_pods(*plan),
                      .matching = plan->matching};
  std::set<std::string> taking_part;
  for (const api::RunPod& pod : head.pods) taking_part.insert(pod.pod.node);
  for (const KnownNode& node : known.nodes)
    if (taking_part.contains(node.name))
      head.nodes.push_back({.node = node.name, .info = node.info});
  runs_[head.run].prepared = head;
  return head;
}

void Engine::begin(const std::string& run, Instant now,
                   std::optional<api::MonitoringRecord> monitoring) {
  const auto entry = runs_.find(run);
  if (entry == runs_.end() || !entry->second.prepared) return;
  entry->second.run =
      std::make_unique<Run>(std::move(*entry->second.prepared), options_.times, now);
  entry->second.prepared.reset();
  entry->second.head_saved = entry->second.run->head_version();
  if (monitoring) entry->second.run->follow_monitoring(std::move(*monitoring));
  entry->second.abort_check = now.steady;
  resolve_peers_of(entry->second, now);
  settle(entry->second);
  hits_changed_ = true;
  tell_hits(now);
}

void Engine::drop(const std::string& run) {
  const auto entry = runs_.find(run);
  if (entry != runs_.end() && entry->second.prepared) runs_.erase(entry);
}

void Engine::adopt(Run run) {
  const std::string id = run.head().run;
  Entry& entry = runs_[id];
  entry.run = std::make_unique<Run>(std::move(run));
  entry.peers_from = SteadyTime::max();
  settle(entry);
  hits_changed_ = true;
}

void Engine::begin_term(Instant now) {
  last_revision_ =
      std::max(last_revision_,
               static_cast<std::uint64_t>(
                   std::chrono::duration_cast<std::chrono::microseconds>(now.utc.time_since_epoch())
                       .count()));
  for (auto& [id, entry] : runs_)
    if (entry.run) entry.desired_seen = 0;  // given out anew
  settle_all();
}

// ---- runs

const Run* Engine::find(const std::string& run) const {
  if (const auto entry = runs_.find(run); entry != runs_.end()) return entry->second.run.get();
  const Run* newest = nullptr;
  for (const auto& [id, entry] : runs_)
    if (entry.run && entry.run->head().experiment.metadata.name == run &&
        (newest == nullptr ||
         entry.run->head().history.front().at > newest->head().history.front().at))
      newest = entry.run.get();
  return newest;
}

Engine::Entry* Engine::active_entry(const std::string& run) {
  const Run* found = find(run);
  if (found == nullptr || found->over()) return nullptr;
  return &runs_.at(found->head().run);
}

Result<api::RunSummary> Engine::stop(const std::string& run, const std::string& reason,
                                     Recovery recovery, Instant now) {
  Entry* entry = active_entry(run);
  if (entry == nullptr) return fail(Errc::kNotFound, "no run " + run + " is under way");
  entry->run->stop(reason, recovery, now);
  settle(*entry);
  return entry->run->summary(now);
}

std::vector<api::RunSummary> Engine::stop_all(const std::string& reason, Recovery recovery,
                                              Instant now) {
  std::vector<api::RunSummary> stopped;
  for (auto& [id, entry] : runs_) {
    if (!entry.run || entry.run->over()) continue;
    entry.run->stop(reason, recovery, now);
    settle(entry);
    stopped.push_back(entry.run->summary(now));
  }
  return stopped;
}

void Engine::fail_all(const std::string& reason, Instant now) {
  for (auto& [id, entry] : runs_) {
    if (!entry.run || entry.run->over()) continue;
    entry.run->fail(reason, Recovery::kNone, now);
    settle(entry);
  }
}

void Engine::followed(const std::string& run, api::MonitoringRecord seen, Instant now) {
  const auto entry = runs_.find(run);
  if (entry == runs_.end() || !entry->second.run) return;
  entry->second.run->followed(std::move(seen), now);
  settle(entry->second);
}

void Engine::follow_again(const std::string& run, api::MonitoringRecord known) {
  const auto entry = runs_.find(run);
  if (entry == runs_.end() || !entry->second.run || entry->second.run->over()) return;
  entry->second.run->follow_monitoring(std::move(known));
  settle(entry->second);
}

void Engine::tick(Instant now) {
  for (auto& [id, entry] : runs_) {
    if (!entry.run || entry.run->over()) continue;
    entry.run->tick(now);
    follow(entry, now);
    if (now.steady >= entry.peers_check) resolve_peers_of(entry, now);
    const bool watched = entry.run->step() == RunStep::kFault &&
                         !entry.run->head().experiment.spec.abortWhen.empty();
    if (watched && now.steady >= entry.abort_check + kAbortEvery) {
      entry.abort_check = now.steady;
      const api::RunRecord recent = entry.run->recent();
      if (auto reason = abort_reason(recent))
        entry.run->stop(std::move(*reason), Recovery::kShort, now);
      for (api::Gap& gap : unmeasured_conditions(recent, now.utc))
        entry.run->remark(std::move(gap));
    }
    settle(entry);
  }
  tell_hits(now);
  forget_over(now);
  std::erase_if(nodes_, [&](const auto& node) {
    return node.second->held == 0 && now.steady - node.second->last_seen > kForgetNode;
  });
}

// Targets that are gone, and pods that take their places.
void Engine::follow(Entry& entry, Instant now) {
  const api::RunRecord& head = entry.run->head();
  if (!follows(*entry.run) || now.steady < entry.follow_check) return;
  entry.follow_check = now.steady + kFollowEvery;
  std::vector<std::string> gone;
  for (const api::RunPod& pod : head.pods) {
    if (pod.role != api::PodRole::target || pod.leftAt.set()) continue;
    // Only an agent that is there knows.
    const auto node = nodes_.find(pod.pod.node);
    if (node == nodes_.end() || !is_connected(*node->second, now)) continue;
    if (std::ranges::none_of(node->second->pods,
                             [&](const api::PodRef& known) { return known.id() == pod.pod.id(); }))
      gone.push_back(pod.pod.id());
  }
  for (const std::string& pod : gone) entry.run->leave(pod, now);
  hits_changed_ = hits_changed_ || !gone.empty();
  // Most of the time nobody is missing; the whole cluster need not be looked at for that.
  const auto there = std::ranges::count_if(head.pods, [](const api::RunPod& pod) {
    return pod.role == api::PodRole::target && !pod.leftAt.set();
  });
  const auto wanted = std::ranges::count_if(head.pods, [](const api::RunPod& pod) {
    return pod.role == api::PodRole::target && !pod.joinedAt.set();
  });
  if (head.experiment.spec.target.mode != api::Mode::all && there >= wanted) return;
  Cluster known = cluster(head.experiment, now);
  for (auto& [pod, run] : hits())
    if (run == head.run) known.hits[pod] = run;  // its own, whoever may know of it
  auto joins = joining(head, known);
  // Nothing matches while the next one is being made.
  std::string refusal = joins || joins.error().code == Errc::kNotFound ? "" : joins.error().message;
  if (refusal != entry.follow_refusal && !refusal.empty())
    spdlog::warn("run {}: no pod takes the place of one that is gone: {}", head.run, refusal);
  entry.follow_refusal = std::move(refusal);
  if (!joins) return;
  for (const api::PodRef& pod : joins->pods) {
    const auto node = nodes_.find(pod.node);
    if (node == nodes_.end()) continue;
    spdlog::info("run {}: {} on {} joins", head.run, pod.id(), pod.node);
    entry.run->join(pod, node->second->info, joins->matching, now);
    hits_changed_ = true;
  }
}

SteadyTime Engine::next_deadline() const {
  SteadyTime next = SteadyTime::max();
  for (const auto& [id, entry] : runs_) {
    if (!entry.run) continue;
    next = std::min(next, entry.run->next_deadline());
    if (follows(*entry.run)) next = std::min(next, entry.follow_check);
    if (names_peers(entry.run->head().experiment.spec) && !entry.run->over())
      next = std::min(next, entry.peers_check);
    if (entry.run->step() == RunStep::kFault &&
        !entry.run->head().experiment.spec.abortWhen.empty())
      next = std::min<SteadyTime>(next, entry.abort_check + kAbortEvery);
  }
  return next;
}

std::vector<api::RunSummary> Engine::summaries(Instant now) const {
  std::vector<api::RunSummary> out;
  for (const auto& [id, entry] : runs_)
    if (entry.run) out.push_back(entry.run->summary(now));
  std::ranges::stable_sort(out, std::greater{}, &api::RunSummary::startedAt);
  return out;
}

std::vector<const api::RunRecord*> Engine::active_heads() const {
  std::vector<const api::RunRecord*> heads;
  for (const auto& [id, entry] : runs_)
    if (entry.run && !entry.run->over()) heads.push_back(&entry.run->head());
  return heads;
}

std::size_t Engine::active() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      runs_, [](const auto& entry) { return entry.second.run && !entry.second.run->over(); }));
}

std::map<api::RunState, std::size_t> Engine::by_state() const {
  std::map<api::RunState, std::size_t> count;
  for (const auto& [id, entry] : runs_)
    if (entry.run && !entry.run->over()) ++count[entry.run->head().state];
  return count;
}

// ---- what changed

void Engine::settle(Entry& entry) {
  const Run& run = *entry.run;
  if (run.desired_version() != entry.desired_seen) {
    entry.desired_seen = run.desired_version();
    for (const api::NodeRecord& node : run.head().nodes) {
      revisions_[node.node] = ++last_revision_;
      changes_.nodes.insert(node.node);
    }
  }
  if (run.over() && !std::exchange(entry.over_seen, true)) hits_changed_ = true;
  if (run.head_version() != entry.head_seen) {
    entry.head_seen = run.head_version();
    changes_.runs.insert(run.head().run);
  }
}

void Engine::settle_all() {
  for (auto& [id, entry] : runs_)
    if (entry.run) settle(entry);
}

Changes Engine::take_changes() { return std::exchange(changes_, {}); }

std::vector<std::string> Engine::unsaved() const {
  std::vector<std::string> runs;
  for (const auto& [id, entry] : runs_)
    if (entry.run && (entry.run->head_version() != entry.head_saved || entry.run->over()))
      runs.push_back(id);
  return runs;
}

void Engine::saved(const std::string& run, std::uint64_t head_version) {
  const auto entry = runs_.find(run);
  if (entry == runs_.end() || !entry->second.run) return;
  entry->second.head_saved = head_version;
  if (entry->second.run->over() && entry->second.run->head_version() == head_version) {
    if (entry->second.guard) over_[run] = {std::move(entry->second.guard)};
    runs_.erase(entry);
  }
}

}  // namespace faultline::controller
