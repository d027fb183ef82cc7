// SPDX-License-Identifier: Apache-2.0
// What a turn of a day costs while it runs, counted in allocations: whoever wants to end a day
// waits for the turns of all of them.
#include <gmock/gmock.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "gameday_driven.h"

namespace {
std::atomic<std::size_t> allocated;  // how often, since the program began
}  // namespace

void* operator new(std::size_t size) {
  ++allocated;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace faultline::controller::gameday {
namespace {

constexpr int kSweeps = 16;

// So many sweeps side by side, each with so many rows of so many severities.
std::string sweeps(int rows, int severities) {
  std::string values, faults;
  for (int i = 1; i <= severities; ++i) values += (i == 1 ? "" : ", ") + std::to_string(i) + "ms";
  for (int i = 0; i < rows; ++i)
    faults += "        - {name: lat" + std::to_string(i) +
              ", fault: {networkLatency: {}}, vary: latency, severities: [" + values + "]}\n";
  std::string steps = "  - name: all\n    parallel:\n";
  for (int i = 0; i < kSweeps; ++i)
    steps +=
        "    - name: s" + std::to_string(i) +
        "\n      sweep:\n        experiment: {target: {selector: {namespaces: [shop]}}, phases: "
        "{baseline: 1s, fault: 1s, recovery: 1s}, expect: {alerts: [{name: Slow, within: "
        "1s}]}}\n        rest: {least: 1s}\n        faults:\n" +
        faults;
  return steps;
}

// What the controller asks a day in a turn in which nothing happens.
std::size_t cost_of_turn(Driven& day) {
  const std::size_t before = allocated;
  EXPECT_THAT(day.day().advance(day.seen), IsEmpty());
  (void)day.day().open_runs();
  (void)day.day().wanted();
  (void)day.day().asked();
  return allocated - before;
}

void end_all(Driven& day) {
  std::vector<std::string> runs;
  for (const auto& [key, run] : day.seen.runs)
    if (!run.over) runs.push_back(run.run);
  for (const std::string& run : runs) day.end_run(run, api::RunVerdict::met);
  day.seen.runs.clear();
}

TEST(GameDayTurn, CostsNoMoreForLargerSweepsNorForOnesThatAreFarAdvanced) {
  Driven small(sweeps(1, 2)), large(sweeps(8, 32));
  ASSERT_THAT(large.day().wanted().runs, SizeIs(kSweeps));
  const std::size_t waits = cost_of_turn(small);
  EXPECT_LE(cost_of_turn(large), waits + waits / 4) << "all cells wait for their begin";
  small.begin_runs();
  large.begin_runs();
  const std::size_t runs = cost_of_turn(small);
  EXPECT_LE(cost_of_turn(large), runs + runs / 4) << "one cell of each runs";
  end_all(small);
  for (int i = 0; i < 100; ++i) {
    end_all(large);
    large.begin_runs();
  }
  EXPECT_LE(cost_of_turn(large), runs + runs / 4) << "many cells are over";
  // An Experiment has dozens of texts: a turn that made one for each sweep would cost far more.
  EXPECT_LE(waits, std::size_t{60} * kSweeps) << waits;
}

// All cells begin, in their order, each once.
TEST(GameDayTurn, EachCellOfASweepIsWantedOnce) {
  Driven day(
      "  - name: map\n    sweep:\n      experiment: {target: {selector: {namespaces: [shop]}}, "
      "expect: {alerts: [{name: Slow, within: 5s}]}}\n      faults:\n"
      "      - {name: lat, fault: {networkLatency: {}}, vary: latency, severities: [1ms, 2ms]}\n"
      "      - {name: loss, fault: {networkLoss: {}}, vary: loss, severities: [5%]}\n"
      "      - {name: slow, fault: {networkLatency: {}}, vary: latency, severities: [9ms, "
      "10ms]}\n");
  std::vector<std::string> names;
  while (!day.day().wanted().runs.empty() && names.size() < 10) {
    const WantedRun run = day.day().wanted().runs.at(0);
    EXPECT_EQ(day.day().experiment_of(run).metadata.name, run.name);
    names.push_back(run.name);
    const std::string begun = day.begin_runs().at(0);
    EXPECT_THAT(day.day().wanted().runs, IsEmpty());
    ASSERT_THAT(day.day().open_runs(), SizeIs(1));
    EXPECT_EQ(day.day().open_runs()[0].run, begun);
    day.end_run(begun, api::RunVerdict::missed);
  }
  EXPECT_THAT(names, ElementsAre("day-map-lat-1", "day-map-lat-2", "day-map-loss-1",
                                 "day-map-slow-1", "day-map-slow-2"));
  EXPECT_EQ(day.outcome("map"), StepOutcome::done);
}

}  // namespace
}  // namespace faultline::controller::gameday
