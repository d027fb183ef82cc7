// SPDX-License-Identifier: Apache-2.0
// Small questions about entries and outcomes of a game day, and their words. Pure and thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "api/gameday_record.h"
#include "api/report.h"
#include "api/run_record.h"

namespace faultline::controller::gameday {

// More than a step can be repeated: for numbers of several repetitions in one.
inline constexpr std::int64_t kMostTimes = api::kMostRepeats + 1;

// Of the key, and so of the uid, of each run of a game day. No object of a cluster has such a uid.
inline constexpr std::string_view kRunKey = "gameday/";
// `word` of the gap that says that the timeline has no more alerts.
inline constexpr std::string_view kAlertsCut = "alerts";
// The day and the step of such a key; what is not in it is empty, as the step of a rehearsal.
[[nodiscard]] std::string_view day_of_key(std::string_view key);
[[nodiscard]] std::string_view step_of_key(std::string_view key);
// Of the gap that says that more fire at once than the timeline takes, and of those around the time
// in which nobody said what fires. The report of the day knows these words, too.
inline constexpr std::string_view kAlertsMany = "alerts-at-once", kMonitoring = "monitoring";
// And of the gap that says that the wall clock was set.
inline constexpr std::string_view kClock = "clock";
// Whether a run is a surprise, which nobody may be told of but by the day.
[[nodiscard]] bool is_quiet(const api::RunRecord& run);

// Whether people say it, as opposed to the controller.
[[nodiscard]] bool is_said(api::EntryKind kind);
// What the figures of a day are made of, so that there is room for it when there is none for notes.
[[nodiscard]] bool is_kept(api::EntryKind kind);
// Bytes of what is said in an entry; with its times and the names of its keys it takes some more.
inline constexpr std::size_t kEntryBytes = 200;
[[nodiscard]] std::size_t bytes_of(const api::DayEntry& entry);
// Whether it changes the course of the day.
[[nodiscard]] bool is_control(api::EntryKind kind);

// DayEntry::via of what a chat says.
inline constexpr std::string_view kViaChat = "webhook";
// Whose share of the timeline an entry takes: the names that a chat gives are not checked, so all
// of it is one speaker.
[[nodiscard]] std::string speaker_of(const api::DayEntry& entry);

// "completed" and back; of a word that is none, failed.
[[nodiscard]] api::DayState state_of(std::string_view word);
[[nodiscard]] std::string word_of(api::DayState state);
[[nodiscard]] std::string word_of(api::EntryKind kind);
[[nodiscard]] std::string word_of(api::StepOutcome outcome);
[[nodiscard]] std::string word_of(api::DayRole role);
[[nodiscard]] std::string check_word(api::PreCheck check);

// How a step ended whose run ended so.
[[nodiscard]] api::StepOutcome outcome_of(api::RunState state,
                                          const std::optional<api::RunVerdict>& verdict);
// Whether it is what `onMiss` is about.
[[nodiscard]] bool is_miss(api::StepOutcome outcome);

// Whether a value is above `above` or, where that is empty, below `below`. A bound that is no
// number is never passed.
[[nodiscard]] bool beyond(double value, const std::string& above, const std::string& below);

// CheckoutSlow{pod="checkout-0"}; in a value a quote and a backslash have a backslash before them.
[[nodiscard]] std::string alert_words(const std::string& name,
                                      const std::map<std::string, std::string>& labels);

}  // namespace faultline::controller::gameday
