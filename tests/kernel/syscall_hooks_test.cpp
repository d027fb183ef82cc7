// SPDX-License-Identifier: Apache-2.0
// Each call of a program is seen once by a security hook, whatever file it is on and however many
// hooks the kernel passes on its way.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <thread>

#include "agent/kernel/fd.h"
#include "testbed/arm.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::Fd;
using agent::KernelFeature;
using std::string;

constexpr const char* kProgram = "onlythisone";

class SyscallHooks : public testing::Test {
 protected:
  void SetUp() override {
    FAULTLINE_NEEDS(KernelFeature::kLsm);
    std::ofstream(file()) << "text";
  }
  [[nodiscard]] string file() const { return folder_.path() + "/there"; }

  // By the hooks, although this kernel may have a better rung. Only kProgram is hit.
  [[nodiscard]] std::unique_ptr<agent::ArmedFault> by_hook(std::vector<string> calls,
                                                           std::uint64_t after = 0) const {
    static const agent::FeatureProbe hooks_only(KernelFeature::kFmodRetSyscall,
                                                "hidden by the test");
    api::SyscallError fault;
    fault.syscalls = std::move(calls);
    fault.errno_ = {EIO};
    fault.probability = {1};
    fault.process = kProgram;
    fault.after = after;
    return arm(fault, pod_.pod(), {.features = &hooks_only});
  }
  // errno of a call that kProgram makes in the pod; 0: it worked.
  int program(const std::function<long()>& prepare, const std::function<long(int)>& call) const {
    return pod_.run([&] {
      const long fd = prepare();
      if (fd < 0) return 255;
      ::prctl(PR_SET_NAME, kProgram);
      const long result = call(static_cast<int>(fd));
      const int error = errno;
      ::prctl(PR_SET_NAME, "another");
      return result < 0 ? error : 0;
    });
  }
  // How often the hooks see one call that nothing is done to.
  std::uint64_t times_seen(std::vector<string> calls, const std::function<long()>& prepare,
                           const std::function<long(int)>& call) const {
    const auto fault = by_hook(std::move(calls), 1000000);
    EXPECT_EQ(program(prepare, call), 0);
    return counters(*fault).matched;
  }
  static long one_byte(int fd) {
    char byte = 0;
    return ::syscall(SYS_pread64, fd, &byte, 1, 0L);
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod pod_{net_, "a"};
  TestFolder folder_;
};

TEST_F(SyscallHooks, FilesInMemoryAndEventsAreHit) {
  const auto in_memory = [] {
    const int fd = ::memfd_create("x", MFD_CLOEXEC);
    return ::write(fd, "x", 1) == 1 ? long{fd} : -1L;
  };
  {
    const auto fault = by_hook({"pread64"});
    EXPECT_EQ(program(in_memory, one_byte), EIO);
  }
  const auto fault = by_hook({"read"});
  EXPECT_EQ(program([] { return long{::eventfd(1, EFD_CLOEXEC)}; },
                    [](int fd) {
                      std::uint64_t value = 0;
                      return ::syscall(SYS_read, fd, &value, sizeof value);
                    }),
            EIO);
}

// Allows what is done with a file (FAN_*_PERM), as a scanner for viruses that finds none.
class Scanner {
 public:
  Scanner(const string& file, std::uint64_t asked)
      : events_(::fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY)) {
    if (!events_.valid() ||
        ::fanotify_mark(events_.get(), FAN_MARK_ADD, asked, AT_FDCWD, file.c_str()) != 0)
      missing_ = std::strerror(errno);
    else
      thread_ = std::jthread([this](const std::stop_token& stop) {
        while (!stop.stop_requested()) answer();
      });
  }
  [[nodiscard]] const string& missing() const { return missing_; }  // empty: it works

 private:
  void answer() const {
    fanotify_event_metadata event{};
    if (::read(events_.get(), &event, sizeof event) != sizeof event) {
      ::usleep(1000);
      return;
    }
    const fanotify_response allow{.fd = event.fd, .response = FAN_ALLOW};
    (void)!::write(events_.get(), &allow, sizeof allow);
    ::close(event.fd);
  }
  Fd events_;
  string missing_;
  std::jthread thread_;  // last: it ends first
};

TEST_F(SyscallHooks, FilesThatFanotifyWatchesAreHit) {
  for (const std::uint64_t asked : {FAN_OPEN_PERM, FAN_ACCESS_PERM}) {
    const Scanner scanner(file(), asked);
    if (!scanner.missing().empty()) GTEST_SKIP() << "needs: fanotify (" << scanner.missing() << ")";
    const auto fault = by_hook({"pread64"});
    EXPECT_EQ(program([&] { return long{::open(file().c_str(), O_RDONLY | O_CLOEXEC)}; }, one_byte),
              EIO)
        << asked;
  }
}

TEST_F(SyscallHooks, AFileOfAnOverlayIsSeenOnce) {
  const string lower = folder_.path() + "/lower", merged = folder_.path() + "/merged";
  for (const char* name : {"/lower", "/upper", "/work", "/merged"})
    ASSERT_EQ(::mkdir((folder_.path() + name).c_str(), 0755), 0);
  std::ofstream(lower + "/there") << "text";
  std::ofstream(lower + "/changed") << "text";
  const string layers = "lowerdir=" + lower + ",upperdir=" + folder_.path() +
                        "/upper,workdir=" + folder_.path() + "/work";
  if (::mount("overlay", merged.c_str(), "overlay", 0, layers.c_str()) != 0)
    GTEST_SKIP() << "needs: overlay (" << std::strerror(errno) << ")";
  const auto opened = [&](const char* name, int flags) {
    return long{::open((merged + name).c_str(), flags | O_CLOEXEC)};
  };
  const auto nothing = [] { return 0L; };
  const auto reading = [&] { return opened("/there", O_RDONLY); };
  EXPECT_EQ(times_seen({"openat"}, nothing, [&](int) { return opened("/there", O_RDONLY); }), 1U);
  EXPECT_EQ(times_seen({"pread64"}, reading, one_byte), 1U);
  struct stat is {};
  EXPECT_EQ(times_seen({"fstat"}, reading, [&](int fd) { return ::syscall(SYS_fstat, fd, &is); }),
            1U);
  EXPECT_EQ(times_seen({"openat"}, nothing, [&](int) { return opened("/changed", O_RDWR); }), 1U)
      << "the kernel opens it in both layers to copy it up";
  EXPECT_EQ(times_seen(
                {"pwrite64"}, [&] { return opened("/changed", O_RDWR); },
                [](int fd) { return ::syscall(SYS_pwrite64, fd, "y", 1, 0L); }),
            1U);
  EXPECT_EQ(::umount2(merged.c_str(), MNT_DETACH), 0);
}

// write(2) passes the hook of files and the hook of sockets.
TEST_F(SyscallHooks, ACallThatPassesTwoHooksIsSeenAtItsOwn) {
  const auto connected = [] {
    int ends[2];
    return ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0 ? long{ends[0]} : -1L;
  };
  EXPECT_EQ(times_seen({"write", "sendto"}, connected,
                       [](int fd) { return ::syscall(SYS_write, fd, "x", 1); }),
            1U);
}

}  // namespace
}  // namespace faultline::test
