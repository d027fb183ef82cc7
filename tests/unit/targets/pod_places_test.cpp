// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "agent/kernel/cgroup2.h"
#include "made_up_node.h"

namespace faultline::agent::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const NetnsId kNode{MadeUpNode::kNodeNetns};

TEST(PodPlaces, PodsOfEveryShapeAreFoundInOneWalk) {
  const MadeUpNode node;
  const std::string a = node.make_cgroup("kn1/kubepods/burstable/pod" + kUidA);
  const std::string b = node.make_cgroup(
      "kubepods.slice/kubepods-besteffort.slice/"
      "kubepods-besteffort-podbbbbbbbb_8c6e_4d0b_9a53_1b9df1d7c2aa.slice");
  const std::string fixed = node.make_cgroup("kubepods/pod9f0e8d7c6b5a49382716051423324150");
  node.make_cgroup("user.slice/podcccccccc-8c6e-4d0b-9a53-1b9df1d7c2aa");
  node.make_cgroup(
      "system.slice/containerd.service/"
      "kubepods-poddddddddd_8c6e_4d0b_9a53_1b9df1d7c2aa.slice:cri-containerd:" +
      hex_id('1'));
  PodPlaces places(node.roots().cgroup2);
  ASSERT_TRUE(places.scan());
  EXPECT_EQ(places.size(), 3U);
  EXPECT_THAT(places.of(kUidA), ElementsAre(a));
  EXPECT_THAT(places.of(kUidB), ElementsAre(b));
  EXPECT_THAT(places.of("9f0e8d7c6b5a49382716051423324150"), ElementsAre(fixed));
  EXPECT_THAT(places.of("cccccccc-8c6e-4d0b-9a53-1b9df1d7c2aa"), IsEmpty());
  EXPECT_TRUE(places.has_stray("dddddddd-8c6e-4d0b-9a53-1b9df1d7c2aa"));
  EXPECT_FALSE(places.has_stray(kUidA));
}

TEST(PodPlaces, PodThatWasRemovedIsNotInTheNextWalkAndATreeThatIsGoneIsAnError) {
  const MadeUpNode node;
  const std::string a = node.make_cgroup("kubepods/pod" + kUidA);
  PodPlaces places(node.roots().cgroup2);
  ASSERT_TRUE(places.scan());
  EXPECT_THAT(places.of(kUidA), ElementsAre(a));
  std::filesystem::remove_all(a);
  ASSERT_TRUE(places.scan());
  EXPECT_THAT(places.of(kUidA), IsEmpty());

  PodPlaces nowhere("/nonexistent/cgroup");
  const auto scanned = nowhere.scan();
  ASSERT_FALSE(scanned);
  EXPECT_EQ(scanned.error().message,
            "cannot read the cgroup tree /nonexistent/cgroup: No such file or directory");
}

TEST(PodPlaces, ContainersAreListedWithoutMonitorsAndOtherDirectories) {
  const MadeUpNode node;
  const std::string pod = node.make_cgroup("kubepods/pod" + kUidA);
  const std::string one =
      node.make_cgroup("kubepods/pod" + kUidA + "/crio-" + hex_id('1') + ".scope");
  node.make_cgroup("kubepods/pod" + kUidA + "/crio-conmon-" + hex_id('1') + ".scope");
  node.make_cgroup("kubepods/pod" + kUidA + "/other");
  const auto containers = containers_of(pod);
  ASSERT_TRUE(containers);
  ASSERT_EQ(containers->size(), 1U);
  EXPECT_EQ((*containers)[0].id, hex_id('1'));
  EXPECT_EQ((*containers)[0].path, one);
  struct stat info {};
  ASSERT_EQ(stat(one.c_str(), &info), 0);
  EXPECT_EQ(number((*containers)[0].cgroup), info.st_ino);
  EXPECT_FALSE(containers_of(pod + "x"));
}

class Pick : public testing::Test {
 protected:
  Pick() : pod_(node_.make_cgroup("kubepods/pod" + kUidA)) {
    for (const char c : {'1', '2'}) node_.make_cgroup(in(c));
  }
  static std::string in(char container) { return "kubepods/pod" + kUidA + "/" + hex_id(container); }
  [[nodiscard]] Result<PodProcess> pick(const std::set<std::string>& named = {},
                                        std::optional<NetnsId> before = {}) const {
    return pick_process(node_.roots(), *containers_of(pod_), named, kNode, before);
  }
  const MadeUpNode node_;
  std::string pod_;
};

TEST_F(Pick, TheSandboxIsTakenBeforeContainersThatTheApiKnowsEvenIfTheseAreOlder) {
  node_.process(20, in('1'), 77, 100);
  node_.process(21, in('2'), 88, 50);  // somebody put an older process there
  EXPECT_EQ(pick({hex_id('2')})->pid, 20);
  EXPECT_EQ(pick({hex_id('2')})->netns, NetnsId{77});
}

TEST_F(Pick, WithoutASandboxTheOldestProcessIsTakenWhateverItsNumber) {
  node_.process(20, in('1'), 77, 300);
  node_.process(900, in('1'), 77, 100);  // numbers have begun anew since
  node_.process(30, in('2'), 77, 200);
  EXPECT_EQ(pick({hex_id('1'), hex_id('2')})->pid, 900);
}

TEST_F(Pick, ProcessThatWentToAnotherNamespaceDoesNotTakeThePodWithIt) {
  node_.process(20, in('1'), 66, 100);  // was in 77
  node_.process(21, in('2'), 77, 200);
  EXPECT_EQ(pick({}, NetnsId{77})->pid, 21);
  EXPECT_EQ(pick({}, NetnsId{55})->pid, 20);  // nobody is left there: the pod has a new one
}

TEST_F(Pick, ProcessOfTheNodeThatWasPutThereIsTakenLast) {
  node_.process(20, in('1'), MadeUpNode::kNodeNetns, 1);
  node_.process(21, in('2'), 77, 200);
  EXPECT_EQ(pick()->pid, 21);
  node_.remove(21, in('2'));
  EXPECT_EQ(pick()->netns, kNode);
}

TEST_F(Pick, ProcessesBelowTheContainersOwnCgroupCount) {
  node_.make_cgroup(in('1') + "/container");
  node_.process(20, in('1') + "/container", 77);
  EXPECT_EQ(pick()->pid, 20);
  EXPECT_EQ(pick()->cgroup, node_.cgroup(in('1') + "/container"));
}

TEST_F(Pick, ProcessThatHasEndedOrHasNoNamespaceIsNotTaken) {
  std::ofstream(node_.cgroup(in('1') + "/cgroup.procs")) << "4040\n";
  const auto none = pick();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::kNotFound);
}

TEST_F(Pick, ProcessesOfAnotherPidNamespaceAreCalledHidden) {
  std::ofstream(node_.cgroup(in('1') + "/cgroup.procs")) << "0\n0\n";
  const auto none = pick();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::kDenied);
  EXPECT_THAT(none.error().message, testing::HasSubstr("hostPID"));
}

TEST_F(Pick, NumberThatWasCutOffIsNoProcess) {
  // 64 KiB are read; the last number in them is cut to "12".
  std::string lines;
  while (lines.size() < 64 * 1024 - 2) lines += "9999999\n";
  lines.resize(64 * 1024 - 2);
  if (lines.back() != '\n') lines.back() = '\n';
  std::ofstream(node_.cgroup(in('1') + "/cgroup.procs")) << lines << "12345\n";
  node_.process(12, "", 77);
  EXPECT_FALSE(pick());
}

TEST_F(Pick, ProcessIsStillThereUntilItEndsMovesOrItsNumberIsAnothers) {
  node_.process(20, in('1'), 77);
  const PodProcess picked = *pick();
  EXPECT_TRUE(still_there(node_.roots(), picked));
  node_.process(20, "", 88);  // another namespace, still in the cgroup
  EXPECT_FALSE(still_there(node_.roots(), picked));
  node_.process(20, "", 77);
  EXPECT_TRUE(still_there(node_.roots(), picked));
  node_.leave(in('1'));
  EXPECT_FALSE(still_there(node_.roots(), picked));
}

TEST(Sight, SaysWhereProcessesOfAPodAreThatHasNoDirectory) {
  const MadeUpNode node;
  node.process(20, "", 77);
  node.cgroup_lines(20, "4:memory:/kubepods/pod" + kUidA + "/" + hex_id('1') + "\n0::/\n");
  node.process(21, "", 77);
  node.cgroup_lines(21, "0::/../../pod" + kUidB + "/" + hex_id('2') + "\n");
  const auto seen = sight(node.roots(), {kUidA, kUidB, "other"});
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_TRUE(seen.at(kUidA).in_v1);
  EXPECT_EQ(seen.at(kUidA).v2_path, "");
  EXPECT_FALSE(seen.at(kUidB).in_v1);
  EXPECT_EQ(seen.at(kUidB).v2_path, "/../../pod" + kUidB + "/" + hex_id('2'));
}

TEST(Cgroup2Mount, TheNodesMountIsTakenBeforeThatOfOurOwnCgroupNamespace) {
  const std::string own = "31 23 0:28 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n";
  const std::string given =
      "40 23 0:28 /../../.. /host/sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw,nsdelegate\n";
  const std::string other = "41 23 0:28 /../../../kubepods /k rw - cgroup2 cgroup rw\n";
  const std::string part = "42 23 0:28 /kubepods /k rw - cgroup2 cgroup rw\n";
  const std::string v1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
  EXPECT_EQ(find_cgroup2_mount(own + given).value(), "/host/sys/fs/cgroup");
  EXPECT_EQ(find_cgroup2_mount(given + own).value(), "/host/sys/fs/cgroup");
  EXPECT_EQ(find_cgroup2_mount(v1 + part + own + other).value(), "/sys/fs/cgroup");
  EXPECT_EQ(find_cgroup2_mount(part + v1).value(), "/k");
  EXPECT_FALSE(find_cgroup2_mount(v1));
}

}  // namespace
}  // namespace faultline::agent::test
