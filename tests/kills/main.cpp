// SPDX-License-Identifier: Apache-2.0
// kills [ROUNDS] [SEED]: see README.md. Exit code: 0 everything held, 1 something did not.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>

#include "agent/kernel/watchdog.h"
#include "testbed/hidden.h"
#include "tests/kills/ground.h"

namespace {

// Then pods, programs and store are made anew: every round looks at all runs that were before it.
constexpr int kRoundsOfAGround = 100;

int run(int rounds, std::uint64_t seed) {
  using namespace faultline::kills;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  faultline::testbed::leave_mount_namespace();
  std::optional<Ground> ground;
  std::optional<Schedule> schedule;
  std::map<std::string, int> deeds;
  const auto began = Steady::now();
  int bad = 0, done = 0;
  const auto tell = [&](const std::string& what, const std::vector<std::string>& problems) {
    if (problems.empty()) return;
    ++bad;
    std::printf("%s\n", what.c_str());
    for (const std::string& problem : problems) std::printf("  %s\n", problem.c_str());
    std::fflush(stdout);
  };
  const auto leave = [&] {
    tell("at the end of this ground", ground->end());
    for (const auto& [deed, count] : ground->deeds()) deeds[deed] += count;
    ground.reset();
  };
  for (; done < rounds; ++done) {
    if (!ground) ground.emplace();
    if (!schedule) schedule.emplace(seed, ground->possible());
    const Round round = schedule->next();
    std::fflush(stdout);
    tell("round " + std::to_string(done + 1) + ", " + round.words(), ground->play(round));
    if ((done + 1) % kRoundsOfAGround == 0) leave();
  }
  if (ground) leave();
  std::printf("%d rounds in %lld s, %d of them broken:", done,
              static_cast<long long>(
                  std::chrono::duration_cast<std::chrono::seconds>(Steady::now() - began).count()),
              bad);
  for (const auto& [deed, count] : deeds) std::printf(" %s %d,", deed.c_str(), count);
  std::printf("\n");
  return bad == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto code = faultline::agent::run_as_watchdog(argc, argv)) return *code;
  if (geteuid() != 0) {
    std::fprintf(stderr, "kills: needs root, it makes pods and breaks them\n");
    return 1;
  }
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  const std::uint64_t seed =
      argc > 2 ? std::strtoull(argv[2], nullptr, 10) : std::random_device{}();
  try {
    return run(rounds, seed);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kills: the ground failed: %s\n", e.what());
    return 2;
  }
}
