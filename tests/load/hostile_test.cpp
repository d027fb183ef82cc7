// SPDX-License-Identifier: Apache-2.0
// Hostile requests of every kind, by callers with and without a name, while a run goes on and many
// agents sync: no lease is lost, /healthz answers, and memory stays below what is shipped. Short by
// default; FAULTLINE_LOAD_AGENTS and FAULTLINE_LOAD_REQUESTS (of each kind) make it the whole, as
// scripts/load does.
#include "tests/load/hostile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <deque>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <mutex>
#include <thread>

#include "testbed/program.h"
#include "testbed/simulated_agent.h"
#include "tests/places.h"
#include "tests/unit/http/pki.h"

namespace faultline::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using testbed::SimulatedAgent;

constexpr long kLimitKiB = 512 << 10;  // daemonset/base/controller.yaml
constexpr int kInjecting = 5;

int number_from(const char* name, int usual) {
  const char* text = std::getenv(name);
  return text == nullptr ? usual : std::stoi(text);
}

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

long peak_kib(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6));
  return 0;  // it has ended
}

// A cgroup with the limit of memory. Where there is no such controller, none: the peak is looked at
// in any case.
class MemoryLimit {
 public:
  MemoryLimit() : path_("/sys/fs/cgroup/fl-load-" + std::to_string(getpid())) {
    struct statfs mounted {};
    if (statfs("/sys/fs/cgroup", &mounted) != 0 || mounted.f_type != CGROUP2_SUPER_MAGIC) return;
    std::error_code ec;
    if (!std::filesystem::create_directory(path_, ec)) return;
    made_ = true;
    std::ofstream(path_ + "/memory.max") << kLimitKiB * 1024;
    works_ = first_line(path_ + "/memory.max") == std::to_string(kLimitKiB * 1024);
  }
  ~MemoryLimit() {
    for (int i = 0; made_ && i < 100 && rmdir(path_.c_str()) != 0; ++i)
      std::this_thread::sleep_for(20ms);
  }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;
  void add(pid_t pid) const {
    if (works_) std::ofstream(path_ + "/cgroup.procs") << pid;
  }
  [[nodiscard]] bool works() const { return works_; }

 private:
  std::string path_;
  bool made_ = false, works_ = false;
};

class Load : public testing::Test {
 protected:
  Load() {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;  // the controller inherits it
    setrlimit(RLIMIT_NOFILE, &files);
    const http::Pem pem = authority_.issue({});
    std::ofstream(folder_.file("policy.yaml")) << "maxPods: 10000\n";
    controller_.emplace(testbed::launch(
        {build_dir() / "bin/faultline-controller", "--state-dir", folder_.file("state"), "--listen",
         "127.0.0.1:0", "--port-file", folder_.file("port"), "--policy",
         folder_.file("policy.yaml"), "--audit-log", folder_.file("audit.log"), "--tls-cert",
         folder_.write("crt", pem.certificate), "--tls-key", folder_.write("key", pem.key),
         "--log-level", "error"}));
    limit_.add(controller_->pid());
    if (!testbed::wait_until([&] { return !first_line(folder_.file("port")).empty(); }, 20s))
      throw std::runtime_error("the controller does not start");
    target_.port = static_cast<std::uint16_t>(std::stoi(first_line(folder_.file("port"))));
    target_.tls.ca_pem = authority_.pem();
    target_.agent_token = first_line(folder_.file("state/agent.token"));
    target_.person_token = first_line(folder_.file("state/person.token"));
  }
  ~Load() override {
    if (thread_.joinable()) {
      boost::asio::post(loop_, [&] {
        for (const auto& agent : agents_) agent->stop();
      });
      std::this_thread::sleep_for(200ms);
      loop_.stop();
      thread_.join();
    }
  }

  void bring_agents(int count) {
    http::ClientOptions client = person();
    client.bearer_token = target_.agent_token;
    for (int i = 0; i < count; ++i)
      agents_.push_back(
          std::make_unique<SimulatedAgent>(loop_, client, i, i < kInjecting, figures_));
    thread_ = std::thread([this] {
      const auto work = boost::asio::make_work_guard(loop_);
      loop_.run();
    });
    ASSERT_TRUE(testbed::wait_until(
        [&] {
          return on_loop([&] { return std::ranges::all_of(agents_, &SimulatedAgent::known); });
        },
        120s));
  }
  bool on_loop(const std::function<bool()>& look) {
    std::packaged_task<bool()> task(look);
    auto done = task.get_future();
    boost::asio::post(loop_, [&] { task(); });
    return done.get();
  }
  [[nodiscard]] http::ClientOptions person() const {
    http::ClientOptions options;
    options.base_url = "https://127.0.0.1:" + std::to_string(target_.port);
    options.bearer_token = target_.person_token;
    options.tls = target_.tls;
    options.connect_timeout = 5s;
    return options;
  }
  [[nodiscard]] boost::json::value ask(const std::string& method, const std::string& path,
                                       const std::string& body = "") const {
    const auto answer = http::request_blocking(person(), method, path, body, 20s);
    if (!answer) throw std::runtime_error(path + ": " + answer.error().message);
    if (answer->status >= 300) throw std::runtime_error(path + ": " + answer->body);
    return boost::json::parse(answer->body);
  }
  [[nodiscard]] std::string state(const std::string& run) const {
    const boost::json::value record = ask("GET", "/api/v1/experiments/" + run);
    const auto* why = record.as_object().if_contains("stateReason");
    return std::string(record.at("state").as_string()) +
           (why != nullptr && why->is_string() && !why->as_string().empty()
                ? ": " + std::string(why->as_string())
                : "");
  }
  std::string begin_run() {
    const std::string run(
        ask("POST", "/api/v1/experiments",
            "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: long}\nspec:\n"
            "  target: {selector: {namespaces: [shop], labelSelectors: {hit: \"yes\"}}, mode: "
            "all}\n"
            "  faults: [{networkLoss: {loss: 50%}}]\n"
            "  phases: {baseline: 0s, fault: 30m, recovery: 0s}\n"
            "  limits: {maxPods: 10000, maxPercent: 100}\n")
            .at("run")
            .as_string());
    EXPECT_TRUE(testbed::wait_until([&] { return state(run) == "Injecting"; }, 20s)) << state(run);
    return run;
  }

  http::Folder folder_;
  http::Authority authority_{"the CA of this test"};
  MemoryLimit limit_;
  std::optional<testbed::Child> controller_;
  Target target_;
  boost::asio::io_context loop_{1};
  testbed::AgentFigures figures_;
  std::vector<std::unique_ptr<SimulatedAgent>> agents_;
  std::thread thread_;
};

// Asks /healthz again and again on connections of its own, as a kubelet does.
class Kubelet {
 public:
  explicit Kubelet(http::ClientOptions options) : options_(std::move(options)) {
    options_.bearer_token.clear();
    thread_ = std::thread([this] {
      while (!ends_) {
        const auto begin = steady_clock::now();
        const auto answer = http::request_blocking(options_, "GET", "/healthz", "", 10s);
        const std::chrono::duration<double> took = steady_clock::now() - begin;
        ++asked_;
        if (!answer || answer->status != 200) ++failed_;
        if (took > 1s) ++late_;
        slowest_ = std::max(slowest_, took.count());
        std::this_thread::sleep_for(100ms);
      }
    });
  }
  void end() {
    ends_ = true;
    if (thread_.joinable()) thread_.join();
  }
  ~Kubelet() { end(); }
  Kubelet(const Kubelet&) = delete;
  Kubelet& operator=(const Kubelet&) = delete;
  int asked_ = 0, failed_ = 0, late_ = 0;  // after end()
  double slowest_ = 0;                     // seconds

 private:
  http::ClientOptions options_;
  std::atomic<bool> ends_ = false;
  std::thread thread_;
};

TEST_F(Load, HostileRequestsEndNoRunAndKeepNobodyFromTheController) {
  const int agents = number_from("FAULTLINE_LOAD_AGENTS", 60);
  const int requests = number_from("FAULTLINE_LOAD_REQUESTS", 24);
  bring_agents(agents);
  const std::string run = begin_run();
  const long before = peak_kib(controller_->pid());
  Kubelet kubelet(person());

  // Connections that are held and never say anything, more than there may be.
  std::vector<std::unique_ptr<RawTls>> idle;
  for (int i = 0; i < std::min(requests * 10, 1500); ++i)
    idle.push_back(std::make_unique<RawTls>(target_));

  const std::vector<Hostile> kinds = hostile_requests();
  for (const Hostile& kind : kinds) {
    std::atomic<int> next = 0;
    std::map<int, int> statuses;
    std::mutex mutex;
    std::vector<std::thread> threads;
    const auto begin = steady_clock::now();
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = next++; i < requests; i = next++) {
          const int status = kind.send(target_, i);
          const std::lock_guard lock(mutex);
          ++statuses[status];
        }
      });
    for (std::thread& thread : threads) thread.join();
    const std::chrono::duration<double> took = steady_clock::now() - begin;
    std::cout << kind.name << ": " << requests << " in " << took.count() << " s,";
    for (const auto& [status, count] : statuses) std::cout << " " << count << "x" << status;
    std::cout << "; peak " << peak_kib(controller_->pid()) / 1024 << " MiB\n";
    ASSERT_FALSE(testbed::has_ended(*controller_)) << kind.name;
    EXPECT_EQ(state(run), "Injecting") << kind.name;
    for (const auto& [status, count] : statuses)
      EXPECT_FALSE(status >= 200 && status < 300 && kind.name != "pipeline" && kind.name != "lists")
          << kind.name << ": " << status;
  }
  kubelet.end();
  const long peak = peak_kib(controller_->pid());
  std::cout << agents << " agents, " << kinds.size() << " kinds of " << requests
            << " requests each; peak " << before / 1024 << " -> " << peak / 1024 << " MiB"
            << (limit_.works() ? " in a cgroup of " : " of ") << kLimitKiB / 1024
            << " MiB; /healthz: " << kubelet.asked_ << " asked, " << kubelet.failed_
            << " failed, slowest " << kubelet.slowest_ << " s, " << kubelet.late_
            << " later than 1 s; syncs " << figures_.syncs << ", failed " << figures_.failures
            << "\n";
  EXPECT_LT(peak, kLimitKiB);
  EXPECT_EQ(kubelet.failed_, 0);
  // Generous beside the second that is promised: the machine does both sides.
  EXPECT_LT(kubelet.slowest_, 3);
  EXPECT_EQ(state(run), "Injecting") << "no node may have been lost";
  // Neither may the audit log be full of it: a caller has a line a second.
  std::ifstream log(folder_.file("audit.log"));
  const auto lines = std::count(std::istreambuf_iterator<char>(log), {}, '\n');
  std::cout << lines << " lines in the audit log\n";
  EXPECT_LT(lines, 1500);
  (void)ask("POST", "/api/v1/stop");
  EXPECT_TRUE(testbed::wait_until([&] { return state(run).starts_with("Aborted"); }, 20s));
}

}  // namespace
}  // namespace faultline::test
