// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/program.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "testbed/shell.h"
#include "tests/places.h"

namespace faultline::test {
namespace fs = std::filesystem;
namespace {

int run_program(const std::vector<std::string>& argv, const std::string& out,
                const std::string& err, const std::string& temp) {
  const auto into = [](const std::string& path, int fd) {
    dup2(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), fd);
  };
  dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
  into(out, STDOUT_FILENO);
  into(err, STDERR_FILENO);
  close_range(3, ~0U, 0);
  setenv("TMPDIR", temp.c_str(), 1);
  unsetenv("FAULTLINE_CONTROLLER");
  unsetenv("FAULTLINE_TOKEN_FILE");
  std::vector<std::string> words = argv;
  words[0] = test::build_dir() / "bin" / argv[0];
  std::vector<char*> raw;
  for (std::string& word : words) raw.push_back(word.data());
  raw.push_back(nullptr);
  execv(raw[0], raw.data());
  return 127;
}

struct Entry {
  pid_t parent = 0;
  char state = 0;
  std::string name;
};
// By pid.
std::map<pid_t, Entry> processes() {
  std::map<pid_t, Entry> found;
  std::error_code ec;
  for (const auto& folder : fs::directory_iterator("/proc", ec)) {
    const std::string pid = folder.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string stat = content(folder.path() / "stat");
    const auto open = stat.find('('), close = stat.rfind(')');
    if (close == std::string::npos) continue;  // gone meanwhile
    Entry entry;
    entry.name = stat.substr(open + 1, close - open - 1);
    std::istringstream(stat.substr(close + 1)) >> entry.state >> entry.parent;
    found[std::stoi(pid)] = entry;
  }
  return found;
}

}  // namespace

Folder::Folder() {
  std::string name = fs::temp_directory_path() / "fle2e-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = name;
}
Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}
std::string Folder::write(const std::string& name, const std::string& text) const {
  std::ofstream out(file(name));
  out << text;
  out.close();
  if (!out) throw std::runtime_error("cannot write " + file(name));
  return file(name);
}

std::string content(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}
bool empty_folder(const std::string& path) { return fs::is_empty(path); }

Program::Program(const std::vector<std::string>& argv, const Folder& folder,
                 const std::string& name, const std::string& temp)
    : out_(folder.file(name + ".out")),
      err_(folder.file(name + ".err")),
      child_([&] { return run_program(argv, out_, err_, temp); }),
      pid_(child_.pid()) {}

void Program::signal(int number) const {
  if (status_ < 0) child_.signal(number);
}

bool Program::ended() const {
  if (status_ >= 0) return true;
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid_;
}

int Program::wait(std::chrono::seconds limit) {
  if (status_ >= 0) return status_;
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!ended()) {
    if (std::chrono::steady_clock::now() > end)
      throw std::runtime_error("it does not end:\n" + out() + err());
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return status_ = child_.wait();
}

ProcessState look_at(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  ProcessState state;
  std::ifstream status(folder + "/status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    if (key == "State:") words >> state.state;
    if (key == "VmRSS:") words >> state.resident_kb;
    if (key == "Threads:") words >> state.threads;
  }
  std::error_code ec;
  for (fs::directory_iterator it(folder + "/fd", ec), end; !ec && it != end; it.increment(ec))
    ++state.descriptors;
  return state;
}

std::vector<std::string> programs_of(pid_t pid) {
  std::set<std::int64_t> held;
  std::error_code ec;
  for (fs::directory_iterator it("/proc/" + std::to_string(pid) + "/fdinfo", ec), end;
       !ec && it != end; it.increment(ec)) {
    std::istringstream in(content(it->path()));
    for (std::string key, value; in >> key >> value;)
      if (key == "prog_id:") held.insert(std::stoll(value));
  }
  const auto listed = testbed::command({"bpftool", "-j", "prog", "list"});
  if (listed.status != 0) throw std::runtime_error("bpftool: " + listed.output);
  std::vector<std::string> names;
  const boost::json::value programs = boost::json::parse(listed.output);
  for (const auto& program : programs.as_array()) {
    const auto* name = program.as_object().if_contains("name");
    if (name != nullptr && name->as_string().starts_with("fl_") &&
        held.contains(program.at("id").as_int64()))
      names.emplace_back(name->as_string());
  }
  return names;
}

std::vector<std::string> descendants() {
  const auto all = processes();
  std::vector<std::string> found;
  for (const auto& [pid, entry] : all) {
    if (entry.state == 'Z' || !entry.name.starts_with("faultline")) continue;
    pid_t at = entry.parent;
    while (at > 1 && at != getpid() && all.contains(at)) at = all.at(at).parent;
    if (at == getpid()) found.push_back(std::to_string(pid) + " " + entry.name);
  }
  return found;
}

void adopt_orphans() {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) throw std::runtime_error("prctl failed");
}

}  // namespace faultline::test
