// SPDX-License-Identifier: Apache-2.0
// The parts of build(): each makes one part of the report. Pure and thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/run_record.h"
#include "report/windows.h"

namespace faultline::report {

[[nodiscard]] std::vector<api::EffectReport> effects_of(const std::vector<Series>& all);

// One row for each fault on each target pod, also for those that no agent reported.
[[nodiscard]] std::vector<api::InjectionReport> injections_of(const api::RunRecord& record);
// What is known of a fault on a pod beside what the agent counted.
struct JudgedPlace {
  std::optional<double> phase_seconds;  // how long the fault was to act on this pod
  bool end_untold = false;  // the agent ended, or was not heard of again, with the fault armed
  std::string bypass;       // of network faults: what was not led by our hooks while it was armed
};
// Verdict and reason of one row from the fault that was asked and what was measured.
void judge(const api::Fault& fault, const api::InjectionStatus& status, api::InjectionReport& row,
           const JudgedPlace& place = {});

// When effects left their baseline band and came back to it. A band is the median of the baseline's
// window values +- the greatest of 3 robust deviations, 10 % of the median and a floor of the
// metric (band.cpp). A series counts as affected when the median of its windows under the fault is
// outside.
struct BandResult {
  std::size_t watched = 0;   // series of target and observed pods with a band
  std::size_t affected = 0;  // of these
  std::optional<UtcTime> first_out;
  std::string first_what;          // "shop/checkout-0 request.latency p50"
  std::optional<UtcTime> back;     // all affected series back for good
  std::string last_what;           // the series that came back last, or has not
  bool recovery_measured = false;  // there are windows after `last_injected`
  std::string unsure;              // of which series too little was measured; else empty
};
[[nodiscard]] BandResult watch_bands(const std::vector<Series>& all,
                                     std::optional<UtcTime> first_injected,
                                     std::optional<UtcTime> last_injected);

[[nodiscard]] std::vector<api::TimelineEntry> timeline_of(
    const api::RunRecord& record, const std::vector<api::InjectionReport>& injections,
    const BandResult& bands);
// How the text of a recovery ends that was measured and did not come.
inline constexpr std::string_view kNotBack =
    "was not back in its baseline band when measuring ended";
// `unseen`: what of the fault phase was not measured on targets and observed pods, see
// unseen_words().
[[nodiscard]] api::RecoveryReport recovery_of(const BandResult& bands, bool has_faults,
                                              std::optional<UtcTime> last_injected,
                                              const std::string& unseen);
// "shop/checkout-0 was not measured all the time: no window covers this time"; empty when every
// target and observed pod was measured throughout the fault.
[[nodiscard]] std::string unseen_words(const api::RunRecord& record,
                                       const std::vector<api::Gap>& gaps);
[[nodiscard]] std::vector<api::Gap> gaps_of(const api::RunRecord& record);
[[nodiscard]] std::vector<api::ExpectationReport> expectations_of(
    const api::RunRecord& record, const std::vector<api::Gap>& gaps);

// t4 pending, t5 firing, t6 notified, t11 resolved of each expected alert, into a timeline that is
// in order and stays so.
void add_detections(const std::vector<api::DetectionReport>& detections,
                    std::vector<api::TimelineEntry>& timeline);

// A bound on an effect, with all that was not measured on the wrong side of it: no data is never a
// pass. `measured`: the value, or first why there is none.
struct Judged {
  bool met = false;
  std::string measured;
};
[[nodiscard]] Judged judge_bound(const api::RunRecord& record, const std::vector<api::Gap>& gaps,
                                 const api::ExpectEffect& expect);

// First and last moment a fault acted, over all rows.
[[nodiscard]] std::optional<UtcTime> first_injected(const std::vector<api::InjectionReport>& rows);
[[nodiscard]] std::optional<UtcTime> last_injected(const std::vector<api::InjectionReport>& rows);

}  // namespace faultline::report
