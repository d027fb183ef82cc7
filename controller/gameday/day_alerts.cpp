// SPDX-License-Identifier: Apache-2.0
// Which alerts fire, and when nobody could say so.
#include <algorithm>

#include "controller/gameday/day.h"
#include "controller/gameday/words.h"
#include "report/alert_episodes.h"

namespace faultline::controller::gameday {

using api::DayEntry;
using api::EntryKind;
using report::has_labels;

namespace {

constexpr std::size_t kMostAlerts = 200;         // that fire at once and are told
constexpr std::chrono::seconds kFirstAnswer{3};  // of the monitoring
constexpr const char* kRestarted =
    "the controller was restarted, and nobody asked which alerts fire";

}  // namespace

class Day::Alerts {
 public:
  Alerts(const Day& day, const Seen& seen)
      : day_(day), seen_(seen), now_(std::max(seen.now, day.last_at_)) {}

  std::vector<DayEntry> run() {
    tell();
    return std::move(entries_);
  }

 private:
  DayEntry& add(EntryKind kind) {
    DayEntry entry;
    entry.kind = kind;
    entry.at = entry.recordedAt = {now_};
    entries_.push_back(std::move(entry));
    return entries_.back();
  }

  // Whether it is known which alerts fire; writes down when that begins and ends to be so.
  bool hears() {
    if (day_.expected_.empty()) return false;
    const auto silent = [&](UtcTime from, const char* why) {
      DayEntry& gap = add(EntryKind::gap);
      gap.at = {from};
      gap.word = kMonitoring;
      gap.text = why;
    };
    if (!seen_.alerts) {
      // A moment for the first answer.
      if (day_.deaf_ || (seen_.alerts_anew && now_ - day_.asked_from_ < kFirstAnswer)) return false;
      silent(seen_.alerts_anew ? day_.asked_from_ : now_,
             day_.taken_over_ ? kRestarted : "the monitoring does not say which alerts fire");
      return false;
    }
    bool deaf = day_.deaf_;
    if (!deaf && (day_.taken_over_ || (seen_.alerts_anew && any_fires()))) {
      silent(day_.asked_from_,
             day_.taken_over_ ? kRestarted
                              : "what fires already when the day begins may have begun before");
      deaf = true;
    }
    if (!deaf) return true;
    DayEntry& heard = add(EntryKind::gap);
    heard.word = kMonitoring;
    heard.text = "the monitoring says which alerts fire";
    heard.good = true;
    return true;
  }
  [[nodiscard]] bool any_fires() const {
    return std::ranges::any_of(*seen_.alerts, [&](const SeenAlert& alert) {
      return day_.expected_.contains(alert.name) &&
             !day_.firing_.contains(alert_words(alert.name, alert.labels));
    });
  }
  [[nodiscard]] bool is_awaited(const SeenAlert& alert) const {
    return std::ranges::any_of(day_.steps_, [&](const StepState& step) {
      const auto& wait = step.step->waitFor;
      return wait && wait->alert == alert.name && has_labels(alert.labels, wait->labels);
    });
  }

  void tell() {
    if (!day_.started_ || day_.alerts_cut_) return;
    if (day_.record_.entries.size() >= kMostBeforeAlerts) {
      DayEntry& gap = add(EntryKind::gap);
      gap.word = kAlertsCut;
      gap.text = "the timeline is long: alerts are not written to it any more";
      return;
    }
    if (!hears()) return;
    // The monitoring has no order. Those that a step awaits come first, then those by name.
    std::set<std::string> now;
    std::map<std::pair<bool, std::string>, std::string> fresh;  // to their names
    for (const SeenAlert& alert : *seen_.alerts) {
      if (!day_.expected_.contains(alert.name)) continue;
      std::string words = alert_words(alert.name, alert.labels);
      if (!now.insert(words).second || day_.firing_.contains(words)) continue;
      fresh.emplace(std::pair(!is_awaited(alert), std::move(words)), alert.name);
    }
    std::size_t told = day_.firing_.size();
    for (const std::string& words : day_.firing_)
      if (!now.contains(words)) {
        DayEntry& entry = add(EntryKind::alert);
        entry.word = words.substr(0, words.find('{'));
        entry.text = words;
        entry.good = true;
        --told;
      }
    for (const auto& [place, name] : fresh) {
      if (told++ >= kMostAlerts) {
        if (day_.alerts_many_) return;
        DayEntry& gap = add(EntryKind::gap);
        gap.word = kAlertsMany;
        gap.text = "more than " + std::to_string(kMostAlerts) +
                   " alerts fire at once: the others are not written down";
        return;
      }
      DayEntry& entry = add(EntryKind::alert);
      entry.word = name;
      entry.text = place.second;
    }
  }

  const Day& day_;
  const Seen& seen_;
  UtcTime now_;  // entries never go back in time
  std::vector<DayEntry> entries_;
};

std::vector<DayEntry> Day::alert_entries(const Seen& seen) const {
  return Alerts(*this, seen).run();
}

}  // namespace faultline::controller::gameday
