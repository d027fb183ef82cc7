// SPDX-License-Identifier: Apache-2.0
// Internal to report/gameday/: the parts of gameday_report(), each of which fills in what its name
// says, in this order. Pure and thread-safe. Seconds.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "report/gameday/gameday.h"
#include "report/gameday/people.h"

namespace faultline::report::gameday {

using RunReports = std::map<std::string, api::Report>;

// The document's steps by name, and what is in what.
class Steps {
 public:
  explicit Steps(const api::GameDay& day);
  struct Place {
    const api::Step* step = nullptr;  // owned by the document
    std::string parent;               // name of the group around it; empty: the day
    std::int64_t depth = 0;
  };
  // In the order of the document, groups before what is in them.
  [[nodiscard]] const std::vector<Place>& all() const { return all_; }
  // nullptr: there is no such step.
  [[nodiscard]] const Place* find(const std::string& name) const;
  // Whether `inner` is `outer` or in it, at any depth.
  [[nodiscard]] bool within(const std::string& inner, const std::string& outer) const;

 private:
  std::vector<Place> all_;
  std::map<std::string, std::size_t> by_name_;
};

struct Sources {
  const api::GameDayRecord& record;
  const RunReports& runs;
  const Steps& steps;
  const People& people;
  const std::map<std::string, std::string>& not_read;  // why, by run
};

// Why the report of a run is not here: "was not read: ..." or "is missing: ...".
[[nodiscard]] std::string no_report(const Sources& from, const std::string& run);

[[nodiscard]] double seconds_from(api::Timestamp from, api::Timestamp to);
// "net: word" where both are there.
[[nodiscard]] std::string with_more(std::string text, const std::string& more);

// Every run of the timeline with what its report tells, but for the figures.
void add_runs(const Sources& from, api::GameDayReport& report);
// MTTD, MTTA and MTTR of each fault run with their parts, and the means.
void add_figures(const Sources& from, api::GameDayReport& report);
// Steps, tasks with their runbooks, checks.
void add_course(const Sources& from, api::GameDayReport& report);
// Timeline and spans.
void add_timeline(const Sources& from, api::GameDayReport& report);
// Beliefs, surprises, what did not recover, residue.
void add_findings(const Sources& from, api::GameDayReport& report);
void add_gaps(const Sources& from, api::GameDayReport& report);
// Action items, what became of earlier ones, comparison and trend.
void add_comparison(const Sources& from, const std::vector<api::GameDayReport>& earlier,
                    api::GameDayReport& report);
[[nodiscard]] std::string summary_of(const api::GameDayReport& report);

// Which fault runs an entry can be about; see docs/gameday-report.md. Indices into the runs.
class Attribution {
 public:
  Attribution(const Sources& from, const std::vector<api::DayRun>& runs);
  [[nodiscard]] std::vector<std::size_t> runs_of(const api::DayEntry& entry) const;
  // Until when an entry can be about this run; not set: to the end.
  [[nodiscard]] api::Timestamp end_of(std::size_t run) const;

 private:
  struct Window {
    std::size_t run = 0;
    api::Timestamp from, to;  // `to` not set: to the end
  };
  const Sources& from_;
  const std::vector<api::DayRun>& runs_;
  std::vector<Window> windows_;
};

// The name of an alert in words that may have its labels, too.
[[nodiscard]] std::string alert_name(std::string_view words);

// What the timeline knows of the alerts that a waitFor awaits to fire.
class Awaited {
 public:
  explicit Awaited(const Sources& from);
  // Whether the entry says that an instance fires which is awaited, with its labels.
  [[nodiscard]] bool fires(const api::DayEntry& entry) const;
  // Which alert fired already when the run's first event was injected, while a step awaited it or
  // later; empty: none.
  [[nodiscard]] std::string before(const api::DayRun& run) const;
  // Why the timeline cannot tell whether an awaited alert fired before `seen`, the first firing
  // that is known (not set: none is, up to `end`). `by_day`: that is an entry, not of the run's
  // report. Empty: it can tell.
  [[nodiscard]] std::string deaf(const api::DayRun& run, api::Timestamp seen, bool by_day,
                                 api::Timestamp end) const;
  // Whether what was acknowledged can be about a fault: no alert is named, or one that a run or a
  // step of the day expects.
  [[nodiscard]] bool concerns(const api::DayEntry& acknowledged) const;

 private:
  struct Hole {
    api::Timestamp from, to;  // `to` not set: to the end
    std::string why;
  };
  [[nodiscard]] static bool is_of(const api::DayEntry& entry, const api::Step& step);
  [[nodiscard]] bool covered(const api::DayRun& run, const api::Step& step) const;

  const Sources& from_;
  std::vector<const api::Step*> waits_;  // that await a firing
  std::set<std::string> expected_;       // names of alerts that something of the day expects
  std::vector<Hole> holes_;
  std::size_t away_ = 0;  // the hole that is open
};

}  // namespace faultline::report::gameday
