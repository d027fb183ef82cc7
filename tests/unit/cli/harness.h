// SPDX-License-Identifier: Apache-2.0
// A shell that is made of strings, and a test double of the controller: the real http::Server and
// the real report/, in front of a run whose course the test sets.
#pragma once

#include <unistd.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

#include "api/alerts.h"
#include "api/codec.h"
#include "api/tune.h"
#include "cli/command.h"
#include "http/server.h"
#include "http/token.h"
#include "report/report.h"
#include "tests/unit/hostile.h"

namespace faultline::cli {

using std::chrono::milliseconds;
namespace asio = boost::asio;

class Folder {
 public:
  Folder() {
    char pattern[] = "/tmp/fl-cli-XXXXXX";
    path_ = mkdtemp(pattern);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  // Writes a file and returns its path.
  std::string file(const std::string& name, const std::string& text, bool run = false) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path) << text;
    std::filesystem::permissions(path, std::filesystem::perms(run ? 0700 : 0600));
    return path;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(path_ + "/" + name);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }

 private:
  std::string path_;
};

struct Shell {
  std::ostringstream out, err;
  std::istringstream in;
  std::map<std::string, std::string> env;
  Console console{.out = out, .err = err, .in = in};

  Shell() {
    console.env = [this](const std::string& name) -> std::optional<std::string> {
      const auto it = env.find(name);
      return it == env.end() ? std::nullopt : std::optional(it->second);
    };
    console.programs = "/nonexistent";
  }
  int run(const std::vector<std::string>& words) {
    out.str("");
    err.str("");
    return run_cli(words, console);
  }
  [[nodiscard]] boost::json::object json() const {
    return boost::json::parse(out.str()).as_object();
  }
};

inline constexpr const char* kExperiment = R"(
apiVersion: faultline.dev/v1alpha1
kind: Experiment
metadata: {name: slow}
spec:
  purpose: "Checkout stays fast"
  target: {selector: {namespaces: [shop], labelSelectors: {app: payments}}, mode: all}
  faults: [{networkLatency: {latency: 50ms}}]
  observe: [{namespaces: [shop], labelSelectors: {app: checkout}}]
  phases: {baseline: 1s, fault: 1s, recovery: 1s}
  seed: 42
)";

class ControllerDouble {
 public:
  struct Script {
    milliseconds phase{150};      // how long each phase takes
    bool matches_traffic = true;  // else the fault hits nothing
    bool supported = true;        // else the plan says that the node cannot arm it
    bool cut_streams = false;     // each event stream ends after its first event
    bool refuse_start = false;    // POST answers 409
    std::string token = "person-token-person-token";
    std::optional<http::ServerTls> tls;
    bool hostile = false;  // every text that its messages can hold is hostile (but names of runs)
    std::string leader;    // not empty: everything is answered by 421 that names it
    std::vector<api::RunSummary> others;  // that it lists too
    int moves = 0;     // the first so many starts find other pods than the plan before them
    double lease = 3;  // seconds
    int fors = 3;      // settings of a tuning: so many values of `for`, of three thresholds
  };

  explicit ControllerDouble(Script script);
  ~ControllerDouble();
  ControllerDouble(const ControllerDouble&) = delete;
  ControllerDouble& operator=(const ControllerDouble&) = delete;

  // As if killed: connections and listener are gone.
  void vanish();
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  void use(Shell& shell, const Folder& folder) const;
  // From now on it answers itself.
  void lead();
  // As its operator does when it sees an Experiment. Returns the id of the run.
  std::string begin();
  [[nodiscard]] bool over();
  [[nodiscard]] int starts() const { return starts_; }
  [[nodiscard]] int stops() const { return stops_; }
  // Seed and choice that the last start came with: "7 choice-0".
  [[nodiscard]] std::string agreed();
  // Another pod takes the place of the target.
  void pods_move();

 private:
  using Clock = std::chrono::steady_clock;

  template <class T>
  [[nodiscard]] T sent(T value) const {
    return script_.hostile ? testing_words::hostile_as_sent(std::move(value)) : value;
  }
  static http::Response json(boost::json::value value, int status = 200);
  void route(const char* method, const char* pattern,
             std::function<http::Response(const http::Request&)> answer);

  static api::PodRef pod(const std::string& name);
  static api::Timestamp now() { return {SystemClock().utc()}; }

  api::RunState state() const;
  api::RunPhase phase() const;
  std::string choice() const { return "choice-" + std::to_string(moved_); }
  api::PodRef target() const;
  api::InjectionStatus injection() const;
  api::EffectWindow window(const std::string& name, api::PodRole role, double latency) const;
  api::RunSummary summary() const;
  api::RunRecord record() const;
  http::Response unknown(const http::Request& request) const;
  bool knows(const http::Request& request) const;

  void routes();
  asio::awaitable<void> send_states(http::EventSink& sink);

 public:
  [[nodiscard]] bool started() const { return started_; }
  // What the last GET /api/v1/tune asked.
  [[nodiscard]] const std::map<std::string, std::string>& tuned() const { return tuned_; }

 private:
  Script script_;
  std::map<std::string, std::string> tuned_;
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::optional<http::Server> server_;
  std::uint16_t port_ = 0;
  bool started_ = false;
  std::string run_ = "slow-20261123T101502Z";
  std::optional<Clock::time_point> began_;
  bool stopped_ = false;
  int moved_ = 0, plans_ = 0;
  std::string agreed_;
  std::atomic<int> starts_{0}, stops_{0};
  std::thread thread_;
};

}  // namespace faultline::cli
