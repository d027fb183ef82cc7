// SPDX-License-Identifier: Apache-2.0
#include "tests/vm/grounds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultline::grounds {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = Outcome::Kind;

const Outcome kPassed, kFailed{.kind = Kind::kFailed, .reason = {}, .output = "the output"};
Outcome skipped(const std::string& reason) {
  return {.kind = Kind::kSkipped, .reason = reason, .output = {}};
}

Ground ground(const std::string& name, std::map<std::string, Outcome> tests, int exit = 0) {
  Ground g{.name = name, .tests = std::move(tests), .node = {}, .exit = exit};
  g.node.kernel = name + ".1";
  return g;
}

TEST(Grounds, SkippedOnOneAndRunOnAnotherIsProven) {
  EXPECT_THAT(complaints({ground("6.1", {{"a", skipped("tcx links")}, {"b", kPassed}}),
                          ground("6.12", {{"a", kPassed}, {"b", skipped("lsm")}})}),
              IsEmpty());
}

TEST(Grounds, SkippedOnAllIsNot) {
  EXPECT_THAT(complaints({ground("6.1", {{"a", skipped("tcx")}, {"b", kPassed}}),
                          ground("6.12", {{"a", skipped("fuse")}, {"b", kPassed}})}),
              ElementsAre("a was skipped on every kernel\n  6.1: tcx\n  6.12: fuse"));
}

TEST(Grounds, FailureIsToldWithItsOutput) {
  EXPECT_THAT(complaints({ground("6.1", {{"a", kFailed}}, 8), ground("6.12", {{"a", kPassed}})}),
              ElementsAre("6.1: a failed\nthe output"));
}

TEST(Grounds, GroundThatYieldedNothingOrLessIsTold) {
  EXPECT_THAT(complaints({ground("6.1", {}), ground("6.12", {{"a", kPassed}})}),
              ElementsAre("6.1: a was not run", "6.1: no test was run"));
}

TEST(Grounds, GroundNeedNotRunWhatWasNotChosenForIt) {
  Ground some = ground("6.1", {{"kernel.A.a", kPassed}});
  some.chosen = R"(^kernel\.A)";
  EXPECT_THAT(
      complaints({some, ground("6.12", {{"kernel.A.a", kPassed}, {"kernel.B.b", kPassed}})}),
      IsEmpty());
  EXPECT_THAT(
      complaints({some, ground("6.12", {{"kernel.A.a", kPassed}, {"kernel.A.b", kPassed}})}),
      ElementsAre("6.1: kernel.A.b was not run"));
}

TEST(Grounds, WhatIsSkippedWhereItWasChosenAndLeftOutElsewhereIsToldToo) {
  Ground some = ground("6.1", {{"kernel.A.a", kPassed}});
  some.chosen = "A";
  EXPECT_THAT(
      complaints({some, ground("6.12", {{"kernel.A.a", kPassed}, {"kernel.B.b", skipped("lsm")}})}),
      ElementsAre("kernel.B.b was skipped on every kernel\n  6.12: lsm"));
}

TEST(Grounds, SkipMustSayWhatItNeeds) {
  EXPECT_THAT(complaints({ground("6.1", {{"a", skipped("")}}), ground("6.12", {{"a", kPassed}})}),
              ElementsAre(HasSubstr("does not say what it needs")));
}

TEST(Grounds, KernelThatComplainedOrDiedIsNoProof) {
  EXPECT_THAT(complaints({ground("6.1", {{"a", kPassed}}, 123)}),
              ElementsAre(HasSubstr("the kernel complained")));
  EXPECT_THAT(complaints({ground("6.1", {{"a", kPassed}}, 125)}),
              ElementsAre("6.1: the guest ended with 125"));
}

// As ctest 3.25 writes it.
TEST(Grounds, JunitTellsPassedFailedAndWhySkipped) {
  const auto tests = parse_junit(R"(<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="Linux-c++" tests="3" failures="1" disabled="0" skipped="1" hostname="" time="1">
	<testcase name="kernel.A.Works" classname="kernel.A.Works" time="0.5" status="run">
		<properties/>
		<system-out>fine</system-out>
	</testcase>
	<testcase name="kernel.A.Breaks" classname="kernel.A.Breaks" time="0.5" status="fail">
		<failure message=""/>
		<properties/>
		<system-out>x_test.cpp:3: Failure
1 &lt; 2</system-out>
	</testcase>
	<testcase name="kernel.A.Cannot" classname="kernel.A.Cannot" time="0.5" status="notrun">
		<skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
		<properties/>
		<system-out>[ RUN      ] A.Cannot
x_test.cpp:5: Skipped
needs: tcx links: Invalid argument

[  SKIPPED ] A.Cannot (1 ms)</system-out>
	</testcase>
</testsuite>)");
  ASSERT_TRUE(tests) << tests.error().message;
  ASSERT_EQ(tests->size(), 3U);
  EXPECT_EQ(tests->at("kernel.A.Works").kind, Kind::kPassed);
  EXPECT_EQ(tests->at("kernel.A.Breaks").kind, Kind::kFailed);
  EXPECT_THAT(tests->at("kernel.A.Breaks").output, HasSubstr("1 < 2"));
  EXPECT_EQ(tests->at("kernel.A.Cannot").kind, Kind::kSkipped);
  EXPECT_EQ(tests->at("kernel.A.Cannot").reason, "tcx links: Invalid argument");
  EXPECT_FALSE(parse_junit("half a fil"));
}

TEST(Grounds, PageNamesMechanismByKernelAndEachReasonOnce) {
  Ground old = ground("6.1", {{"a", skipped("tcx links")}}),
         young = ground("6.12", {{"a", kPassed}});
  old.node.faults = {{"networkLoss", false, "", "no tcx here"},
                     {"packetStorm", false, "", "no tcx here"}};
  young.node.faults = {{"networkLoss", true, "tcx", ""}, {"packetStorm", true, "a|b", ""}};
  old.node.features = {{"fq", true, "", "delays"}};
  young.node.features = {{"fq", false, "not built", "delays"}};
  const std::string text = page({old, young});
  EXPECT_THAT(text, HasSubstr("| `6.1` | 6.1.1 | 0 | 1 |\n| `6.12` | 6.12.1 | 1 | 0 |\n"));
  EXPECT_THAT(text,
              HasSubstr("| networkLoss | no (1) | tcx |\n| packetStorm | no (1) | a\\|b |\n"));
  EXPECT_THAT(text, HasSubstr("| fq: delays | yes | no (2) |\n"));
  EXPECT_THAT(text, HasSubstr("\n1. no tcx here\n2. not built\n"));
}

}  // namespace
}  // namespace faultline::grounds
