// SPDX-License-Identifier: Apache-2.0
// What the plain bytes of TLS cost the requests of nginx, asked over kept connections: those of the
// pod that is measured, and those of a neighbour that uses the same file of libssl; against nobody
// who is measured. Prints one JSON line: ratios of requests per second, and microseconds of
// processor time of both ends that a request takes longer. Root.
//
// usage: tls_plain_bench [rounds [seconds]]
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "agent/effects/tls_plain.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

// What the processes of the pod have used so far.
double processor_seconds(const TestPod& pod) {
  std::ifstream in(pod.cgroup_path() + "/cpu.stat");
  std::string word;
  double microseconds = 0;
  in >> word >> microseconds;  // usage_usec
  return microseconds / 1e6;
}

struct Speed {
  double requests = 0;  // a second
  double cpu_us = 0;    // of both pods, a request
};

struct Place {
  const TestPod& server;
  const TestPod& client;
  std::string protocol;  // of ALPN
  std::string seconds;
};

Speed speed_of(const Place& place) {
  const auto spent = [&] {
    return processor_seconds(place.server) + processor_seconds(place.client);
  };
  const double before = spent();
  const auto r = place.client.exec({"h2load", "-D", place.seconds, "-c", "8", "-m", "1",
                                    "--npn-list=" + place.protocol,
                                    "https://" + place.server.ip4() + ":8443/"});
  const double cpu = spent() - before;
  static const std::regex kRate(R"(finished in [^,]+, ([0-9.]+) req/s)"), kCount("([0-9]+) done, ");
  std::smatch rate, count;
  if (!std::regex_search(r.output, rate, kRate) || !std::regex_search(r.output, count, kCount))
    throw std::runtime_error("h2load: " + r.output);
  return {std::stod(rate[1]), cpu / std::stod(count[1]) * 1e6};
}

double middle_of(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// By turns, so that a machine that slows down hits all.
boost::json::object compare(const Place& place, const TestPod& neighbour, int rounds) {
  const SystemClock clock;
  const agent::FeatureProbe features;
  std::vector<double> own, beside, own_us, beside_us, off;
  static_cast<void>(speed_of(place));
  for (int round = 0; round < rounds; ++round) {
    const auto measured = [&](const TestPod& pod) {
      const auto collector = agent::start_tls_plain(pod.pod(), {clock, features});
      if (!collector) throw std::runtime_error(collector.error().message);
      return speed_of(place);
    };
    const Speed ours = measured(place.server), without = speed_of(place),
                theirs = measured(neighbour);
    own.push_back(ours.requests / without.requests);
    beside.push_back(theirs.requests / without.requests);
    own_us.push_back(ours.cpu_us - without.cpu_us);
    beside_us.push_back(theirs.cpu_us - without.cpu_us);
    off.push_back(without.cpu_us);
  }
  return {{"ratio_measured", middle_of(own)},
          {"ratio_neighbour", middle_of(beside)},
          {"more_us_measured", middle_of(own_us)},
          {"more_us_neighbour", middle_of(beside_us)},
          {"cpu_us_a_request_without", middle_of(off)}};
}

int run(int rounds, const std::string& seconds) {
  TestNetwork net;
  const TestPod server(net, "srv"), client(net, "cli"), neighbour(net, "nb");
  const TestFolder folder;
  const std::string key = folder.path() + "/key.pem", certificate = folder.path() + "/cert.pem",
                    config = folder.path() + "/nginx.conf";
  must({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=s", "-days", "2"});
  std::ofstream(config) << "daemon off; user root; worker_processes 1; pid " << folder.path()
                        << "/pid; error_log " << folder.path()
                        << "/log;\nevents {}\nhttp { access_log off; keepalive_requests "
                           "100000000;\nserver { listen 8443 ssl http2; ssl_certificate "
                        << certificate << "; ssl_certificate_key " << key
                        << "; location / { return 200 \"ok\\n\"; } } }\n";
  const Child nginx = server.start([&] {
    ::execlp("nginx", "nginx", "-e", (folder.path() + "/log").c_str(), "-c", config.c_str(),
             nullptr);
    return 127;
  });
  // It only has the file.
  const Child idle = neighbour.start([] {
    ::execlp("/usr/bin/python3", "python3", "-c", "import ssl, time; time.sleep(10000)", nullptr);
    return 127;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  boost::json::object line{{"bench", "tls_plain"}, {"rounds", rounds}};
  line["http1"] = compare({server, client, "http/1.1", seconds}, neighbour, rounds);
  line["http2"] = compare({server, client, "h2", seconds}, neighbour, rounds);
  std::cout << boost::json::serialize(line) << "\n";
  return 0;
}

}  // namespace
}  // namespace faultline::test

int main(int argc, char** argv) {
  try {
    return faultline::test::run(argc > 1 ? std::atoi(argv[1]) : 5, argc > 2 ? argv[2] : "4");
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
