// SPDX-License-Identifier: Apache-2.0
// Filters instead of links: what they do, and that none outlives its owner however that ends. Runs
// on kernels with tcx links too.
#include "agent/kernel/clsact.h"

#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "agent/kernel/tc.h"
#include "agent/kernel/undo_journal.h"
#include "agent/kernel/watchdog.h"
#include "testbed/arm.h"
#include "testbed/emulated.h"
#include "testbed/needs.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"
#include "testbed/udp.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr const char* kPass = "1,6 0 0 4294967295";  // return -1, for tc(8)

// A program of ours that lets everything pass.
agent::Fd passing_program() {
  const bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  agent::Fd fd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "fl_test", "GPL", code, 2, nullptr));
  if (!fd.valid()) throw std::runtime_error("cannot load a program");
  return fd;
}

struct Progress {
  std::atomic<bool> armed = false;
  std::atomic<pid_t> watchdog = 0;
};

class Clsact : public testing::Test {
 protected:
  void SetUp() override {
    FAULTLINE_NEEDS(agent::KernelFeature::kClsact);
    // NOLINTNEXTLINE(concurrency-mt-unsafe)
    ::setenv("FAULTLINE_UNDO", (folder_.path() + "/undo").c_str(), 1);
  }
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  void TearDown() override { ::unsetenv("FAULTLINE_UNDO"); }

  std::unique_ptr<agent::ArmedFault> lose_all(api::Direction direction = api::Direction::both) {
    api::NetworkLoss loss;
    loss.loss = {1.0};
    loss.direction = direction;
    return must_arm(loss);
  }
  std::unique_ptr<agent::ArmedFault> must_arm(const api::NetworkLoss& loss) {
    const api::Fault fault{loss};
    auto armed = agent::find_fault("networkLoss")
                     ->arm(fault, a_.pod(), {clock_, without_tcx_, 42, in(2min), {}});
    if (!armed) throw std::runtime_error(armed.error().message);
    return std::move(*armed);
  }
  // Stands for an agent. Its fault loses all, in both directions.
  Child owner() {
    Child child([this] {
      const auto fault = lose_all();
      progress_->watchdog = agent::watchdog_pid();
      progress_->armed = true;
      for (;;) ::pause();
      return 0;
    });
    for (int i = 0; i < 2000 && !progress_->armed; ++i) std::this_thread::sleep_for(5ms);
    if (!progress_->armed) throw std::runtime_error("the owner did not arm");
    return child;
  }
  std::uint64_t lost(const TestPod& pod, std::uint32_t count = 20) {
    const auto receiver = udp_receiver(net_.host4(), 7000);
    const auto sender = pod.in_netns([&] { return udp_sender(net_.host4(), 7000); });
    return send_numbered(sender, receiver, count).lost();
  }
  // What tc(8) says of the host-side device and of the one in the pod.
  [[nodiscard]] std::string qdiscs() const {
    return shown({"tc", "qdisc", "show", "dev", a_.host_device(), "clsact"},
                 {"tc", "qdisc", "show", "dev", "eth0", "clsact"});
  }
  [[nodiscard]] std::string filters(const char* side = "ingress") const {
    return shown({"tc", "filter", "show", "dev", a_.host_device(), side},
                 {"tc", "filter", "show", "dev", "eth0", side});
  }
  // Of the host-side device and of the pod's. A dump that something else on the machine interrupted
  // is asked for again.
  [[nodiscard]] std::string shown(const std::vector<std::string>& on_host,
                                  const std::vector<std::string>& in_pod) const {
    std::string output;
    for (int i = 0; i < 20; ++i) {
      output = command(on_host).output + a_.exec(in_pod).output;
      if (output.find("Dump was interrupted") == std::string::npos) break;
    }
    return output;
  }
  [[nodiscard]] std::vector<std::string> records() const {
    std::vector<std::string> names;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path() + "/undo", none))
      names.push_back(entry.path().filename());
    return names;
  }
  // How long until nothing is left; 10 s: for ever.
  std::chrono::milliseconds until_gone() const {
    const auto begin = steady_clock::now();
    while (!(qdiscs().empty() && records().empty()) && steady_clock::now() < begin + 10s)
      std::this_thread::sleep_for(2ms);
    return std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - begin);
  }
  // How long until a datagram arrives.
  std::chrono::milliseconds until_not_felt() {
    const auto receiver = udp_receiver(net_.host4(), 7001);
    const auto sender = a_.in_netns([&] { return udp_sender(net_.host4(), 7001); });
    const auto begin = steady_clock::now();
    for (pollfd arrived{receiver.get(), POLLIN, 0}; steady_clock::now() < begin + 10s;) {
      EXPECT_EQ(::send(sender.get(), "?", 1, 0), 1);
      if (::poll(&arrived, 1, 1) > 0) break;
    }
    return std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - begin);
  }
  agent::FilterRecord record_of(const std::string& file) const {
    agent::FilterRecord record;
    std::ifstream in(folder_.path() + "/undo/" + file);
    for (std::string key, value; in >> key >> value;) {
      if (key == "handle") record.filter.handle = static_cast<std::uint32_t>(std::stoul(value));
      if (key == "pref") record.filter.pref = static_cast<std::uint16_t>(std::stoul(value));
      if (key == "program") record.program_id = static_cast<std::uint32_t>(std::stoul(value));
    }
    return record;
  }

  const SystemClock clock_;
  const agent::FeatureProbe without_tcx_{agent::KernelFeature::kTcx, "this test does without"};
  TestFolder folder_;
  ResidueCheck residue_;
  TestNetwork net_;
  TestPod a_{net_, "a"}, b_{net_, "b"};
  Shared<Progress> progress_;
};

TEST_F(Clsact, FilterIsFeltByItsPodAndNotByTheNeighbour) {
  auto fault = lose_all();
  EXPECT_EQ(fault->mechanism(), "clsact");
  EXPECT_EQ(lost(a_), 20U);
  EXPECT_EQ(lost(b_), 0U);
  EXPECT_THAT(filters(), testing::HasSubstr("fl_clsact direct-action"));
  EXPECT_EQ(records().size(), 4U) << "a filter and a qdisc, on either end of the veth";
  ASSERT_TRUE(fault->disarm());
  EXPECT_EQ(lost(a_), 0U);
  EXPECT_EQ(qdiscs(), "");
  EXPECT_THAT(records(), testing::IsEmpty());
  fault.reset();
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(Clsact, QdiscGoesWithTheLastOfSeveralWhoeverMadeIt) {
  auto first = lose_all(api::Direction::to);
  const auto second = lose_all(api::Direction::to);
  ASSERT_TRUE(first->disarm());
  EXPECT_EQ(lost(a_), 20U) << "the second goes on";
  EXPECT_THAT(qdiscs(), testing::HasSubstr("clsact"));
  ASSERT_TRUE(second->disarm());
  EXPECT_EQ(qdiscs(), "");
  EXPECT_THAT(records(), testing::IsEmpty());
}

TEST_F(Clsact, NewestIsFirstAndWhatComesBehindOursIsInALaterPref) {
  // Both lose all: only the one that is asked first counts.
  const auto first = lose_all(api::Direction::to);
  const auto second = lose_all(api::Direction::to);
  EXPECT_EQ(lost(a_), 20U);
  EXPECT_EQ(counters(*second).injected, 20U);
  EXPECT_EQ(counters(*first).matched, 0U);
  const auto program = passing_program();
  const auto behind = agent::attach_clsact(program.get(), a_.pod().interfaces.at(0).host_index,
                                           agent::TcHook::kIngress, agent::TcPlace::kBehindOurs);
  ASSERT_TRUE(behind) << behind.error().message;
  EXPECT_THAT(filters(), testing::ContainsRegex("pref 2 bpf .*fl_clsact"));
}

TEST_F(Clsact, QdiscAndFiltersOfOthersStayUntouched) {
  must({"tc", "qdisc", "add", "dev", a_.host_device(), "clsact"});
  must({"tc", "filter", "add", "dev", a_.host_device(), "ingress", "pref", "7", "protocol", "all",
        "bpf", "da", "bytecode", kPass});
  const std::string before = filters(), qdisc_before = qdiscs();
  ASSERT_THAT(before, testing::HasSubstr("pref 7"));
  {
    const auto fault = lose_all();
    EXPECT_EQ(lost(a_), 20U);
    EXPECT_THAT(filters(), testing::HasSubstr("pref 7"));
  }
  EXPECT_EQ(filters(), before);
  EXPECT_EQ(qdiscs(), qdisc_before);
  EXPECT_THAT(records(), testing::IsEmpty());
}

TEST_F(Clsact, QdiscOfOursStaysWhileSomebodyElseUsesIt) {
  {
    const auto fault = lose_all(api::Direction::to);
    must({"tc", "filter", "add", "dev", a_.host_device(), "egress", "pref", "7", "protocol", "all",
          "bpf", "da", "bytecode", kPass});
  }
  EXPECT_THAT(filters("egress"), testing::HasSubstr("pref 7"));
  EXPECT_THAT(filters("ingress"), testing::Not(testing::HasSubstr("fl_clsact")));
  must({"tc", "filter", "del", "dev", a_.host_device(), "egress", "pref", "7"});
  agent::UndoJournal::here().sweep();
  EXPECT_EQ(qdiscs(), "");
}

TEST_F(Clsact, IngressQdiscOfAnotherIsUsedForItsSideAndRefusedForTheOther) {
  must({"tc", "qdisc", "add", "dev", a_.host_device(), "ingress"});
  {
    const auto fault = lose_all(api::Direction::to);
    EXPECT_EQ(lost(a_), 20U);
  }
  const auto index = a_.pod().interfaces.at(0).host_index;
  const auto program = passing_program();
  const auto refused =
      agent::attach_clsact(program.get(), index, agent::TcHook::kEgress, agent::TcPlace::kHead);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnsupported);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("has no egress side"));
  EXPECT_THAT(records(), testing::IsEmpty());
  EXPECT_THAT(command({"tc", "qdisc", "show", "dev", a_.host_device()}).output,
              testing::HasSubstr("qdisc ingress"));
}

TEST_F(Clsact, KilledOwnerEndsTheFaultAtOnceAndTheWatchdogRemovesTheFilter) {
  Child owning = owner();
  ASSERT_EQ(lost(a_), 20U);
  owning.signal(SIGKILL);
  owning.wait();
  const auto felt = until_not_felt();
  const auto took = felt + until_gone();
  EXPECT_EQ(lost(a_, 1000), 0U);
  std::cout << "not felt " << felt.count() << " ms after its end, filters and qdiscs gone "
            << took.count() << " ms\n"
            << std::flush;
  EXPECT_LT(took, 1s * (emulated() ? 5 : 1));
  EXPECT_EQ(filters(), "");
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(Clsact, WithoutAWatchdogTheFilterIsInertAndTheNextStartSweepsIt) {
  Child owning = owner();
  ASSERT_EQ(lost(a_), 20U);
  ASSERT_GT(progress_->watchdog, 0);
  ASSERT_EQ(::kill(progress_->watchdog, SIGKILL), 0);
  owning.signal(SIGKILL);
  owning.wait();
  EXPECT_LT(until_not_felt(), 1s * (emulated() ? 5 : 1)) << "the kernel empties the array";
  EXPECT_EQ(lost(a_, 1000), 0U);
  EXPECT_THAT(filters(), testing::HasSubstr("fl_clsact")) << "nobody is there who would undo";
  EXPECT_THAT(residue_.now(), testing::Not(testing::IsEmpty())) << "the check must see it";
  EXPECT_EQ(agent::UndoJournal::here().sweep(), 2U);
  EXPECT_EQ(filters() + qdiscs(), "");
  EXPECT_THAT(records(), testing::IsEmpty());
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

TEST_F(Clsact, SweepLeavesWhatALivingOwnerHolds) {
  Child owning = owner();
  EXPECT_EQ(agent::UndoJournal::here().sweep(), 0U);
  EXPECT_EQ(lost(a_), 20U);
  EXPECT_EQ(records().size(), 4U);
}

TEST_F(Clsact, KilledWatchdogIsReplacedByTheNextFault) {
  const auto one = lose_all(api::Direction::to);
  const pid_t first = agent::watchdog_pid();
  ASSERT_GT(first, 0);
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  std::this_thread::sleep_for(50ms);
  const auto two = lose_all(api::Direction::to);
  EXPECT_NE(agent::watchdog_pid(), first);
  EXPECT_EQ(::kill(agent::watchdog_pid(), 0), 0);
}

TEST_F(Clsact, RecordOfANamespaceThatIsGoneIsDropped) {
  agent::FilterRecord record;
  record.owner = {1, 1};  // not when process 1 started
  record.netns = agent::NetnsId{1};
  record.filter = {agent::IfIndex{5}, agent::TcHook::kIngress, 1, 77};
  record.device_name = "gone";
  record.program_tag = "0";
  const auto journal = agent::UndoJournal::here();
  ASSERT_TRUE(journal.write(record));
  ASSERT_TRUE(journal.write(agent::QdiscRecord{record.netns, record.filter.device, "gone"}));
  ASSERT_EQ(records().size(), 2U);
  EXPECT_EQ(journal.sweep(), 1U);
  EXPECT_THAT(records(), testing::IsEmpty());
}

TEST_F(Clsact, FilterOfAnotherWithOurHandleIsNotRemoved) {
  Child owning = owner();
  std::string file;
  for (const std::string& name : records())
    if (name.starts_with("filter-")) file = name;
  ASSERT_NE(file, "");
  const agent::FilterRecord ours = record_of(file);
  // Two filters: one of them is replaced by another program at the same place.
  ASSERT_EQ(::kill(progress_->watchdog, SIGKILL), 0);
  owning.signal(SIGKILL);
  owning.wait();
  agent::UndoJournal::here().sweep();
  ASSERT_EQ(qdiscs(), "");
  must({"tc", "qdisc", "add", "dev", a_.host_device(), "clsact"});
  char handle[16];
  std::snprintf(handle, sizeof handle, "0x%x", ours.filter.handle);
  must({"tc", "filter", "add", "dev", a_.host_device(), "ingress", "pref", "1", "protocol", "all",
        "handle", handle, "bpf", "da", "bytecode", kPass});
  agent::FilterRecord stale = ours;
  stale.owner = {1, 1};
  stale.netns = agent::netns_id("/proc/thread-self/ns/net").value();
  stale.filter.device = a_.pod().interfaces.at(0).host_index;
  stale.filter.hook = agent::TcHook::kIngress;
  stale.device_name = a_.host_device();
  stale.program_tag = "0";
  ASSERT_TRUE(agent::UndoJournal::here().write(stale));
  agent::UndoJournal::here().sweep();
  EXPECT_THAT(records(), testing::IsEmpty());
  EXPECT_THAT(filters(), testing::HasSubstr(std::string("handle ") + handle));
  EXPECT_THAT(qdiscs(), testing::HasSubstr("clsact"));
}

TEST_F(Clsact, ManyCyclesLeaveNothing) {
  for (int i = 0; i < cycles(40); ++i) ASSERT_TRUE(lose_all()->disarm());
  EXPECT_EQ(qdiscs(), "");
  EXPECT_THAT(records(), testing::IsEmpty());
  EXPECT_THAT(residue_.left(), testing::IsEmpty());
}

}  // namespace
}  // namespace faultline::test
