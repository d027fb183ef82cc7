// SPDX-License-Identifier: Apache-2.0
// What clients and servers know of a run, what the collectors of a pod said of it, and whether the
// two agree: a figure is right, or the collectors gave a gap for it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "api/sync.h"

namespace faultline::test {

// How near a quantile must be to the truth, as a share or in seconds. On a machine that does other
// things beside, what a stopwatch says is not what the packets did.
struct Bounds {
  double share = 0.05, seconds = 0.0002;
};
inline Bounds bounds;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): set by main()

// Seconds. More than a point where the client cannot tell when its request really left.
struct Range {
  double least = 0, most = 0;
};

// By the client's own stopwatch.
struct Truth {
  double count = 0;      // answered requests
  double errors = 0;     // requests that failed
  double abandoned = 0;  // requests that the client did not want to wait for
  std::optional<Range> latency_p50, latency_p99, duration_p50, duration_p99;
  // Of HTTP in the clear: the class that every answer has ("2xx"). Else empty.
  std::string status_class;

  // Nearest rank, as the collectors' histograms.
  static Truth of(const std::vector<double>& latency_least, const std::vector<double>& latency_most,
                  const std::vector<double>& duration);
};

// What the collectors of one pod said from one reset to the next, all windows together.
struct Seen {
  std::vector<api::EffectSample> samples;
  std::vector<api::Gap> gaps;
};

// From good to bad: the word of several is the last of them.
enum class Word { kNotMeasured, kRight, kGap, kWrong };

struct Judged {
  Word word = Word::kNotMeasured;
  std::string why;  // the gap's reason, or what is wrong
  void join(const Judged& other) {
    if (other.word > word) *this = other;
  }
};

inline constexpr std::array kFigures = {"latency p50",  "latency p99", "duration p50",
                                        "duration p99", "requests",    "errors",
                                        "abandoned",    "status"};
using Row = std::array<Judged, kFigures.size()>;

// Whose figures: of packets, or of the plain bytes that OpenSSL is given, which know no port.
enum class Family { kPackets, kTlsCalls };

// `side`: "server" or "client", of the service that answers on `port`.
[[nodiscard]] Row judge(const Truth& truth, const Seen& seen, const std::string& side,
                        std::uint16_t port, Family family);

// "right", "gap", "-", "WRONG": as the page has it.
[[nodiscard]] const char* text_of(Word word);

}  // namespace faultline::test
