// SPDX-License-Identifier: Apache-2.0
// Who is to blame for what is left in the kernel, with a kernel that holds what it is told
// (link_doubles.h).
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "agent/link/kernel_objects.h"
#include "link_doubles.h"

namespace faultline::agent::test {
namespace {

namespace fs = std::filesystem;

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

ObjectKey program(std::uint32_t id) { return {ObjectKind::program, id}; }

struct Residue : testing::Test {
  HeldKernel kernel;
  ResidueLedger ledger{kernel};
  void make(std::uint32_t id) {
    kernel.ours.insert(program(id));
    kernel.here.insert(program(id));
  }
  void drop(std::uint32_t id) {
    kernel.ours.erase(program(id));
    kernel.here.erase(program(id));
  }
};

TEST_F(Residue, NothingIsLeftWhenAllIsGone) {
  ledger.begin("run");
  make(1);
  ledger.claim("run");
  drop(1);
  EXPECT_THAT(ledger.left_of("run"), IsEmpty());
}

TEST_F(Residue, AnObjectOfTheRunThatIsStillHeldIsNamed) {
  ledger.begin("run");
  make(1);
  ledger.claim("run");
  EXPECT_THAT(ledger.left_of("run"), ElementsAre("object 1"));
}

TEST_F(Residue, AnObjectOfTheRunThatSomethingElseHoldsIsNamed) {
  ledger.begin("run");
  make(1);
  ledger.claim("run");
  kernel.here.clear();
  kernel.elsewhere.insert(program(1));  // a descriptor that was handed on
  EXPECT_THAT(ledger.left_of("run"), ElementsAre("object 1"));
}

TEST_F(Residue, WhatFaultsOfTwoRunsShareIsBlamedOnTheLastOfThem) {
  ledger.begin("first");
  make(1);
  kernel.shared.insert(program(1));
  ledger.claim("first");
  ledger.begin("observer");
  ledger.claim("observer", false);
  EXPECT_THAT(ledger.left_of("first"), ElementsAre("object 1")) << "no other run has it";
  ledger.begin("second");
  ledger.claim("second");
  EXPECT_THAT(ledger.left_of("first"), IsEmpty());
  ledger.forget("first");
  EXPECT_THAT(ledger.left_of("second"), ElementsAre("object 1"));
  drop(1);
  EXPECT_THAT(ledger.left_of("second"), IsEmpty());
}

// As the programs of packet_flow: --observe holds them as a run does, whoever of them loaded them.
TEST_F(Residue, WhatAllMeasuredPodsShareIsNotBlamedOnARunWhileTheObserverMeasures) {
  kernel.shared = kernel.measured = {program(1)};
  for (const bool observer_first : {true, false}) {
    ledger.begin("observer");
    if (observer_first) make(1);
    if (observer_first) ledger.claim("observer", false);
    ledger.begin("run");
    if (!observer_first) make(1);
    ledger.claim("run");
    EXPECT_THAT(ledger.left_of("run"), observer_first ? SizeIs(0) : SizeIs(1))
        << "an observer that has measured nothing holds nothing";
    ledger.claim("observer", false);
    EXPECT_THAT(ledger.left_of("run"), IsEmpty());
    ledger.forget("observer");
    EXPECT_THAT(ledger.left_of("run"), ElementsAre("object 1")) << "nobody else can hold it";
    ledger.forget("run");
    drop(1);
  }
}

// As a link of a collector that all measured pods have, attached again since a fault of one run
// came.
TEST_F(Residue, WhatIsSharedBelongsToEachRunWhoeverMadeIt) {
  ledger.begin("first");
  make(1);
  kernel.shared.insert(program(1));
  ledger.claim("first");
  ledger.begin("second");
  ledger.claim("second");
  drop(1);
  kernel.shared.erase(program(1));
  make(2);
  kernel.shared.insert(program(2));
  ledger.claim("first");
  EXPECT_THAT(ledger.left_of("first"), IsEmpty()) << "the second has it still";
  ledger.forget("first");
  EXPECT_THAT(ledger.left_of("second"), ElementsAre("object 2"));
}

TEST_F(Residue, AnotherRunOfThisAgentIsNotBlamed) {
  ledger.begin("first");
  make(1);
  ledger.claim("first");
  ledger.begin("second");
  make(2);
  ledger.claim("second");
  drop(1);
  EXPECT_THAT(ledger.left_of("first"), IsEmpty());
  drop(2);
  make(3);  // the second arms again
  ledger.claim("second");
  EXPECT_THAT(ledger.left_of("first"), IsEmpty());
}

TEST_F(Residue, AnotherAgentIsNotBlamed) {
  ledger.begin("run");
  kernel.ours.insert(program(9));
  kernel.elsewhere.insert(program(9));
  EXPECT_THAT(ledger.left_of("run"), IsEmpty());
}

TEST_F(Residue, WhatWasThereBeforeIsNotBlamed) {
  kernel.ours.insert(program(9));
  ledger.begin("run");
  EXPECT_THAT(ledger.left_of("run"), IsEmpty());
}

TEST_F(Residue, WhatNobodyHoldsAndIsNewIsNamed) {
  ledger.begin("run");
  kernel.ours.insert({ObjectKind::device, 4});
  EXPECT_THAT(ledger.left_of("run"), ElementsAre("object 4"));
}

// Those that have ended and nobody has waited for do nothing any more.
TEST_F(Residue, WorkersInPodsAreFoundByTheirName) {
  const fs::path proc =
      fs::temp_directory_path() / ("flt" + std::to_string(::getpid()) + "-residue");
  const auto process = [&](const char* pid, const char* rest) {
    fs::create_directories(proc / pid);
    std::ofstream(proc / pid / "stat") << pid << ' ' << rest << " 1 1\n";
  };
  process("4000001", "(fl-cpu) S 7");
  process("4000002", "(fl-cpu) Z 7");
  process("4000003", "(app) S 7");
  process("4000004", "(fl-cpu) R 1");
  const LiveKernelObjects live(proc);
  const auto worker = [](std::uint32_t pid) { return ObjectKey{ObjectKind::process, pid}; };
  const ObjectSet ours = live.named_ours();
  EXPECT_TRUE(ours.contains(worker(4000001)));
  EXPECT_FALSE(ours.contains(worker(4000002)));
  EXPECT_FALSE(ours.contains(worker(4000003)));
  EXPECT_THAT(live.held_elsewhere({worker(4000001), worker(4000004)}), ElementsAre(worker(4000001)))
      << "the agent of the other has ended";
  EXPECT_EQ(live.describe(worker(4000004)), "process fl-cpu, pid 4000004");
  EXPECT_EQ(live.describe(worker(4000002)), std::nullopt);
  fs::remove_all(proc);
}

TEST_F(Residue, IsAskedAgainUntilTheKernelHasFreedIt) {
  Node node;
  node.kernel.ours.insert(program(1));
  node.begin();
  const std::set<ObjectKey> late = {program(5)};
  node.kernel.ours.insert(program(5));
  node.kernel.here.insert(program(5));
  node.answer({Node::run(api::RunPhase::fault)});
  node.kernel.here.clear();
  node.answer({});
  node.pass(200ms);
  EXPECT_TRUE(node.reconciler->active());  // in doubt
  node.kernel.ours.erase(program(5));
  node.pass(50ms);
  EXPECT_FALSE(node.reconciler->active());
  EXPECT_THAT(node.told.events.back().residue, IsEmpty());
}

// A collector that attaches anew when faults change has other objects than those it started with.
TEST_F(Residue, WhatACollectorMakesWhenFaultsChangeBelongsToItsOwnRun) {
  Node node;
  std::map<const void*, std::uint32_t> made;
  std::uint32_t next = 100;
  node.world.ended = [&](const void* collector) {
    node.kernel.ours.erase(program(made[collector]));
    node.kernel.here.erase(program(made[collector]));
    made.erase(collector);
  };
  node.world.renewed = [&](const void* collector) {
    node.world.ended(collector);
    made[collector] = ++next;
    node.kernel.ours.insert(program(next));
    node.kernel.here.insert(program(next));
  };
  const auto observing = [](const char* id) {
    auto run = Node::run(api::RunPhase::baseline, experiment(), id);
    run.pods = {{pod("a").ref, api::PodRole::observed}};
    return run;
  };
  const auto kept = observing("kept"), later = observing("later");
  node.give();
  node.answer({kept});
  node.answer({Node::run(api::RunPhase::fault), kept});
  node.answer({Node::run(api::RunPhase::recovery), kept});
  node.answer({Node::run(api::RunPhase::recovery), kept, later});
  node.answer({kept, later});
  node.pass(1100ms, {kept, later});
  node.answer({kept});
  node.pass(1100ms, {kept});
  EXPECT_EQ(node.reconciler->shown().counts.residue, 0u);
  node.answer({});
  node.pass(1100ms);
  EXPECT_FALSE(node.reconciler->active());
  EXPECT_EQ(node.reconciler->shown().counts.residue, 0u);
}

TEST_F(Residue, IsToldWithTheEndOfTheRunWhenItStays) {
  Node node;
  node.begin();
  node.kernel.ours.insert(program(5));
  node.kernel.here.insert(program(5));
  node.answer({Node::run(api::RunPhase::fault)});
  node.answer({});
  node.pass(1100ms);
  EXPECT_FALSE(node.reconciler->active());
  ASSERT_THAT(node.told.events.back().residue, SizeIs(1));
  EXPECT_EQ(node.told.events.back().residue[0], "object 5");
  EXPECT_EQ(node.reconciler->shown().counts.residue, 1u);
}

}  // namespace
}  // namespace faultline::agent::test
