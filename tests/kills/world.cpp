// SPDX-License-Identifier: Apache-2.0
#include "tests/kills/world.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "http/client.h"
#include "tests/places.h"

namespace faultline::kills {
namespace fs = std::filesystem;
using namespace std::chrono_literals;

World::World(const test::Folder& folder, std::string pods, std::string address)
    : folder_(folder),
      pods_(std::move(pods)),
      address_(std::move(address)),
      state_(folder.file("state")) {
  fs::create_directory(state_);
  if (mount("kills", state_.c_str(), "tmpfs", MS_NOSUID, "size=64m,mode=0700") != 0)
    throw std::runtime_error(std::string("cannot mount a tmpfs: ") + std::strerror(errno));
  agent_shim_ = map("agent.shim");
  controller_shim_ = map("controller.shim");
}

World::~World() {
  agent_.reset();
  controller_.reset();
  umount2(state_.c_str(), MNT_DETACH);
}

ShimControl* World::map(const std::string& name) {
  const std::string path = folder_.write(name, std::string(sizeof(ShimControl), '\0'));
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  void* at = mmap(nullptr, sizeof(ShimControl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at == MAP_FAILED) throw std::runtime_error("cannot map " + path);
  return static_cast<ShimControl*>(at);
}

test::Program World::start(std::vector<std::string> words, const std::string& name,
                           const std::string& shim) {
  setenv("LD_PRELOAD", (test::build_dir() / "bin/kills_shim.so").c_str(), 1);
  setenv("FAULTLINE_KILLS_SHIM", folder_.file(shim).c_str(), 1);
  test::Program program(words, folder_, name, folder_.file("tmp"));
  unsetenv("LD_PRELOAD");
  unsetenv("FAULTLINE_KILLS_SHIM");
  return program;
}

void World::start_controller() {
  const std::string port_file = folder_.file("port");
  std::error_code ignored;
  fs::remove(port_file, ignored);
  controller_.reset();
  controller_.emplace(
      start({"faultline-controller", "--listen", address_ + ":" + (port_.empty() ? "0" : port_),
             "--state-dir", state_, "--port-file", port_file, "--audit-log", state_ + "/audit.log",
             "--keep-runs", "100000"},
            "controller", "controller.shim"));
}

void World::start_agent() {
  agent_.reset();
  agent_.emplace(start({"faultline-agent", "--controller", url(), "--token-file",
                        state_ + "/agent.token", "--node", "node-1", "--pods", pods_},
                       "agent", "agent.shim"));
}

void World::mend() {
  const auto end = Steady::now() + 30s;
  for (;; std::this_thread::sleep_for(20ms)) {
    if (Steady::now() > end)
      throw std::runtime_error("the programs do not come together:\n" +
                               test::content(folder_.file("controller.err")) +
                               test::content(folder_.file("agent.err")));
    if (!controller_ || controller_->ended()) {
      start_controller();
      const auto limit = Steady::now() + 5s;
      const std::string file = folder_.file("port");
      while (!test::content(file).ends_with('\n') && !controller_->ended() && Steady::now() < limit)
        std::this_thread::sleep_for(10ms);
      port_ = test::content(file);
      if (!port_.empty()) port_.pop_back();
      token_ = test::content(state_ + "/person.token");
      while (token_.ends_with('\n')) token_.pop_back();
    }
    if (!agent_ || agent_->ended()) start_agent();
    const auto known = nodes();
    if (!known) continue;
    for (const api::NodeStatus& node : *known)
      if (node.connected && !node.pods.empty()) return;
  }
}

test::Program World::command(const std::string& experiment, const std::string& report) {
  return {{"faultline", "run", experiment, "--yes", "--output", "json", "--report", report,
           "--controller", url(), "--token-file", state_ + "/person.token"},
          folder_,
          "command" + std::to_string(++count_),
          folder_.file("tmp")};
}

pid_t World::below(pid_t parent, const std::string& name) {
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator("/proc", ec)) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string stat = test::content(entry.path() / "stat");
    const auto open = stat.find('('), close = stat.rfind(')');
    if (close == std::string::npos || stat.substr(open + 1, close - open - 1) != name) continue;
    char state = 0;
    pid_t of = 0;
    std::istringstream(stat.substr(close + 1)) >> state >> of;
    if (of == parent && state != 'Z') return static_cast<pid_t>(std::stol(pid));
  }
  return 0;
}

std::size_t World::programs_held(pid_t pid) {
  std::size_t count = 0;
  std::error_code ec;
  for (fs::directory_iterator it("/proc/" + std::to_string(pid) + "/fdinfo", ec), end;
       !ec && it != end; it.increment(ec))
    count += test::content(it->path()).find("\nprog_id:") != std::string::npos;
  return count;
}

void World::fill_disk() {
  const int fd = open((state_ + "/filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const std::string bytes(1 << 16, 'x');
  while (write(fd, bytes.data(), bytes.size()) > 0) {
  }
  while (write(fd, "x", 1) > 0) {
  }
  close(fd);
}
void World::empty_disk() { unlink((state_ + "/filler").c_str()); }

template <class T>
Result<T> World::get(const std::string& target) {
  http::ClientOptions options;
  options.base_url = url();
  options.bearer_token = token_;
  auto answer = http::expect_ok(http::request_blocking(options, "GET", target, "", 5000ms));
  if (!answer) return fail(answer.error());
  return api::from_json_text<T>(answer->body);
}

Result<std::vector<api::RunSummary>> World::runs() {
  return get<std::vector<api::RunSummary>>("/api/v1/experiments");
}
Result<api::RunRecord> World::record(const std::string& run) {
  return get<api::RunRecord>("/api/v1/experiments/" + run);
}
Result<api::Report> World::report(const std::string& run) {
  return get<api::Report>("/api/v1/reports/" + run + "?format=json");
}
Result<std::vector<api::NodeStatus>> World::nodes() {
  return get<std::vector<api::NodeStatus>>("/api/v1/nodes");
}

std::string World::store_check() const {
  sqlite3* db = nullptr;
  std::string said = "cannot be opened";
  if (sqlite3_open_v2((state_ + "/store.db").c_str(), &db, SQLITE_OPEN_READWRITE, nullptr) ==
      SQLITE_OK) {
    sqlite3_busy_timeout(db, 5000);
    sqlite3_stmt* ask = nullptr;
    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &ask, nullptr) == SQLITE_OK &&
        sqlite3_step(ask) == SQLITE_ROW)
      said = reinterpret_cast<const char*>(sqlite3_column_text(ask, 0));
    sqlite3_finalize(ask);
  }
  sqlite3_close(db);
  return said;
}

}  // namespace faultline::kills
