// SPDX-License-Identifier: Apache-2.0
#include "cli/local_cluster.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/guardian.h"
#include "http/token.h"

namespace faultline::cli {
namespace {

using std::chrono::milliseconds;
constexpr std::chrono::seconds kStartLimit{20};

std::string node_name() {
  utsname system{};
  return uname(&system) == 0 && system.nodename[0] ? system.nodename : "localhost";
}

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

Result<std::unique_ptr<LocalCluster>> LocalCluster::start(const LocalClusterOptions& options,
                                                          const Interrupt& interrupt) {
  std::unique_ptr<LocalCluster> cluster(new LocalCluster);
  if (auto launched = cluster->launch(options); !launched) return fail(launched.error());
  if (auto ready = cluster->wait_ready(interrupt); !ready) return fail(ready.error());
  return cluster;
}

Result<> LocalCluster::launch(const LocalClusterOptions& options) {
  GuardianPlan plan;
  auto controller = program_in(options.programs, "faultline-controller");
  if (!controller) return fail(controller.error());
  auto agent = program_in(options.programs, "faultline-agent");
  if (!agent) return fail(agent.error());
  plan.controller = *controller;
  plan.agent = *agent;
  plan.controller_options = options.controller_options;
  std::error_code ec;
  plan.pods = std::filesystem::absolute(options.pods, ec).string();
  plan.node = node_ = node_name();

  std::string pattern = options.temp + "/faultline-XXXXXX";
  if (!mkdtemp(pattern.data()))  // mode 0700
    return fail(from_errno(errno, "cannot make a folder in " + options.temp));
  plan.folder = folder_ = pattern;

  int control[2], status[2];
  if (pipe2(control, O_CLOEXEC) != 0) return fail(from_errno(errno, "pipe"));
  const Fd control_read(control[0]);
  control_ = Fd(control[1]);
  if (pipe2(status, O_CLOEXEC) != 0) return fail(from_errno(errno, "pipe"));
  status_ = Fd(status[0]);
  const Fd status_write(status[1]);
  guardian_ = fork();
  if (guardian_ < 0) return fail(from_errno(errno, "fork"));
  if (guardian_ == 0) guard(plan, control_read.get(), status_write.get());
  return {};
}

LocalCluster::~LocalCluster() {
  control_.reset();
  if (guardian_ > 0)
    while (waitpid(guardian_, nullptr, 0) < 0 && errno == EINTR) {
    }
  // The guardian has removed it, unless it was killed or never started.
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

Error LocalCluster::gone(const std::string& program, const std::string& how) const {
  std::string message = program + " " + how;
  const std::string said = tail_lines(read_text(log_of(folder_, program)), 8);
  message += said.empty() ? " and said nothing" : "; it said last:\n" + said;
  if (program == "faultline-agent" && geteuid() != 0)
    message += "\nthe agent loads BPF programs, which needs root; run: sudo faultline run ...";
  return {Errc::kUnavailable, message, 0};
}

Result<> LocalCluster::on_line(const std::string& line) {
  std::istringstream words(line);
  std::string word;
  words >> word;
  if (word == "controller") words >> port_;
  if (word == "agent") agent_started_ = true;
  if (word == "failed") return fail(Errc::kUnavailable, line.substr(word.size() + 1));
  if (word == "exited") {
    std::string program, how;
    words >> program;
    std::getline(words >> std::ws, how);
    return fail(gone(program, how));
  }
  return {};
}

Result<> LocalCluster::listen(milliseconds limit, const Interrupt* interrupt) {
  pollfd polled[2] = {{status_.get(), POLLIN, 0}, {interrupt ? interrupt->fd() : -1, POLLIN, 0}};
  const int n = poll(polled, 2, static_cast<int>(limit.count()));
  if (n < 0 && errno != EINTR) return fail(from_errno(errno, "poll"));
  if (interrupt && interrupt->requested())
    return fail(Errc::kUnavailable, "interrupted before anything was started");
  if (n <= 0 || polled[0].revents == 0) return {};
  char bytes[4096];
  const ssize_t got = read(status_.get(), bytes, sizeof bytes);
  if (got < 0) return {};
  if (got == 0) return fail(Errc::kUnavailable, "the guardian of the private controller is gone");
  unread_.append(bytes, static_cast<std::size_t>(got));
  for (std::size_t end; (end = unread_.find('\n')) != unread_.npos; unread_.erase(0, end + 1))
    if (auto good = on_line(unread_.substr(0, end)); !good) return good;
  return {};
}

Result<> LocalCluster::check() { return listen(milliseconds(0), nullptr); }

Result<> LocalCluster::wait_ready(const Interrupt& interrupt) {
  const auto end = std::chrono::steady_clock::now() + kStartLimit;
  std::string waits_for = "faultline-controller does not listen";
  while (std::chrono::steady_clock::now() < end) {
    if (auto good = listen(milliseconds(20), &interrupt); !good) return good;
    if (port_.empty() || !agent_started_) continue;
    if (!api_) {
      http::ClientOptions options;
      options.base_url = "http://127.0.0.1:" + port_;
      auto token = http::load_token(token_file());
      if (!token) return fail(token.error().with_context("faultline-controller made no token"));
      options.bearer_token = std::move(*token);
      api_.emplace(std::move(options));
    }
    waits_for = "faultline-agent did not join its controller";
    const auto nodes = api_->nodes();
    if (!nodes) {
      waits_for = "faultline-controller does not answer: " + nodes.error().message;
      continue;
    }
    if (std::ranges::any_of(*nodes, [&](const api::NodeStatus& node) {
          return node.connected && node.info.name == node_;
        }))
      return {};
  }
  std::string said = tail_lines(read_text(log_of(folder_, "faultline-agent")), 8);
  return fail(Errc::kUnavailable, waits_for + " within " + std::to_string(kStartLimit.count()) +
                                      " s" +
                                      (said.empty() ? "" : "; its agent said last:\n" + said));
}

}  // namespace faultline::cli
