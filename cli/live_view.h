// SPDX-License-Identifier: Apache-2.0
// What a person sees of a run while it goes on: one line, made from the states that arrive. Knows
// no terminal and no clock. Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "api/experiment.h"
#include "api/run_record.h"

namespace faultline::cli {

class LiveView {
 public:
  explicit LiveView(api::Experiment experiment) : experiment_(std::move(experiment)) {}

  void update(const api::RunSummary& summary);

  // "  fault   18/30 s  ######----  7 412 of 7 412 delayed, +200.3 ms (asked 200 ms)  ...". `bar`:
  // with the bar, for a line that is drawn again and again.
  [[nodiscard]] std::string line(bool bar) const;
  // "baseline", "fault", "recovery" ...
  [[nodiscard]] std::string phase() const;
  [[nodiscard]] api::RunState state() const { return now_.state; }

 private:
  // What the newest windows of pods of one role say.
  struct Figures {
    api::Histogram latency;  // of requests, as server where the pods answer any, else as client
    std::optional<double> requests_per_second;  // empty: not measured
    double failed = 0, asked = 0;               // requests without an answer, of all
    double connects_failed = 0, connects = 0;
    bool any = false;
  };
  [[nodiscard]] Figures figures(api::PodRole role) const;
  [[nodiscard]] std::optional<api::PodRole> shown_role() const;
  [[nodiscard]] std::string who(api::PodRole role) const;  // "checkout-0", "3 observed pods"
  [[nodiscard]] std::string acted() const;
  [[nodiscard]] std::string effect() const;
  [[nodiscard]] std::string effect_on(api::PodRole role) const;
  [[nodiscard]] std::string control() const;

  api::Experiment experiment_;
  api::RunSummary now_;
  // Of the baseline phase, by role; each window counted once.
  std::map<api::PodRole, api::Histogram> baseline_;
  std::map<std::string, api::Timestamp> counted_;  // pod -> start of its last counted window
};

}  // namespace faultline::cli
