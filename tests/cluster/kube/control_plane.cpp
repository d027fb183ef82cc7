// SPDX-License-Identifier: Apache-2.0
#include "tests/cluster/kube/control_plane.h"

#include <signal.h>

#include <algorithm>
#include <stdexcept>

#include "testbed/free_ports.h"
#include "testbed/shell.h"

namespace faultline::kube {

using testbed::command;
using testbed::launch;
using testbed::must;
namespace {

namespace fs = std::filesystem;

std::string api_server() {
  if (const char* folder = std::getenv("FAULTLINE_KUBERNETES"))
    return std::string(folder) + "/kube-apiserver";
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const fs::path root =
      (cache != nullptr ? fs::path(cache) : fs::path(home != nullptr ? home : "/") / ".cache") /
      "faultline";
  std::vector<std::string> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(root, none))
    if (entry.path().filename().string().starts_with("kubernetes-"))
      found.push_back(entry.path() / "kube-apiserver");
  return found.empty() ? (root / "kubernetes-*/kube-apiserver").string()
                       : *std::max_element(found.begin(), found.end());
}

void make_keys(const Folder& folder) {
  const auto at = [&](const char* name) { return folder.path(name); };
  const std::vector<std::string> request = {
      "openssl", "req",   "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
      "-nodes",  "-days", "30"};
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> words = request;
    words.insert(words.end(), more.begin(), more.end());
    must(words);
  };
  with({"-keyout", at("ca.key"), "-out", at("ca.crt"), "-subj", "/CN=faultline-test-ca"});
  with({"-keyout", at("api.key"), "-out", at("api.crt"), "-subj", "/CN=kube-apiserver", "-CA",
        at("ca.crt"), "-CAkey", at("ca.key"), "-addext",
        "subjectAltName=IP:127.0.0.1,DNS:kubernetes.default.svc"});
  with({"-keyout", at("admin.key"), "-out", at("admin.crt"), "-subj", "/O=system:masters/CN=admin",
        "-CA", at("ca.crt"), "-CAkey", at("ca.key")});
  must({"openssl", "genrsa", "-out", at("sa.key"), "2048"});
  must({"openssl", "rsa", "-in", at("sa.key"), "-pubout", "-out", at("sa.pub")});
}

std::string port(std::uint16_t number) { return std::to_string(number); }

}  // namespace

std::string ControlPlane::missing() {
  for (const char* name : {"etcd", "etcdctl", "kubectl", "openssl", "curl"})
    if (command({"which", name}).status != 0) return std::string("there is no ") + name;
  if (!fs::exists(api_server()))
    return "there is no " + api_server() + ": scripts/cluster builds it";
  return "";
}

ControlPlane::ControlPlane() {
  const auto ports = testbed::free_ports(3);
  etcd_port_ = ports[0];
  peer_port_ = ports[1];
  api_port_ = ports[2];
  make_keys(folder_);
  folder_.write(
      "tokens.csv",
      "admintoken,admin,admin-uid,\"system:masters\"\nagenttoken,agent,agent-uid,\"agents\"\n");
  folder_.write("kubeconfig",
                "apiVersion: v1\nkind: Config\ncurrent-context: test\ncontexts:\n- {name: test, "
                "context: {cluster: c, user: u}}\nclusters:\n- {name: c, cluster: {server: '" +
                    url() +
                    "', certificate-authority: ca.crt}}\nusers:\n- {name: u, user: "
                    "{client-certificate: admin.crt, client-key: admin.key}}\n");
  start_etcd();
  start_api_server();
}

std::string ControlPlane::url() const { return "https://127.0.0.1:" + port(api_port_); }

void ControlPlane::start_etcd() {
  const std::string client = "http://127.0.0.1:" + port(etcd_port_);
  const std::string peer = "http://127.0.0.1:" + port(peer_port_);
  etcd_.emplace(launch({"etcd", "--data-dir", folder_.path("etcd"), "--listen-client-urls", client,
                        "--advertise-client-urls", client, "--listen-peer-urls", peer,
                        "--initial-advertise-peer-urls", peer, "--initial-cluster",
                        "default=" + peer, "--unsafe-no-fsync"},
                       {folder_.path("etcd.log")}));
}

void ControlPlane::start_api_server() {
  api_.emplace(launch(
      {api_server(), "--etcd-servers=http://127.0.0.1:" + port(etcd_port_),
       "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
       "--secure-port=" + port(api_port_), "--insecure-port=0",
       "--cert-dir=" + folder_.path("generated"), "--tls-cert-file=" + folder_.path("api.crt"),
       "--tls-private-key-file=" + folder_.path("api.key"),
       "--client-ca-file=" + folder_.path("ca.crt"),
       "--token-auth-file=" + folder_.path("tokens.csv"), "--authorization-mode=Node,RBAC",
       "--service-account-issuer=https://kubernetes.default.svc",
       "--service-account-signing-key-file=" + folder_.path("sa.key"),
       "--service-account-key-file=" + folder_.path("sa.pub"),
       "--service-cluster-ip-range=10.96.0.0/24", "--allow-privileged=true",
       "--endpoint-reconciler-type=none",
       // Nobody makes the service account `default` here, without which Pods would be refused.
       "--disable-admission-plugins=ServiceAccount",
       "--watch-cache=" + std::string(watch_cache_ ? "true" : "false")},
      {folder_.path("api.log")}));
  const bool ready = testbed::wait_until(
      [&] {
        if (testbed::has_ended(*api_)) return true;
        std::this_thread::sleep_for(milliseconds(200));
        return status_with("admintoken", "/readyz") == 200;
      },
      seconds(240));
  if (!ready || testbed::has_ended(*api_))
    throw std::runtime_error("kube-apiserver is not ready:\n" +
                             command({"tail", "-n", "20", folder_.path("api.log")}).output);
}

void ControlPlane::kill_api_server() { api_.reset(); }

void ControlPlane::watch_cache(bool on) {
  if (watch_cache_ == on) return;
  watch_cache_ = on;
  kill_api_server();
  start_api_server();
}

void ControlPlane::pause_api_server(bool on) { api_->signal(on ? SIGSTOP : SIGCONT); }

std::string ControlPlane::kubectl(std::vector<std::string> words) const {
  words.insert(words.begin(), {"kubectl", "--kubeconfig", kubeconfig()});
  auto result = command(words);
  if (result.status != 0) throw std::runtime_error(words[3] + ": " + result.output);
  while (result.output.ends_with('\n')) result.output.pop_back();
  return result.output;
}

void ControlPlane::create(const std::string& manifest) const {
  // The comment keeps kubectl from taking YAML that begins with a brace for JSON.
  kubectl({"create", "-f", folder_.write("manifest.yaml", "# YAML\n" + manifest)});
}

void ControlPlane::compact_etcd() const {
  const std::string endpoint = "--endpoints=http://127.0.0.1:" + port(etcd_port_);
  setenv("ETCDCTL_API", "3", 1);
  const auto status = command({"etcdctl", endpoint, "endpoint", "status", "-w", "json"});
  const std::string word = "\"revision\":";
  const auto at = status.output.find(word);
  if (at == std::string::npos) throw std::runtime_error("etcdctl: " + status.output);
  const auto revision = std::stoull(status.output.substr(at + word.size()));
  must({"etcdctl", endpoint, "compact", std::to_string(revision)});
}

int ControlPlane::status_with(const std::string& token, const std::string& target) const {
  const auto result =
      command({"curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "--cacert",
               ca_file(), "-H", "Authorization: Bearer " + token, url() + target});
  return result.output.empty() ? 0 : std::atoi(result.output.c_str());
}

Config ControlPlane::with_token(const std::string& token) const {
  CredentialSources sources;
  sources.ca_file = ca_file();
  sources.token = token;
  return {url(), "default", "a test", make_credentials(std::move(sources))};
}

ControlPlane& control_plane() {
  static ControlPlane plane;
  return plane;
}

}  // namespace faultline::kube
