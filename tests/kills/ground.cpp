// SPDX-License-Identifier: Apache-2.0
#include "tests/kills/ground.h"

#include <signal.h>

#include <boost/describe/enum_to_string.hpp>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "testbed/latency_probe.h"

namespace faultline::kills {
namespace {

using namespace std::chrono_literals;

std::string pods_text(const testbed::TestPod& pod) {
  return "pods:\n  - {namespace: shop, name: payments-0, labels: {app: payments},\n     cgroup: " +
         pod.cgroup_path() + ", netns: " + pod.netns_path() + "}\n";
}

std::string time_text(milliseconds time) { return std::to_string(time.count()) + "ms"; }

std::string experiment_text(const std::string& name, const Round& round) {
  return "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: " + name +
         "}\nspec:\n  target:\n    selector: {namespaces: [shop]}\n  faults:\n    - " +
         round.fault.yaml + "\n  phases: {baseline: " + time_text(round.baseline) +
         ", fault: " + time_text(round.fault_length) + ", recovery: " + time_text(round.recovery) +
         "}\n";
}

bool is_over(api::RunState state) {
  return state == api::RunState::Completed || state == api::RunState::Aborted ||
         state == api::RunState::Failed;
}

std::string told(const api::RunSummary& run) {
  return std::string(boost::describe::enum_to_string(run.state, "?")) + ": " + run.stateReason;
}

void wait_until(Steady::time_point at) { std::this_thread::sleep_until(at); }

// Each worker's controller listens at an address of its own: it takes the same port again after its
// kill, which nobody else may have taken meanwhile, and what connects to 127.0.0.0/8 comes from
// 127.0.0.1.
std::string address_of(int worker) { return "127.0.1." + std::to_string(worker); }

}  // namespace

Ground::Ground(Seat& seat)
    : seat_(seat),
      world_(folder_, folder_.write("pods.yaml", pods_text(pod_)), address_of(seat.number())) {
  test::adopt_orphans();
  std::filesystem::create_directory(folder_.file("tmp"));
  testbed::ping(pod_.ip4(), 3);  // addresses are resolved
  world_.mend();
}

std::vector<FaultKind> Ground::possible() {
  std::vector<FaultKind> out;
  const auto nodes = world_.nodes();
  if (!nodes || nodes->empty()) throw std::runtime_error("no node");
  for (const FaultKind& kind : fault_kinds())
    for (const api::FaultSupport& support : nodes->front().info.faults) {
      if (support.fault != kind.name) continue;
      std::string lacks = support.supported ? "" : support.reason;
      for (const api::Feature& feature : nodes->front().info.features)
        if (lacks.empty() && feature.name == kind.needs && !feature.available)
          lacks = feature.name + ": " + feature.reason;
      if (lacks.empty())
        out.push_back(kind);
      else if (seat_.number() == 1)
        std::printf("skipped: %s (%s)\n", kind.yaml.c_str(), lacks.c_str());
    }
  return out;
}

void Ground::kill(const Round& round, test::Program& command, Seen& seen) {
  Victim victim = round.victim;
  pid_t helper = 0;
  if (victim == Victim::kWatchdog) helper = World::below(world_.agent().pid(), "fl-undo");
  if (victim == Victim::kPageHelper) helper = World::below(world_.agent().pid(), "fl-delay");
  if (helper > 0) {
    ::kill(helper, SIGKILL);
    seat_.count(victim == Victim::kWatchdog ? "kill watchdog" : "kill page helper");
    // Of a watchdog only the agent's own end is left, and that next.
    if (victim == Victim::kPageHelper) return;
  }
  if (victim == Victim::kCommand) {
    command.signal(SIGKILL);
    seat_.count("kill command");
    return;
  }
  const bool controller = victim == Victim::kController;
  test::Program& program = controller ? world_.controller() : world_.agent();
  program.signal(SIGKILL);
  program.wait();
  const auto killed = Steady::now();
  seat_.count(controller ? "kill controller" : "kill agent");
  if (round.deed == Deed::kClockAndKill) {
    world_.shim(victim).clock_seconds = 3600 * round.clock_hours;
    seat_.count("clock");
  }
  wait_until(killed + round.away);
  seen.silences.push_back({killed, Steady::now(), controller ? kLease + kSlack : kSlack,
                           controller ? "the kill of the controller" : "the kill of the agent"});
}

void Ground::stop(const Round& round, test::Program& command, Seen& seen) {
  test::Program& program = round.victim == Victim::kController ? world_.controller()
                           : round.victim == Victim::kCommand  ? command
                                                               : world_.agent();
  program.signal(SIGSTOP);
  const auto stopped = Steady::now();
  wait_until(stopped + round.lasts);
  if (round.victim != Victim::kCommand)
    seen.silences.push_back({stopped, Steady::now(), kLease + kSlack, "the stop"});
  program.signal(SIGCONT);
  seat_.count(round.victim == Victim::kController ? "stop controller"
              : round.victim == Victim::kCommand  ? "stop command"
                                                  : "stop agent");
}

void Ground::do_it(const Round& round, test::Program& command, Seen& seen) {
  switch (round.deed) {
    case Deed::kNothing:
      seat_.count("nothing");
      break;
    case Deed::kKill:
    case Deed::kClockAndKill:
      kill(round, command, seen);
      break;
    case Deed::kStop:
      stop(round, command, seen);
      break;
    case Deed::kDiskFull:
      world_.fill_disk();
      std::this_thread::sleep_for(round.lasts);
      world_.empty_disk();
      seat_.count("ENOSPC");
      break;
    case Deed::kDiskBad:
      world_.shim(Victim::kController).store_fails = true;
      std::this_thread::sleep_for(round.lasts);
      world_.shim(Victim::kController).store_fails = false;
      seat_.count("EIO");
      break;
    case Deed::kClock:
      world_.shim(round.victim).clock_seconds = 3600 * round.clock_hours;
      seat_.count("clock");
      break;
  }
}

// Until the run that has the name is over and nothing is left of it.
void Ground::settle(const std::string& name, const test::Program& command, Seen& seen,
                    std::vector<std::string>& out) {
  world_.mend();
  const auto end = Steady::now() + 40s;
  std::string run;
  while (Steady::now() < end) {
    const bool asked = command.ended();  // before that it may still ask for its run
    const auto runs = world_.runs();
    if (runs) {
      std::size_t count = 0;
      bool over = false;
      for (const api::RunSummary& summary : *runs) {
        if (summary.name != name) continue;
        ++count;
        run = summary.run;
        over = is_over(summary.state);
      }
      if (count > 1) out.push_back("there are " + std::to_string(count) + " runs of one request");
      if (count > 1 || over || (count == 0 && asked)) break;
    }
    std::this_thread::sleep_for(50ms);
  }
  if (run.empty()) return;  // it was never taken
  auto record = world_.record(run);
  auto report = world_.report(run);
  if (!record) out.push_back(run + " cannot be read: " + record.error().message);
  if (!report) out.push_back("no report of " + run + ": " + report.error().message);
  if (record) seen.record = std::move(*record);
  if (report) seen.report = std::move(*report);
}

// While others are in the middle of a round, of the kernel only what this worker's agent holds is
// known to be its own: nothing, since no run goes on. An agent that was stopped while it loaded its
// programs loads on before it hears that the run is over, which takes seconds on a busy machine;
// that no fault acts meanwhile is looked at elsewhere.
void Ground::check_agent(const Seen& seen, std::vector<std::string>& out) {
  const auto end = Steady::now() + 10s;
  std::size_t held = 0;
  while ((held = World::programs_held(world_.agent().pid())) > 0 && Steady::now() < end)
    std::this_thread::sleep_for(20ms);
  if (held == 0) return;
  out.push_back("the agent still holds " + std::to_string(held) + " BPF programs and links" +
                (seen.report ? " of a run that is over: " + seen.report->stateReason : ""));
}

void Ground::check_list(std::vector<std::string>& out) {
  const auto runs = world_.runs();
  if (!runs) return out.push_back("no list of runs: " + runs.error().message);
  std::map<std::string, std::string> now;
  for (const api::RunSummary& run : *runs)
    if (!now.emplace(run.run, told(run)).second) out.push_back(run.run + " is listed twice");
  for (const auto& [run, words] : over_) {
    const auto it = now.find(run);
    if (it == now.end())
      out.push_back("the record of " + run + " is lost");
    else if (it->second != words)
      out.push_back(run + " was over as \"" + words + "\", is now \"" + it->second + "\"");
  }
  for (const api::RunSummary& run : *runs)
    if (is_over(run.state)) over_[run.run] = told(run);
}

std::vector<std::string> Ground::play(const Round& round) {
  std::vector<std::string> out;
  Seen seen{.round = round};
  const std::string name = "k" + std::to_string(++number_);
  const std::string file = folder_.write("experiment.yaml", experiment_text(name, round));
  const auto began = Steady::now();
  const std::uint64_t felt_before = probes_.felt(round.fault.felt_by);
  test::Program command = world_.command(file, folder_.file("report"));
  wait_until(began + round.when);
  // A run that was over before was not disturbed.
  seen.disturbed = round.deed != Deed::kNothing;
  do_it(round, command, seen);
  settle(name, command, seen, out);
  const auto settled = Steady::now();
  world_.shim(Victim::kAgent).clock_seconds = 0;
  world_.shim(Victim::kController).clock_seconds = 0;
  check_agent(seen, out);
  seat_.quiet();
  try {
    const int code = command.wait(60s);
    const bool met = code == 0;
    if (met && (!seen.report || seen.report->verdict != api::RunVerdict::met))
      out.push_back("the command ended with 0, but the run is not met");
  } catch (const std::exception& e) {
    out.push_back(std::string("the command: ") + e.what());
  }
  // Back to normal, and everything has been written down that began while the fault could act.
  std::this_thread::sleep_until(settled + Probes::kLate + 300ms);
  std::size_t felt_now = 0;
  const auto calm = probes_.between(round.fault.felt_by, settled + 100ms, settled + 400ms);
  for (const Sample& sample : calm) felt_now += sample.felt;
  if (calm.empty()) out.push_back("the pod cannot be used after the run");
  if (felt_now > 1) out.push_back("the fault is felt after the run was over");
  seen.samples = probes_.between(round.fault.felt_by, began, settled + 100ms);
  seen.felt = probes_.felt(round.fault.felt_by) - felt_before;
  for (std::string& problem : broken(seen)) out.push_back(std::move(problem));
  check_list(out);
  std::filesystem::remove_all(folder_.file("report"));
  return out;
}

std::vector<std::string> Ground::end() {
  std::vector<std::string> out;
  world_.mend();
  check_list(out);
  if (const std::string said = world_.store_check(); said != "ok")
    out.push_back("the store: " + said);
  if (number_ > 0 && over_.empty()) out.emplace_back("not one run was ever over");
  return out;
}

}  // namespace faultline::kills
