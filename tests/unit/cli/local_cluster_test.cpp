// SPDX-License-Identifier: Apache-2.0
// The private controller and agent: that they start, that their failures are told, and that nothing
// of them is left. The two programs are test doubles: shell scripts that stand before the
// ControllerDouble of this process, since the real agent needs root.
#include "cli/local_cluster.h"

#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>

#include "tests/unit/cli/harness.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;

// Processes with `word` in their command line, by pid.
std::vector<pid_t> processes_with(const std::string& word) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    std::ifstream file(entry.path() / "cmdline");
    std::string line;
    std::getline(file, line);
    if (line.find(word) != line.npos) found.push_back(std::stoi(name));
  }
  return found;
}

bool eventually(const std::function<bool()>& holds, milliseconds limit = milliseconds(8000)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return true;
}

class LocalClusterTest : public testing::Test {
 protected:
  LocalClusterTest() {
    std::filesystem::create_directory(folder_.path() + "/tmp");
    folder_.file("pods.yaml", "pods: []\n");
    agent("exec sleep 1000");
    controller(
        "umask 077; echo person-token-person-token > $dir/person.token\n"
        "echo " +
        std::to_string(double_.port()) + " > $port\nexec sleep 1000");
  }
  void controller(const std::string& body) const {
    folder_.file("faultline-controller",
                 "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in\n--state-dir) dir=$2 ;;\n"
                 "--port-file) port=$2 ;;\nesac; shift; done\n" +
                     body + "\n",
                 true);
  }
  void agent(const std::string& body) const {
    folder_.file("faultline-agent", "#!/bin/sh\n" + body + "\n", true);
  }
  [[nodiscard]] LocalClusterOptions options() const {
    return {.programs = folder_.path(),
            .pods = folder_.path() + "/pods.yaml",
            .temp = folder_.path() + "/tmp"};
  }
  [[nodiscard]] std::size_t left_in_temp() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_.path() + "/tmp"), {}));
  }
  // The scripts have this folder in their arguments, and so has what they became.
  [[nodiscard]] bool nothing_left() const {
    return left_in_temp() == 0 && processes_with(folder_.path()).empty();
  }
  Folder folder_;
  ControllerDouble double_{{}};
};

// `sleep` keeps no argument of the script; so scripts that must be seen stay shells.
constexpr const char* kStay = "while :; do sleep 0.05; done";

TEST_F(LocalClusterTest, StartsBothAndLeavesNothing) {
  Interrupt interrupt;
  {
    const auto cluster = LocalCluster::start(options(), interrupt);
    ASSERT_TRUE(cluster) << cluster.error().message;
    EXPECT_EQ(left_in_temp(), 1u);
    EXPECT_TRUE((*cluster)->api().nodes());
    EXPECT_TRUE((*cluster)->check());
    const auto entry = std::filesystem::directory_iterator(folder_.path() + "/tmp")->path();
    EXPECT_EQ(std::filesystem::status(entry).permissions(), std::filesystem::perms(0700));
  }
  EXPECT_TRUE(nothing_left());
}

TEST_F(LocalClusterTest, AnAgentThatExitsIsQuotedAndNothingIsLeft) {
  agent("echo first line >&2; echo 'BPF: Operation not permitted' >&2; exit 5");
  Interrupt interrupt;
  // The double says that a node is connected, so a fast agent must be waited for.
  double_.vanish();
  const auto cluster = LocalCluster::start(options(), interrupt);
  ASSERT_FALSE(cluster);
  EXPECT_EQ(cluster.error().code, Errc::kUnavailable);
  EXPECT_THAT(cluster.error().message, HasSubstr("faultline-agent exited with code 5"));
  EXPECT_THAT(cluster.error().message, HasSubstr("  | BPF: Operation not permitted"));
  if (geteuid() != 0) {
    EXPECT_THAT(cluster.error().message, HasSubstr("needs root"));
  }
  EXPECT_TRUE(nothing_left());
}

TEST_F(LocalClusterTest, AControllerThatExitsIsQuoted) {
  controller("echo 'no more ports' >&2; kill -SEGV $$");
  Interrupt interrupt;
  const auto cluster = LocalCluster::start(options(), interrupt);
  ASSERT_FALSE(cluster);
  EXPECT_THAT(cluster.error().message, HasSubstr("faultline-controller was killed by SIGSEGV"));
  EXPECT_THAT(cluster.error().message, HasSubstr("no more ports"));
  EXPECT_TRUE(nothing_left());
}

TEST_F(LocalClusterTest, ProgramsThatAreNotThereAreNamed) {
  std::filesystem::remove(folder_.path() + "/faultline-agent");
  Interrupt interrupt;
  const auto cluster = LocalCluster::start(options(), interrupt);
  ASSERT_FALSE(cluster);
  EXPECT_THAT(cluster.error().message,
              HasSubstr("there is no faultline-agent beside this program"));
  EXPECT_TRUE(nothing_left());
}

TEST_F(LocalClusterTest, ADeathInMidRunIsNoticed) {
  agent("trap '' TERM\n" + std::string(kStay));
  Interrupt interrupt;
  auto cluster = LocalCluster::start(options(), interrupt);
  ASSERT_TRUE(cluster) << cluster.error().message;
  const auto agents = processes_with("faultline-agent");
  const auto ours = std::ranges::find_if(agents, [&](pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline");
    std::string line;
    std::getline(file, line);
    return line.find(folder_.path()) != line.npos;
  });
  ASSERT_NE(ours, agents.end());
  kill(*ours, SIGKILL);
  Result<> state;
  EXPECT_TRUE(eventually([&] { return !(state = (*cluster)->check()); }));
  EXPECT_THAT(state.error().message, HasSubstr("faultline-agent was killed by SIGKILL"));
  cluster->reset();
  EXPECT_TRUE(nothing_left());
}

TEST_F(LocalClusterTest, AnInterruptEndsTheWait) {
  controller("exec sleep 1000");
  Interrupt interrupt;
  std::thread person([] {
    std::this_thread::sleep_for(milliseconds(200));
    kill(getpid(), SIGTERM);
  });
  const auto cluster = LocalCluster::start(options(), interrupt);
  person.join();
  ASSERT_FALSE(cluster);
  EXPECT_THAT(cluster.error().message, HasSubstr("interrupted"));
  EXPECT_TRUE(nothing_left());
}

// In a child of the test, as the command would: the test then kills that child with SIGKILL.
pid_t start_and_wait(const LocalClusterOptions& options, int ready) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  Interrupt interrupt;
  const auto cluster = LocalCluster::start(options, interrupt);
  const char said = cluster ? 'y' : 'n';
  if (write(ready, &said, 1) == 1)
    while (true) pause();
  _exit(1);
}

TEST_F(LocalClusterTest, KillingTheCommandLeavesNothing) {
  agent(kStay);
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t command = start_and_wait(options(), ready[1]);
  char said = 0;
  ASSERT_EQ(read(ready[0], &said, 1), 1);
  ASSERT_EQ(said, 'y');
  ASSERT_FALSE(processes_with(folder_.path()).empty());
  kill(command, SIGKILL);
  waitpid(command, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return nothing_left(); }));
  close(ready[0]);
  close(ready[1]);
}

TEST_F(LocalClusterTest, KillingCommandAndGuardianStillEndsThePrograms) {
  agent("trap '' TERM\n" + std::string(kStay));
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t command = start_and_wait(options(), ready[1]);
  char said = 0;
  ASSERT_EQ(read(ready[0], &said, 1), 1);
  ASSERT_EQ(said, 'y');
  std::ifstream children("/proc/" + std::to_string(command) + "/task/" + std::to_string(command) +
                         "/children");
  pid_t guardian = 0;
  ASSERT_TRUE(children >> guardian);
  kill(guardian, SIGKILL);
  kill(command, SIGKILL);
  waitpid(command, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return processes_with(folder_.path()).empty(); }));
  close(ready[0]);
  close(ready[1]);
}

TEST_F(LocalClusterTest, RunWithPodsGoesThroughAndLeavesOnlyTheReport) {
  Shell shell;
  shell.console.programs = folder_.path();
  shell.env["TMPDIR"] = folder_.path() + "/tmp";
  shell.env["FAULTLINE_CONTROLLER"] = "http://127.0.0.1:1";  // --pods means an own one
  EXPECT_EQ(shell.run({"run", folder_.file("slow.yaml", kExperiment), "--pods",
                       folder_.path() + "/pods.yaml", "--report", folder_.path() + "/out"}),
            0)
      << shell.err.str();
  EXPECT_TRUE(std::filesystem::exists(folder_.path() + "/out/report.html"));
  EXPECT_TRUE(nothing_left());
  EXPECT_EQ(shell.run({"run", folder_.path() + "/slow.yaml", "--pods",
                       folder_.path() + "/pods.yaml", "--controller", double_.url()}),
            3);
}

}  // namespace
}  // namespace faultline::cli
