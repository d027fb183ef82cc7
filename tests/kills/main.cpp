// SPDX-License-Identifier: Apache-2.0
// kills [ROUNDS] [SEED] [WORKERS]: see README.md. Exit code: 0 everything held, 1 something did
// not, 2 it could not be tried.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <random>
#include <thread>

#include "agent/kernel/watchdog.h"
#include "testbed/hidden.h"
#include "testbed/residue.h"
#include "tests/kills/crew.h"
#include "tests/kills/ground.h"

namespace {

using namespace faultline::kills;
using namespace std::chrono_literals;

// Then pods, programs and store are made anew: every round looks at all runs that were before it.
constexpr int kRoundsOfAGround = 100;
// The longest that a worker may take from one step to its next: all its own limits of a round
// together, the command's 60 s among them.
constexpr auto kLimit = 180s;
constexpr int kWorkers = 4;
// After a search all would begin together, and the kernel verifies the programs of a round for half
// a second of a processor: workers begin so long after one another.
constexpr auto kApart = 250ms;

int share(int rounds, int workers, int worker) {
  return rounds / workers + (worker <= rounds % workers ? 1 : 0);
}

// What a worker does, in its process.
int play(Seat& seat, int rounds, std::uint64_t seed) {
  faultline::testbed::leave_mount_namespace();
  std::optional<Ground> ground;
  std::optional<Schedule> schedule;
  const auto leave = [&] {
    seat.begin("at the end of this ground");
    seat.tell(ground->end());
    ground.reset();
  };
  for (int done = 0; done < rounds; ++done) {
    if (!ground) ground.emplace(seat);
    if (!schedule) schedule.emplace(seed, ground->possible());
    const Round round = schedule->next();
    std::this_thread::sleep_for(kApart * (seat.number() - 1));
    seat.begin("round " + std::to_string(done + 1) + ", " + round.words());
    seat.tell(ground->play(round));
    seat.played();
    if ((done + 1) % kRoundsOfAGround == 0) leave();
  }
  if (ground) leave();
  return 0;
}

int run(int rounds, std::uint64_t seed, int workers) {
  for (int i = 1; i <= workers; ++i)
    std::printf("worker %d: %d rounds of seed %llu\n", i, share(rounds, workers, i),
                static_cast<unsigned long long>(seed_of(seed, i)));
  faultline::test::adopt_orphans();  // of workers that are lost
  const faultline::testbed::ResidueCheck residue;
  const auto began = Steady::now();
  const Outcome outcome = run_crew(
      workers,
      [&](Seat& seat) {
        return play(seat, share(rounds, workers, seat.number()), seed_of(seed, seat.number()));
      },
      [&] { return residue.left(); }, kLimit);
  const std::chrono::duration<double> took = Steady::now() - began;
  std::printf("%d of %d rounds in %.0f s (%.0f an hour), %d broken:", outcome.rounds, rounds,
              took.count(), outcome.rounds * 3600 / took.count(), outcome.broken);
  for (const auto& [deed, count] : outcome.deeds) std::printf(" %s %d,", deed.c_str(), count);
  std::printf("\n");
  return outcome.broken == 0 && outcome.rounds == rounds ? 0 : 1;
}

// The word, or `otherwise` when there is none. Nothing: it is no number.
template <class T>
std::optional<T> number(int argc, char** argv, int at, T otherwise) {
  if (at >= argc) return otherwise;
  T value{};
  const char* end = argv[at] + std::strlen(argv[at]);
  const auto [stop, error] = std::from_chars(argv[at], end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto code = faultline::agent::run_as_watchdog(argc, argv)) return *code;
  const auto rounds = number(argc, argv, 1, 20);
  const auto seed = number<std::uint64_t>(argc, argv, 2, std::random_device{}());
  const auto workers = number(argc, argv, 3, kWorkers);
  if (argc > 4 || !rounds || *rounds < 1 || !seed || !workers || *workers < 1 ||
      *workers > kMostWorkers) {
    std::fprintf(stderr, "usage: kills [ROUNDS] [SEED] [WORKERS, 1 to %d]\n", kMostWorkers);
    return 2;
  }
  if (geteuid() != 0) {
    std::fprintf(stderr, "kills: needs root, it makes pods and breaks them\n");
    return 2;
  }
  try {
    return run(*rounds, *seed, std::min(*rounds, *workers));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kills: %s\n", e.what());
    return 2;
  }
}
