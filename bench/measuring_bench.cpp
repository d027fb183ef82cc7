// SPDX-License-Identifier: Apache-2.0
// What measuring costs those who are measured: requests per second of nginx under wrk, plain and
// TLS, and under h2load, HTTP/2 with one and with eight streams a connection, with all collectors
// on the server's pod, or on both pods, against none, by turns; the same by the processor time that
// a request takes both pods, which a busy machine spoils less; and where the time goes by the
// kernel's own statistics of our programs. Takes a window each second, as the agent does. Prints
// one JSON line. Root; nginx, wrk and h2load of Debian.
//
// usage: measuring_bench [rounds] [seconds] [plain|tls|http2|http2_eight_streams]
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>
#include <thread>

#include "agent/effects/effect.h"
#include "agent/kernel/fd.h"
#include "testbed/shell.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

struct Speed {
  double requests = 0;  // a second
  double cpu = 0;       // processor seconds of both pods for a request
};

double processor_seconds(const TestPod& pod) {
  std::ifstream in(pod.cgroup_path() + "/cpu.stat");
  double us = 0;
  for (std::string key; in >> key >> us;)
    if (key == "usage_usec") return us / 1e6;
  throw std::runtime_error("no usage_usec in cpu.stat");
}

// What the client asks for, on 16 connections.
struct Load {
  std::string url;
  int streams = 0;  // at once on a connection of HTTP/2; 0: HTTP/1
};

Speed speed_of(const TestPod& server, const TestPod& client, const Load& load,
               const std::string& seconds) {
  std::vector<std::string> words{"wrk", "-t1", "-c16", "-d" + seconds + "s", load.url};
  if (load.streams > 0)
    words = {"h2load", "-c16", "-m" + std::to_string(load.streams), "-D" + seconds, load.url};
  const double before = processor_seconds(server) + processor_seconds(client);
  const auto r = client.exec(words);
  const double spent = processor_seconds(server) + processor_seconds(client) - before;
  static const std::regex kRate(R"(Requests/sec:\s+([0-9.]+)|finished in [^,]+, ([0-9.]+) req/s)"),
      kCount("([0-9]+) (requests in |done, )");
  std::smatch rate, count;
  if (!std::regex_search(r.output, rate, kRate) || !std::regex_search(r.output, count, kCount))
    throw std::runtime_error(words[0] + ": " + r.output);
  return {std::stod(rate[1].matched ? rate[1] : rate[2]), spent / std::stod(count[1])};
}

// All collectors there are, on one pod; a thread takes a window each second.
class Measuring {
 public:
  Measuring(const std::vector<agent::Pod>& pods, const agent::CollectContext& context) {
    for (const agent::Pod& pod : pods)
      for (const agent::CollectorType* type : agent::collector_registry()) {
        auto started = type->start(pod, context);
        if (!started)
          throw std::runtime_error(std::string(type->name) + ": " + started.error().message);
        // Null: it has nothing to measure, as no call was asked for.
        if (*started != nullptr) collectors_.push_back(std::move(*started));
      }
    thread_ = std::thread([this] {
      for (int tick = 1; !stop_; ++tick) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        if (tick % 20 == 0) take();
      }
    });
  }
  ~Measuring() {
    stop_ = true;
    thread_.join();
    take();
  }
  Measuring(const Measuring&) = delete;
  Measuring& operator=(const Measuring&) = delete;

 private:
  void take() {
    std::vector<api::EffectSample> samples;
    std::vector<api::Gap> gaps;
    for (const auto& collector : collectors_) collector->take(samples, gaps);
  }
  std::vector<std::unique_ptr<agent::Collector>> collectors_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// What the kernel's own statistics say of the programs that this process has loaded, for one
// request: how often each ran and for how long. The statistics cost time themselves, so this is a
// round of its own and no part of a ratio.
boost::json::array programs_of(double requests) {
  boost::json::array programs;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) != "anon_inode:bpf-prog") continue;
    bpf_prog_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(std::stoi(entry.path().filename()), &info, &size) != 0 ||
        info.run_cnt == 0)
      continue;
    programs.push_back(boost::json::object{
        {"program", info.name},
        {"runs", static_cast<double>(info.run_cnt) / requests},
        {"ns", static_cast<double>(info.run_time_ns) / requests},
        {"ns_a_run", static_cast<double>(info.run_time_ns) / static_cast<double>(info.run_cnt)}});
  }
  return programs;
}

boost::json::object compare(const TestPod& server, const TestPod& client, const Load& load,
                            int rounds, const std::string& seconds) {
  const SystemClock clock;
  const agent::FeatureProbe features;
  speed_of(server, client, load, "1");
  std::vector<double> one, both, one_cpu, both_cpu, off;
  for (int round = 0; round < rounds; ++round) {
    Speed without, with_one, with_both;
    const auto measured = [&](const std::vector<agent::Pod>& pods) {
      const Measuring measuring(pods, {clock, features});
      return speed_of(server, client, load, seconds);
    };
    // By turns, so that a machine that slows down hits all.
    if (round % 2 == 1) with_both = measured({server.pod(), client.pod()});
    with_one = measured({server.pod()});
    without = speed_of(server, client, load, seconds);
    if (round % 2 == 0) with_both = measured({server.pod(), client.pod()});
    one.push_back(with_one.requests / without.requests);
    both.push_back(with_both.requests / without.requests);
    one_cpu.push_back(without.cpu / with_one.cpu);
    both_cpu.push_back(without.cpu / with_both.cpu);
    off.push_back(without.requests);
  }
  boost::json::array programs;
  {
    const Measuring measuring({server.pod()}, {clock, features});
    const agent::Fd statistics(bpf_enable_stats(BPF_STATS_RUN_TIME));
    const Speed speed = speed_of(server, client, load, seconds);
    programs = programs_of(speed.requests * std::stod(seconds));
  }
  for (auto* values : {&one, &both, &one_cpu, &both_cpu, &off}) std::ranges::sort(*values);
  const auto middle = static_cast<std::size_t>(rounds) / 2;
  const auto spread = [&](const std::vector<double>& ratios) {
    return boost::json::object{
        {"median", ratios[middle]}, {"least", ratios.front()}, {"most", ratios.back()}};
  };
  return {{"ratio_server_measured", spread(one)},
          {"ratio_both_measured", spread(both)},
          {"ratio_server_measured_by_cpu", spread(one_cpu)},
          {"ratio_both_measured_by_cpu", spread(both_cpu)},
          {"requests_per_second_without", off[middle]},
          {"a_request_of_the_server", std::move(programs)}};
}

int run(int rounds, const std::string& seconds, const std::string& only) {
  TestNetwork net;
  TestPod server(net, "srv"), client(net, "cli");
  const TestFolder folder;
  const std::string config = folder.path() + "/nginx.conf", key = folder.path() + "/key.pem",
                    certificate = folder.path() + "/cert.pem";
  must({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=s", "-days", "2"});
  std::ofstream(config)
      << "daemon off; user root; worker_processes 1; pid " << folder.path() << "/pid; error_log "
      << folder.path()
      << "/log;\nevents {}\nhttp { access_log off; keepalive_requests 100000000;\n"
         "server { listen 8080; listen 8081 http2; listen 8443 ssl; ssl_certificate "
      << certificate << "; ssl_certificate_key " << key
      << "; location / { return 200 \"ok\\n\"; } } }\n";
  const Child nginx = server.start([&] {
    ::execlp("nginx", "nginx", "-e", (folder.path() + "/log").c_str(), "-c", config.c_str(),
             nullptr);
    return 127;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  boost::json::object line{{"bench", "measuring"}, {"rounds", rounds}};
  const std::string http2 = "http://" + server.ip4() + ":8081/";
  const std::vector<std::pair<const char*, Load>> loads{
      {"plain", {"http://" + server.ip4() + ":8080/"}},
      {"tls", {"https://" + server.ip4() + ":8443/"}},
      {"http2", {http2, 1}},
      {"http2_eight_streams", {http2, 8}}};
  for (const auto& [name, load] : loads) {
    if (!only.empty() && only != name) continue;
    line[name] = compare(server, client, load, rounds, seconds);
  }
  std::cout << boost::json::serialize(line) << std::endl;
  return 0;
}

}  // namespace
}  // namespace faultline::test

int main(int argc, char** argv) {
  try {
    return faultline::test::run(argc > 1 ? std::max(std::atoi(argv[1]), 1) : 7,
                                argc > 2 ? argv[2] : "3", argc > 3 ? argv[3] : "");
  } catch (const std::exception& e) {
    std::cerr << "measuring_bench: " << e.what() << "\n";
    return 1;
  }
}
