// SPDX-License-Identifier: Apache-2.0
// The crew of tests/kills, with made-up workers: nobody hangs because of another, everybody is
// quiet while the crew looks, and what is printed says who it was.
#include "tests/kills/crew.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <set>
#include <stdexcept>
#include <thread>

#include "testbed/child.h"

namespace faultline::kills {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr auto kLong = 60s;

struct Told {
  Outcome outcome;
  std::string printed;
};
Told crew(
    int workers, const std::function<int(Seat&)>& work,
    const std::function<std::vector<std::string>()>& look =
        [] { return std::vector<std::string>{}; },
    std::chrono::milliseconds limit = kLong) {
  testing::internal::CaptureStdout();
  Told told{run_crew(workers, work, look, limit), {}};
  std::fflush(stdout);
  told.printed = testing::internal::GetCapturedStdout();
  return told;
}

void play(Seat& seat, int round, const std::vector<std::string>& problems = {}) {
  seat.begin("round " + std::to_string(round));
  seat.quiet();
  seat.tell(problems);
  seat.played();
}

TEST(KillCrew, LooksOnlyWhileNobodyIsInARound) {
  const testbed::Shared<std::atomic<int>> acting;
  int looks = 0, most = 0;
  const Told told = crew(
      3,
      [&](Seat& seat) {
        for (int round = 1; round <= 5; ++round) {
          seat.begin("round");
          ++*acting;
          std::this_thread::sleep_for(7ms * seat.number());
          --*acting;
          seat.quiet();
          seat.played();
        }
        return 0;
      },
      [&] {
        ++looks;
        most = std::max(most, acting->load());
        std::this_thread::sleep_for(30ms);
        most = std::max(most, acting->load());
        return std::vector<std::string>{};
      });
  EXPECT_EQ(most, 0);
  EXPECT_EQ(looks, 6);  // after each of the five, and at the end
  EXPECT_EQ(told.outcome.rounds, 15);
  EXPECT_EQ(told.outcome.broken, 0);
}

TEST(KillCrew, WhatIsLeftIsToldOnceWithTheRoundsOfItsBatch) {
  int looks = 0;
  const Told told = crew(
      2,
      [&](Seat& seat) {
        for (int round = 1; round <= 3; ++round) play(seat, round);
        return 0;
      },
      [&] {
        return ++looks < 2 ? std::vector<std::string>{}
                           : std::vector<std::string>{"program 7 fl_x"};
      });
  EXPECT_EQ(told.outcome.broken, 1);
  EXPECT_THAT(told.printed, HasSubstr("  worker 1, round 2\n  worker 2, round 2\n"
                                      "  left behind: program 7 fl_x\n"));
  EXPECT_THAT(told.printed, Not(HasSubstr("round 3")));
}

TEST(KillCrew, AWorkerThatFailsDiesOrHangsIsToldAndTheOthersGoOn) {
  const Told told = crew(
      4,
      [&](Seat& seat) {
        for (int round = 1; round <= 4; ++round) {
          play(seat, round);
          if (round < 2) continue;
          seat.begin("round 3");
          if (seat.number() == 1) throw std::runtime_error("no pod");
          if (seat.number() == 2) raise(SIGKILL);
          if (seat.number() == 3) std::this_thread::sleep_for(1h);
        }
        return 0;
      },
      [] { return std::vector<std::string>{}; }, 1s);
  EXPECT_EQ(told.outcome.broken, 3);
  EXPECT_EQ(told.outcome.rounds, 2 + 2 + 2 + 4);
  EXPECT_THAT(told.printed, HasSubstr("worker 1: failed: no pod\n"));
  EXPECT_THAT(told.printed, HasSubstr("lost, worker 1, round 3: it ended with 2\n"));
  EXPECT_THAT(told.printed, HasSubstr("lost, worker 2, round 3: it ended with 137\n"));
  EXPECT_THAT(told.printed, HasSubstr("lost, worker 3, round 3: it did not get on for 1 s\n"));
}

TEST(KillCrew, AWorkerThatWaitsForOthersIsNotLost) {
  const Told told = crew(
      2,
      [](Seat& seat) {
        if (seat.number() == 2)
          for (const char* step : {"one", "two", "three"}) {
            seat.begin(step);
            std::this_thread::sleep_for(600ms);
          }
        play(seat, 1);
        return 0;
      },
      [] { return std::vector<std::string>{}; }, 1200ms);
  EXPECT_EQ(told.outcome.broken, 0);
  EXPECT_EQ(told.outcome.rounds, 2);
}

TEST(KillCrew, LinesAreWholeAndNamedAndDeedsAreSummed) {
  const Told told = crew(2, [](Seat& seat) {
    for (const char* part : {"one ", "two\n", "three"}) {
      std::fputs(part, stdout);
      std::fflush(stdout);
      std::this_thread::sleep_for(30ms);
    }
    seat.count("kill agent");
    seat.count("clock");
    seat.count("kill agent");
    if (seat.number() == 1) play(seat, 1, {"felt too long", "lost"});
    return 0;
  });
  EXPECT_THAT(told.outcome.deeds, UnorderedElementsAre(Pair("kill agent", 4), Pair("clock", 2)));
  EXPECT_EQ(told.outcome.broken, 1);
  for (const char* line : {"worker 1: one two\n", "worker 2: one two\n", "worker 2: three\n",
                           "worker 1: threeround 1\nworker 1:   felt too long\n"})
    EXPECT_THAT(told.printed, HasSubstr(line));
}

TEST(KillCrew, EachWorkerHasASeedOfItsOwnAndTheFirstTheOneThatWasAsked) {
  EXPECT_EQ(seed_of(7, 1), 7U);
  std::set<std::uint64_t> seeds;
  for (std::uint64_t seed = 0; seed < 100; ++seed)
    for (int worker = 1; worker <= 8; ++worker) seeds.insert(seed_of(seed, worker));
  EXPECT_EQ(seeds.size(), 800U);
}

}  // namespace
}  // namespace faultline::kills
