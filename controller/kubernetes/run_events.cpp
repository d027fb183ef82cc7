// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/run_events.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/describe/enum_to_string.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "controller/gameday/words.h"
#include "controller/kubernetes/status.h"
#include "kube/events.h"

namespace faultline::controller {
namespace {

using boost::asio::awaitable;

constexpr std::chrono::seconds kLookAgain{1};

// When the faults of a run began; nothing: they have not.
std::optional<UtcTime> injected_at(const api::RunRecord& head) {
  for (const api::PhaseMark& mark : head.history)
    if (mark.state == api::RunState::Injecting) return mark.at.value;
  return std::nullopt;
}

// When they were over: the mark after it.
UtcTime ended_at(const api::RunRecord& head) {
  bool injecting = false;
  for (const api::PhaseMark& mark : head.history) {
    if (injecting && mark.state != api::RunState::Injecting) return mark.at.value;
    injecting = injecting || mark.state == api::RunState::Injecting;
  }
  return head.history.back().at.value;
}

std::string words(const api::RunRecord& head) {
  const api::Metadata& what = head.experiment.metadata;
  std::string text =
      "experiment " + (what.namespace_.empty() ? "" : what.namespace_ + "/") + what.name + ": ";
  for (const api::Fault& fault : head.experiment.spec.faults)
    text += std::string(fault.name()) + " ";
  return text + "run " + head.run + ", asked for by " + head.requestedBy;
}

}  // namespace

struct RunEvents::Impl {
  struct Told {
    std::set<std::string> pods;  // targets that were told that faults begin
  };

  Impl(boost::asio::any_io_executor ex, kube::Client& api_client, const Clock& time,
       RunControl& control)
      : executor(std::move(ex)),
        client(api_client),
        clock(time),
        runs(control),
        recorder(api_client, time, {.component = "faultline-controller"}) {}

  awaitable<void> loop() {
    while (!stopped) {
      const std::uint64_t seen = runs.changes();
      std::vector<api::RunRecord> injecting;
      std::set<std::string> active;
      for (const api::RunRecord* head : runs.active_runs()) {
        active.insert(head->run);
        Told& known = told[head->run];
        if (injected_at(*head) && !head->experiment.spec.faults.empty() &&
            !gameday::is_quiet(*head) && news(*head, known))
          injecting.push_back(*head);
      }
      for (const api::RunRecord& head : injecting) {
        if (stopped) co_return;
        co_await begin(head);
      }
      for (auto at = told.begin(); at != told.end() && !stopped;) {
        const std::string run = at->first;
        if (!active.contains(run)) co_await end(run);
        at = told.upper_bound(run);
      }
      if (stopped) co_return;
      if (runs.changes() == seen) co_await runs.wait_for_change(seen, clock.steady() + kLookAgain);
    }
  }

  static bool news(const api::RunRecord& head, const Told& known) {
    for (const api::RunPod& pod : head.pods)
      if (pod.role == api::PodRole::target && !known.pods.contains(pod.pod.id())) return true;
    return false;
  }

  awaitable<void> begin(const api::RunRecord& head) {
    Told& known = told[head.run];
    for (const api::RunPod& pod : head.pods) {
      if (pod.role != api::PodRole::target || !known.pods.insert(pod.pod.id()).second) continue;
      kube::EventText text{true, "FaultInjected", words(head)};
      text.at = pod.joinedAt.set() ? pod.joinedAt.value : *injected_at(head);
      co_await tell(pod.pod, head.run, std::move(text));
      if (stopped) co_return;
    }
  }

  awaitable<void> end(std::string run) {
    const auto now = co_await runs.run_now(run);
    if (!now && now.error().code != Errc::kNotFound) co_return;  // the store: another time
    if (now && !is_final(now->head.state)) co_return;
    std::set<std::string> pods;
    if (const auto known = told.find(run); known != told.end())
      pods = std::move(known->second.pods);
    told.erase(run);
    if (!now || pods.empty()) co_return;
    const api::RunRecord& head = now->head;
    for (const api::RunPod& pod : head.pods) {
      if (stopped) co_return;
      if (pod.role != api::PodRole::target || !pods.contains(pod.pod.id())) continue;
      std::string what = words(head) + ": " + boost::describe::enum_to_string(head.state, "?");
      if (!head.stateReason.empty()) what += ", " + head.stateReason;
      kube::EventText text{false, "FaultEnded", std::move(what)};
      text.at = pod.leftAt.set() ? pod.leftAt.value : ended_at(head);
      co_await tell(pod.pod, run, std::move(text));
    }
  }

  // Events are for people: one that cannot be written changes nothing.
  awaitable<void> tell(api::PodRef pod, std::string run, kube::EventText text) {
    auto ref = kube::pods().in(pod.namespace_).named(pod.name);
    const auto object = co_await client.get(std::move(ref));
    if (!object) co_return;
    kube::ObjectReference about = kube::reference_to(*object, "v1", "Pod");
    text.once = text.reason + " " + run;
    (void)co_await recorder.record(std::move(about), std::move(text));
  }

  boost::asio::any_io_executor executor;
  kube::Client& client;
  const Clock& clock;
  RunControl& runs;
  kube::EventRecorder recorder;
  std::map<std::string, Told> told;  // of runs that were under way when last looked, by id
  bool stopped = false;
};

RunEvents::RunEvents(boost::asio::any_io_executor executor, kube::Client& client,
                     const Clock& clock, RunControl& runs)
    : impl_(std::make_shared<Impl>(std::move(executor), client, clock, runs)) {}

RunEvents::~RunEvents() { stop(); }

void RunEvents::start() {
  boost::asio::co_spawn(impl_->executor, impl_->loop(),
                        [self = impl_](const std::exception_ptr& error) {
                          // Nobody's run depends on it.
                          if (error && !self->stopped)
                            spdlog::error("pods are told no more events");
                        });
}

void RunEvents::stop() { impl_->stopped = true; }

}  // namespace faultline::controller
