// SPDX-License-Identifier: Apache-2.0
// What a real program's system calls return, on each rung of the ladder: LSM, fmod_ret on the call,
// cgroup hooks. Every call is made by a process of the pod and told by its errno.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <functional>
#include <thread>

#include "testbed/arm.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/stats.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::KernelFeature;
using std::string;

api::SyscallError error(std::vector<string> calls, int number, double p = 1) {
  api::SyscallError fault;
  fault.syscalls = std::move(calls);
  fault.errno_ = {number};
  fault.probability = {p};
  return fault;
}

// How often a call returned which errno; 0: it worked.
using Outcomes = std::array<std::uint32_t, 256>;

class SyscallError : public testing::Test {
 protected:
  SyscallError() {
    std::ofstream(data() + "/there") << "text";
    ::mkdir((folder_.path() + "/other").c_str(), 0755);
    std::ofstream(folder_.path() + "/other/there") << "text";
    // The pod must have a process to look a path up through.
    living_.emplace(pod_.start([] { return ::pause(); }));
    for (int i = 0; i < 1000 && members() == 0; ++i) ::usleep(1000);
  }
  [[nodiscard]] string data() const {
    ::mkdir((folder_.path() + "/data").c_str(), 0755);
    return folder_.path() + "/data";
  }
  [[nodiscard]] int members() const {
    std::ifstream in(pod_.cgroup_path() + "/cgroup.procs");
    int n = 0;
    for (int pid = 0; in >> pid;) ++n;
    return n;
  }
  // `call` gives -1 and errno, or what is not negative.
  Outcomes in_pod(int times, const std::function<long()>& call) {
    Shared<Outcomes> seen;
    pod_.run([&] { return repeat(times, call, *seen); });
    return *seen;
  }
  static int repeat(int times, const std::function<long()>& call, Outcomes& seen) {
    for (int i = 0; i < times; ++i) ++seen[call() < 0 ? static_cast<std::size_t>(errno) & 255 : 0];
    return 0;
  }
  static Outcomes outside(int times, const std::function<long()>& call) {
    Outcomes seen{};
    repeat(times, call, seen);
    return seen;
  }
  static std::function<long()> opening(const string& path, int at = AT_FDCWD) {
    return [=] {
      const long fd = ::syscall(SYS_openat, at, path.c_str(), O_RDONLY | O_CLOEXEC);
      if (fd >= 0) ::close(static_cast<int>(fd));
      return fd;
    };
  }
  ResidueCheck residue_;
  TestNetwork net_;
  TestPod pod_{net_, "a"};
  TestFolder folder_;
  std::optional<Child> living_;
};

// ---- the LSM rung

class SyscallErrorLsm : public SyscallError {
 protected:
  void SetUp() override { FAULTLINE_NEEDS(KernelFeature::kLsm); }
};

TEST_F(SyscallErrorLsm, OpenOfAPathFailsAtTheAskedRateAndOnlyInThePod) {
  constexpr int kMany = 4000;
  auto spec = error({"openat"}, EIO, 0.2);
  spec.path = data();
  const auto fault = arm(spec, pod_.pod());
  EXPECT_THAT(fault->mechanism(), testing::HasSubstr("lsm"));
  const auto seen = in_pod(kMany, opening(data() + "/there"));
  const auto c = counters(*fault);
  EXPECT_EQ(c.matched, static_cast<std::uint64_t>(kMany));
  EXPECT_EQ(c.injected, seen[EIO]);
  EXPECT_EQ(seen[0] + seen[EIO], static_cast<std::uint32_t>(kMany));
  EXPECT_TRUE(binomial_interval(0.2, kMany).contains(double(seen[EIO]) / kMany)) << seen[EIO];
  EXPECT_EQ(c.by_errno.at("EIO"), seen[EIO]);
  EXPECT_EQ(c.by_call.at("openat").injected, seen[EIO]);
  EXPECT_GT(c.first_injected.ns, 0U);
  EXPECT_EQ(outside(kMany, opening(data() + "/there"))[0], static_cast<std::uint32_t>(kMany));
  EXPECT_EQ(counters(*fault).matched, static_cast<std::uint64_t>(kMany)) << "others cost nothing";
}

TEST_F(SyscallErrorLsm, NoOtherNameLeadsAroundThePath) {
  ASSERT_EQ(::symlink(data().c_str(), (folder_.path() + "/link").c_str()), 0);
  auto spec = error({"openat"}, EIO);
  spec.path = data();
  const auto fault = arm(spec, pod_.pod());
  const auto fails = [&](const std::function<long()>& call) { return in_pod(1, call)[EIO] == 1; };
  const string root = folder_.path();
  EXPECT_TRUE(fails(opening(root + "/link/there"))) << "a symbolic link";
  EXPECT_TRUE(fails(opening(root + "/other/../data/there")));
  EXPECT_TRUE(fails([&] {
    if (::chdir(root.c_str()) != 0) return -1L;
    return opening("data/there")();
  })) << "a relative name";
  EXPECT_TRUE(fails([&] {
    const int at = ::open(root.c_str(), O_PATH | O_CLOEXEC);
    return opening("data/there", at)();
  })) << "a name relative to a descriptor";
  EXPECT_FALSE(fails(opening(root + "/other/there")));
  EXPECT_EQ(in_pod(1, opening(data() + "/missing"))[ENOENT], 1U) << "keeps its own errno";
}

TEST_F(SyscallErrorLsm, PatternsMatchOneNameBelowTheDirectory) {
  for (const char* name : {"a.wal", "b.wal", "b.db"}) std::ofstream(data() + "/" + name) << "x";
  auto spec = error({"openat"}, EIO);
  spec.path = data() + "/*.wal";
  const auto fault = arm(spec, pod_.pod());
  EXPECT_EQ(in_pod(1, opening(data() + "/a.wal"))[EIO], 1U);
  EXPECT_EQ(in_pod(1, opening(data() + "/b.wal"))[EIO], 1U);
  EXPECT_EQ(in_pod(1, opening(data() + "/b.db"))[0], 1U);
  EXPECT_EQ(in_pod(1, opening(data() + "/there"))[0], 1U);
}

TEST_F(SyscallErrorLsm, AFileThatIsNotThereYetIsHitWhenItIsMade) {
  auto spec = error({"openat"}, ENOSPC);
  spec.path = data() + "/new";
  const auto fault = arm(spec, pod_.pod());
  const auto making = [&](const string& name) {
    return in_pod(1, [&] {
      return static_cast<long>(::open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    });
  };
  EXPECT_EQ(making(data() + "/new")[ENOSPC], 1U);
  EXPECT_EQ(making(data() + "/newer")[0], 1U);
}

TEST_F(SyscallErrorLsm, EveryAfterAndCountChooseWhichCalls) {
  auto spec = error({"openat"}, EIO);
  spec.path = data();
  spec.every = 3;
  spec.after = 4;
  spec.count = 2;
  const auto fault = arm(spec, pod_.pod());
  Shared<std::array<int, 14>> seen;
  pod_.run([&] {
    for (int& code : *seen) code = opening(data() + "/there")() < 0 ? errno : 0;
    return 0;
  });
  // The first four are left alone; of those after it each third, twice.
  EXPECT_THAT(*seen, testing::ElementsAre(0, 0, 0, 0, 0, 0, EIO, 0, 0, EIO, 0, 0, 0, 0));
}

TEST_F(SyscallErrorLsm, OnlyCallsThatWereAskedForFail) {
  auto spec = error({"pread64"}, EIO);
  spec.path = data();
  const auto fault = arm(spec, pod_.pod());
  Shared<std::array<int, 2>> seen;
  pod_.run([&] {
    const int fd = ::open((data() + "/there").c_str(), O_RDONLY | O_CLOEXEC);
    char byte = 0;
    (*seen)[0] = ::pread(fd, &byte, 1, 0) < 0 ? errno : 0;
    (*seen)[1] = ::read(fd, &byte, 1) < 0 ? errno : 0;
    return 0;
  });
  EXPECT_THAT(*seen, testing::ElementsAre(EIO, 0))
      << "read(2) shares the hook and was not asked for";
}

TEST_F(SyscallErrorLsm, NamesAndSocketsAndProcessesFailWithAnyErrno) {
  struct Case {
    const char* call;
    int number;
    std::function<long()> body;
  };
  const string fresh = data() + "/fresh";
  const Case cases[] = {
      {"mkdirat", EROFS, [&] { return ::syscall(SYS_mkdirat, AT_FDCWD, fresh.c_str(), 0755); }},
      {"unlinkat", EDQUOT,
       [&] { return ::syscall(SYS_unlinkat, AT_FDCWD, (data() + "/there").c_str(), 0); }},
      {"renameat2", EIO,
       [&] {
         return ::syscall(SYS_renameat2, AT_FDCWD, (data() + "/there").c_str(), AT_FDCWD,
                          fresh.c_str(), 0);
       }},
      {"socket", EMFILE, [] { return long{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}; }},
      {"listen", EADDRINUSE,
       [] { return long{::listen(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), 1)}; }},
      {"recvfrom", ECONNRESET,
       [] {
         char byte = 0;
         return long{
             ::recv(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), &byte, 1, MSG_DONTWAIT)};
       }},
      {"clone", EAGAIN,
       [] {
         const long pid = ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
         if (pid == 0) ::_exit(0);
         return pid;
       }},
      {"mmap", ENOMEM,
       [] {
         void* p = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
         return p == MAP_FAILED ? -1L : 1L;
       }},
  };
  for (const Case& one : cases) {
    const auto fault = arm(error({one.call}, one.number), pod_.pod());
    EXPECT_EQ(in_pod(1, one.body)[static_cast<std::size_t>(one.number)], 1U) << one.call;
    EXPECT_EQ(counters(*fault).injected, 1U) << one.call;
  }
}

TEST_F(SyscallErrorLsm, ThirtyTwoBitCallsAreCaught) {
#if defined(__x86_64__)
  auto spec = error({"openat"}, EIO);
  spec.path = data();
  const auto path = data() + "/there";
  // The 32-bit way into the kernel takes addresses of 32 bits.
  const auto open32 = [&] {
    void* low = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    path.copy(static_cast<char*>(low), path.size());
    long rc = 295;  // openat
    asm volatile("int $0x80" : "+a"(rc) : "b"(AT_FDCWD), "c"(low), "d"(O_RDONLY) : "memory");
    ::munmap(low, 4096);
    if (rc >= 0) return rc;
    errno = static_cast<int>(-rc);
    return -1L;
  };
  if (const auto seen = in_pod(1, open32); seen[0] != 1)
    GTEST_SKIP() << "needs: 32-bit system calls";
  const auto fault = arm(spec, pod_.pod());
  EXPECT_EQ(in_pod(1, open32)[EIO], 1U);
#else
  GTEST_SKIP() << "needs: x86";
#endif
}

TEST_F(SyscallErrorLsm, OnlyTheNamedProcess) {
  auto spec = error({"openat"}, EIO);
  spec.path = data();
  const auto named = [&](const char* name) {
    return in_pod(1, [&, name] {
             ::prctl(PR_SET_NAME, name);
             return opening(data() + "/there")();
           })[EIO] == 1;
  };
  spec.process = "postgres";
  const auto fault = arm(spec, pod_.pod());
  EXPECT_TRUE(named("postgres"));
  EXPECT_FALSE(named("postgresql"));
  EXPECT_FALSE(named("sh"));
}

TEST_F(SyscallErrorLsm, WhatLiesBelowThePodsCgroupIsHitToo) {
  auto spec = error({"openat"}, EIO);
  spec.path = data();
  const string below = pod_.cgroup_path() + "/container";
  ASSERT_EQ(::mkdir(below.c_str(), 0755), 0);
  {
    const auto fault = arm(spec, pod_.pod());
    EXPECT_EQ(in_pod(1,
                     [&] {
                       join_cgroup(below);
                       return opening(data() + "/there")();
                     })[EIO],
              1U);
  }
  EXPECT_EQ(::rmdir(below.c_str()), 0);
}

TEST_F(SyscallErrorLsm, KilledOwnerEndsItAndLeavesNothing) {
  auto spec = error({"openat"}, EIO);
  spec.path = data();
  Shared<std::atomic<int>> armed;
  Child owner([&] {
    const auto fault = arm(spec, pod_.pod());
    *armed = 1;
    return ::pause();
  });
  for (int i = 0; i < 5000 && *armed == 0; ++i) ::usleep(1000);
  ASSERT_EQ(in_pod(10, opening(data() + "/there"))[EIO], 10U);
  owner.signal(SIGKILL);
  owner.wait();
  EXPECT_EQ(in_pod(1000, opening(data() + "/there"))[0], 1000U);
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(SyscallErrorLsm, ItEndsWithTheLease) {
  auto spec = error({"openat"}, EIO);
  spec.path = data();
  const auto fault = arm(spec, pod_.pod());
  fault->renew(in(std::chrono::seconds(2)));  // loading the programs may take as long
  const auto over = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  EXPECT_EQ(in_pod(1, opening(data() + "/there"))[EIO], 1U);
  std::this_thread::sleep_until(over);
  EXPECT_EQ(in_pod(100, opening(data() + "/there"))[0], 100U);
  fault->renew(in(std::chrono::seconds(60)));
  EXPECT_EQ(in_pod(1, opening(data() + "/there"))[EIO], 1U);
}

// ---- the rung of the call itself

class SyscallErrorOnCall : public SyscallError {
 protected:
  void SetUp() override { FAULTLINE_NEEDS(KernelFeature::kFmodRetSyscall); }
};

TEST_F(SyscallErrorOnCall, CallsWithoutASecurityHookFailInThePodOnly) {
  constexpr int kMany = 2000;
  const auto fault = arm(error({"fsync", "close", "brk"}, EIO, 0.25), pod_.pod());
  EXPECT_EQ(fault->mechanism(), "fmod_ret on fsync, close, brk");
  const auto syncing = [&] {
    const long fd = ::open((data() + "/there").c_str(), O_RDONLY | O_CLOEXEC);
    return [=] { return long{::fsync(static_cast<int>(fd))}; };
  }();
  const auto seen = in_pod(kMany, syncing);
  EXPECT_TRUE(binomial_interval(0.25, kMany).contains(double(seen[EIO]) / kMany)) << seen[EIO];
  const auto c = counters(*fault);
  EXPECT_EQ(c.by_call.at("fsync").injected, seen[EIO]);
  EXPECT_EQ(c.by_call.at("fsync").matched, static_cast<std::uint64_t>(kMany));
  EXPECT_EQ(outside(kMany, syncing)[0], static_cast<std::uint32_t>(kMany));
}

TEST_F(SyscallErrorOnCall, DescriptorsAreToldApartByKindAndPath) {
  auto spec = error({"write"}, ENOSPC);
  spec.fd = api::FdKind::regular;
  spec.path = data();
  const auto fault = arm(spec, pod_.pod());
  Shared<std::array<int, 3>> seen;
  pod_.run([&] {
    int ends[2];
    if (::pipe(ends) != 0) return 1;
    const int here = ::open((data() + "/there").c_str(), O_WRONLY | O_CLOEXEC);
    const int there = ::open((folder_.path() + "/other/there").c_str(), O_WRONLY | O_CLOEXEC);
    int i = 0;
    for (const int fd : {here, there, ends[1]}) (*seen)[i++] = ::write(fd, "x", 1) < 0 ? errno : 0;
    return 0;
  });
  EXPECT_THAT(*seen, testing::ElementsAre(ENOSPC, 0, 0));
}

TEST_F(SyscallErrorOnCall, AWholeGroupIsHit) {
  const auto fault = arm(error({"memory"}, ENOMEM), pod_.pod());
  EXPECT_EQ(in_pod(1, [] { return long{::madvise(nullptr, 0, MADV_NORMAL)}; })[ENOMEM], 1U);
  EXPECT_EQ(in_pod(1, [] { return ::syscall(SYS_memfd_create, "x", 0); })[ENOMEM], 1U);
  EXPECT_EQ(in_pod(1, opening(data() + "/there"))[0], 1U);
}

// ---- the cgroup rung, and what no rung can do

TEST_F(SyscallError, SocketCallsFailByCgroupHooksWhereThereIsNothingBetter) {
  if (features().has(KernelFeature::kLsm) || features().has(KernelFeature::kFmodRetSyscall))
    GTEST_SKIP() << "needs: a kernel with neither LSM programs nor fmod_ret on system calls";
  const auto fault = arm(error({"connect", "socket"}, ENETDOWN), pod_.pod());
  EXPECT_EQ(fault->mechanism(), "cgroup on socket, connect");
  const auto making = [] { return long{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}; };
  EXPECT_EQ(in_pod(50, making)[ENETDOWN], 50U);
  EXPECT_EQ(outside(50, making)[0], 50U);
}

TEST_F(SyscallError, WhatNoRungCanDoIsRefusedWithTheReasonOfEach) {
  if (features().has(KernelFeature::kFmodRetSyscall))
    GTEST_SKIP() << "needs: a kernel without fmod_ret on system calls";
  const auto refused = try_arm(error({"fsync"}, EIO), pod_.pod());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("fsync"));
  EXPECT_THAT(refused.error().message, testing::HasSubstr("no security hook stands in its way"));
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

}  // namespace
}  // namespace faultline::test
