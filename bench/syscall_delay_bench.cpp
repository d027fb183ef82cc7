// SPDX-License-Identifier: Apache-2.0
// How exact syscallLatency is: a program of a pod times its calls with 1, 5, 20 and 100 ms asked,
// by a security hook (openat of a path) and on the call itself (pread64), whichever this kernel
// has; and how long 64 threads take that wait 20 ms at once. Prints one JSON line, in milliseconds.
// Root.
//
// usage: syscall_delay_bench [calls]
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "testbed/arm.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMost = 1000;
constexpr int kThreads = 64;
using Times = std::array<double, kMost>;

template <class F>
double ms_of(F body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

double rank(std::vector<double> v, double q) {
  std::ranges::sort(v);
  return v[static_cast<std::size_t>(q * static_cast<double>(v.size() - 1))];
}

struct Case {
  const char* name;
  api::SyscallLatency spec;
  std::function<void()> call;
};

std::vector<double> times(const TestPod& pod, std::size_t calls, const Case& with) {
  Shared<Times> took;
  pod.run([&] {
    for (std::size_t i = 0; i < calls; ++i) (*took)[i] = ms_of(with.call);
    return 0;
  });
  return {took->begin(), took->begin() + static_cast<std::ptrdiff_t>(calls)};
}

void measure(const TestPod& pod, std::size_t calls, Case with, boost::json::object& line) {
  boost::json::object result;
  const double none = rank(times(pod, calls, with), 0.5);
  for (const int asked : {1, 5, 20, 100}) {
    with.spec.latency.value = milliseconds(asked);
    auto fault = try_arm(with.spec, pod.pod());
    if (!fault) {
      line[with.name] = fault.error().message;
      return;
    }
    const auto seen = times(pod, calls, with);
    const auto counted = counters(**fault);
    result["mechanism"] = (*fault)->mechanism();
    result["asked_" + std::to_string(asked)] = {{"error_p50", rank(seen, 0.5) - none - asked},
                                                {"error_p95", rank(seen, 0.95) - none - asked},
                                                {"error_max", rank(seen, 1) - none - asked},
                                                {"not_delayed", calls - counted.injected}};
  }
  with.spec.latency.value = milliseconds(20);
  const auto fault = arm(with.spec, pod.pod());
  Shared<double> took;
  pod.run([&] {
    *took = ms_of([&] {
      std::vector<std::thread> threads;
      for (int i = 0; i < kThreads; ++i) threads.emplace_back(with.call);
      for (auto& thread : threads) thread.join();
    });
    return 0;
  });
  result["threads_64_of_20"] = *took;
  result["threads_64_not_delayed"] =
      kThreads - static_cast<std::int64_t>(counters(*fault).injected);
  line[with.name] = result;
}

int run(std::size_t calls) {
  TestNetwork net;
  TestPod pod(net, "a");
  const TestFolder folder;
  const std::string file = folder.path() + "/there";
  std::ofstream(file) << "text";
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const Child living = pod.start([] { return ::pause(); });  // to look the path up through
  std::this_thread::sleep_for(milliseconds(200));

  Case by_hook{"security_hook", {}, [&] {
                 ::close(static_cast<int>(
                     ::syscall(SYS_openat, AT_FDCWD, file.c_str(), O_RDONLY | O_CLOEXEC)));
               }};
  by_hook.spec.syscalls = {"openat"};
  by_hook.spec.path = folder.path();
  Case on_call{"on_call", {}, [fd] {
                 char byte;
                 (void)!::pread(fd, &byte, 1, 0);
               }};
  on_call.spec.syscalls = {"pread64"};

  boost::json::object line{{"bench", "syscall_delay"}, {"calls", calls}};
  std::string load;
  std::ifstream("/proc/loadavg") >> load;
  line["load"] = std::atof(load.c_str());
  measure(pod, calls, by_hook, line);
  measure(pod, calls, on_call, line);
  std::cout << boost::json::serialize(line) << std::endl;
  return 0;
}

}  // namespace
}  // namespace faultline::test

int main(int argc, char** argv) {
  try {
    const int calls = argc > 1 ? std::atoi(argv[1]) : 50;
    return faultline::test::run(static_cast<std::size_t>(std::clamp(calls, 1, 1000)));
  } catch (const std::exception& e) {
    std::cerr << "syscall_delay_bench: " << e.what() << "\n";
    return 1;
  }
}
