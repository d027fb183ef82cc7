// SPDX-License-Identifier: Apache-2.0
#include "testbed/cluster.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "testbed/patience.h"
#include "testbed/program.h"

namespace faultline::testbed {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

void end(std::optional<Child>& child) noexcept {
  if (!child) return;
  child->signal(SIGTERM);
  const auto limit = steady_clock::now() + std::chrono::seconds(5);
  while (!has_ended(*child) && steady_clock::now() < limit) usleep(10'000);
  child.reset();
}

}  // namespace

Cluster::Cluster(const std::string& programs, const std::string& folder,
                 const std::string& pods_file, const std::string& pod,
                 std::vector<std::string> options)
    : programs_(programs), folder_(folder), options_(std::move(options)) {
  start_controller();
  agent_.emplace(launch({programs + "/faultline-agent", "--controller", url_, "--token-file",
                         folder + "/agent.token", "--node", "node", "--pods", pods_file},
                        {log("agent")}));
  // Until the controller knows the pods.
  const auto joined = [&] {
    Child nodes = launch({programs + "/faultline", "nodes", "--controller", url_, "--token-file",
                          token_file(), "--output", "json"},
                         {folder + "/nodes.json"});
    nodes.wait();
    std::ifstream file(folder + "/nodes.json");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str().find(pod) != std::string::npos || has_ended(*agent_);
  };
  if (!wait_until(joined, patience(milliseconds(10'000))) || has_ended(*agent_)) {
    std::ifstream said(log("agent"));
    std::ostringstream text;
    text << said.rdbuf();
    throw std::runtime_error("the agent does not join its controller; it said:\n" + text.str());
  }
}

Cluster::~Cluster() {
  end(agent_);
  end(controller_);
}

void Cluster::kill_agent() {
  agent_->signal(SIGKILL);
  agent_->wait();
  agent_.reset();
}

void Cluster::restart_controller() {
  controller_->signal(SIGKILL);
  controller_->wait();
  controller_.reset();
  start_controller();
}

void Cluster::start_controller() {
  const std::string port_file = folder_ + "/port";
  unlink(port_file.c_str());
  std::vector<std::string> words{programs_ + "/faultline-controller",
                                 "--listen",
                                 "127.0.0.1:" + std::to_string(port_),
                                 "--state-dir",
                                 folder_,
                                 "--port-file",
                                 port_file};
  words.insert(words.end(), options_.begin(), options_.end());
  controller_.emplace(launch(words, {log("controller")}));
  int port = 0;
  const auto listens = [&] { return std::ifstream(port_file) >> port || has_ended(*controller_); };
  if (!wait_until(listens, patience(milliseconds(10'000))) || port == 0) {
    std::ifstream said(log("controller"));
    std::ostringstream text;
    text << said.rdbuf();
    throw std::runtime_error("the controller does not listen; it said:\n" + text.str());
  }
  port_ = port;
  url_ = "http://127.0.0.1:" + std::to_string(port);
}

std::string Cluster::log(const std::string& program) const {
  return folder_ + "/" + program + ".log";
}

}  // namespace faultline::testbed
