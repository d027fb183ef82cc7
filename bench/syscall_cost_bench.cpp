// SPDX-License-Identifier: Apache-2.0
// What an armed syscallError, and an armed syscallLatency, costs the calls it does not hit: of
// processes outside the pod's cgroup, of calls inside whose filter does not match, and of other
// calls; against the same without a fault, and for syscallError against strace's injection
// (-e inject) on the same work, which hits nothing either.
// By a security hook (openat with a path) and on the call itself (pread64), whichever this kernel
// has. Prints one JSON line: nanoseconds a call, median of the rounds, and ratios. Root.
//
// Under emulation time says little; with FAULTLINE_VM_COUNT=1 scripts/vm makes the guest's clock
// count instructions, one a nanosecond, and the figures are instructions of both kernel and program
// (strace's include those of the tracer).
//
// usage: syscall_cost_bench [calls [pods]]    so many pods with such a fault; 1
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "testbed/arm.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

constexpr int kRounds = 5;

struct Figures {
  std::array<double, kRounds> ns;
};

// Nanoseconds a call, by this process.
double ns_a_call(int calls, const std::function<void()>& call) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < calls; ++i) call();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin)
             .count() /
         calls;
}

double median(std::array<double, kRounds> of) {
  std::ranges::sort(of);
  return of[kRounds / 2];
}

using Pods = std::vector<std::unique_ptr<TestPod>>;

struct Work {
  const char* name;
  std::string syscall;
  std::function<void()> call;   // the call that the fault names
  std::function<void()> other;  // one that it does not
  std::string path, process;    // the fault's filter, which matches nothing here
};

template <class Spec>
Spec no_match(const Work& work) {
  Spec spec;
  spec.syscalls = {work.syscall};
  spec.path = work.path;
  spec.process = work.process;
  if constexpr (std::is_same_v<Spec, api::SyscallError>)
    spec.errno_ = {EIO};
  else
    spec.latency.value = std::chrono::milliseconds(1);
  return spec;
}

int measure_into(Figures& figures, int calls, const std::function<void()>& call) {
  for (double& round : figures.ns) round = ns_a_call(calls, call);
  return 0;
}

double inside(const TestPod& pod, int calls, const std::function<void()>& call) {
  Shared<Figures> figures;
  if (pod.run([&] { return measure_into(*figures, calls, call); }) != 0)
    throw std::runtime_error("the program in the pod failed");
  return median(figures->ns);
}

double outside(int calls, const std::function<void()>& call) {
  Figures figures{};
  measure_into(figures, calls, call);
  return median(figures.ns);
}

bool traced(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("TracerPid:")) return line.find_first_of("123456789") != line.npos;
  return false;
}

// The same work under strace, which fails a call that never comes: the millionth and so on.
double under_strace(const TestPod& pod, int calls, const Work& work) {
  Shared<Figures> figures;
  Shared<std::atomic<int>> go;
  Child worker = pod.start([&] {
    while (*go == 0) ::usleep(1000);
    return measure_into(*figures, calls, work.call);
  });
  Child tracer([&] {
    const std::string pid = std::to_string(worker.pid());
    const std::string inject = "inject=" + work.syscall + ":error=EIO:when=60000";
    ::execlp("strace", "strace", "-qq", "-o", "/dev/null", "-e", ("trace=" + work.syscall).c_str(),
             "-e", inject.c_str(), "-p", pid.c_str(), nullptr);
    return 127;
  });
  for (int i = 0; i < 4000 && !traced(worker.pid()); ++i) ::usleep(5000);
  if (!traced(worker.pid())) throw std::runtime_error("strace does not trace");
  *go = 1;
  const int code = worker.wait();
  tracer.wait();
  if (code != 0) throw std::runtime_error("the program under strace failed");
  return median(figures->ns);
}

boost::json::object against_strace(const TestPod& pod, int calls, const Work& work, double ours) {
  // strace's `when` must stay beyond what is done.
  const int traced_calls = std::min(calls, 10'000);
  const double strace = under_strace(pod, traced_calls, work);
  const double without = inside(pod, traced_calls, work.call);
  return {{"strace_ratio", strace / without},
          {"strace_adds_ns", strace - without},
          {"strace_adds_times_ours", (strace - without) / ours}};
}

template <class Spec>
boost::json::value measure(const TestPod& pod, const Pods& further, int calls, const Work& work) {
  const Spec spec = no_match<Spec>(work);
  auto probe = try_arm(spec, pod.pod());
  if (!probe) return probe.error().message.c_str();
  probe->reset();
  const double out_without = outside(calls, work.call), in_without = inside(pod, calls, work.call);
  const double other_without = inside(pod, calls, work.other);
  auto fault = arm(spec, pod.pod());
  Spec theirs = spec;
  theirs.path.clear();
  theirs.process = "nobody";
  std::vector<std::unique_ptr<agent::ArmedFault>> on_further;
  for (const auto& other : further) on_further.push_back(arm(theirs, other->pod()));
  const double out_with = outside(calls, work.call), in_with = inside(pod, calls, work.call);
  const double other_with = inside(pod, calls, work.other);
  const auto counted = counters(*fault);
  const std::string mechanism = fault->mechanism();
  fault.reset();
  on_further.clear();
  boost::json::object figures{{"mechanism", mechanism},
                              {"matched", counted.matched},
                              {"without_ns", in_without},
                              {"outside_ratio", out_with / out_without},
                              {"outside_adds_ns", out_with - out_without},
                              {"inside_not_matching_ratio", in_with / in_without},
                              {"inside_not_matching_adds_ns", in_with - in_without},
                              {"inside_other_call_ratio", other_with / other_without}};
  if constexpr (std::is_same_v<Spec, api::SyscallError>)
    for (const auto& [name, value] : against_strace(pod, calls, work, in_with - in_without))
      figures[name] = value;
  return figures;
}

int run(int calls, int pods) {
  TestNetwork net;
  TestPod pod(net, "a");
  Pods further;
  for (int i = 1; i < pods; ++i)
    further.push_back(std::make_unique<TestPod>(net, "p" + std::to_string(i)));
  const TestFolder folder, elsewhere;
  const std::string file = folder.path() + "/there";
  std::ofstream(file) << "text";
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const Child living = pod.start([] { return ::pause(); });  // to look the path up through
  ::usleep(200'000);

  const auto read_a_byte = [fd] {
    char byte;
    (void)!::pread(fd, &byte, 1, 0);
  };
  const auto seek = [fd] { (void)::lseek(fd, 0, SEEK_SET); };
  const Work by_hook{"security_hook",
                     "openat",
                     [&] {
                       ::close(static_cast<int>(
                           ::syscall(SYS_openat, AT_FDCWD, file.c_str(), O_RDONLY | O_CLOEXEC)));
                     },
                     seek,
                     elsewhere.path(),
                     ""};
  const Work on_call{"on_call", "pread64", read_a_byte, seek, "", "nobody"};

  boost::json::object line{
      {"bench", "syscall_cost"}, {"calls", calls}, {"pods", pods}, {"rounds", kRounds}};
  boost::json::object latency;
  for (const Work* work : {&by_hook, &on_call}) {
    line[work->name] = measure<api::SyscallError>(pod, further, calls, *work);
    latency[work->name] = measure<api::SyscallLatency>(pod, further, calls, *work);
  }
  line["syscall_latency"] = std::move(latency);
  std::cout << boost::json::serialize(line) << std::endl;
  return 0;
}

}  // namespace
}  // namespace faultline::test

int main(int argc, char** argv) {
  try {
    const int calls = argc > 1 ? std::atoi(argv[1]) : 100'000;
    const int pods = argc > 2 ? std::atoi(argv[2]) : 1;
    return faultline::test::run(std::clamp(calls, 100, 10'000'000), std::clamp(pods, 1, 100));
  } catch (const std::exception& e) {
    std::cerr << "syscall_cost_bench: " << e.what() << "\n";
    return 1;
  }
}
