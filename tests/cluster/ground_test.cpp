// SPDX-License-Identifier: Apache-2.0
// The first and the last of the suite: the cluster comes up, and goes without a trace. ctest runs
// them around all others.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "tests/cluster/harness.h"
#include "tests/places.h"

namespace faultline::test {
namespace {
namespace fs = std::filesystem;

std::string content(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// By pid, of all that is in a control group of the cluster. What is dead and waits for the
// machine's init to say so has nothing any more.
std::map<std::string, std::string> processes() {
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    if (content(entry.path() / "status").find("State:\tZ") != std::string::npos) continue;
    if (content(entry.path() / "cgroup").find("/faultline-cluster") != std::string::npos)
      found[pid] = content(entry.path() / "comm");
  }
  return found;
}

// Namespaces as links of /proc say them: "net:[4026532387]".
std::set<std::string> namespaces(const std::function<bool(const std::string& pid)>& wanted) {
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos || !wanted(pid)) continue;
    for (const char* kind : {"net", "mnt", "uts", "ipc", "pid"}) {
      std::error_code gone;
      const auto link = fs::read_symlink(entry.path() / "ns" / kind, gone);
      if (!gone) found.insert(link);
    }
  }
  return found;
}

std::vector<std::string> control_groups() {
  std::vector<std::string> found;
  std::error_code gone;
  for (fs::recursive_directory_iterator it("/sys/fs/cgroup", gone), end; it != end;
       it.increment(gone)) {
    const std::string name = it->path().filename();
    // Tests of others make trees that look like pods', deeper.
    if (name.starts_with("faultline-cluster") || (name == "kubepods" && it.depth() <= 1))
      found.push_back(it->path());
  }
  return found;
}

// What kubelet and kube-proxy are known to change for a whole machine.
std::string sysctls() {
  std::string all;
  for (const char* name :
       {"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
        "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/netfilter/nf_conntrack_max",
        "net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet"})
    all += std::string(name) + " = " + content(std::string("/proc/sys/") + name);
  return all;
}
// Of the machine's own network namespace.
std::string network() {
  std::string all;
  for (const std::vector<std::string>& look : std::vector<std::vector<std::string>>{
           {"ip", "-4", "route", "show", "table", "all"}, {"iptables-save"}, {"ip6tables-save"}}) {
    // Counters and times are no rules.
    std::istringstream lines(testbed::command(look).output);
    for (std::string line; std::getline(lines, line);)
      if (line.find("KUBE") != std::string::npos || line.find("10.99.0.") != std::string::npos ||
          line.find("10.244.") != std::string::npos || line.find("10.96.0.") != std::string::npos)
        all.append(line).append("\n");
  }
  return all;
}
std::string places() {
  std::string all;
  for (const char* path :
       {"/var/cache/faultline-cluster", "/run/containerd", "/var/lib/containerd",
        "/var/lib/kubelet", "/var/lib/cni", "/etc/cni", "/var/log/pods", "/var/log/containers",
        "/run/xtables.lock", "/opt/cni", "/etc/kubernetes", "/usr/libexec/kubernetes",
        "/run/flannel", "/var/run/dockershim.sock"})
    all += std::string(path) + (fs::exists(path) ? " is there\n" : " is not there\n");
  return all;
}

// Written before the cluster comes up, read when it is gone.
std::string remembered() { return test::build_dir() / "cluster-before"; }
std::string machine() { return sysctls() + network() + places(); }

}  // namespace

TEST(Ground, AnUpThatIsInterruptedOrKilledLeavesNothing) {
  ASSERT_EQ(cluster({"down"}).status, 0);  // one that somebody left
  const std::string before = machine();
  for (const char* seconds : {"1", "5"}) {
    const auto up =
        testbed::command({"timeout", "-s", "INT", seconds, source("scripts/cluster"), "up"});
    EXPECT_EQ(up.status, 124) << up.output;  // timeout's word for: it had to
    EXPECT_THAT(processes(), testing::IsEmpty()) << seconds;
    EXPECT_THAT(control_groups(), testing::IsEmpty()) << seconds;
    EXPECT_EQ(machine(), before) << seconds;
  }
  // Nobody is left to clean up then, but `down` finds it all.
  for (const char* seconds : {"5", "15", "40"}) {  // until it has started something
    testbed::command({"timeout", "-s", "KILL", seconds, source("scripts/cluster"), "up"});
    if (!processes().empty()) break;
  }
  EXPECT_THAT(processes(), testing::Not(testing::IsEmpty()));
  EXPECT_EQ(cluster({"down"}).status, 0);
  EXPECT_THAT(processes(), testing::IsEmpty());
  EXPECT_THAT(control_groups(), testing::IsEmpty());
  EXPECT_EQ(machine(), before);
}

TEST(Ground, ComesUp) {
  std::ofstream(remembered()) << machine();
  const auto up = cluster({"up"});
  ASSERT_EQ(up.status, 0) << up.output;
  EXPECT_THAT(up.output, testing::HasSubstr("export KUBECONFIG="));
}

TEST(Ground, ComingUpTwiceIsOneCluster) {
  const auto before = processes();
  const auto up = cluster({"up"});
  ASSERT_EQ(up.status, 0) << up.output;
  const auto after = processes();
  for (const auto& [pid, name] : before) {
    if (name != "etcd\n" && name != "kube-apiserver\n" && name != "kubelet\n") continue;
    EXPECT_TRUE(after.contains(pid)) << name;
  }
}

TEST(Ground, GoesWithoutATrace) {
  const auto ours = processes();
  ASSERT_GT(ours.size(), 10U);
  std::set<std::string> spaces =
      namespaces([&](const std::string& pid) { return ours.contains(pid); });
  for (const std::string& own : namespaces(
           [](const std::string& pid) { return pid == "1" || pid == std::to_string(getpid()); }))
    spaces.erase(own);
  ASSERT_GT(spaces.size(), 6U);  // at least three of network, two of mounts, two of names

  const auto down = cluster({"down"});
  ASSERT_EQ(down.status, 0) << down.output;

  EXPECT_THAT(processes(), testing::IsEmpty());
  EXPECT_THAT(control_groups(), testing::IsEmpty());
  const auto living = namespaces([](const std::string&) { return true; });
  const std::string mounts = content("/proc/self/mountinfo");
  for (const std::string& space : spaces) {
    EXPECT_FALSE(living.contains(space)) << space;
    EXPECT_EQ(mounts.find(space), std::string::npos) << space;
  }
  EXPECT_EQ(mounts.find("faultline-cluster"), std::string::npos) << mounts;
  EXPECT_EQ(machine(), content(remembered()));
  EXPECT_EQ(cluster({"down"}).status, 0) << "down twice";
  EXPECT_EQ(cluster({"status"}).status, 1);
  fs::remove(remembered());
}

}  // namespace faultline::test
