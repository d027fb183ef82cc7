// SPDX-License-Identifier: Apache-2.0
// One controller and very many agents: what an agent costs it in memory and time, and how soon a
// stop of everything reaches the last of those that inject. The controller is the real program; an
// agent is a simulated one (testbed/simulated_agent.h). Plain
// HTTP on loopback, both sides on this machine's processors, so the figures are of both. Prints one
// JSON line; the ratio is that of many agents to a few in the same run.
//
// usage: many_agents_bench PROGRAMS [agents [injecting [rounds]]]   PROGRAMS: the folder of
// faultline-controller; 10 000 agents of which 500 inject, 5 rounds
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>

#include "http/client.h"
#include "testbed/cpu_time.h"
#include "testbed/program.h"
#include "testbed/simulated_agent.h"
#include "testbed/stats.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

namespace {

double resident_kib(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6));
  throw std::runtime_error("no VmRSS");
}

// A controller with `agents` agents: what it takes.
class House {
 public:
  House(const std::string& programs, int agents, int injecting) : injecting_(injecting) {
    std::ofstream(folder_.path() + "/policy.yaml") << "maxPods: 10000\n";
    controller_.emplace(launch(
        {programs + "/faultline-controller", "--state-dir", folder_.path() + "/state", "--listen",
         "127.0.0.1:0", "--port-file", folder_.path() + "/port", "--policy",
         folder_.path() + "/policy.yaml", "--max-connections", "20000", "--log-level", "warn"}));
    std::string port;
    if (!wait_until([&] { return !(port = first_line("/port")).empty(); }, seconds(10)))
      throw std::runtime_error("the controller does not start");
    url_ = "http://127.0.0.1:" + port;
    agent_client_.base_url = url_;
    agent_client_.bearer_token = first_line("/state/agent.token");
    person_.base_url = url_;
    person_.bearer_token = first_line("/state/person.token");
    empty_kib_ = resident_kib(controller_->pid());
    for (int i = 0; i < agents; ++i) {
      agents_.push_back(
          std::make_unique<SimulatedAgent>(loop_, agent_client_, i, i < injecting, figures_));
      // Agents of a cluster do not come all at once either.
      if (i % 200 == 199) run_for(milliseconds(50));
    }
    run_until([&] { return std::ranges::all_of(agents_, &SimulatedAgent::known); }, seconds(120));
  }
  ~House() {
    for (const auto& agent : agents_) agent->stop();
    run_for(milliseconds(100));
  }
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  [[nodiscard]] double kib_an_agent() const {
    return (resident_kib(controller_->pid()) - empty_kib_) / static_cast<double>(agents_.size());
  }
  // 2 000 pods a minute, for `time`: the controller's time for a sync, milliseconds.
  double cost_of_churn(seconds time) {
    const double before = cpu_seconds(controller_->pid());
    const std::uint64_t syncs = figures_.syncs;
    const auto until = steady_clock::now() + time;
    while (steady_clock::now() < until) {
      agents_.at(random_() % agents_.size())->change_pod(++serial_);
      run_for(milliseconds(30));
    }
    changed_ = static_cast<double>(figures_.syncs - syncs);
    return 1e3 * (cpu_seconds(controller_->pid()) - before) / changed_;
  }
  // The times from the request to each injecting agent, and that of the last, seconds.
  std::vector<double> stop_all(int round) {
    const std::string document =
        "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: many-" +
        std::to_string(round) +
        "}\nspec:\n  target: {selector: {namespaces: [shop], labelSelectors: {hit: \"yes\"}}, "
        "mode: all}\n  faults: [{networkLoss: {loss: 50%}}]\n"
        "  phases: {baseline: 0s, fault: 60s, recovery: 0s}\n"
        "  limits: {maxPods: 10000, maxPercent: 100}\n";
    ask("/api/v1/experiments", document, 201);
    run_until(
        [&] {
          return std::ranges::count_if(
                     agents_, [](const auto& agent) { return agent->injects(); }) == injecting_;
        },
        seconds(60));
    run_for(seconds(2));  // in the midst of it
    const auto asked = steady_clock::now();
    ask("/api/v1/stop", "", 200);
    run_until(
        [&] {
          return std::ranges::none_of(agents_, [](const auto& agent) { return agent->injects(); });
        },
        seconds(60));
    std::vector<double> times;
    for (int i = 0; i < injecting_; ++i)
      times.push_back(
          std::chrono::duration<double>(agents_.at(static_cast<std::size_t>(i))->ended() - asked)
              .count());
    run_for(seconds(3));  // until it is over
    return times;
  }
  [[nodiscard]] const AgentFigures& figures() const { return figures_; }

 private:
  void run_for(milliseconds time) {
    loop_.restart();
    loop_.run_for(time);
  }
  void run_until(const std::function<bool()>& done, seconds limit) {
    const auto until = steady_clock::now() + limit;
    while (!done()) {
      if (steady_clock::now() > until) throw std::runtime_error("it takes too long");
      run_for(milliseconds(5));
    }
  }
  // While the agents go on.
  void ask(const std::string& target, const std::string& body, int status) {
    std::optional<Result<http::ClientResponse>> said;
    http::Client client(loop_.get_executor(), person_);
    const auto asking = [&]() -> asio::awaitable<void> {
      said = co_await client.request("POST", target, body, seconds(30));
    };
    asio::co_spawn(loop_, asking(), asio::detached);
    run_until([&] { return said.has_value(); }, seconds(40));
    if (!*said || (*said)->status != status)
      throw std::runtime_error(target + ": " + (*said ? (*said)->body : said->error().message));
  }
  [[nodiscard]] std::string first_line(const std::string& name) const {
    std::ifstream in(folder_.path() + name);
    std::string line;
    std::getline(in, line);
    return line;
  }

  TestFolder folder_;
  std::optional<Child> controller_;
  asio::io_context loop_{1};
  std::string url_;
  http::ClientOptions agent_client_, person_;
  AgentFigures figures_;
  std::vector<std::unique_ptr<SimulatedAgent>> agents_;
  std::mt19937_64 random_{1};
  std::uint64_t serial_ = 1000;
  int injecting_;
  double empty_kib_ = 0, changed_ = 0;
};

boost::json::object measure(const std::string& programs, int agents, int injecting, int rounds) {
  House house(programs, agents, injecting);
  boost::json::object out;
  out["agents"] = agents;
  out["injecting"] = injecting;
  out["memory_KiB_per_agent"] = house.kib_an_agent();
  out["sync_cpu_ms"] = house.cost_of_churn(seconds(20));
  std::vector<double> all, last;
  for (int i = 0; i < rounds; ++i) {
    const std::vector<double> times = house.stop_all(i);
    all.insert(all.end(), times.begin(), times.end());
    last.push_back(*std::ranges::max_element(times));
  }
  out["stop_all_s"] = {{"p50", quantile(all, 0.5)},
                       {"p99", quantile(all, 0.99)},
                       {"last_p50", quantile(last, 0.5)},
                       {"last_max", quantile(last, 1)}};
  out["syncs"] = house.figures().syncs;
  out["failed_syncs"] = house.figures().failures;
  return out;
}

int run(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: many_agents_bench PROGRAMS [agents [injecting [rounds]]]\n";
    return 3;
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;  // the controller inherits it
  setrlimit(RLIMIT_NOFILE, &files);
  const std::string programs = argv[1];
  const int agents = argc > 2 ? std::stoi(argv[2]) : 10'000;
  const int injecting = argc > 3 ? std::stoi(argv[3]) : 500;
  const int rounds = argc > 4 ? std::stoi(argv[4]) : 5;
  const boost::json::object few = measure(programs, std::max(agents / 10, 1),
                                          std::min(injecting, std::max(agents / 10, 1)), rounds);
  const boost::json::object all = measure(programs, agents, injecting, rounds);
  const double ratio = all.at("sync_cpu_ms").as_double() / few.at("sync_cpu_ms").as_double();
  std::cout << boost::json::object{{"bench", "many_agents"},
                                   {"few", few},
                                   {"many", all},
                                   {"sync_cost_ratio", ratio}}
            << "\n";
  return 0;
}

}  // namespace
}  // namespace faultline::test

int main(int argc, char** argv) {
  try {
    return faultline::test::run(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << "many_agents_bench: " << e.what() << "\n";
    return 1;
  }
}
