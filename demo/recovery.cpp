// SPDX-License-Identifier: Apache-2.0
#include "demo/recovery.h"

#include <algorithm>

#include "demo/program.h"
#include "demo/words.h"

namespace faultline::demo {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kSlow{80}, kFast{40};

// What the stopwatch saw of the agent's death.
struct Recovery {
  std::optional<Probe> first_fast;  // that began after the kill
  std::size_t under_way = 0;        // at the kill
  nanoseconds last_of_them{};       // from the kill to the end of the last
};

Recovery recovery_after(const Prober& prober, Steady::time_point kill) {
  Recovery seen;
  for (const Probe& probe : prober.between(kill - std::chrono::seconds(5), Steady::now())) {
    if (probe.begin < kill && probe.end() > kill) {
      ++seen.under_way;
      seen.last_of_them = std::max(seen.last_of_them, nanoseconds(probe.end() - kill));
    }
    if (probe.begin >= kill && probe.status == 200 && probe.took < kFast &&
        (!seen.first_fast || probe.begin < seen.first_fast->begin))
      seen.first_fast = probe;
  }
  return seen;
}

}  // namespace

std::optional<nanoseconds> wait_until_slow(const Prober& prober, const std::function<bool()>& ended,
                                           Steady::time_point start) {
  nanoseconds before{};
  const auto is_slow = [&] {
    const auto now = Steady::now();
    if (median(prober.between(now - milliseconds(500), now)) > kSlow) return true;
    before = median(prober.between(start, now));
    return ended();
  };
  if (!wait_for(is_slow, milliseconds(20'000)) || ended()) return std::nullopt;
  pause(milliseconds(1000));
  return before;
}

bool fast_again(const Prober& checkout, Steady::time_point kill, milliseconds step) {
  const Recovery seen = recovery_after(checkout, kill);
  if (!seen.first_fast) return claim(false, "No request that began after the kill was fast again.");
  const auto after = median(checkout.between(kill + milliseconds(500), Steady::now()));
  bool good = claim(
      seen.first_fast->end() - kill < milliseconds(500),
      "The first request that was fast again began " + ms_words(seen.first_fast->begin - kill) +
          " after the kill and was answered " + ms_words(seen.first_fast->end() - kill) +
          " after it. (The stopwatch asks every " + std::to_string(step.count()) + " ms.)");
  if (seen.under_way > 0)
    note(std::to_string(seen.under_way) +
         " of its requests were under way. What waited in the delay line went down with the agent; "
         "TCP sends that again, as after any loss: the last of them ended " +
         ms_words(seen.last_of_them) + " after the kill.");
  good &= claim(after < kFast, "checkout takes " + ms_words(after) + " since.");
  return good;
}

}  // namespace faultline::demo
