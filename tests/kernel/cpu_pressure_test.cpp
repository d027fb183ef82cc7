// SPDX-License-Identifier: Apache-2.0
// What cpuPressure does to a pod, where its workers are, and what they may.
#include "cpu_pressure.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <filesystem>

namespace faultline::test {
namespace {

namespace fs = std::filesystem;

// A program that computes without end, under limits of its own, and what CPU time it gets.
class Busy {
 public:
  explicit Busy(const CgroupLimits& limits)
      : process_([this, &limits] {
          limits.join();
          for (;;) {
            for (int i = 0; i < 20'000; ++i) asm volatile("" ::: "memory");
            timespec used{};
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
            used_->store(static_cast<double>(used.tv_sec) +
                         static_cast<double>(used.tv_nsec) / 1e9);
          }
          return 0;
        }) {}
  // CPU seconds a second, from now on for so long.
  double rate(std::chrono::duration<double> time) const {
    const double before = *used_;
    const auto since = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(time);
    return (*used_ - before) /
           std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
  }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }

 private:
  Shared<std::atomic<double>> used_;
  Child process_;
};

TEST_F(CpuPressure, APodAtItsLimitComputesLessAndANeighbourDoesNot) {
  const CgroupLimits ours(a_.cgroup_path()), others(b_.cgroup_path());
  ours.set_cpus(0.4);
  others.set_cpus(0.4);
  const Busy app(ours), neighbour(others);
  (void)app.rate(300ms);
  const double app_before = app.rate(1500ms), neighbour_before = neighbour.rate(1500ms);
  const double throttled_before = ours.throttled_seconds();
  const auto fault = arm(workers(3), a_.pod());
  const double all_before = ours.cpu_seconds();
  const double app_during = app.rate(1500ms), neighbour_during = neighbour.rate(1500ms);
  EXPECT_LT(app_during, 0.6 * app_before) << "a quarter of what the limit leaves";
  EXPECT_GT(neighbour_during, 0.6 * neighbour_before);
  EXPECT_LT(ours.cpu_seconds() - all_before, 3 * 0.4 * 1.6) << "the limit acts on all together";
  EXPECT_GT(ours.throttled_seconds(), throttled_before);
  const auto c = counters(*fault);
  EXPECT_GT(c.matched, 3 * 2'500U) << "ms that 3 workers asked for";
  EXPECT_GT(c.injected, 0U);
  EXPECT_LT(c.injected, c.matched / 2) << "the limit kept back the rest";
  EXPECT_LT(c.stalled, c.matched / 10) << "and they asked for it all the time";
  EXPECT_EQ(c.lost, 0U);
  ASSERT_TRUE(fault->disarm());
  EXPECT_GT(app.rate(1500ms), 0.6 * app_before) << "the fault has ended";
}

TEST_F(CpuPressure, WorkersAreWherePodsProcessesAreAndInNoneOfItsNamespaces) {
  const CgroupLimits limits(a_.cgroup_path());
  const Busy app(limits);
  ASSERT_TRUE(eventually([&] { return agent::processes_below(a_.cgroup_path()).size() == 1; }));
  (void)app.rate(100ms);
  const auto fault = arm(workers(2), a_.pod());
  const auto pids = workers_in(a_.cgroup_path());
  ASSERT_EQ(pids.size(), 2U);
  const auto text = [](const fs::path& file) {
    std::ifstream in(file);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto dirs = agent::controller_dirs(a_.cgroup_path(), *agent::cgroup_mounts());
  ASSERT_TRUE(dirs);
  for (const pid_t pid : pids) {
    const fs::path proc = "/proc/" + std::to_string(pid);
    for (const auto& [controller, place] : dirs->v1)
      EXPECT_THAT(text(place.path + "/cgroup.procs"),
                  testing::HasSubstr(std::to_string(pid) + "\n"))
          << controller;
    for (const char* ns : {"mnt", "net", "pid", "ipc", "uts", "cgroup", "user"})
      EXPECT_EQ(fs::read_symlink(proc / "ns" / ns),
                fs::read_symlink(fs::path("/proc/self/ns") / ns));
    ASSERT_TRUE(eventually([&] { return fs::is_empty(proc / "fd"); })) << "what the agent has open";
    const std::string status = text(proc / "status");
    for (const char* line : {"CapEff:\t0000000000000000", "CapPrm:\t0000000000000000",
                             "NoNewPrivs:\t1", "Seccomp:\t2"})
      EXPECT_THAT(status, testing::HasSubstr(line));
    EXPECT_EQ(text(proc / "oom_score_adj"), "1000\n");
    EXPECT_EQ(sched_getscheduler(pid), SCHED_OTHER);
    EXPECT_EQ(getpriority(PRIO_PROCESS, static_cast<id_t>(pid)), 0);
  }
}

TEST_F(CpuPressure, AProcessInAPidNamespaceOfThePodDoesNotSeeThem) {
  const CgroupLimits limits(a_.cgroup_path());
  const auto fault = arm(workers(1), a_.pod());
  ASSERT_EQ(workers_in(a_.cgroup_path()).size(), 1U);
  Child inside([&] {
    limits.join();
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) return 3;
    return Child([] {
             if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                 mount("proc", "/proc", "proc", 0, nullptr) != 0)
               return 4;
             int seen = 0;
             for (const auto& entry : fs::directory_iterator("/proc"))
               if (const std::string name = entry.path().filename();
                   name.find_first_not_of("0123456789") == std::string::npos)
                 ++seen;
             return seen == 1 ? 0 : 5;
           })
        .wait();
  });
  EXPECT_EQ(inside.wait(), 0);
}

TEST_F(CpuPressure, ALoadIsWhatEachAsksFor) {
  const CgroupLimits limits(a_.cgroup_path());
  const auto fault = arm(workers(1, 30), a_.pod());
  std::this_thread::sleep_for(200ms);
  const double before = limits.cpu_seconds();
  const auto since = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(2s);
  const double cpus =
      (limits.cpu_seconds() - before) /
      std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
  RecordProperty("cpus", std::to_string(cpus));
  EXPECT_GT(cpus, 0.15) << "as much as the machine had for it";
  EXPECT_LT(cpus, 0.36);
  const auto c = counters(*fault);
  EXPECT_NEAR(static_cast<double>(c.matched), 30.0 / 100 * 2200, 150);
  EXPECT_LE(c.injected, c.matched);
  EXPECT_GT(c.injected, c.matched / 2);
  EXPECT_GT(c.first_injected.ns, 0U);
  EXPECT_GT(c.last_injected, c.first_injected);
}

TEST_F(CpuPressure, APercentageIsOfThePodsLimitElseOfTheNodeAndSaysOfWhich) {
  const CgroupLimits limits(a_.cgroup_path());
  {
    const auto fault = arm(percent(50), a_.pod());
    EXPECT_THAT(fault->mechanism(), testing::HasSubstr("= 50 % of the node's"));
    EXPECT_GE(workers_in(a_.cgroup_path()).size(), 1U);
  }
  limits.set_cpus(0.5);
  const auto fault = arm(percent(60), a_.pod());
  EXPECT_THAT(fault->mechanism(),
              testing::HasSubstr("1 worker at 30 % of a CPU = 60 % of its limit of 0.5 CPUs"));
  const double before = limits.cpu_seconds();
  std::this_thread::sleep_for(1500ms);
  EXPECT_GT(limits.cpu_seconds() - before, 0.5 * 0.3 * 1.5);
  EXPECT_LT(limits.cpu_seconds() - before, 1.3 * 0.3 * 1.5);
}

TEST_F(CpuPressure, HeldToAContainerItIsInThatOneOnly) {
  a_.add_container("app");
  a_.add_container("log");
  const CgroupLimits pod(a_.cgroup_path()), app(a_.container_cgroup("app")),
      log(a_.container_cgroup("log"));
  app.set_cpus(0.5);
  const agent::FaultType& type = *agent::find_fault("cpuPressure");
  static const SystemClock clock;
  static const agent::FeatureProbe features;
  const agent::Pod target = a_.pod();
  const auto fault = agent::arm_in_containers(type, {percent(80)}, target,
                                              agent::named_containers(target, {"app"}),
                                              {clock, features, 42, in(1min), {}});
  ASSERT_TRUE(fault) << fault.error().message;
  EXPECT_THAT((*fault)->mechanism(), testing::HasSubstr("80 % of its limit of 0.5 CPUs"));
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(workers_in(a_.container_cgroup("app")).size(), 1U);
  EXPECT_EQ(workers_in(a_.cgroup_path()).size(), 1U) << "and no other";
  EXPECT_GT(app.cpu_seconds(), 0.05);
  EXPECT_EQ(log.cpu_seconds(), 0);
}

TEST_F(CpuPressure, APodsLimitOfProcessesRefusesItAndNothingIsLeft) {
  const CgroupLimits limits(a_.cgroup_path());
  limits.set_pids(2);
  const auto refused = try_arm(workers(3), a_.pod());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("pids.max"));
  EXPECT_THAT(workers_in(a_.cgroup_path()), testing::IsEmpty());
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
  EXPECT_TRUE(try_arm(workers(2), a_.pod()));
}

TEST_F(CpuPressure, APodThatIsGoneIsAnError) {
  const agent::Pod pod = a_.pod();
  a_.restart();
  fs::remove(a_.cgroup_path());
  const auto refused = try_arm(workers(1), pod);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("cpuPressure on test/"));
}

// As a pod of Kubernetes on cgroup2: its own cgroup gives controllers to the containers' cgroups,
// so that no process may be in it. Of any controller; here one that nobody uses.
TEST_F(CpuPressure, WhereThePodsCgroupMayHoldNoneTheyAreInItsContainers) {
  a_.add_container("app");
  Child living([&] {
    join_cgroup(a_.container_cgroup("app"));
    return ::pause();
  });
  ASSERT_TRUE(eventually([&] { return !agent::processes_below(a_.cgroup_path()).empty(); }));
  std::string first;
  std::ifstream(fs::path(a_.cgroup_path()).parent_path() / "cgroup.controllers") >> first;
  const auto give = [&](const fs::path& to) {
    std::ofstream out(to / "cgroup.subtree_control");
    out << "+" << first << std::flush;
    return !first.empty() && out.good();
  };
  if (!give(fs::path(a_.cgroup_path()).parent_path()) || !give(a_.cgroup_path()))
    GTEST_SKIP() << "needs: a controller in cgroup2";
  const auto fault = arm(workers(2), a_.pod());
  EXPECT_EQ(workers_in(a_.container_cgroup("app")).size(), 2U);
  EXPECT_THAT(fault->mechanism(), testing::EndsWith("in its containers"));
}

}  // namespace
}  // namespace faultline::test
