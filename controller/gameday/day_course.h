// SPDX-License-Identifier: Apache-2.0
// One call of Day::advance(): what follows from what is seen now. For day_course.cpp and
// day_steps.cpp only.
#pragma once

#include <string>
#include <vector>

#include "controller/gameday/day.h"

namespace faultline::controller::gameday {

// Each function writes down what it sees, and nothing that follows from that: the next call does,
// when this one is applied. Both references outlive it.
class Day::Course {
 public:
  Course(const Day& day, const Seen& seen) : day_(day), seen_(seen) {}

  std::vector<api::DayEntry> run();

 private:
  // Good until the next one is added.
  api::DayEntry& add(api::EntryKind kind);
  const StepState& state(std::size_t i) const { return day_.steps_[i]; }

  // ---- the day (day_course.cpp)
  void clock();
  void checks();
  [[nodiscard]] bool may_begin() const;
  void runs();
  [[nodiscard]] bool is_key_of(const StepState& step, const std::string& key) const;
  void alerts();
  void conditions();
  void end_aborted();
  void completed();
  void over(api::DayState state, std::string reason);

  // ---- its steps (day_steps.cpp)
  void steps();
  // Whether everything that comes before it is over.
  [[nodiscard]] bool is_due(std::size_t index) const;
  void begin(std::size_t index);
  void running(std::size_t index);
  // `last`: it is not done again, whatever `repeat` says.
  void over(std::size_t index, api::StepOutcome outcome, std::string reason, bool last = false);
  // How long it runs, without the time in which the day was held.
  [[nodiscard]] std::chrono::nanoseconds time_of(const StepState& step) const;
  // Each looks at one running step of its kind, and ends it; false: it goes on.
  bool all_runs_over(std::size_t index);
  bool task(std::size_t index, std::chrono::nanoseconds since);
  bool waited(std::size_t index);
  bool group(std::size_t index);
  [[nodiscard]] bool has_beginning(const StepState& step) const;
  // Whether a step in the group is over by what was answered or measured, and this turn has yet to
  // write that down.
  [[nodiscard]] bool any_ends(std::size_t group) const;

  const Day& day_;
  const Seen& seen_;
  std::vector<api::DayEntry> entries_;
  bool stopped_ = false;  // a step that missed holds or ends the day: no other one is looked at
};

}  // namespace faultline::controller::gameday
