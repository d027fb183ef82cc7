// SPDX-License-Identifier: Apache-2.0
#include "demo/shop.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "demo/program.h"
#include "demo/run.h"
#include "demo/till.h"
#include "testbed/patience.h"

namespace faultline::demo {
namespace {

using std::chrono::milliseconds;

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path);
  out << text;
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path);
}

std::string nginx_config(const std::string& folder, const std::string& location) {
  std::string temp;
  for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
    temp += std::string("  ") + kind + "_temp_path " + folder + "/" + kind + ";\n";
  return "daemon off;\nworker_processes 1;\npid " + folder + "/pid;\nerror_log " + folder +
         "/error.log error;\nevents { worker_connections 512; }\nhttp {\n  access_log off;\n" +
         temp + "  server {\n    listen " + std::to_string(kPort) +
         ";\n    keepalive_requests 1000000;\n    location / { " + location + " }\n  }\n}\n";
}

// wrk sends as fast as it can; this makes four customers who think for 15 to 25 ms, so that the
// machine is not saturated and a slow answer is the fault's and not the queue's. Those of a working
// shop think for longer: together with the stopwatch they ask for a third of what payments can do.
constexpr const char* kPace = "function delay() return math.random(15, 25) end\n";
constexpr const char* kCalmPace = "function delay() return math.random(120, 160) end\n";
constexpr const char* kSlowPace = "function delay() return math.random(1200, 1600) end\n";
// Of payments in a working shop. An emulated CPU needs more for the same order.
constexpr double kCpus = 0.15, kEmulatedCpus = 0.5;
constexpr std::chrono::microseconds kWork{1000};  // of CPU time, an order

}  // namespace

Shop::Shop(Kind kind)
    : payments_(network_, "payments"),
      checkout_(network_, "checkout"),
      customers_(network_, "customers"),
      catalog_(network_, "catalog"),
      kind_(kind),
      pods_file_(folder_.path() + "/pods.yaml") {
  write_pods_file();
  const bool working = kind_ == Kind::kWorking;
  if (working)
    start_till();
  else
    start_nginx(payments_, "payments", "return 200 \"paid\\n\";");
  start_nginx(catalog_, "catalog", "return 200 \"shoes\\n\";");
  // Without keepalive in an upstream block nginx opens a new connection for each request.
  start_nginx(checkout_, "checkout",
              "proxy_pass http://" + payments_.ip4() + ":" + std::to_string(kPort) + ";" +
                  (working ? " proxy_connect_timeout 500ms; proxy_read_timeout 500ms;" : ""));
  checkout_prober_ = ask_checkout(testbed::patience(milliseconds(working ? 50 : 20)));
  catalog_prober_ = std::make_unique<Prober>("/proc/self/ns/net", catalog_.ip4(), kPort,
                                             testbed::patience(milliseconds(20)));
  wait_until_open();
  start_customers();
}

std::unique_ptr<Prober> Shop::ask_checkout(milliseconds interval) const {
  return std::make_unique<Prober>(customers_.netns_path(), checkout_.ip4(), kPort, interval);
}

std::string Shop::checkout_address() const { return checkout_.ip4() + ":" + std::to_string(kPort); }

void Shop::write_pods_file() const {
  std::string text = "pods:\n";
  const auto add = [&](const std::string& app, const testbed::TestPod& pod) {
    text += "  - {namespace: shop, name: " + app + "-0, labels: {app: " + app +
            "}, cgroup: " + pod.cgroup_path() + ", netns: " + pod.netns_path() + "}\n";
  };
  add("payments", payments_);
  add("checkout", checkout_);
  add("customers", customers_);
  add("catalog", catalog_);
  write_file(pods_file_, text);
}

void Shop::start_nginx(const testbed::TestPod& pod, const std::string& name,
                       const std::string& location) {
  const std::string folder = folder_.path() + "/" + name;
  std::error_code ec;
  std::filesystem::create_directory(folder, ec);
  write_file(folder + "/nginx.conf", nginx_config(folder, location));
  programs_.push_back(pod.start([&]() -> int {
    setsid();  // Ctrl-C is for the demo; the pods outlive the run that it stops
    testbed::become(
        {"nginx", "-p", folder, "-c", folder + "/nginx.conf", "-e", folder + "/error.log"},
        {folder + "/output.log"});
  }));
}

void Shop::start_till() {
  limits_.emplace(payments_.cgroup_path());
  limits_->set_cpus(testbed::on_emulated_cpu() ? kEmulatedCpus : kCpus);
  const std::string ledger = folder_.path() + "/ledger";
  programs_.push_back(payments_.start([&]() -> int {
    setsid();
    // As busy neighbours in its cgroup have it, however urgent whoever started the demo is.
    setpriority(PRIO_PROCESS, 0, 0);
    limits_->join();
    return serve_orders(kPort, kWork, ledger);
  }));
}

void Shop::start_customers() {
  const std::string pace = folder_.path() + "/pace.lua";
  write_file(pace, testbed::on_emulated_cpu() ? kSlowPace
                   : kind_ == Kind::kWorking  ? kCalmPace
                                              : kPace);
  programs_.push_back(customers_.start([&]() -> int {
    setsid();
    testbed::become({"wrk", "--threads", "1", "--connections", "4", "--duration", "1h", "--script",
                     pace, "http://" + checkout_.ip4() + ":" + std::to_string(kPort) + "/"},
                    {folder_.path() + "/wrk.log"});
  }));
}

void Shop::wait_until_open() {
  const auto start = Steady::now();
  const auto answers = [&](const Prober& prober) {
    for (const Probe& probe : prober.between(start, Steady::now()))
      if (probe.status == 200) return true;
    return false;
  };
  if (wait_for([&] { return answers(*checkout_prober_) && answers(*catalog_prober_); },
               testbed::patience(milliseconds(10'000))))
    return;
  std::string said;
  for (const char* name : {"payments", "checkout", "catalog"})
    said += "\n" + std::string(name) + ": " + read_file(folder() + "/" + name + "/output.log");
  throw std::runtime_error("the shop does not open; its programs said:" + said);
}

}  // namespace faultline::demo
