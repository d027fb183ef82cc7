// SPDX-License-Identifier: Apache-2.0
// faultline-agent: options, wiring, end. Exit codes: 0 ended as told, 3 bad options, 5 could not
// run.
#include <malloc.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <cxxopts.hpp>
#include <fstream>
#include <memory>
#include <optional>

#include "agent/faults/delay_line/packet_budget.h"
#include "agent/kernel/undo_journal.h"
#include "agent/kernel/watchdog.h"
#include "agent/link/agent.h"
#include "agent/link/node_info.h"
#include "agent/link/pod_watch.h"
#include "agent/targets/kubernetes_source.h"
#include "agent/targets/pods_file_source.h"
#include "api/codec.h"
#include "base/log.h"
#include "base/printable.h"
#include "http/listen.h"

namespace faultline::agent {
namespace {

constexpr int kOk = 0, kBadInput = 3, kCouldNotRun = 5;
constexpr std::uint64_t kLeastMemory = 32 << 20;  // of --memory-limit

struct Options {
  AgentOptions agent;
  std::string pods, port_file, log_level;
  bool probe = false, kubernetes = false;
};

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "node";
}

cxxopts::Options description() {
  cxxopts::Options described("faultline-agent",
                             "Finds the pods of this node, arms faults on them, measures what "
                             "that does. Needs root.");
  auto add = described.add_options();
  add("controller", "where the controller listens, e.g. http://127.0.0.1:7878",
      cxxopts::value<std::string>(), "URL");
  add("controller-ca", "authorities of the controller's certificate, PEM; without it the system's",
      cxxopts::value<std::string>(), "FILE");
  add("kubernetes", "in a pod of a cluster: the API server says which pods this node has");
  add("token-file", "file with the agents' token", cxxopts::value<std::string>(), "FILE");
  add("node", "name of this node; without it the host's name", cxxopts::value<std::string>(),
      "NAME");
  add("pods", "the pods of this node", cxxopts::value<std::string>(), "PODS.yaml");
  add("observe",
      "measure these pods all the time, for /metrics: NAMESPACE/KEY=VALUE or NAMESPACE/*",
      cxxopts::value<std::string>(), "SELECTOR");
  add("listen", "serve /metrics, /healthz and /readyz; port 0: any free one",
      cxxopts::value<std::string>(), "ADDRESS:PORT");
  add("probe-listen", "serve /healthz and /readyz alone, apart from whoever reads the metrics",
      cxxopts::value<std::string>(), "ADDRESS:PORT");
  add("port-file", "written when listening: the port", cxxopts::value<std::string>(), "FILE");
  add("tls-probes",
      "where a run names metrics of tls.request.*, put probes on the pods' OpenSSL, which every "
      "process of this node that uses the same file pays for");
  add("memory-limit",
      "bytes that this process may use, of which delayed packets get half; without it what its "
      "cgroup says, else half of the machine's memory",
      cxxopts::value<std::uint64_t>(), "BYTES");
  add("probe", "print what this kernel can do, as JSON, and end");
  add("log-level", "trace, debug, info, warn, error or off",
      cxxopts::value<std::string>()->default_value("info"), "LEVEL");
  add("help", "this text");
  add("version", "the version");
  return described;
}

Result<std::optional<Options>> parse(int argc, char** argv) {
  cxxopts::Options described = description();
  try {
    const cxxopts::ParseResult given = described.parse(argc, argv);
    if (given.count("help") != 0 || given.count("version") != 0) {
      std::fputs((given.count("help") != 0 ? described.help() : FAULTLINE_VERSION "\n").c_str(),
                 stdout);
      return std::optional<Options>();
    }
    if (!given.unmatched().empty())
      return fail(Errc::kInvalid, "no such argument: " + given.unmatched().front());
    const auto text = [&](const char* name) {
      return given.count(name) != 0 ? given[name].as<std::string>() : std::string();
    };
    Options options;
    options.log_level = text("log-level").empty() ? "info" : text("log-level");
    options.agent.link = {text("controller"), text("token-file"),
                          given.count("node") != 0 ? text("node") : host_name()};
    options.probe = given.count("probe") != 0;
    if (options.probe) return std::optional(std::move(options));
    options.kubernetes = given.count("kubernetes") != 0;
    options.agent.link.ca_file = text("controller-ca");
    for (const char* name : {"controller", "token-file"})
      if (text(name).empty())
        return fail(Errc::kInvalid, "--" + std::string(name) + " is missing (see --help)");
    if (text("pods").empty() != options.kubernetes)
      return fail(Errc::kInvalid, "give either --kubernetes or --pods PODS.yaml (see --help)");
    if (options.agent.link.node.empty()) return fail(Errc::kInvalid, "--node must not be empty");
    options.pods = text("pods");
    if (given.count("memory-limit") != 0) {
      const auto bytes = given["memory-limit"].as<std::uint64_t>();
      if (bytes < kLeastMemory)
        return fail(Errc::kInvalid, "--memory-limit: expected at least 33554432 bytes (32 MiB)");
      PacketBudget::of_process().set_limit(bytes / 2);
    }
    options.agent.may_probe_tls = given.count("tls-probes") != 0;
    options.port_file = text("port-file");
    if (given.count("observe") != 0) {
      auto selector = api::parse_selector_words(text("observe"));
      if (!selector) return fail(selector.error().with_context("--observe"));
      options.agent.observe = std::move(*selector);
    }
    if (given.count("listen") != 0) {
      auto listen = http::parse_listen(text("listen"), "7879");
      if (!listen) return fail(listen.error());
      options.agent.listen = {std::move(listen->address), listen->port};
    } else if (!options.port_file.empty()) {
      return fail(Errc::kInvalid, "--port-file needs --listen");
    }
    if (given.count("probe-listen") != 0) {
      auto listen = http::parse_listen(text("probe-listen"), "7880", "--probe-listen");
      if (!listen) return fail(listen.error());
      options.agent.probes = {std::move(listen->address), listen->port};
    }
    return std::optional(std::move(options));
  } catch (const cxxopts::exceptions::exception& e) {
    return fail(Errc::kInvalid, std::string(e.what()) + " (see --help)");
  }
}

// So that it appears whole or not at all.
Result<> write_port_file(const std::string& path, std::uint16_t port) {
  const std::string half = path + ".tmp" + std::to_string(getpid());
  std::ofstream out(half);
  out << port << '\n';
  out.close();
  if (!out) return fail(from_errno(errno, "cannot write " + half));
  if (std::rename(half.c_str(), path.c_str()) == 0) return {};
  const int error = errno;
  unlink(half.c_str());
  return fail(from_errno(error, "cannot write " + path));
}

Result<> need_root() {
  if (geteuid() == 0) return {};
  return fail(Errc::kDenied, "needs root: it loads BPF programs and enters the namespaces of pods");
}

// A pod takes about 40 descriptors, and faults want high ones (Fd::move_up); the usual soft limit
// is 1024. Nothing here uses select(2).
void lift_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    spdlog::warn("cannot raise the limit of descriptors: {}", std::strerror(errno));
}

struct Pods {
  std::unique_ptr<TargetSource> source;
  std::unique_ptr<PodWatch> watch;  // in a cluster; before the source goes
};

Result<Pods> open_pods(boost::asio::io_context& loop, const Clock& clock, const Options& options) {
  const std::string& node = options.agent.link.node;
  if (!options.kubernetes) {
    auto source = PodsFileSource::open(options.pods, node);
    if (!source) return fail(source.error());
    return Pods{std::make_unique<PodsFileSource>(std::move(*source)), nullptr};
  }
  auto config = kube::in_cluster(kube::from_environment());
  if (!config) return fail(config.error().with_context("--kubernetes"));
  auto opened = KubernetesSource::open(node, {}, clock);
  if (!opened) return fail(opened.error());
  auto source = std::make_unique<KubernetesSource>(std::move(*opened));
  auto watch =
      std::make_unique<PodWatch>(loop.get_executor(), std::move(*config), clock, node, *source);
  return Pods{std::move(source), std::move(watch)};
}

Result<> run(const Options& options) {
  lift_descriptor_limit();
  if (const std::size_t undone = UndoJournal::here().sweep(); undone > 0)
    spdlog::warn("undone: {} filters that an agent left when it ended", undone);
  const SystemClock clock;
  const FeatureProbe features;
  boost::asio::io_context loop{1};
  auto pods = open_pods(loop, clock, options);
  if (!pods) return fail(pods.error());
  // Before anything is told: who starts us may send a signal at once.
  boost::asio::signal_set signals(loop, SIGTERM, SIGINT);
  Agent agent(loop, clock, features, *pods->source,
              node_info(options.agent.link.node, FAULTLINE_VERSION, features, fault_registry()),
              options.agent);
  if (auto started = agent.start(); !started) return fail(started.error());
  if (!options.port_file.empty())
    if (auto told = write_port_file(options.port_file, agent.port()); !told)
      return fail(told.error());
  spdlog::info("node {}, {}, controller {}", options.agent.link.node,
               pods->watch ? "pods of the API server"
                           : std::to_string(pods->source->pods().size()) + " pods",
               options.agent.link.controller);
  if (pods->watch) {
    pods->watch->on_change([&agent] { agent.pods_changed(); });
    pods->watch->start();
  }
  signals.async_wait([&](const boost::system::error_code& error, int number) {
    if (error) return;
    spdlog::info("ending: signal {}", number);
    if (pods->watch) pods->watch->stop();
    boost::asio::co_spawn(loop, agent.end(), [&](const std::exception_ptr& failed) {
      if (failed) std::rethrow_exception(failed);
      signals.cancel();
    });
    signals.async_wait([](const boost::system::error_code& again, int) {
      if (!again) _exit(kCouldNotRun);  // twice: now; the kernel ends what is armed
    });
  });
  loop.run();
  spdlog::info("ended");
  return {};
}

int program(int argc, char** argv) {
  const auto complain = [](const Error& error) {
    std::fprintf(stderr, "faultline-agent: %s\n",
                 faultline::printable_lines(error.message).c_str());
    return error.code == Errc::kInvalid ? kBadInput : kCouldNotRun;
  };
  auto options = parse(argc, argv);
  if (!options) return complain(options.error());
  if (!*options) return kOk;
  if (auto logging = init_logging("agent", (*options)->log_level); !logging)
    return complain(logging.error());
  if (auto root = need_root(); !root) return complain(root.error());
  try {
    if ((*options)->probe) {
      const FeatureProbe features;
      const api::NodeInfo info =
          node_info((*options)->agent.link.node, FAULTLINE_VERSION, features, fault_registry());
      std::printf("%s\n", api::to_json_text(info).c_str());
      return kOk;
    }
    if (auto ran = run(**options); !ran) return complain(ran.error());
  } catch (const std::exception& e) {
    return complain({Errc::kInternal, e.what(), 0});
  }
  return kOk;
}

}  // namespace
}  // namespace faultline::agent

int main(int argc, char** argv) {
  if (const auto code = faultline::agent::run_as_watchdog(argc, argv)) return *code;
  return faultline::agent::program(argc, argv);
}
