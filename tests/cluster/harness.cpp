// SPDX-License-Identifier: Apache-2.0
#include "tests/cluster/harness.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "tests/places.h"

namespace faultline::test {
namespace {

constexpr const char* kState = "/var/cache/faultline-cluster";

std::vector<std::string> in_front(std::vector<std::string> first, std::vector<std::string> rest) {
  first.insert(first.end(), std::make_move_iterator(rest.begin()),
               std::make_move_iterator(rest.end()));
  return first;
}

std::string succeeded(const testbed::CommandResult& result, const std::vector<std::string>& words) {
  if (result.status == 0) return result.output;
  std::string text = "kubectl";
  for (const std::string& word : words) text += " " + word;
  throw std::runtime_error(text + ": " + result.output);
}

}  // namespace

std::string source(const std::string& path) { return test::source_dir() / path; }

std::string state(const std::string& path) { return std::string(kState) + "/" + path; }

std::string programs() {
  std::string bin;
  if (!std::getline(std::ifstream(state("bin")), bin))
    throw std::runtime_error("the cluster is not up; run: scripts/cluster up");
  return bin;
}

testbed::CommandResult cluster(std::vector<std::string> words) {
  return testbed::command(in_front({source("scripts/cluster")}, std::move(words)));
}

testbed::CommandResult kubectl(std::vector<std::string> words) {
  return testbed::command(
      in_front({programs() + "/kubectl", "--kubeconfig=" + state("pki/admin.kubeconfig")},
               std::move(words)));
}

std::string must_kubectl(const std::vector<std::string>& words) {
  return succeeded(kubectl(words), words);
}

bool comes_true(const std::function<bool()>& what, std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!what()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(100ms);
  }
  return true;
}

Namespace::Namespace(const std::string& name) : ExistingNamespace(name) {
  // One of this name, of a test before, may be on its way out.
  testbed::CommandResult made;
  if (!comes_true(
          [&] {
            made = test::kubectl({"create", "namespace", name});
            return made.status == 0;
          },
          60s))
    throw std::runtime_error("namespace " + name + ": " + made.output);
  // Pods made before it are refused.
  if (!comes_true([&] { return kubectl({"get", "serviceaccount", "default"}).status == 0; }, 20s))
    throw std::runtime_error(name + " got no service account");
}
Namespace::~Namespace() {
  test::kubectl({"delete", "namespace", name(), "--wait=false"});
  test::kubectl({"delete", "pod", "--all", "-n", name(), "--force", "--grace-period=0"});
}

void ExistingNamespace::apply(const std::string& manifest) const {
  // What begins with a brace is taken for JSON.
  const TemporaryFile file("---\n" + manifest);
  must_kubectl({"apply", "-f", file.path()});
}
testbed::CommandResult ExistingNamespace::kubectl(std::vector<std::string> words) const {
  return test::kubectl(in_front({"-n", name_}, std::move(words)));
}
std::string ExistingNamespace::must_kubectl(const std::vector<std::string>& words) const {
  return succeeded(kubectl(words), words);
}

void ExistingNamespace::nginx(const std::string& pod, const std::string& node) const {
  apply("apiVersion: v1\nkind: Pod\nmetadata: {name: " + pod + ", labels: {app: " + pod +
        "}}\nspec:\n  nodeName: " + node +
        "\n  containers:\n    - {name: nginx, image: 'localhost/nginx:dev', readinessProbe: "
        "{httpGet: {path: /, port: 80}, periodSeconds: 1}}\n---\napiVersion: v1\nkind: Service\n"
        "metadata: {name: " +
        pod + "}\nspec: {selector: {app: " + pod + "}, ports: [{port: 80}]}\n");
  wait_ready(pod);
}
void ExistingNamespace::client(const std::string& pod, const std::string& node) const {
  apply("apiVersion: v1\nkind: Pod\nmetadata: {name: " + pod + "}\nspec:\n  nodeName: " + node +
        "\n  containers: [{name: client, image: 'localhost/client:dev'}]\n");
  wait_ready(pod);
}
void ExistingNamespace::wait_ready(const std::string& pod) const {
  const auto waited = kubectl({"wait", "--for=condition=Ready", "--timeout=60s", "pod/" + pod});
  if (waited.status != 0)
    throw std::runtime_error(waited.output + kubectl({"describe", "pod", pod}).output);
}

testbed::CommandResult ExistingNamespace::curl(const std::string& pod,
                                               const std::string& url) const {
  return kubectl({"exec", pod, "--", "curl", "-sS", "--max-time", "2", url});
}

TemporaryFile::TemporaryFile(const std::string& text)
    : path_(std::filesystem::temp_directory_path() / "flcluster-XXXXXX") {
  const int fd = mkstemp(path_.data());
  if (fd < 0) throw std::runtime_error("mkstemp failed");
  close(fd);
  std::ofstream(path_) << text;
}
TemporaryFile::~TemporaryFile() { unlink(path_.c_str()); }

}  // namespace faultline::test
