// SPDX-License-Identifier: Apache-2.0
// Where the controllers of a pod are, on made-up nodes of cgroup2 alone and of both versions.
#include "agent/targets/controller_dirs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace faultline::agent {
namespace {

namespace fs = std::filesystem;

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(CgroupMounts, OneOfEachHierarchyAndTheOneThatShowsMost) {
  const auto mounts = cgroup_mounts(
      "30 1 0:20 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "31 1 0:21 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
      "32 1 0:22 / /sys/fs/cgroup/unified rw - cgroup2 none rw,nsdelegate\n"
      "33 1 0:20 /../.. /host/a\\040b rw - cgroup cgroup rw,cpu,cpuacct\n"
      "34 1 0:23 / /proc rw - proc proc rw\n");
  ASSERT_EQ(mounts.size(), 3U);
  EXPECT_EQ(mounts[0].point, "/host/a b");
  EXPECT_EQ(mounts[0].root, "/../..");
  EXPECT_TRUE(mounts[0].has("cpu"));
  EXPECT_TRUE(mounts[0].has("cpuacct"));
  EXPECT_FALSE(mounts[0].has("pids"));
  EXPECT_FALSE(mounts[1].has("cpu"));
  EXPECT_TRUE(mounts[2].is_v2);
}

class Dirs : public testing::Test {
 protected:
  Dirs() { fs::create_directories(root_); }
  ~Dirs() override { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  [[nodiscard]] std::string at(const std::string& path) const { return root_ / path; }
  [[nodiscard]] CgroupMount v1(const std::string& name, std::vector<std::string> controllers,
                               const std::string& root = "/") const {
    return {.point = at(name), .root = root, .controllers = std::move(controllers)};
  }
  [[nodiscard]] CgroupMount v2() const {
    return {.point = at("v2"), .root = "/", .controllers = {}, .is_v2 = true};
  }
  [[nodiscard]] Result<ControllerDirs> dirs_of(const std::string& pod,
                                               const std::vector<CgroupMount>& mounts) const {
    return controller_dirs(at("v2/" + pod), mounts, at("proc"));
  }
  fs::path root_ =
      fs::temp_directory_path() / ("flt" + std::to_string(::getpid()) + "-controllers");
};

TEST_F(Dirs, OfCgroup2AloneAreThePodsOwn) {
  write("v2/kubepods/pod1/app/cgroup.procs", "7\n");
  const auto dirs = dirs_of("kubepods/pod1", {v2()});
  ASSERT_TRUE(dirs);
  EXPECT_EQ(dirs->of("cpu").path, at("v2/kubepods/pod1"));
  EXPECT_FALSE(dirs->is_v1("cpu"));
  EXPECT_THAT(dirs->v1_paths(), IsEmpty());
}

TEST_F(Dirs, OfCgroup1AreThoseOfTheSamePath) {
  for (const char* hierarchy : {"v2", "cpu,cpuacct", "memory", "pids"})
    write(std::string(hierarchy) + "/kubepods/pod1/cgroup.procs", "");
  const auto dirs = dirs_of("kubepods/pod1", {v1("cpu,cpuacct", {"cpu", "cpuacct"}), v2(),
                                              v1("memory", {"memory"}), v1("pids", {"pids"})});
  ASSERT_TRUE(dirs) << dirs.error().message;
  EXPECT_EQ(dirs->of("cpu").path, at("cpu,cpuacct/kubepods/pod1"));
  EXPECT_EQ(dirs->of("cpu").mount, at("cpu,cpuacct"));
  EXPECT_EQ(dirs->of("freezer").path, at("v2/kubepods/pod1")) << "no hierarchy has it";
  EXPECT_THAT(dirs->v1_paths(), ElementsAre(at("cpu,cpuacct/kubepods/pod1"),
                                            at("memory/kubepods/pod1"), at("pids/kubepods/pod1")));
}

// systemd's names in cgroup2, the runtime's in cgroup v1; the agent sees the node's from a
// container.
TEST_F(Dirs, OfAnotherPathAreShownByAProcess) {
  write("v2/pods.slice/pod1/app/cgroup.procs", "7\n");
  fs::create_directories(root_ / "cpu/kubepods/pod1");
  write("proc/7/cgroup",
        "3:pids:/\n2:cpu:/../../kubepods/pod1/app\n1:memory:/../../other\n"
        "0::/../../pods.slice/pod1/app\n");
  const auto dirs = dirs_of("pods.slice/pod1",
                            {v2(), v1("cpu", {"cpu"}, "/../.."), v1("memory", {"memory"}, "/../.."),
                             v1("pids", {"pids"}), v1("freezer", {"freezer"})});
  ASSERT_TRUE(dirs) << dirs.error().message;
  EXPECT_EQ(dirs->of("cpu").path, at("cpu/kubepods/pod1")) << "the pod's, not the container's";
  EXPECT_EQ(dirs->of("memory").path, at("memory/other"));
  EXPECT_EQ(dirs->of("pids").path, at("pids"));
  EXPECT_FALSE(dirs->is_v1("freezer")) << "nobody says where it is, and no limit is in it";
}

TEST_F(Dirs, WithoutAProcessNobodySaysWhereTheyAre) {
  write("v2/pod1/cgroup.procs", "");
  const auto dirs = dirs_of("pod1", {v2(), v1("cpu", {"cpu"})});
  ASSERT_FALSE(dirs);
  EXPECT_THAT(dirs.error().message, HasSubstr("shows where its cgroup of cpu is"));
  EXPECT_FALSE(controller_dirs("/elsewhere", {v2()}));
  EXPECT_FALSE(dirs_of("gone", {v2()}));
}

TEST_F(Dirs, TheNearestLimitHolds) {
  write("v2/cpu.max", "max 100000\n");
  write("v2/pods/cpu.max", "150000 100000\n");
  write("v2/pods/pod1/cpu.max", "max 100000\n");
  auto dirs = dirs_of("pods/pod1", {v2()});
  ASSERT_TRUE(dirs);
  EXPECT_EQ(cpu_limit(*dirs), (CpuLimit{1.5, false}));
  write("v2/pods/pod1/cpu.max", "25000 50000\n");
  EXPECT_EQ(cpu_limit(*dirs), (CpuLimit{0.5, true}));
  write("cpu/pods/pod1/cpu.cfs_quota_us", "-1\n");
  write("cpu/pods/pod1/cpu.cfs_period_us", "100000\n");
  dirs = dirs_of("pods/pod1", {v2(), v1("cpu", {"cpu"})});
  ASSERT_TRUE(dirs);
  EXPECT_EQ(cpu_limit(*dirs), std::nullopt);
  write("cpu/pods/pod1/cpu.cfs_quota_us", "40000\n");
  EXPECT_EQ(cpu_limit(*dirs), (CpuLimit{0.4, true}));
}

TEST_F(Dirs, MoreProcessesThanAllowedAreSeenAtEachLevel) {
  write("v2/pods/pids.current", "8\n");
  write("v2/pods/pids.max", "max\n");
  write("v2/pods/pod1/pids.current", "5\n");
  write("v2/pods/pod1/pids.max", "5\n");
  const auto dirs = dirs_of("pods/pod1", {v2()});
  ASSERT_TRUE(dirs);
  EXPECT_EQ(over_pids_limit(*dirs), "");
  write("v2/pods/pids.max", "7\n");
  EXPECT_EQ(over_pids_limit(*dirs), at("v2/pods"));
}

}  // namespace
}  // namespace faultline::agent
