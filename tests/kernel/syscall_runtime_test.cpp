// SPDX-License-Identifier: Apache-2.0
// The programs of a container are hit from their first call on, the container runtime's own calls
// in the pod's cgroup never; what a process calls itself does not matter. A container is a pod's
// process in a mount namespace of its own that runs a real program; what is done before that
// program is run stands for the runtime.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <optional>
#include <vector>

#include "testbed/arm.h"
#include "testbed/hidden.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::KernelFeature;
using std::string;

std::vector<char*> words_of(const std::vector<string>& words) {
  std::vector<char*> out;
  for (const string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

class SyscallRuntime : public testing::Test {
 protected:
  void SetUp() override {
    FAULTLINE_NEEDS(KernelFeature::kLsm);
    std::ofstream(file()) << "text";
    living_.emplace(pod_.start([] { return become({"sleep", "1000"}); }));
    const string comm = "/proc/" + std::to_string(living_->pid()) + "/comm";
    string name;
    for (int i = 0; i < 5000 && name != "sleep"; ++i) {
      ::usleep(1000);
      std::ifstream(comm) >> name;
    }
    ASSERT_EQ(name, "sleep");
  }
  [[nodiscard]] string file() const { return folder_.path() + "/there"; }

  // What the runtime does at the end: the container's namespace, then the container's program.
  static int become(const std::vector<string>& words) {
    leave_mount_namespace();
    ::execvp(words.front().c_str(), words_of(words).data());
    return 99;
  }
  // Exit code of a program of the container.
  int program(const std::vector<string>& words) const {
    return pod_.run([&] { return become(words); });
  }
  int opens() const {
    return ::syscall(SYS_openat, AT_FDCWD, file().c_str(), O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
  }
  static api::SyscallError error(const char* call, int number) {
    api::SyscallError fault;
    fault.syscalls = {call};
    fault.errno_ = {number};
    fault.probability = {1};
    return fault;
  }
  [[nodiscard]] std::unique_ptr<agent::ArmedFault> opens_fail() const {
    auto spec = error("openat", EIO);
    spec.path = folder_.path();
    return arm(spec, pod_.pod());
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod pod_{net_, "a"};
  TestFolder folder_;
  std::optional<Child> living_;
};

TEST_F(SyscallRuntime, AProgramOfTheContainerIsHitWhateverItCallsItself) {
  const auto fault = opens_fail();
  EXPECT_EQ(program({"cat", file()}), 1);
  EXPECT_EQ(counters(*fault).injected, 1U);
  for (const char* name : {"runc", "runc:[2:INIT]", "crun", "conmon"})
    EXPECT_EQ(program({"bash", "-c",
                       R"(printf %s "$1" >/proc/self/comm; { : <"$0"; } 2>/dev/null || exit 7)",
                       file(), name}),
              7)
        << name;
  EXPECT_EQ(counters(*fault).injected, 5U);
}

TEST_F(SyscallRuntime, AProgramOfTheNodeIsLeftAloneOutsideAndInsideTheContainer) {
  const auto fault = opens_fail();
  EXPECT_EQ(pod_.run([&] { return opens(); }), 0) << "as conmon: the node's mount namespace";
  EXPECT_EQ(pod_.run([&] {
    leave_mount_namespace();
    return opens();
  }),
            0)
      << "as runsc: the container's mount namespace, the node's program";
  EXPECT_EQ(counters(*fault).matched, 0U);
}

TEST_F(SyscallRuntime, TheRuntimesSealedCopyStartsTheContainersProgram) {
  const auto fault = arm(error("execve", EACCES), pod_.pod());
  // unshare(1), from memory as runc runs itself: goes to the container's namespace, then runs
  // true(1).
  const auto sealed = [] {
    const int from = ::open("/usr/bin/unshare", O_RDONLY | O_CLOEXEC);
    const int copy = ::memfd_create("sealed", MFD_CLOEXEC);
    struct stat is {};
    if (::fstat(from, &is) != 0) return 98;
    for (off_t at = 0; at < is.st_size;)
      if (::sendfile(copy, from, &at, static_cast<std::size_t>(is.st_size - at)) <= 0) return 97;
    ::fexecve(copy, words_of({"unshare", "-m", "true"}).data(), environ);
    return 96;
  };
  EXPECT_EQ(pod_.run(sealed), 0);
  EXPECT_EQ(counters(*fault).matched, 0U);
  EXPECT_EQ(program({"bash", "-c", "true; /bin/true"}), 126) << "a program of the container";
  EXPECT_EQ(counters(*fault).injected, 1U);
}

// A pod without Kubernetes whose processes are in the node's mount namespace: nothing is left out.
TEST_F(SyscallRuntime, WithoutContainersEveryProcessIsHit) {
  TestPod plain(net_, "b");
  Child there = plain.start([] { return ::pause(); });
  ::usleep(200000);  // until it is in the cgroup: a path is looked up through a process
  auto spec = error("openat", EIO);
  spec.path = folder_.path();
  const auto fault = arm(spec, plain.pod());
  EXPECT_EQ(plain.run([&] { return opens(); }), EIO);
}

}  // namespace
}  // namespace faultline::test
