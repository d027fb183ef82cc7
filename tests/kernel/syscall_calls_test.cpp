// SPDX-License-Identifier: Apache-2.0
// The effects of system calls against what the calling process counted, and against strace.
#include "agent/effects/syscall_calls.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <thread>

#include "agent/kernel/fd.h"
#include "agent/kernel/kernel_btf.h"
#include "agent/kernel/link.h"
#include "agent/kernel/syscalls.h"
#include "testbed/arm.h"
#include "testbed/child.h"
#include "testbed/emulated.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using agent::KernelFeature;

class SyscallCalls : public testing::Test {
 protected:
  void SetUp() override { FAULTLINE_NEEDS(KernelFeature::kTrampoline); }

  [[nodiscard]] std::unique_ptr<agent::Collector> watch(std::vector<std::string> calls) const {
    static const SystemClock clock;
    auto started = agent::kSyscallCalls.start(pod_.pod(), {clock, features(), std::move(calls)});
    if (!started) throw std::runtime_error(started.error().message);
    return std::move(*started);
  }
  static std::vector<api::EffectSample> take(agent::Collector& collector) {
    std::vector<api::EffectSample> samples;
    std::vector<api::Gap> gaps;
    collector.take(samples, gaps);
    EXPECT_THAT(gaps, testing::IsEmpty());
    return samples;
  }
  static double value(const std::vector<api::EffectSample>& samples, const std::string& metric,
                      const std::map<std::string, std::string>& labels) {
    for (const auto& s : samples)
      if (s.metric == metric && s.labels == labels) return s.value;
    return 0;
  }

  ResidueCheck residue_;
  TestNetwork net_;
  TestPod pod_{net_, "a"}, other_{net_, "b"};
  TestFolder folder_;
};

TEST_F(SyscallCalls, CountsAndErrnosAreThoseThatTheProgramSawAndOnlyThePods) {
  const auto collector = watch({"openat", "pread64"});
  const auto work = [&] {
    for (int i = 0; i < 40; ++i) (void)::open("/does/not/exist", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 30; ++i) ::close(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    char byte = 0;
    for (int i = 0; i < 20; ++i) (void)!::pread(-1, &byte, 1, 0);
    return 0;
  };
  other_.run(work);
  work();
  EXPECT_EQ(value(take(*collector), "syscall.rate", {{"call", "openat"}}), 0) << "others' calls";
  pod_.run([] { return 0; });
  const double entering = value(take(*collector), "syscall.rate", {{"call", "openat"}});
  pod_.run(work);
  const auto samples = take(*collector);
  EXPECT_EQ(value(samples, "syscall.rate", {{"call", "openat"}}), 70 + entering);
  EXPECT_EQ(value(samples, "syscall.rate", {{"call", "pread64"}}), 20);
  EXPECT_EQ(value(samples, "syscall.failures", {{"call", "openat"}, {"errno", "ENOENT"}}), 40);
  EXPECT_EQ(value(samples, "syscall.failures", {{"call", "pread64"}, {"errno", "EBADF"}}), 20);
}

// Somebody's program at the beginning of a call, which does nothing. Newer ones run first.
class OthersProgram {
 public:
  explicit OthersProgram(const std::string& function) {
    const auto btf = agent::KernelBtf::load();
    if (!btf) throw std::runtime_error(btf.error().message);
    const std::array<bpf_insn, 2> code{
        bpf_insn{
            .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
        bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY,
                .attach_btf_id = static_cast<std::uint32_t>(btf->function(function)));
    program_ = agent::Fd(
        bpf_prog_load(BPF_PROG_TYPE_TRACING, "others", "GPL", code.data(), code.size(), &opts));
    if (!program_.valid()) throw std::runtime_error("cannot load a program");
  }
  // Now, as the newest.
  void attach() {
    link_.detach();
    auto link = agent::attach_tracing(program_.get());
    if (!link) throw std::runtime_error(link.error().message);
    link_ = std::move(*link);
  }

 private:
  agent::Fd program_;
  agent::Link link_;
};

TEST_F(SyscallCalls, CallsWhoseBeginningWasNotSeenAreAGapWithTheirNumber) {
  OthersProgram others(agent::syscall_function(*api::find_syscall("pread64")));
  Shared<std::atomic<bool>> go, stop;
  Shared<std::atomic<int>> calls;
  // Forked before there are links: it would keep those that it inherits.
  Child caller = pod_.start([&] {
    char byte = 0;
    while (!*go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (; !*stop; ++*calls) (void)!::pread(-1, &byte, 1, 0);
    return 0;
  });
  const auto collector = watch({"pread64"});
  *go = true;
  for (int i = 0; i < 50; ++i) {
    others.attach();
    ASSERT_TRUE(collector->faults_changed());
  }
  *stop = true;
  caller.wait();
  std::vector<api::EffectSample> samples;
  std::vector<api::Gap> gaps;
  collector->take(samples, gaps);
  ASSERT_FALSE(gaps.empty()) << *calls << " calls, none of them during 50 changes";
  const std::string reason = "calls whose beginning was not seen: ";
  ASSERT_TRUE(gaps[0].reason.starts_with(reason)) << gaps[0].reason;
  EXPECT_EQ(value(samples, "syscall.rate", {{"call", "pread64"}}) +
                std::stod(gaps[0].reason.substr(reason.size())),
            *calls);
}

// Nothing was attached before ours: nothing is detached, and no call is missed.
TEST_F(SyscallCalls, WhoIsFirstAlreadyStaysWhereItIs) {
  Shared<std::atomic<bool>> go, stop;
  Shared<std::atomic<int>> calls;
  Child caller = pod_.start([&] {
    char byte = 0;
    while (!*go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (; !*stop; ++*calls) (void)!::pread(-1, &byte, 1, 0);
    return 0;
  });
  const auto collector = watch({"pread64"});
  *go = true;
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(collector->faults_changed());
  *stop = true;
  caller.wait();
  EXPECT_EQ(value(take(*collector), "syscall.rate", {{"call", "pread64"}}), *calls);
}

TEST_F(SyscallCalls, LatencyIsWhatTheCallerWaits) {
  const auto collector = watch({"read"});
  constexpr int kCalls = 20;
  pod_.run([] {
    int ends[2];
    if (::pipe(ends) != 0) return 1;
    std::thread writer([&] {
      for (int i = 0; i < kCalls; ++i) {
        ::usleep(30'000);
        (void)!::write(ends[1], "x", 1);
      }
    });
    char byte = 0;
    for (int i = 0; i < kCalls; ++i) (void)!::read(ends[0], &byte, 1);
    writer.join();
    return 0;
  });
  for (const auto& s : take(*collector))
    if (s.metric == "syscall.latency") {
      EXPECT_EQ(s.histogram->count(), static_cast<std::uint64_t>(kCalls));
      EXPECT_NEAR(*s.histogram->quantile(0.5) * 1e3, 30, within_ms(3));
    }
}

// ---- a real database

struct DatabaseRun {
  std::atomic<int> go, failed, other_failures, committed;
};

// Inserts in a transaction each; counts those that SQLite could not make durable.
int insert_rows(const std::string& file, int rows, DatabaseRun& run) {
  while (run.go == 0) ::usleep(1000);
  sqlite3* db = nullptr;
  if (sqlite3_open(file.c_str(), &db) != SQLITE_OK) return 1;
  sqlite3_extended_result_codes(db, 1);
  sqlite3_exec(db, "pragma synchronous=full; create table if not exists t(x)", nullptr, nullptr,
               nullptr);
  for (int i = 0; i < rows; ++i) {
    const int rc = sqlite3_exec(db, "insert into t values(1)", nullptr, nullptr, nullptr);
    if (rc == SQLITE_OK)
      ++run.committed;
    else if (rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC)
      ++run.failed;
    else
      ++run.other_failures;
  }
  return 0;  // no close: it would sync again
}

// The database's process, held until run.go, and strace on it, which writes `trace`.
struct TracedDatabase {
  TracedDatabase(const TestPod& pod, const std::string& file, int rows, DatabaseRun& run,
                 const std::string& calls, const std::string& trace)
      : database(pod.start([=, &run] { return insert_rows(file, rows, run); })), tracer([=, this] {
          const std::string pid = std::to_string(database.pid());
          ::execlp("strace", "strace", "-f", "-qq", "-ttt", "-e", ("trace=" + calls).c_str(), "-o",
                   trace.c_str(), "-p", pid.c_str(), nullptr);
          return 127;
        }) {}
  [[nodiscard]] bool attached() const {
    for (int i = 0; i < 2000; ++i, ::usleep(5000)) {
      std::ifstream status("/proc/" + std::to_string(database.pid()) + "/status");
      for (std::string line; std::getline(status, line);)
        if (line.starts_with("TracerPid:") && line.find_first_of("123456789") != line.npos)
          return true;
    }
    return false;
  }
  Child database, tracer;
};

api::SyscallError failing_syncs() {
  api::SyscallError spec;
  spec.syscalls = {"fsync", "fdatasync"};
  spec.errno_ = {EIO};
  return spec;
}

TEST_F(SyscallCalls, ADatabaseUnderFailingSyncsSaysSoAndStraceCountsTheSame) {
  FAULTLINE_NEEDS(KernelFeature::kFmodRetSyscall);
  const std::string file = folder_.path() + "/rows.db", trace = folder_.path() + "/trace";
  Shared<DatabaseRun> run;
  // No inode of memory: fsync must be one that could fail.
  TracedDatabase traced(pod_, file, fewer(2000), *run, "fsync,fdatasync", trace);
  ASSERT_TRUE(traced.attached()) << "strace is needed";

  const auto collector = watch({"fsync", "fdatasync"});
  auto spec = failing_syncs();
  spec.probability = {0.01};
  const auto fault = arm(spec, pod_.pod());
  ASSERT_TRUE(collector->faults_changed());
  run->go = 1;
  EXPECT_EQ(traced.database.wait(), 0);
  traced.tracer.wait();

  int calls = 0, errors = 0;
  std::ifstream in(trace);
  for (std::string line; std::getline(in, line);) {
    calls += line.find("sync(") != line.npos ? 1 : 0;
    errors += line.find("EIO") != line.npos ? 1 : 0;
  }
  const auto c = counters(*fault);
  const auto samples = take(*collector);
  std::cout << calls << " syncs, " << errors << " failed by strace; " << run->committed
            << " rows committed, " << run->failed << " not\n";
  EXPECT_GT(errors, 0);
  EXPECT_EQ(c.matched, static_cast<std::uint64_t>(calls));
  EXPECT_EQ(c.injected, static_cast<std::uint64_t>(errors));
  EXPECT_EQ(value(samples, "syscall.failures", {{"call", "fsync"}, {"errno", "EIO"}}) +
                value(samples, "syscall.failures", {{"call", "fdatasync"}, {"errno", "EIO"}}),
            errors);
  EXPECT_GT(run->failed, 0) << "SQLite tells its caller";
  EXPECT_LE(run->failed, errors);
  EXPECT_EQ(run->other_failures, 0);
}

// Two faults at once: its writes wait, some of its syncs fail. The waits by strace's time stamps,
// from the begin of a write to the begin of what the database did next: some rungs wait when the
// call is over for strace.
TEST_F(SyscallCalls, ADatabaseWaitsForItsWritesWhileItsSyncsFail) {
  FAULTLINE_NEEDS(KernelFeature::kFmodRetSyscall);
  const std::string file = folder_.path() + "/rows.db", trace = folder_.path() + "/trace";
  Shared<DatabaseRun> run;
  TracedDatabase traced(pod_, file, 25, *run, "pwrite64,fsync,fdatasync", trace);
  ASSERT_TRUE(traced.attached()) << "strace is needed";

  api::SyscallLatency slow;
  slow.syscalls = {"pwrite64"};
  slow.latency = {std::chrono::milliseconds(50)};
  auto failing = failing_syncs();
  failing.every = 10;
  const auto latency = arm(slow, pod_.pod()), error = arm(failing, pod_.pod());
  run->go = 1;
  EXPECT_EQ(traced.database.wait(), 0);
  traced.tracer.wait();

  std::uint64_t writes = 0, errors = 0;
  double shortest = 1e9, write_begun = 0;
  std::ifstream in(trace);
  for (std::string line; std::getline(in, line);) {
    const double at = std::stod(line.substr(line.find(' ')));  // "PID TIME CALL"
    if (write_begun > 0) shortest = std::min(shortest, at - write_begun);
    const bool is_write = line.find("pwrite64(") != line.npos;
    write_begun = is_write ? at : 0;
    writes += is_write ? 1 : 0;
    errors += line.find("EIO") != line.npos ? 1 : 0;
  }
  const auto waited = counters(*latency), failed = counters(*error);
  std::cout << writes << " writes by strace, the shortest took " << shortest * 1e3 << " ms; "
            << errors << " syncs failed; " << run->committed << " rows committed, " << run->failed
            << " not\n";
  EXPECT_GT(writes, 20U);
  EXPECT_EQ(waited.matched, writes);
  EXPECT_EQ(waited.injected, writes);
  EXPECT_EQ(waited.errors, 0U);
  EXPECT_GE(shortest, 0.0499) << "each of them waited, by somebody else's clock";
  EXPECT_GT(errors, 0U);
  EXPECT_EQ(failed.injected, errors);
  EXPECT_GT(run->failed, 0) << "SQLite tells its caller";
  EXPECT_EQ(run->other_failures, 0);
}

}  // namespace
}  // namespace faultline::test
