// SPDX-License-Identifier: Apache-2.0
// Asks one Prometheus for what tuned() judges. Only reads.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "controller/observe/tune.h"

namespace faultline::controller::observe {

struct TuneQuestion {
  api::AlertRule recorded;  // as the newest of the runs had it
  TuneWish wish;
  // `asked` is from the begin to the end of the run; `grid.origin` an evaluation, 0: none is known.
  std::vector<TunedRun> runs;
  std::vector<std::pair<UtcTime, UtcTime>> known;  // all runs of the controller, by its clock
};

// Whoever holds what this gives may ask one question.
using TuneTurn = std::function<boost::asio::awaitable<Result<std::shared_ptr<void>>>()>;

// What is asked is bounded: kMostTuneQuestions, kLongestTune, kMostTuneKept of answers. The history
// is asked from now backwards, so that it is shorter, and a note says so, where the time is over
// before. An answer that is too large or late is asked for again in smaller parts. Errors: those of
// tune_plan(), of `turn` and of Prometheus; kInvalid names the bound, and what to ask instead.
// `client`, `clock` must outlive it.
[[nodiscard]] boost::asio::awaitable<Result<TuneData>> ask_tune(Prometheus& client,
                                                                TuneQuestion question,
                                                                TuneTurn turn, const Clock& clock);
inline constexpr std::size_t kMostTuneQuestions = 2'000;
inline constexpr std::chrono::seconds kLongestTune{80};
inline constexpr std::size_t kMostTuneKept = 600'000;  // as Values::size() counts

}  // namespace faultline::controller::observe
