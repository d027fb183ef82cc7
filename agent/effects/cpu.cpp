// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/cpu.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>

#include "agent/targets/controller_dirs.h"

namespace faultline::agent {
namespace {

namespace fs = std::filesystem;

api::Gap gap(std::string metric, std::string reason) {
  api::Gap g;
  g.metric = std::move(metric);
  g.reason = std::move(reason);
  return g;
}

void add_value(std::string metric, double value, std::vector<api::EffectSample>& samples) {
  api::EffectSample s;
  s.metric = std::move(metric);
  s.value = value;
  samples.push_back(std::move(s));
}

void add_share(std::string metric, double part, double of,
               std::vector<api::EffectSample>& samples) {
  api::EffectSample s;
  s.metric = std::move(metric);
  s.numerator = part;
  s.denominator = of;
  samples.push_back(std::move(s));
}

// `used` and `seen`: us of CPU time of the whole cgroup, and of the threads that are still there.
void tell_unseen(std::uint64_t used, std::uint64_t seen, std::vector<api::Gap>& gaps) {
  constexpr std::uint64_t kLeast = 10'000;  // the two are not read at the same moment
  if (used <= seen || used - seen < std::max(used / 10, kLeast)) return;
  gaps.push_back(
      gap("cpu.runqueue", "us of CPU time of threads that ended, whose waits were not seen"));
  gaps.back().missed = used - seen;
  gaps.back().of = used;
}

// Of "some avg10=0.00 avg60=0.00 avg300=0.00 total=70678476".
std::optional<std::uint64_t> read_pressure_us(const fs::path& file) {
  std::ifstream in(file);
  for (std::string word; in >> word && word != "full";)
    if (word.starts_with("total=")) return std::stoull(word.substr(6));
  return std::nullopt;
}

// Whether no process but the pod's is in `dir` or below it. What a cgroup that others share tells
// of limits is of others.
bool is_of_pod_alone(const std::string& dir, const std::string& cgroup2) {
  const std::vector<pid_t> there = processes_below(dir), own = processes_below(cgroup2);
  return std::ranges::all_of(there, [&](pid_t pid) {
    return std::ranges::find(own, pid) != own.end() || !fs::exists("/proc/" + std::to_string(pid));
  });
}

Result<std::unique_ptr<Collector>> start(const Pod& pod, const CollectContext& context) {
  if (pod.cgroup_path.empty()) return fail(Errc::kInvalid, "the pod has no cgroup");
  // Where it is not known in which cgroup v1 the limits of the pod are, nothing is told of them.
  const auto mounts = cgroup_mounts();
  const auto dirs = mounts ? controller_dirs(pod.cgroup_path, *mounts)
                           : Result<ControllerDirs>(fail(mounts.error()));
  std::string limits = dirs ? dirs->of("cpu").path : pod.cgroup_path;
  if (dirs && dirs->is_v1("cpu") && !is_of_pod_alone(limits, pod.cgroup_path)) limits.clear();
  return std::make_unique<CpuCollector>(context.clock, pod.cgroup_path, limits, "/proc",
                                        OwnProcesses::here());
}

}  // namespace

CpuCollector::CpuCollector(const Clock& clock, fs::path cgroup, fs::path limits, fs::path proc,
                           const OwnProcesses& own)
    : clock_(clock),
      cgroup_(std::move(cgroup)),
      limits_(std::move(limits)),
      proc_(std::move(proc)),
      own_(own),
      last_(look()) {}

CpuCollector::Look CpuCollector::look() const {
  Look now;
  now.at = clock_.steady();
  // One right after the other: they belong together.
  now.own = own_.cpu_time(cgroup_);
  now.usage_us = read_usage_us();
  now.threads = read_threads();
  if (!limits_.empty()) read_throttling(limits_, now);
  now.pressure_us = read_pressure_us(cgroup_ / "cpu.pressure");
  return now;
}

std::optional<std::uint64_t> CpuCollector::read_usage_us() const {
  std::ifstream in(cgroup_ / "cpu.stat");
  std::string key;
  for (std::uint64_t value = 0; in >> key >> value;)
    if (key == "usage_usec") return value;
  return std::nullopt;
}

// A cgroup without a limit has no periods. cgroup v1 has throttled_time in ns.
void CpuCollector::read_throttling(const fs::path& dir, Look& into) const {
  std::ifstream in(dir / "cpu.stat");
  Throttling found;
  std::string key;
  for (std::uint64_t value = 0; in >> key >> value;) {
    if (key == "nr_periods") found.periods = value;
    if (key == "nr_throttled") found.throttled = value;
    if (key == "throttled_usec") found.seconds = static_cast<double>(value) * 1e-6;
    if (key == "throttled_time") found.seconds = static_cast<double>(value) * 1e-9;
  }
  if (found.periods > 0) into.throttling[dir] = found;
  std::error_code ec;
  for (fs::directory_iterator it(dir, ec), end; !ec && it != end; it.increment(ec)) {
    std::error_code gone;
    if (it->is_directory(gone) && !it->is_symlink(gone)) read_throttling(it->path(), into);
  }
}

std::optional<CpuCollector::Threads> CpuCollector::read_threads() const {
  if (!std::ifstream(cgroup_ / "cgroup.procs")) return std::nullopt;
  Threads threads;
  bool unreadable = false;
  for (const pid_t pid : processes_below(cgroup_)) {
    if (own_.has(pid)) continue;
    std::error_code ec;
    const fs::path tasks = proc_ / std::to_string(pid) / "task";
    for (fs::directory_iterator it(tasks, ec), end; !ec && it != end; it.increment(ec)) {
      std::ifstream in(it->path() / "schedstat");
      std::uint64_t ran = 0, wait = 0, slices = 0;
      std::error_code gone;
      if (in >> ran >> wait >> slices)
        threads[std::stoull(it->path().filename().string())] = {ran, wait, slices};
      else if (fs::exists(it->path(), gone))
        unreadable = true;  // else it ended while we read
    }
  }
  if (threads.empty() && unreadable) return std::nullopt;
  return threads;
}

void CpuCollector::take(std::vector<api::EffectSample>& samples, std::vector<api::Gap>& gaps) {
  Look now = look();
  const double seconds = std::chrono::duration<double>(now.at - last_.at).count();
  std::optional<std::uint64_t> used;  // us, by the pod itself
  if (now.usage_us && last_.usage_us && *now.usage_us >= *last_.usage_us) {
    const auto own = std::chrono::duration_cast<std::chrono::microseconds>(now.own - last_.own);
    const auto all = static_cast<std::int64_t>(*now.usage_us - *last_.usage_us);
    used = static_cast<std::uint64_t>(
        std::max<std::int64_t>(0, all - std::max<std::int64_t>(0, own.count())));
  }

  if (!used)
    gaps.push_back(gap("cpu.usage", "cpu.stat of the cgroup has no usable usage_usec"));
  else if (seconds > 0)
    add_value("cpu.usage", static_cast<double>(*used) * 1e-6 / seconds, samples);

  if (!now.threads || !last_.threads) {
    gaps.push_back(gap("cpu.runqueue", "schedstat of the pod's threads cannot be read"));
  } else {
    std::uint64_t ran = 0, wait = 0, slices = 0;
    for (const auto& [tid, t] : *now.threads) {
      Schedstat before;  // zero for a thread that is new
      const auto old = last_.threads->find(tid);
      // Smaller than before: the number was reused by a new thread.
      if (old != last_.threads->end() && old->second.slices <= t.slices &&
          old->second.wait_ns <= t.wait_ns)
        before = old->second;
      ran += t.ran_ns >= before.ran_ns ? t.ran_ns - before.ran_ns : 0;
      wait += t.wait_ns - before.wait_ns;
      slices += t.slices - before.slices;
    }
    if (used && *used > 0) tell_unseen(*used, ran / 1000, gaps);
    // Nothing ran: there is no mean, and none is made up.
    if (slices > 0)
      add_value("cpu.runqueue", static_cast<double>(wait) * 1e-9 / static_cast<double>(slices),
                samples);
  }

  if (!now.throttling.empty()) {
    Throttling sum;
    for (const auto& [dir, t] : now.throttling) {
      Throttling before;
      if (const auto old = last_.throttling.find(dir);
          old != last_.throttling.end() && old->second.periods <= t.periods)
        before = old->second;
      sum.periods += t.periods - before.periods;
      sum.throttled += t.throttled - std::min(t.throttled, before.throttled);
      sum.seconds += std::max(0.0, t.seconds - before.seconds);
    }
    // No work, no period: there is no share, and none is made up.
    if (sum.periods > 0)
      add_share("cpu.throttled", static_cast<double>(sum.throttled),
                static_cast<double>(sum.periods), samples);
    if (seconds > 0) add_value("cpu.throttled_time", sum.seconds / seconds, samples);
  }

  if (now.pressure_us && last_.pressure_us && *now.pressure_us >= *last_.pressure_us)
    add_share("cpu.pressure", static_cast<double>(*now.pressure_us - *last_.pressure_us) * 1e-6,
              seconds, samples);
  last_ = std::move(now);
}

extern const CollectorType kCpu;
const CollectorType kCpu{"cpu", &start};

}  // namespace faultline::agent
