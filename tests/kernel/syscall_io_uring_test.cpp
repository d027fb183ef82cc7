// SPDX-License-Identifier: Apache-2.0
// Work that a program hands to the kernel through io_uring is no system call: a fault on a security
// hook hits it, a fault on the call itself does not. Each in three ways: by the caller's own
// thread, by a worker (IOSQE_ASYNC), and by the kernel's polling thread (SQPOLL).
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>

#include "testbed/arm.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/stats.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::KernelFeature;

struct Way {
  const char* name;
  unsigned setup;  // IORING_SETUP_*
  unsigned entry;  // IOSQE_*
  friend void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }
};

// A ring of the process that makes it.
class Ring {
 public:
  explicit Ring(const Way& way) : entry_(way.entry) {
    io_uring_params params{};
    params.flags = way.setup;
    params.sq_thread_idle = 1000;  // ms
    error_ = -io_uring_queue_init_params(8, &ring_, &params);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() {
    if (error_ == 0) io_uring_queue_exit(&ring_);
  }
  [[nodiscard]] int error() const { return error_; }  // errno of its making

  // What the operation gives: not negative, or -errno.
  int operate(const std::function<void(io_uring_sqe*)>& prepare) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    prepare(entry);
    io_uring_sqe_set_flags(entry, entry_);
    io_uring_cqe* done = nullptr;
    if (const int rc = io_uring_submit(&ring_); rc < 0) return rc;
    if (const int rc = io_uring_wait_cqe(&ring_, &done); rc < 0) return rc;
    const int result = done->res;
    io_uring_cqe_seen(&ring_, done);
    return result;
  }
  int open(const std::string& path) {
    return operate(
        [&](auto* e) { io_uring_prep_openat(e, AT_FDCWD, path.c_str(), O_RDWR | O_CLOEXEC, 0); });
  }
  int read(int fd, char& byte) {
    return operate([&](auto* e) { io_uring_prep_read(e, fd, &byte, 1, 0); });
  }
  int write(int fd, const char& byte) {
    return operate([&](auto* e) { io_uring_prep_write(e, fd, &byte, 1, 0); });
  }

 private:
  io_uring ring_{};
  unsigned entry_;
  int error_;
};

api::SyscallError eio(std::vector<std::string> calls, double p = 1) {
  api::SyscallError fault;
  fault.syscalls = std::move(calls);
  fault.errno_ = {EIO};
  fault.probability = {p};
  return fault;
}

struct Opens {
  int worked, eio, other;
};

class SyscallIoUring : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    if (const int error = Ring(GetParam()).error(); error != 0)
      GTEST_SKIP() << "needs: io_uring (" << std::strerror(error) << ")";
    std::ofstream(file()) << "text";
    // The pod must have a process to look a path up through.
    living_.emplace(pod_.start([this] {
      *ready_ = 1;
      return ::pause();
    }));
    for (int i = 0; i < 5000 && *ready_ == 0; ++i) ::usleep(1000);
  }
  [[nodiscard]] std::string file() const { return folder_.path() + "/there"; }

  int opening(int times, Opens& seen) const {
    Ring ring(GetParam());
    if (ring.error() != 0) return 1;
    for (int i = 0; i < times; ++i) {
      const int fd = ring.open(file());
      ++(fd >= 0 ? seen.worked : fd == -EIO ? seen.eio : seen.other);
      if (fd >= 0) ::close(fd);
    }
    return 0;
  }
  // errno of a read and of a write by the ring, of a file that was opened without it.
  int transfer(std::array<int, 2>& seen) const {
    Ring ring(GetParam());
    const int fd = ::open(file().c_str(), O_RDWR | O_CLOEXEC);
    if (ring.error() != 0 || fd < 0) return 1;
    char byte = 'x';
    seen = {std::min(ring.read(fd, byte), 0), std::min(ring.write(fd, byte), 0)};
    return 0;
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod pod_{net_, "a"}, neighbour_{net_, "b"};
  TestFolder folder_;
  Shared<std::atomic<int>> ready_;
  std::optional<Child> living_;
};

TEST_P(SyscallIoUring, OpensOfAPathFailAtTheAskedRateAndOnlyInThePod) {
  FAULTLINE_NEEDS(KernelFeature::kLsm);
  constexpr int kMany = 400;
  auto spec = eio({"openat"}, 0.5);
  spec.path = folder_.path();
  const auto fault = arm(spec, pod_.pod());
  ASSERT_EQ(fault->mechanism(), "lsm on openat");
  Shared<Opens> seen, beside;
  ASSERT_EQ(pod_.run([&] { return opening(kMany, *seen); }), 0);
  EXPECT_EQ(seen->worked + seen->eio, kMany) << "no other errno";
  EXPECT_TRUE(binomial_interval(0.5, kMany).contains(double(seen->eio) / kMany)) << seen->eio;
  const auto c = counters(*fault);
  EXPECT_EQ(c.matched, static_cast<std::uint64_t>(kMany)) << "each operation once";
  EXPECT_EQ(c.injected, static_cast<std::uint64_t>(seen->eio));
  EXPECT_EQ(c.by_call.at("openat").injected, c.injected);

  ASSERT_EQ(neighbour_.run([&] { return opening(kMany, *beside); }), 0);
  Opens own{};
  ASSERT_EQ(opening(kMany, own), 0);
  EXPECT_EQ(beside->worked, kMany);
  EXPECT_EQ(own.worked, kMany);
  EXPECT_EQ(counters(*fault).matched, c.matched);
}

// A ring has one hook for reading and writing, which tells them apart by its mask.
TEST_P(SyscallIoUring, ReadsAndWritesFailByTheHookAndNotOnTheCall) {
  FAULTLINE_NEEDS(KernelFeature::kLsm);
  auto spec = eio({"read", "write"});
  spec.path = folder_.path();
  const auto fault = arm(spec, pod_.pod());
  const bool by_hook = fault->mechanism() == "lsm on read, write";
  if (!by_hook) {
    ASSERT_EQ(fault->mechanism(), "fmod_ret on read, write");
  }
  Shared<std::array<int, 2>> seen, beside;
  ASSERT_EQ(pod_.run([&] { return transfer(*seen); }), 0);
  ASSERT_EQ(neighbour_.run([&] { return transfer(*beside); }), 0);
  EXPECT_THAT(*seen, testing::Each(by_hook ? -EIO : 0)) << fault->mechanism();
  EXPECT_THAT(*beside, testing::Each(0));
  const auto c = counters(*fault);
  EXPECT_EQ(c.injected, by_hook ? 2U : 0U);
  EXPECT_EQ(c.by_call.at("read").injected, by_hook ? 1U : 0U);
  EXPECT_EQ(c.by_call.at("write").injected, by_hook ? 1U : 0U);
}

TEST_P(SyscallIoUring, WhereReadsWereAskedForWritesWorkAndTheOtherWayRound) {
  FAULTLINE_NEEDS(KernelFeature::kLsm);
  const agent::FeatureProbe hooks_only(KernelFeature::kFmodRetSyscall, "hidden by the test");
  const auto run = [&](const char* call) {
    auto spec = eio({call});
    spec.path = folder_.path();
    const auto fault = arm(spec, pod_.pod(), {.features = &hooks_only});
    EXPECT_EQ(fault->mechanism(), std::string("lsm on ") + call);
    Shared<std::array<int, 2>> seen;
    EXPECT_EQ(pod_.run([&] { return transfer(*seen); }), 0);
    EXPECT_EQ(counters(*fault).matched, std::string(call) == "fallocate" ? 0U : 1U) << call;
    return *seen;
  };
  EXPECT_THAT(run("readv"), testing::ElementsAre(-EIO, 0));
  EXPECT_THAT(run("pwrite64"), testing::ElementsAre(0, -EIO));
  EXPECT_THAT(run("fallocate"), testing::ElementsAre(0, 0)) << "a ring's write is no fallocate";
}

TEST_P(SyscallIoUring, OnTheCallItselfOpensByARingAreMissed) {
  FAULTLINE_NEEDS(KernelFeature::kFmodRetSyscall);
  struct Run {
    std::atomic<int> inside, go;
    int plain;
    Opens by_ring;
  };
  Shared<Run> run;
  const std::string path = file();
  // Entering the pod opens files, too: it is done before the fault is armed.
  Child program = pod_.start([&] {
    run->inside = 1;
    while (run->go == 0) ::usleep(1000);
    run->plain =
        ::syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
    return opening(10, run->by_ring);
  });
  for (int i = 0; i < 5000 && run->inside == 0; ++i) ::usleep(1000);
  const auto fault = arm(eio({"openat"}), pod_.pod());
  ASSERT_EQ(fault->mechanism(), "fmod_ret on openat");
  run->go = 1;
  ASSERT_EQ(program.wait(), 0);
  EXPECT_EQ(run->plain, EIO) << "the same process, without the ring";
  EXPECT_EQ(run->by_ring.worked, 10);
  EXPECT_EQ(counters(*fault).injected, 1U);
}

constexpr std::array kWays{Way{"InTheCallersThread", 0, 0}, Way{"InAWorker", 0, IOSQE_ASYNC},
                           Way{"ByThePollingThread", IORING_SETUP_SQPOLL, 0}};
INSTANTIATE_TEST_SUITE_P(Kernel, SyscallIoUring, testing::ValuesIn(kWays),
                         [](const auto& way) { return way.param.name; });

}  // namespace
}  // namespace faultline::test
