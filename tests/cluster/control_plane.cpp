// SPDX-License-Identifier: Apache-2.0
#include "tests/cluster/control_plane.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

namespace faultline::cluster {
namespace {

namespace fs = std::filesystem;

// A port of loopback that was free a moment ago.
int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* name = reinterpret_cast<sockaddr*>(&address);
  const bool bound = bind(fd, name, length) == 0 && getsockname(fd, name, &length) == 0;
  close(fd);
  return bound ? ntohs(address.sin_port) : 0;
}

std::string tail(const fs::path& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  const std::string all = text.str();
  return all.size() > 1500 ? all.substr(all.size() - 1500) : all;
}

}  // namespace

Result<fs::path> kubernetes_programs() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const fs::path folder =
      (cache != nullptr ? fs::path(cache) : fs::path(home != nullptr ? home : "/") / ".cache") /
      "faultline";
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec))
    if (entry.path().filename().string().starts_with("kubernetes-") &&
        fs::exists(entry.path() / "kube-apiserver", ec))
      return entry.path();
  return fail(Errc::kUnsupported,
              "no kube-apiserver below " + folder.string() + "; run: scripts/cluster build");
}

ControlPlane::~ControlPlane() {
  for (auto it = children_.rbegin(); it != children_.rend(); ++it) {
    kill(*it, SIGKILL);
    waitpid(*it, nullptr, 0);
  }
  std::error_code ec;
  if (!folder_.empty()) fs::remove_all(folder_, ec);
}

Result<> ControlPlane::launch(const std::vector<std::string>& words, const std::string& log) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const std::string path = (folder_ / log).string();
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return fail(from_errno(errno, "fork"));
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const int out = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out, 1);
    dup2(out, 2);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  children_.push_back(child);
  return {};
}

Result<> ControlPlane::start() {
  const auto programs = kubernetes_programs();
  if (!programs) return fail(programs.error());
  programs_ = *programs;
  char pattern[] = "/tmp/fl-control-plane-XXXXXX";
  if (mkdtemp(pattern) == nullptr) return fail(from_errno(errno, "mkdtemp"));
  folder_ = pattern;
  const std::string dir = folder_.string();
  std::ofstream(folder_ / "tokens.csv") << "admintoken,admin,admin-uid,\"system:masters\"\n";
  if (std::system(("openssl genrsa -out " + dir + "/sa.key 2048 2>/dev/null && openssl rsa -in " +
                   dir + "/sa.key -pubout -out " + dir + "/sa.pub 2>/dev/null")
                      .c_str()) != 0)
    return fail(Errc::kInternal, "openssl made no key");
  const std::string client = "http://127.0.0.1:" + std::to_string(free_port());
  const std::string peer = "http://127.0.0.1:" + std::to_string(free_port());
  const std::string port = std::to_string(free_port());
  server_ = "https://127.0.0.1:" + port;
  if (auto r = launch({"etcd", "--data-dir", dir + "/etcd", "--listen-client-urls", client,
                       "--advertise-client-urls", client, "--listen-peer-urls", peer,
                       "--initial-advertise-peer-urls", peer, "--initial-cluster",
                       "default=" + peer, "--unsafe-no-fsync"},
                      "etcd.log");
      !r)
    return r;
  if (auto r = launch({(programs_ / "kube-apiserver").string(), "--etcd-servers=" + client,
                       "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
                       "--secure-port=" + port, "--insecure-port=0", "--cert-dir=" + dir + "/certs",
                       "--token-auth-file=" + dir + "/tokens.csv", "--authorization-mode=RBAC",
                       "--service-account-issuer=https://kubernetes.default.svc",
                       "--service-account-signing-key-file=" + dir + "/sa.key",
                       "--service-account-key-file=" + dir + "/sa.pub",
                       "--service-cluster-ip-range=10.96.0.0/24", "--endpoint-reconciler-type=none",
                       "--disable-admission-plugins=ServiceAccount"},
                      "apiserver.log");
      !r)
    return r;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(180);
  while (std::chrono::steady_clock::now() < until) {
    if (kubectl("get --raw /readyz").text == "ok") return {};
    for (const pid_t child : children_)
      if (waitpid(child, nullptr, WNOHANG) == child) {
        std::erase(children_, child);
        return fail(Errc::kInternal, "the control plane ended: " + tail(folder_ / "etcd.log") +
                                         tail(folder_ / "apiserver.log"));
      }
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  return fail(Errc::kUnavailable, "not ready after 180 s: " + tail(folder_ / "apiserver.log"));
}

ControlPlane::Answer ControlPlane::kubectl(const std::string& arguments,
                                           const std::string& input) const {
  std::error_code ec;
  const fs::path own = programs_ / "kubectl";
  const fs::path file = folder_ / "stdin";
  std::ofstream(file, std::ios::trunc) << input;
  const std::string command =
      (fs::exists(own, ec) ? own.string() : "kubectl") +
      " --kubeconfig=/dev/null --cache-dir=" + (folder_ / "cache").string() +
      " --server=" + server_ + " --insecure-skip-tls-verify --token=admintoken " + arguments +
      " <" + file.string() + " 2>&1";
  Answer answer;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return answer;
  char bytes[4096];
  for (std::size_t n = 0; (n = fread(bytes, 1, sizeof bytes, pipe)) > 0;)
    answer.text.append(bytes, n);
  const int status = pclose(pipe);
  answer.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return answer;
}

}  // namespace faultline::cluster
