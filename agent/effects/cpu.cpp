// SPDX-License-Identifier: Apache-2.0
#include "agent/effects/cpu.h"

#include <algorithm>
#include <fstream>
#include <utility>

namespace faultline::agent {
namespace {

namespace fs = std::filesystem;

// Adds the processes of `dir` and of the cgroups below it. False: `dir` cannot be read.
bool add_processes(const fs::path& dir, std::vector<std::uint64_t>& pids) {
  std::ifstream in(dir / "cgroup.procs");
  if (!in) return false;
  for (std::uint64_t pid = 0; in >> pid;) pids.push_back(pid);
  std::error_code ec;
  for (fs::directory_iterator it(dir, ec), end; !ec && it != end; it.increment(ec)) {
    std::error_code gone;
    // A child that vanished meanwhile has no processes: not an error.
    if (it->is_directory(gone) && !it->is_symlink(gone)) add_processes(it->path(), pids);
  }
  return true;
}

api::Gap gap(std::string metric, std::string reason) {
  api::Gap g;
  g.metric = std::move(metric);
  g.reason = std::move(reason);
  return g;
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

Result<std::unique_ptr<Collector>> start(const Pod& pod, const CollectContext& context) {
  if (pod.cgroup_path.empty()) return fail(Errc::kInvalid, "the pod has no cgroup");
  return std::make_unique<CpuCollector>(context.clock, pod.cgroup_path, "/proc");
}

}  // namespace

CpuCollector::CpuCollector(const Clock& clock, fs::path cgroup, fs::path proc)
    : clock_(clock),
      cgroup_(std::move(cgroup)),
      proc_(std::move(proc)),
      last_(clock.steady()),
      usage_us_(read_usage_us()),
      threads_(read_threads()) {}

std::optional<std::uint64_t> CpuCollector::read_usage_us() const {
  std::ifstream in(cgroup_ / "cpu.stat");
  std::string key;
  for (std::uint64_t value = 0; in >> key >> value;)
    if (key == "usage_usec") return value;
  return std::nullopt;
}

std::optional<CpuCollector::Threads> CpuCollector::read_threads() const {
  std::vector<std::uint64_t> pids;
  if (!add_processes(cgroup_, pids)) return std::nullopt;
  Threads threads;
  bool unreadable = false;
  for (const std::uint64_t pid : pids) {
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
  const SteadyTime now = clock_.steady();
  const double seconds = std::chrono::duration<double>(now - last_).count();
  const auto usage = read_usage_us();
  auto threads = read_threads();

  if (!usage || !usage_us_ || *usage < *usage_us_) {
    gaps.push_back(gap("cpu.usage", "cpu.stat of the cgroup has no usable usage_usec"));
  } else if (seconds > 0) {
    api::EffectSample s;
    s.metric = "cpu.usage";
    s.value = static_cast<double>(*usage - *usage_us_) * 1e-6 / seconds;
    samples.push_back(std::move(s));
  }

  if (!threads || !threads_) {
    gaps.push_back(gap("cpu.runqueue", "schedstat of the pod's threads cannot be read"));
  } else {
    std::uint64_t ran = 0, wait = 0, slices = 0;
    for (const auto& [tid, t] : *threads) {
      Schedstat before;  // zero for a thread that is new
      const auto old = threads_->find(tid);
      // Smaller than before: the number was reused by a new thread.
      if (old != threads_->end() && old->second.slices <= t.slices &&
          old->second.wait_ns <= t.wait_ns)
        before = old->second;
      ran += t.ran_ns >= before.ran_ns ? t.ran_ns - before.ran_ns : 0;
      wait += t.wait_ns - before.wait_ns;
      slices += t.slices - before.slices;
    }
    if (usage && usage_us_ && *usage > *usage_us_)
      tell_unseen(*usage - *usage_us_, ran / 1000, gaps);
    if (slices > 0) {  // nothing ran: there is no mean, and none is made up
      api::EffectSample s;
      s.metric = "cpu.runqueue";
      s.value = static_cast<double>(wait) * 1e-9 / static_cast<double>(slices);
      samples.push_back(std::move(s));
    }
  }
  last_ = now;
  usage_us_ = usage;
  threads_ = std::move(threads);
}

extern const CollectorType kCpu;
const CollectorType kCpu{"cpu", &start};

}  // namespace faultline::agent
