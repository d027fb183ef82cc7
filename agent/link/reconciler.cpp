// SPDX-License-Identifier: Apache-2.0
#include "agent/link/reconciler.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace faultline::agent {
namespace {

constexpr std::size_t kRemembered = 1024;  // runs that are over
constexpr std::chrono::seconds kSayAgain{3};

}  // namespace

Reconciler::Reconciler(Deps deps)
    : deps_(std::move(deps)),
      ledger_(deps_.kernel),
      run_deps_{deps_.clock,
                deps_.features,
                deps_.find_fault,
                deps_.collectors,
                ledger_,
                counts_,
                deps_.host_netns,
                deps_.slept,
                [this](const std::string& pod) {
                  for (const auto& run : runs_) run->faults_changed(pod);
                  if (deps_.faults_changed) deps_.faults_changed(pod);
                },
                [this](const std::string& pod, const std::string& id) {
                  return deps_.faults_changed || std::ranges::any_of(runs_, [&](const auto& run) {
                           return run->id() != id && run->measures(pod);
                         });
                },
                [this](const std::string& id) {
                  return deps_.faults_changed || std::ranges::any_of(runs_, [&](const auto& run) {
                           return run->id() != id;
                         });
                },
                [this](const std::string& pod, const std::string& id) {
                  for (const auto& run : runs_)
                    if (run->id() != id && run->targets(pod))
                      return run->quiet() ? std::string("another run") : run->id();
                  return std::string();
                },
                deps_.may_probe_tls},
      turned_(deps_.clock.steady()),
      last_heard_(deps_.clock.utc()) {}

void Reconciler::turn() {
  const SteadyTime now = deps_.clock.steady();
  const auto away = now - std::exchange(turned_, now);
  for (const auto& run : runs_) run->was_away(away);
}

Run* Reconciler::find(const std::string& id) {
  for (const auto& run : runs_)
    if (run->id() == id) return run.get();
  return nullptr;
}

void Reconciler::pods(const std::vector<Pod>& pods) {
  turn();
  pods_.clear();
  for (const Pod& pod : pods) pods_.insert_or_assign(pod.ref.id(), pod);
  for (const auto& run : runs_) run->reconcile(pods_);
}

void Reconciler::answer(const std::vector<api::DesiredRun>& runs, AnswerTimes times) {
  turn();
  // What the kernel has ended while we did not run (a stopped process) ended, whatever this answer
  // says.
  for (const auto& run : runs_) run->check_lease();
  // Runs that go make room, and stop at once.
  for (const auto& run : runs_)
    if (std::none_of(runs.begin(), runs.end(),
                     [&](const api::DesiredRun& d) { return d.run == run->id(); }))
      run->close(true);
  for (const api::DesiredRun& desired : runs) {
    Run* run = find(desired.run);
    if (run == nullptr && refuse_again(desired.run)) continue;
    if (run == nullptr) {
      for (const auto& other : runs_) other->claim();
      runs_.push_back(std::make_unique<Run>(run_deps_, desired, last_heard_));
      run = runs_.back().get();
      if (!run->quiet()) spdlog::info("{}: begins here, {} pods", desired.run, desired.pods.size());
    } else {
      run->desire(desired);
    }
    run->renew(times);
    run->reconcile(pods_);
  }
  last_heard_ = deps_.clock.utc();
  pass();
}

// True: it was taken down here before. Said again and again, but not in every exchange.
bool Reconciler::refuse_again(const std::string& run) {
  const auto known = std::ranges::find(ended_, run, &Ended::run);
  if (known == ended_.end()) return false;
  const SteadyTime now = deps_.clock.steady();
  if (now < known->told + kSayAgain) return true;
  known->told = now;
  if (!known->quiet) spdlog::warn("{}: was taken down here and does not begin again", run);
  api::RunBatch words;
  words.run = run;
  words.phase = api::RunPhase::recovery;
  api::RunEvent closed;
  closed.kind = api::RunEventKind::closed;
  closed.at = {deps_.clock.utc()};
  closed.text = "it was taken down here before, and does not begin again";
  words.events.push_back(std::move(closed));
  last_words_.push_back(std::move(words));
  return true;
}

void Reconciler::tick() {
  turn();
  pass();
  for (const auto& run : runs_) run->go_on(pods_);
}

bool Reconciler::busy() const {
  return std::any_of(runs_.begin(), runs_.end(), [](const auto& run) { return run->busy(); });
}

void Reconciler::pass() {
  for (const auto& run : runs_) run->tick();
  std::erase_if(runs_, [&](const std::unique_ptr<Run>& run) {
    if (!run->over()) return false;
    if (!run->quiet()) spdlog::info("{}: is over here", run->id());
    ended_.push_back({run->id(), run->quiet(), {}});
    if (ended_.size() > kRemembered) ended_.pop_front();
    if (auto batch = run->drain()) last_words_.push_back(std::move(*batch));
    return true;
  });
}

std::vector<api::RunBatch> Reconciler::drain() {
  std::vector<api::RunBatch> batches = std::exchange(last_words_, {});
  for (const auto& run : runs_)
    if (auto batch = run->drain()) batches.push_back(std::move(*batch));
  return batches;
}

void Reconciler::shutdown() {
  for (const auto& run : runs_) run->close(false);
  pass();
}

std::optional<std::chrono::nanoseconds> Reconciler::armed_lease() const {
  std::optional<std::chrono::nanoseconds> shortest;
  for (const auto& run : runs_)
    if (run->armed() > 0 && (!shortest || run->lease().length() < *shortest))
      shortest = run->lease().length();
  return shortest;
}

std::optional<std::chrono::nanoseconds> Reconciler::lease() const {
  std::optional<std::chrono::nanoseconds> shortest;
  for (const auto& run : runs_)
    if (!run->closing() && (!shortest || run->lease().length() < *shortest))
      shortest = run->lease().length();
  return shortest;
}

bool Reconciler::acting() const {
  return std::any_of(runs_.begin(), runs_.end(), [](const auto& r) { return r->acting(); });
}

bool Reconciler::wants_answer() const {
  return std::any_of(runs_.begin(), runs_.end(), [](const auto& r) { return r->wants_answer(); });
}

Reconciler::Shown Reconciler::shown() const {
  Shown shown{.counts = counts_};
  for (const auto& run : runs_) {
    if (run->quiet()) continue;
    ++shown.runs;
    shown.armed += run->armed();
    const FaultCounters total = run->totals();
    shown.counts.helper_errors += total.errors;
    shown.counts.lost += total.lost;
  }
  return shown;
}

}  // namespace faultline::agent
