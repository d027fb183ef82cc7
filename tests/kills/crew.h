// SPDX-License-Identifier: Apache-2.0
// Workers beside each other, each a process that does its own rounds, and the one who waits for
// them. What is looked for in the whole kernel is looked for while no worker is in a round: after
// each round a worker waits until all others are quiet, too. Not thread-safe. Failures throw
// std::runtime_error.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace faultline::kills {

constexpr int kMostWorkers = 32;

// What a worker writes down for the crew, in memory that both see.
struct Desk {
  struct Tally {
    char what[32] = {};
    std::atomic<int> times{0};
  };
  std::atomic<bool> quiet{false};
  std::atomic<int> steps{0};  // grows whenever the worker gets on
  std::atomic<int> rounds{0}, broken{0};
  char doing[256] = {};
  Tally tallies[24];
};

// A worker's side, in its process.
class Seat {
 public:
  Seat(int number, Desk& desk, const std::atomic<int>& looks)
      : number_(number), desk_(desk), looks_(looks) {}
  [[nodiscard]] int number() const { return number_; }  // from 1
  // What it does from now on, in words for the report: "round 3, networkLoss ...".
  void begin(const std::string& doing);
  // Nothing that this worker has started acts in the kernel any more: returns when the crew has
  // looked, which it does when all workers are here or have ended.
  void quiet();
  // A round is over.
  void played() { ++desk_.rounds; }
  // Prints what did not hold of what it is doing.
  void tell(const std::vector<std::string>& problems);
  // This was done once more: "kill agent".
  void count(const std::string& what);

 private:
  const int number_;
  Desk& desk_;
  const std::atomic<int>& looks_;
};

struct Outcome {
  int rounds = 0;
  int broken = 0;  // rounds, searches of the crew that found something, and workers that were lost
  std::map<std::string, int> deeds;
};

// Runs `work` in as many processes; 0 of it is success. `look` says what is left, and is called
// here. What workers print comes out in whole lines that begin with the worker's number. One that
// fails, or that does not get on for `limit`, is told of and ended, and the others go on.
[[nodiscard]] Outcome run_crew(int workers, const std::function<int(Seat&)>& work,
                               const std::function<std::vector<std::string>()>& look,
                               std::chrono::milliseconds limit);

// The seed of a worker: the first has `seed` itself, so that each can be done again alone.
[[nodiscard]] std::uint64_t seed_of(std::uint64_t seed, int worker);

}  // namespace faultline::kills
