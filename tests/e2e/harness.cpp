// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/harness.h"

#include <signal.h>

#include <fstream>
#include <thread>

#include "testbed/shell.h"

namespace faultline::test {
namespace fs = std::filesystem;

bool comes_true(const std::function<bool()>& what, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!what()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

std::optional<double> one_ping(const std::string& address) {
  const auto said = testbed::command({"ping", "-n", "-c", "1", "-W", "0.4", address}).output;
  const auto at = said.find("time=");
  if (at == std::string::npos) return std::nullopt;
  return std::stod(said.substr(at + 5));
}

Cluster::Cluster(const Folder& folder, std::string pods, std::string temp,
                 std::vector<std::string> controller_options)
    : folder_(folder),
      pods_(std::move(pods)),
      temp_(std::move(temp)),
      controller_options_(std::move(controller_options)) {
  start_controller();
  start_agent();
  wait_connected();
}

Cluster::~Cluster() = default;

void Cluster::start_controller() {
  const std::string port_file = folder_.file("port");
  std::error_code ignored;
  fs::remove(port_file, ignored);
  controller_.reset();
  std::vector<std::string> argv{"faultline-controller",
                                "--listen",
                                "127.0.0.1:" + (port_.empty() ? "0" : port_),
                                "--state-dir",
                                folder_.file("state"),
                                "--port-file",
                                port_file,
                                "--audit-log",
                                audit_log()};
  argv.insert(argv.end(), controller_options_.begin(), controller_options_.end());
  controller_.emplace(argv, folder_, "controller" + std::to_string(++count_), temp_);
  if (!comes_true([&] { return content(port_file).ends_with("\n"); }, 10s))
    throw std::runtime_error("no controller: " + controller_->err());
  port_ = content(port_file);
  port_.pop_back();
}

void Cluster::start_agent() {
  agent_.reset();
  agent_.emplace(
      std::vector<std::string>{"faultline-agent", "--controller", "http://127.0.0.1:" + port_,
                               "--token-file", folder_.file("state") + "/agent.token", "--node",
                               "node-1", "--pods", pods_},
      folder_, "agent" + std::to_string(++count_), temp_);
}

bool Cluster::connected() {
  const boost::json::value nodes = ask({"nodes"});
  for (const auto& node : nodes.at("nodes").as_array())
    if (node.at("connected").as_bool() && !node.at("pods").as_array().empty()) return true;
  return false;
}

void Cluster::wait_connected() {
  if (!comes_true([&] { return connected(); }, 15s))
    throw std::runtime_error("the agent does not come: " + agent_->err() + controller_->err());
}

Program Cluster::command(std::vector<std::string> words) {
  words.insert(words.begin(), "faultline");
  for (const std::string& word :
       {std::string("--controller"), "http://127.0.0.1:" + port_, std::string("--token-file"),
        folder_.file("state") + "/person.token", std::string("--output"), std::string("json")})
    words.push_back(word);
  return {words, folder_, "command" + std::to_string(++count_), temp_};
}

boost::json::value Cluster::ask(const std::vector<std::string>& words) {
  Program asking = command(words);
  if (asking.wait() != 0) throw std::runtime_error(words[0] + ": " + asking.out() + asking.err());
  return boost::json::parse(asking.out());
}

EndToEnd::EndToEnd() {
  adopt_orphans();
  fs::create_directory(temp_);
  pods_ = folder_.write("pods.yaml",
                        "pods:\n  - {namespace: shop, name: payments-0, labels: {app: payments},\n"
                        "     cgroup: " +
                            a_.cgroup_path() + ", netns: " + a_.netns_path() + "}\n");
  testbed::ping(a_.ip4(), 3);  // addresses are resolved
}

std::string EndToEnd::experiment(const std::string& name, const std::string& fault,
                                 const Phases& phases) const {
  return folder_.write(name + ".yaml",
                       "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\n"
                       "metadata: {name: " +
                           name +
                           "}\n"
                           "spec:\n  target:\n    selector: {namespaces: [shop]}\n"
                           "  faults:\n    - " +
                           fault +
                           "\n"
                           "  phases: {baseline: " +
                           phases.baseline + ", fault: " + phases.fault +
                           ", recovery: " + phases.recovery + "}\n");
}

Program EndToEnd::run_privately(const std::string& experiment) {
  return {{"faultline", "run", experiment, "--pods", pods_, "--report", report_folder(), "--yes",
           "--output", "json"},
          folder_,
          "run",
          temp_};
}

Cluster EndToEnd::cluster() { return {folder_, pods_, temp_}; }

boost::json::value EndToEnd::report_json() const {
  return boost::json::parse(content(report_folder() + "/report.json"));
}

bool EndToEnd::delayed(double at_least_ms) const {
  const auto took = one_ping(a_.ip4());
  return took && *took >= at_least_ms;
}

void EndToEnd::expect_nothing_left() const {
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
  EXPECT_THAT(descendants(), testing::IsEmpty());
  EXPECT_TRUE(empty_folder(temp_));
}

}  // namespace faultline::test
