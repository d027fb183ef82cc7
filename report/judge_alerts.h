// SPDX-License-Identifier: Apache-2.0
// Judges the alerts of one record. Internal to report/detections, and for whoever works out what
// that judges: detections.cpp judges what fired, detections_missed.cpp what did not. Const, so
// thread-safe; the record, the times and the pods must outlive it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report/alert_owners.h"
#include "report/alert_scope.h"
#include "report/detections.h"
#include "report/not_told.h"
#include "report/waterfall.h"

namespace faultline::report {

struct AlertJudge {
  AlertJudge(const api::MonitoringRecord& of, const DetectionTimes& when, const RunPods& whose)
      : record(of), times(when), pods(whose) {}
  AlertJudge(const AlertJudge&) = delete;
  AlertJudge& operator=(const AlertJudge&) = delete;

  const api::MonitoringRecord& record;
  const DetectionTimes& times;
  const RunPods& pods;
  const std::vector<Instance> instances = instances_of(record);
  const AlertOwners owners{instances};

  // One expectation; `index` in spec.expect.alerts.
  [[nodiscard]] api::DetectionReport judge(const api::ExpectAlert& expect,
                                           std::int64_t index) const;
  // The instances that meet an expectation, and the episode of each that is judged: the nearest of
  // those that began with the fault, and one that was pending or firing before it.
  struct Choice {
    const Instance* fired = nullptr;
    const Episode* how = nullptr;
    const Instance* before = nullptr;
    const Episode* since = nullptr;
  };
  [[nodiscard]] Choice choose(const api::ExpectAlert& expect) const;
  // What fired after the first injected event and nobody expected, with its first such episode.
  [[nodiscard]] std::vector<std::pair<const Instance*, const Episode*>> unexpected(
      const api::Expect& expect) const;
  // Appends what nobody expected.
  void add_false_alarms(std::vector<api::DetectionReport>& out, const api::Expect& expect) const;

 private:
  // ---- what fired ----
  void time_episode(api::DetectionReport& out, const Instance& instance, const Episode& episode,
                    const Delivery& delivery, std::int64_t expected) const;
  void judge_fired(api::DetectionReport& out, const Instance& instance, const Episode& episode,
                   const api::ExpectAlert& expect, std::int64_t index) const;
  // Times it fired after the first injected event.
  [[nodiscard]] std::size_t firings(const Instance& instance) const;
  // Whether an instance fired and ended again during the run before anything was injected.
  [[nodiscard]] std::string fired_for_nothing(const Instance& instance) const;
  // Whether an episode says more of the fault than another: it is of the run's pods, or it is the
  // first.
  [[nodiscard]] bool nearer(const Instance& of, const Episode& episode, const Instance& than,
                            const Episode& other) const;
  // It fired before the first injected event, too, and a Prometheus that is started anew has
  // nothing of it for some evaluations.
  [[nodiscard]] bool began_anew_by_restart(const Instance& instance) const;

  // ---- what did not fire, and `for` that began anew ----
  void judge_missed(api::DetectionReport& out, const api::ExpectAlert& expect,
                    std::int64_t index) const;
  [[nodiscard]] std::string no_rule(const api::ExpectAlert& expect) const;
  [[nodiscard]] std::string why_missed(const api::AlertRule& rule, const Evaluated& seen,
                                       const Instance* nearest, const AlertLabels& labels) const;
  [[nodiscard]] std::string asked_in_vain() const;
  // The times from the first injected event to `until` in which a source was away, in words.
  [[nodiscard]] std::string gap_words(const std::string& source, const api::Timestamp& until) const;
  // Where it answered in part only, in words; of any Prometheus, if `source` is empty.
  [[nodiscard]] std::string part_words(const std::string& source,
                                       const api::Timestamp& until) const;
  [[nodiscard]] std::string restart_words(const std::string& source) const;
  [[nodiscard]] static std::string changed_words(const api::AlertRule& rule);
  // Why the rules of an alert may be others than in the record, of one source or, if it is empty,
  // of any; empty: they are those.
  [[nodiscard]] std::string doubt_words(const std::string& alert, const std::string& source) const;
  // The rule, if its settings explain what was seen: it was not changed, as far as is known.
  [[nodiscard]] const api::AlertRule* settings_of(const api::AlertRule* rule) const;
  [[nodiscard]] std::string began_anew(const Instance& instance, api::Timestamp before) const;
};

}  // namespace faultline::report
