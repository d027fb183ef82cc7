// SPDX-License-Identifier: Apache-2.0
#include "cli/guardian.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

// The header of glibc 2.36 does not say that its functions are C.
extern "C" {
#include <sys/pidfd.h>
}

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "cli/process.h"

namespace faultline::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAgentEnd{5000};
// With a run under way it would wait for an agent that is gone, to tell a store that goes too.
constexpr milliseconds kControllerEnd{500};

class Guardian {
 public:
  Guardian(const GuardianPlan& plan, int control, int status)
      : plan_(plan), control_(control), status_(status) {
    sigset_t mask;
    sigemptyset(&mask);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&mask, signal);
    sigprocmask(SIG_BLOCK, &mask, nullptr);
    signals_ = Fd(signalfd(-1, &mask, SFD_CLOEXEC));
  }

  void run() {
    if (start_controller() && start_agent())
      while (!wait(milliseconds(-1))) {
      }
    else
      while (!end_wanted_) wait(milliseconds(-1));  // the command reads the logs first
    end(agent_, kAgentEnd);
    end(controller_, kControllerEnd);
    std::error_code ignored;
    std::filesystem::remove_all(plan_.folder, ignored);
  }

 private:
  struct Child {
    std::string name;
    pid_t pid = 0;
    Fd fd;  // pidfd; invalid once it was waited for
  };

  void say(const std::string& line) const {
    const std::string text = line + "\n";
    // The command may be gone; then nobody needs to know.
    if (write(status_, text.data(), text.size()) < 0) return;
  }

  bool start(Child& child, const std::string& name, const std::vector<std::string>& argv) {
    child.name = name;
    const Fd log(
        open(log_of(plan_.folder, name).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const auto pid = spawn(argv, log.get());
    if (!pid) {
      say("failed " + pid.error().message);
      return false;
    }
    child.pid = *pid;
    child.fd = Fd(pidfd_open(*pid, 0));
    return true;
  }

  bool start_controller() {
    const std::string port_file = plan_.folder + "/controller.port";
    std::vector<std::string> argv{plan_.controller, "--listen",    "127.0.0.1:0", "--state-dir",
                                  plan_.folder,     "--port-file", port_file};
    argv.insert(argv.end(), plan_.controller_options.begin(), plan_.controller_options.end());
    if (!start(controller_, "faultline-controller", std::move(argv))) return false;
    while (controller_.fd.valid() && !end_wanted_) {
      std::ifstream file(port_file);
      if (file >> port_) {
        say("controller " + std::to_string(port_));
        return true;
      }
      wait(milliseconds(10));
    }
    return false;
  }

  bool start_agent() {
    if (!start(agent_, "faultline-agent",
               {plan_.agent, "--controller", "http://127.0.0.1:" + std::to_string(port_),
                "--token-file", plan_.folder + "/agent.token", "--node", plan_.node, "--pods",
                plan_.pods}))
      return false;
    say("agent");
    return true;
  }

  // Until something happens or `limit` is over. Returns whether the end is wanted.
  bool wait(milliseconds limit) {
    std::array<pollfd, 4> polled = {pollfd{control_, POLLIN, 0}, pollfd{signals_.get(), POLLIN, 0},
                                    pollfd{controller_.fd.get(), POLLIN, 0},
                                    pollfd{agent_.fd.get(), POLLIN, 0}};
    const int n = poll(polled.data(), polled.size(), static_cast<int>(limit.count()));
    if (n < 0 && errno != EINTR) end_wanted_ = true;
    if (n <= 0) return end_wanted_;
    if (polled[0].revents != 0 || polled[1].revents != 0) end_wanted_ = true;
    if (polled[2].revents != 0) collect(controller_);
    if (polled[3].revents != 0) collect(agent_);
    return end_wanted_;
  }

  void collect(Child& child) {
    Ended ended;
    if (waitpid(child.pid, &ended.status, WNOHANG) != child.pid) return;
    child.fd.reset();
    if (!end_wanted_) say("exited " + child.name + " " + ended.words());
  }

  static bool gone_within(const Child& child, milliseconds limit) {
    pollfd polled{child.fd.get(), POLLIN, 0};
    const auto end = std::chrono::steady_clock::now() + limit;
    while (true) {
      const auto left =
          std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
      const int n = poll(&polled, 1, static_cast<int>(std::max<long>(left.count(), 0)));
      if (n > 0) return true;
      if (n == 0 || errno != EINTR) return false;
    }
  }

  static void end(Child& child, milliseconds limit) {
    if (!child.fd.valid()) return;
    kill(child.pid, SIGTERM);
    if (!gone_within(child, limit)) kill(child.pid, SIGKILL);
    while (waitpid(child.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    child.fd.reset();
  }

  const GuardianPlan& plan_;
  int control_, status_;
  Fd signals_;
  Child controller_, agent_;
  std::uint16_t port_ = 0;
  bool end_wanted_ = false;
};

}  // namespace

std::string log_of(const std::string& folder, const std::string& program) {
  return folder + "/" + program + ".log";
}

void guard(const GuardianPlan& plan, int control, int status) {
  setpgid(0, 0);  // Ctrl-C is for the command alone; it then stops the experiment in order
  prctl(PR_SET_NAME, "faultline-guard");
  const int nothing = open("/dev/null", O_RDWR);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(nothing, fd);
  // Of the command: its pipes must close when it ends.
  const auto low = static_cast<unsigned>(std::min(control, status));
  const auto high = static_cast<unsigned>(std::max(control, status));
  if (low > 3) close_range(3, low - 1, 0);
  if (high > low + 1) close_range(low + 1, high - 1, 0);
  close_range(high + 1, ~0U, 0);
  Guardian(plan, control, status).run();
  _exit(0);
}

}  // namespace faultline::cli
