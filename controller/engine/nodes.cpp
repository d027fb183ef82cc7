// SPDX-License-Identifier: Apache-2.0
// The engine's side that faces agents.
#include <algorithm>
#include <utility>

#include "controller/engine/node.h"
#include "controller/gameday/words.h"

namespace faultline::controller {
namespace {

constexpr std::size_t kLongestName = 253;  // of a Kubernetes node
constexpr std::size_t kRetired = 16;
constexpr std::size_t kLongestInstance = 128;
constexpr std::uint64_t kHighestNumber = std::uint64_t{1} << 53;

bool good_name(const std::string& name) {
  return !name.empty() && name.size() <= kLongestName && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
}

}  // namespace

Result<bool> Engine::hello(const std::string& name, const api::SyncRequest& request, Instant now) {
  if (!good_name(name))
    return fail(Errc::kInvalid,
                "a node's name has letters, digits, -, . and _, at most 253 of them");
  if (request.instance.size() > kLongestInstance)
    return fail(Errc::kInvalid, "instance: at most " + std::to_string(kLongestInstance) + " bytes");
  std::unique_ptr<Node>& slot = nodes_[name];
  if (!slot) slot = std::make_unique<Node>();
  Node& node = *slot;
  if (node.instance != request.instance) {
    // Two agents with one name would take it from each other with every sync. An earlier one may
    // come back only when its successor is gone.
    const auto earlier = std::ranges::find(node.retired, request.instance);
    if (earlier != node.retired.end()) {
      if (is_connected(node, now))
        return fail(Errc::kConflict, "another agent calls itself " + name +
                                         ": give each agent a --node name of its own");
      node.retired.erase(earlier);
    }
    if (!node.instance.empty()) {
      node.retired.push_back(node.instance);
      if (node.retired.size() > kRetired) node.retired.pop_front();
      changes_.nodes.insert(name);  // whoever waits for the old one
    }
    node.instance = request.instance;
    node.described = false;
    node.clock = {};
  }
  if (request.info) {
    node.info = *request.info;
    node.info.name = name;
  }
  bool pods_changed = false;
  if (request.pods) {
    const std::vector<api::PodRef> before = std::exchange(node.pods, *request.pods);
    for (api::PodRef& pod : node.pods) pod.node = name;
    pods_changed = node.pods != before;
  }
  if (request.info && request.pods) node.described = true;
  node.clock.add(request, now);
  node.last_seen = now.steady;
  node.last_seen_utc = now.utc;
  for (auto& [id, entry] : runs_)
    if (entry.run) entry.run->contact(name, request.instance, now);
  if (pods_changed) resolve_all_peers(now);
  settle_all();
  return !node.described;
}

void Engine::answered(const std::string& name, const std::string& instance, Instant now) {
  const auto node = nodes_.find(name);
  if (node == nodes_.end() || node->second->instance != instance) return;
  node->second->last_seen = now.steady;
  node->second->last_seen_utc = now.utc;
  for (auto& [id, entry] : runs_)
    if (entry.run) entry.run->contact(name, instance, now);
  settle_all();
}

void Engine::hold(const std::string& node) {
  if (const auto known = nodes_.find(node); known != nodes_.end()) ++known->second->held;
}

void Engine::release(const std::string& node) {
  if (const auto known = nodes_.find(node); known != nodes_.end()) --known->second->held;
}

bool Engine::is_current(const std::string& node, const std::string& instance) const {
  const auto known = nodes_.find(node);
  return known != nodes_.end() && known->second->instance == instance;
}

std::uint64_t Engine::revision(const std::string& node) const {
  const auto known = revisions_.find(node);
  return known == revisions_.end() ? options_.first_revision : known->second;
}

std::vector<api::DesiredRun> Engine::desired(const std::string& node, const std::string& instance,
                                             Instant now) const {
  std::vector<api::DesiredRun> runs;
  for (const auto& [id, entry] : runs_)
    if (entry.run)
      if (auto desired = entry.run->desired(node, instance, now))
        runs.push_back(std::move(*desired));
  return runs;
}

void Engine::correct(const std::string& node, api::RunBatch& batch, Instant now) {
  const auto known = nodes_.find(node);
  if (known == nodes_.end()) return;
  const ClockOffset clock = known->second->clock.best(now.steady);
  const auto entry = runs_.find(batch.run);
  const bool running = entry != runs_.end() && entry->second.run;
  to_our_clock(batch,
               running ? entry->second.run->clock_offset(node, clock, now) : clock.applied());
  for (api::InjectionStatus& injection : batch.injections) injection.pod.node = node;
  for (api::EffectWindow& window : batch.windows) window.pod.node = node;
  for (api::Gap& gap : batch.gaps) gap.node = node;
}

WriteGuard* Engine::guard_of(const std::string& run, Instant now) {
  if (const auto over = over_.find(run); over != over_.end()) return over->second.guard.get();
  const auto entry = runs_.find(run);
  if (entry == runs_.end() || !entry->second.run) return nullptr;
  if (!entry->second.guard)
    entry->second.guard = std::make_unique<WriteGuard>(entry->second.run->head(), now);
  entry->second.guard->know(entry->second.run->head());
  return entry->second.guard.get();
}

Refused Engine::admit(const std::string& node, std::vector<api::NumberedBatch>& batches,
                      Instant now) {
  Refused all;
  // No agent counts so far, and no reader of JSON.
  all.add("a number that no batch can have",
          std::erase_if(batches, [](const auto& b) { return b.number > kHighestNumber; }));
  for (api::NumberedBatch& numbered : batches) {
    api::RunBatch& batch = numbered.batch;
    const WriteGuard* guard = guard_of(batch.run, now);
    if (guard == nullptr) {
      batch = {};
      all.add("a run that is not under way");
      continue;
    }
    const Refused refused = guard->keep_own(node, batch, now);
    if (refused.entries == 0) continue;
    all.add(refused.why.c_str(), refused.entries);
    if (!guard->has(node)) {
      batch = {};
      continue;
    }
    if (const auto entry = runs_.find(batch.run); entry != runs_.end()) {
      entry->second.run->refused(node, refused, now);
      settle(entry->second);
    }
  }
  return all;
}

void Engine::forget_over(Instant now) {
  for (auto& [id, over] : over_) {
    if (over.until != SteadyTime::max()) continue;
    over.until = now.steady + kLateBatches;
    over.guard->over(now);
  }
  std::erase_if(over_, [&](const auto& over) { return now.steady >= over.second.until; });
}

std::vector<FaultDelta> Engine::apply(const std::string& node, const std::string& instance,
                                      const std::vector<api::NumberedBatch>& batches, Instant now) {
  std::vector<FaultDelta> deltas;
  for (const auto& [number, batch] : batches) {
    if (WriteGuard* guard = guard_of(batch.run, now)) guard->charge(node, batch);
    const auto entry = runs_.find(batch.run);
    if (entry == runs_.end() || !entry->second.run) continue;
    const bool quiet = gameday::is_quiet(entry->second.run->head());
    for (FaultDelta& delta : entry->second.run->batch(node, instance, batch, now)) {
      if (quiet) delta.fault = kHiddenFault;
      deltas.push_back(std::move(delta));
    }
    settle(entry->second);
  }
  return deltas;
}

bool Engine::is_connected(const Node& node, Instant now) const {
  return node.described && (node.held > 0 || now.steady - node.last_seen <= options_.times.lease);
}

std::vector<api::NodeStatus> Engine::nodes(Instant now) const {
  std::vector<api::NodeStatus> out;
  for (const auto& [name, node] : nodes_) {
    api::NodeStatus status{node->info, node->pods, is_connected(*node, now), {node->last_seen_utc}};
    status.info.name = name;
    out.push_back(std::move(status));
  }
  return out;
}

std::size_t Engine::connected(Instant now) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      nodes_, [&](const auto& node) { return is_connected(*node.second, now); }));
}

}  // namespace faultline::controller
