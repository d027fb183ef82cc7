// SPDX-License-Identifier: Apache-2.0
// Which rung a call is hit on, without a kernel: the reasons are given. What the kernel's BTF names
// is this machine's, where it has one.
#include <gmock/gmock.h>

#include "agent/faults/syscalls/plan.h"

namespace faultline::agent {
namespace {

using testing::HasSubstr;

api::SyscallFilter calls(std::vector<std::string> names) {
  api::SyscallFilter filter;
  filter.syscalls = std::move(names);
  return filter;
}

const RungReasons kOnlyCgroup{"no trampolines", "no LSM", ""};

TEST(SyscallPlan, EveryCallOfTheLanguageHasANumberHereOrIsKnownToLackOne) {
  int missing = 0;
  for (const api::Syscall& call : api::syscall_table()) missing += syscall_number(call) < 0 ? 1 : 0;
#if defined(__x86_64__)
  EXPECT_EQ(missing, 0);
#else
  EXPECT_LT(missing, 20) << "the old calls of x86";
#endif
}

TEST(SyscallPlan, HooksAreInTheOrderOfTheirNumbers) {
  for (int i = 0; i < FL_HOOKS; ++i)
    EXPECT_EQ(security_hook(static_cast<fl_hook_number>(i)).number, i);
}

TEST(SyscallPlan, WithoutBetterTheCgroupHooksDoSocketCalls) {
  const auto plan = plan_calls(calls({"connect", "socket"}), kOnlyCgroup, nullptr);
  ASSERT_TRUE(plan);
  EXPECT_EQ(describe_plan(*plan, "fmod_ret", "lsm"), "cgroup on socket, connect");
}

TEST(SyscallPlan, ACallThatWasNamedMustBeDoneAndEachRungSaysWhyNot) {
  const auto plan = plan_calls(calls({"connect", "fsync"}), kOnlyCgroup, nullptr);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().message,
            "fsync: on the call: no trampolines; by security hook: no security hook stands in its "
            "way; by cgroup hook: no cgroup hook for it");
}

TEST(SyscallPlan, OfAGroupThatIsTakenWhichCanBeDoneAndTheRestIsNamed) {
  const auto plan = plan_calls(calls({"network"}), kOnlyCgroup, nullptr);
  ASSERT_TRUE(plan);
  const std::string words = describe_plan(*plan, "fmod_ret", "lsm");
  EXPECT_THAT(words, HasSubstr("cgroup on socket, bind, connect, sendto, sendmsg"));
  EXPECT_THAT(words, HasSubstr("left out: socketpair, listen"));
}

TEST(SyscallPlan, CgroupHooksAreNotTakenForFiltersTheyDoNotSee) {
  auto filter = calls({"connect"});
  filter.every = 3;
  const auto plan = plan_calls(filter, kOnlyCgroup, nullptr);
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, HasSubstr("knows neither path, fd, process, every"));
}

TEST(SyscallPlan, AFilterThatACallCannotHaveIsRefused) {
  auto filter = calls({"brk"});
  filter.path = "/data";
  EXPECT_THAT(plan_calls(filter, kOnlyCgroup, nullptr).error().message,
              HasSubstr("path: brk has none"));
}

TEST(SyscallPlan, PathsOfOpenAreForTheSecurityHookBecauseThereTheyAreResolved) {
  const auto btf = KernelBtf::load();
  if (!btf) GTEST_SKIP() << "needs the kernel's BTF: " << btf.error().message;
  const RungReasons all{};
  auto filter = calls({"openat"});
  EXPECT_EQ(describe_plan(*plan_calls(filter, all, &*btf), "fmod_ret", "lsm"),
            "fmod_ret on openat");
  if (btf->function("bpf_lsm_file_open") < 0) GTEST_SKIP() << "needs a kernel with BPF LSM";
  filter.path = "/data";
  EXPECT_EQ(describe_plan(*plan_calls(filter, all, &*btf), "fmod_ret", "lsm"), "lsm on openat");
}

PlannedCall by_hook(const char* name) {
  const api::Syscall* call = api::find_syscall(name);
  return {.call = call, .rung = SyscallRung::kSecurity, .hook = security_hook(*call)};
}

TEST(SyscallPlan, ARingsWorkCountsAsTheFirstCallThatDoesTheSameWithTheFile) {
  fl_hook_calls hooks[FL_HOOKS];
  fill_hooks({by_hook("fallocate"), by_hook("pread64"), by_hook("read"), by_hook("openat"),
              by_hook("open")},
             hooks);
  const fl_hook_calls& files = hooks[FL_HOOK_FILE_PERMISSION];
  EXPECT_EQ(files.reading, 1);
  EXPECT_EQ(files.writing, FL_CALL_NONE) << "no call that writes was asked for";
  EXPECT_EQ(files.serves, 0b00111U);
  EXPECT_EQ(hooks[FL_HOOK_FILE_OPEN].stand_in, 3);
  EXPECT_EQ(hooks[FL_HOOK_FILE_OPEN].serves, 0b11000U);
  EXPECT_EQ(hooks[FL_HOOK_SOCKET_SENDMSG].serves, 0U);
  EXPECT_EQ(hooks[FL_HOOK_SOCKET_SENDMSG].stand_in, FL_CALL_NONE);
}

TEST(SyscallPlan, LocksAreNamedWhereTheKernelTakesThemBeforeTheHook) {
  EXPECT_THAT(security_hook(FL_HOOK_PATH_RENAME).held, HasSubstr("s_vfs_rename_mutex"));
  EXPECT_THAT(security_hook(FL_HOOK_FILE_MPROTECT).held, HasSubstr("mmap_lock"));
  EXPECT_TRUE(security_hook(FL_HOOK_FILE_OPEN).held.empty());
  EXPECT_TRUE(security_hook(FL_HOOK_SOCKET_CONNECT).held.empty());
}

}  // namespace
}  // namespace faultline::agent
