// SPDX-License-Identifier: Apache-2.0
#include "tests/cluster/faultline.h"

#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>

namespace faultline::test {
namespace {

double seconds(const testbed::CommandResult& said) {
  return said.status == 0 ? std::strtod(said.output.c_str(), nullptr) : -1;
}

std::vector<std::string> curl(const std::string& ip) {
  return {"curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{time_total}", "http://" + ip + "/"};
}

}  // namespace

std::string experiment(const std::string& name, const std::string& spec) {
  return "apiVersion: faultline.dev/v1alpha1\nkind: Experiment\nmetadata: {name: " + name +
         "}\nspec:\n" + spec;
}

std::string slow(const std::string& name, const std::string& fault, const std::string& selector) {
  return experiment(name, "  purpose: \"The caller feels it\"\n  target: {selector: " + selector +
                              ", mode: one}\n"
                              "  faults: [{networkLatency: {latency: 300ms}}]\n"
                              "  phases: {baseline: 2s, fault: " +
                              fault + ", recovery: 2s}\n");
}

void Faultline::TearDown() {
  if (HasFailure())
    for (const char* of : {"deployment/faultline-controller", "daemonset/faultline-agent"})
      std::cout << kubectl({"-n", "faultline", "logs", of, "--tail=60"}).output;
  shop.must_kubectl({"delete", "experiments", "--all"});
  EXPECT_TRUE(comes_true([] { return left().empty(); }, 15s)) << left();
}

std::vector<ShopPod> Faultline::web() {
  std::vector<ShopPod> pods;
  const auto list =
      boost::json::parse(shop.must_kubectl({"get", "pods", "-l", "app=web", "-o", "json"}));
  for (const auto& item : list.at("items").as_array()) {
    const auto& state = item.at("status").as_object();
    const auto* ip = state.if_contains("podIP");
    if (ip == nullptr || item.at("metadata").as_object().contains("deletionTimestamp")) continue;
    pods.push_back({std::string(item.at_pointer("/metadata/name").as_string()),
                    std::string(ip->as_string()),
                    std::string(item.at_pointer("/spec/nodeName").as_string())});
  }
  return pods;
}

ShopPod Faultline::pod_of(const std::string& name) {
  for (ShopPod& pod : web())
    if (pod.name == name) return pod;
  return {};
}

double Faultline::felt(const std::string& ip) {
  std::vector<std::string> words{"exec", "caller", "--"};
  for (const std::string& word : curl(ip)) words.push_back(word);
  return seconds(shop.kubectl(words));
}

double Faultline::felt_on(const std::string& node, const std::string& ip) {
  std::vector<std::string> words{"enter", node, "--"};
  for (const std::string& word : curl(ip)) words.push_back(word);
  return seconds(cluster(words));
}

boost::json::value Faultline::status(const std::string& experiment) {
  const auto said = shop.kubectl({"get", "experiment", experiment, "-o", "json"});
  if (said.status != 0) return boost::json::object{};
  const auto object = boost::json::parse(said.output);
  const auto* found = object.as_object().if_contains("status");
  return found == nullptr ? boost::json::value(boost::json::object{}) : *found;
}

std::string Faultline::text(const boost::json::value& object, const char* key) {
  const auto* found = object.as_object().if_contains(key);
  return found != nullptr && found->is_string() ? std::string(found->as_string()) : "";
}

std::string Faultline::condition(const std::string& experiment, const std::string& type) {
  const auto now = status(experiment);
  if (const auto* conditions = now.as_object().if_contains("conditions"))
    for (const auto& one : conditions->as_array())
      if (text(one, "type") == type) return text(one, "status") + " " + text(one, "reason");
  return "";
}

std::string Faultline::target(const std::string& experiment) {
  const auto now = status(experiment);
  const auto* targets = now.as_object().if_contains("targets");
  return targets == nullptr || targets->as_array().empty() ? ""
                                                           : text(targets->as_array()[0], "name");
}

ShopPod Faultline::injected(const std::string& name, const std::string& document) {
  shop.apply(document);
  if (!comes_true([&] { return phase(name) == "Injecting"; }, 30s))
    throw std::runtime_error(boost::json::serialize(status(name)));
  ShopPod hit = pod_of(target(name));
  // Not always the first time: `kubectl exec` fails for a moment behind a restart of containerd.
  double waited = -1;
  EXPECT_TRUE(comes_true([&] { return (waited = felt(hit.ip)) > kDelayed; }, 5s))
      << hit.name << ": " << waited << " s";
  return hit;
}

bool Faultline::over(const std::string& experiment) {
  const std::string now = phase(experiment);
  return now == "Completed" || now == "Failed" || now == "Aborted";
}

pid_t Faultline::process_of(const std::string& pod, const std::string& program) {
  std::string uid =
      must_kubectl({"-n", "faultline", "get", "pod", pod, "-o", "jsonpath={.metadata.uid}"});
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream comm(entry.path() / "comm"), cgroup(entry.path() / "cgroup");
    std::string name;
    if (!std::getline(comm, name) || name != program) continue;
    const std::string groups(std::istreambuf_iterator<char>(cgroup), {});
    if (groups.find(uid) != groups.npos) return std::stoi(entry.path().filename());
  }
  throw std::runtime_error("there is no process of " + pod);
}

std::string Faultline::left() {
  const auto programs = testbed::command({"bpftool", "prog", "show"});
  std::string found;
  std::istringstream lines(programs.output);
  for (std::string line; std::getline(lines, line);)
    if (line.find(" name fl_") != line.npos) found += line + "\n";
  for (const char* node : {"n1", "n2"}) {
    std::istringstream links(cluster({"enter", node, "--", "ip", "-o", "link"}).output);
    for (std::string line; std::getline(links, line);)
      if (line.find(": fl-") != line.npos) found += std::string(node) + ": " + line + "\n";
  }
  return found;
}

}  // namespace faultline::test
