// SPDX-License-Identifier: Apache-2.0
// One game day: the state machine above that of runs. It knows no clock, network or disk.
//
// The timeline is the truth. Whoever drives a day asks what to write down (advance(), say()),
// stores it, and gives it back (apply()); only then the day is in the new state, and wanted() says
// what has to be so: which runs there should be, which should end, and what to ask the monitoring.
// So a controller that was killed between any two of these goes on with the same day: what is not
// stored has not happened, and a run is known by its key, so that it does not begin twice.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/gameday_record.h"
#include "api/report.h"
#include "base/clock.h"
#include "base/result.h"

namespace faultline::controller::gameday {

// A run that a step wants. Its key is the uid under which the run is known:
// "gameday/DAY/STEP/TIMES" and, of a sweep, "/ROW/SEVERITY".
struct WantedRun {
  std::string key;
  std::string step;
  std::string name;       // of its Experiment, which Day::experiment_of() makes
  std::size_t place = 0;  // among the runs of the step
  UtcTime not_before{};   // the rest after the cell before
  std::chrono::nanoseconds rest{0};
  std::string run;  // id; of open_runs(), when it is known that it was begun
};

struct Wanted {
  std::vector<WantedRun> runs;              // begin those that were not begun
  std::map<std::string, std::string> stop;  // run id: why; those that are under way
};

// What the monitoring has to be asked.
struct Asked {
  std::set<std::string> queries;  // of waitFor and of the day's abortWhen
  std::set<std::string> ending;   // those of abortWhen
  bool alerts = false;            // which alerts fire now
};

// How a run of the day stands, by its key.
struct SeenRun {
  std::string run;      // id; empty: it could not begin
  std::string refused;  // why not
  bool over = false;
  api::RunState state = api::RunState::Pending;
  std::string reason;
  std::optional<api::RunVerdict> verdict;  // when it is over
};

struct SeenAlert {
  std::string name;
  std::map<std::string, std::string> labels;
};

struct SeenCheck {
  bool good = false;
  std::string text;  // tells nothing of a surprise
  // What only those may know who know of this step: why, and the run that was made for it.
  std::string secret, secret_step, secret_run;
  std::optional<double> seconds;  // from the abort to the last injected event, of the rehearsal
};

// What the outside is like now. What is not known is left out, which is never taken for silence.
struct Seen {
  UtcTime now;
  std::map<std::string, SeenRun> runs;    // by key
  std::map<std::string, double> queries;  // the newest value of each that has one
  std::set<std::string> unasked;  // queries that nobody answered for kUnasked (engine/abort.h)
  std::optional<std::vector<SeenAlert>> alerts;  // that fire; nothing: they could not be asked
  // The first turn that asks for them, or there was no answer yet since: what fires may have begun
  // long before.
  bool alerts_anew = true;
  // What holds of the steps' waitFor.effect, by the step's name, and of the day's abortWhen, by
  // condition_key(); in words.
  std::map<std::string, std::string> effects;
  std::map<api::PreCheck, SeenCheck> checks;  // that are done
  // How long the running steps have been running, by name, whatever the wall clock did meanwhile.
  // Of a step that is not there it is reckoned from `now`.
  std::map<std::string, std::chrono::nanoseconds> ages;
  std::set<std::string> beginning;  // keys of runs that may be there at any moment
  // By how much the wall clock was set since the timeline took note of it, or the controller began.
  std::chrono::nanoseconds clock_set{0};
};

// The most entries of a day, and the most bytes of what people say. The last of both are kept for
// what the figures of a day are made of: ticks, and who took care of what. People can always answer
// and end it; alerts leave room for people.
inline constexpr std::size_t kMostEntries = 20'000, kKeptEntries = 1'000;
inline constexpr std::size_t kMostBeforeAlerts = 15'000;
inline constexpr std::size_t kMostBytes = 4 << 20, kKeptBytes = 256 << 10;
// Of one person, whoever leads the day; the last of them are kept likewise.
inline constexpr std::size_t kMostOfOne = 2'000, kKeptOfOne = 200;
inline constexpr std::size_t kMostBytesOfOne = 256 << 10;
// What is said of a day that is over.
inline constexpr std::size_t kMostLate = 1'000;
// How often people hold the day and skip steps.
inline constexpr std::size_t kMostControls = 1'000;

// How much of the timeline one view has at most; one entry it always has.
struct Page {
  std::size_t entries = SIZE_MAX, bytes = SIZE_MAX;
};
inline constexpr Page kPage{500, 256 << 10};

// "abortWhen[2]"
[[nodiscard]] std::string condition_key(std::size_t index);

class Day {
 public:
  // Of a day that was created before, with its entries so far.
  explicit Day(api::GameDayRecord record);
  Day(const Day&) = delete;
  Day& operator=(const Day&) = delete;

  // A new day's record with its first entry; `id` is its own.
  [[nodiscard]] static api::GameDayRecord create(api::GameDay document, std::string id,
                                                 std::string who, bool unattended, UtcTime now);

  // What has to be written down of what is seen now, in its order; nothing: nothing changed. The
  // day is as before.
  [[nodiscard]] std::vector<api::DayEntry> advance(const Seen& seen) const;

  // What a person says, as an entry. Errors: kInvalid (it makes no sense here, and why), kDenied
  // (it is for another role), kConflict (the day is over). An entry that is there already, by its
  // key, comes back as it is, with its number.
  [[nodiscard]] Result<api::DayEntry> say(const api::DayWord& word, const std::string& who,
                                          const std::string& via, UtcTime now) const;

  // They are stored. Their numbers follow those that are there.
  void apply(const std::vector<api::DayEntry>& entries);

  [[nodiscard]] Wanted wanted() const;
  [[nodiscard]] std::map<std::string, std::string> unwanted() const;  // Wanted::stop
  [[nodiscard]] Asked asked() const;
  // The runs whose state Seen has to tell: those under way, and those that a controller which was
  // killed may have begun without a word of it.
  [[nodiscard]] std::vector<WantedRun> open_runs() const;
  // Whether a run that wanted() asked for is still to begin.
  [[nodiscard]] bool wants(const WantedRun& run) const;
  // What this run of wanted() or open_runs() runs, as long as wants() says that it is wanted. It is
  // not in WantedRun, since a turn looks at all runs and begins few: whoever begins one makes it.
  [[nodiscard]] api::Experiment experiment_of(const WantedRun& run) const;
  // Steps that run now: name, and the time of its begin.
  [[nodiscard]] std::vector<std::pair<std::string, UtcTime>> running_steps() const;
  // How long a step runs by the times of the entries, without the time in which the day was held.
  [[nodiscard]] std::chrono::nanoseconds age_of(const std::string& step, UtcTime now) const;
  [[nodiscard]] const api::GameDayRecord& record() const { return record_; }
  [[nodiscard]] bool over() const;
  // The role of a user; of several the first of facilitator, commander, scribe, observer.
  [[nodiscard]] api::DayRole role_of(const std::string& user) const;
  // Whether this person leads the day: where the document names no facilitator, everybody does.
  [[nodiscard]] bool may_lead(const std::string& user) const { return leads(role_of(user)); }
  // Whether it was asked for although a check may not be good.
  [[nodiscard]] bool anyway() const;
  // As one person sees it, with the entries above number `after`, at most a page of them. Each
  // person's entries are numbered from 1 without a hole, in the order in which they came to see
  // them: what was a surprise comes when it is none any more.
  [[nodiscard]] api::GameDayView view(const std::string& user, std::uint64_t after,
                                      Page page = {}) const;
  // The number of the newest entry that this person may see.
  [[nodiscard]] std::uint64_t newest(const std::string& user) const;
  // The person's number of the entry that has this one in the record; 0: they may not see it.
  [[nodiscard]] std::uint64_t number_for(const std::string& user, std::uint64_t number) const;
  // At least as much as such a view of a page takes, in bytes of its text.
  [[nodiscard]] std::size_t view_bytes(const std::string& user, std::uint64_t after) const;
  // And as the whole record does.
  [[nodiscard]] std::size_t record_bytes() const { return document_bytes_ + entry_bytes_; }
  // Why the day is in its state, as one person may know it.
  [[nodiscard]] std::string reason_for(const std::string& user) const;
  // Runs that only a facilitator may know of now, by id.
  [[nodiscard]] const std::set<std::string>& hidden_runs() const { return hidden_runs_; }
  // Whether only a facilitator may know of this quiet run with this key now, also when no entry
  // tells of it yet. What is not known of the key is hidden.
  [[nodiscard]] bool hides(const std::string& run, std::string_view key) const;
  // How the names of its quiet runs begin: "payments-s".
  [[nodiscard]] std::string quiet_prefix() const;
  // Whether the step, or a group around it, is a surprise.
  [[nodiscard]] bool is_surprise(const std::string& step) const;
  // Whether there is a step that only a facilitator may know of now.
  [[nodiscard]] bool hides_any() const;

 private:
  struct Ended {
    api::StepOutcome outcome{};
    std::string reason;
    UtcTime at{};
  };
  struct StepState {
    const api::Step* step = nullptr;
    int parent = -1;  // index; -1: the day itself
    std::int64_t depth = 0;
    bool begun = false;    // and not over, this time
    bool is_over = false;  // the last time of `repeat`
    bool found = false;    // the surprise was named
    bool skip = false;
    bool hold_ended = false;          // a hold ended its runs of this time: no miss
    std::chrono::nanoseconds held{};  // of this time, until the last resume
    std::int64_t times = 0;           // how often it was over
    UtcTime begun_at{}, over_at{};
    std::optional<api::StepOutcome> outcome;  // of the last time
    std::string reason;
    std::vector<std::string> runs;            // all, in their order
    std::map<std::string, std::string> keys;  // of the runs of this time: key, id
    std::map<std::string, Ended> results;     // of the runs that are over, by key
    std::size_t cells = 0;      // how many runs it has each time, of a sweep one a cell
    std::size_t next_cell = 0;  // the first of them that has no result; `cells`: all have one
    std::map<std::string, std::string> under_way;  // those of `keys` that have no result
    UtcTime last_result{};                         // the newest of `results`
    std::optional<Ended> answer;                   // of a task or a person, this time
    std::set<std::int64_t> ticked;
    std::vector<std::string> items;  // of its runbook
  };
  class Course;   // day_course.cpp: one call of advance()
  class Alerts;   // day_alerts.cpp: one call of alert_entries()
  class Hearing;  // day_say.cpp: one call of say()

  void index(const std::vector<api::Step>& steps, int parent, std::int64_t depth);
  // What advance() writes down of alerts, without numbers.
  [[nodiscard]] std::vector<api::DayEntry> alert_entries(const Seen& seen) const;
  void apply_one(const api::DayEntry& entry);
  void apply_to_step(const api::DayEntry& entry);
  // The step of the entry that it is over; before its state is that.
  void count_end(std::size_t step, const api::DayEntry& entry);
  void forget_inside(int group);
  // The surprise that `step` is or is in is not one any more, at any depth.
  void find(int step);
  void resume(UtcTime at);
  [[nodiscard]] int index_of(const std::string& step) const;
  // Whether a run of the step is under way.
  [[nodiscard]] static bool has_open(const StepState& state) { return !state.under_way.empty(); }
  [[nodiscard]] bool hidden(int step) const;
  // Whether the step or a group around it is a surprise, found or not.
  [[nodiscard]] bool is_surprise(const StepState& state) const;
  [[nodiscard]] bool leads(api::DayRole role) const;
  // Whether those who do not lead the day may see the entry now.
  [[nodiscard]] bool may_see(const api::DayEntry& entry) const;
  void show(std::size_t newest);
  // As those who do not lead the day see it.
  [[nodiscard]] api::DayEntry as_shown(const api::DayEntry& entry) const;
  [[nodiscard]] std::string waiting_for(bool facilitator) const;
  // The key of the run of a step this time; those of a sweep's cells begin with it.
  [[nodiscard]] std::string key_of(const StepState& state) const;
  // The key of the run at this place, below StepState::cells, this time.
  [[nodiscard]] std::string run_key(const StepState& state, std::size_t place) const;
  // The name of its Experiment.
  [[nodiscard]] std::string run_name(const StepState& state, std::size_t place) const;
  void take_result(StepState& state, const api::DayEntry& entry);
  // The next run of a running step that was not begun and may begin now; nothing: none.
  [[nodiscard]] std::optional<WantedRun> next_run(const StepState& state) const;
  // The keys of all runs of the step begin so, also of earlier times.
  [[nodiscard]] std::string run_prefix(const StepState& state) const;
  // Whether a hold ended the runs of the step, or of those in a group that missed.
  [[nodiscard]] bool excused(std::size_t step) const;

  api::GameDayRecord record_;
  std::vector<StepState> steps_;  // in the order of the document, groups before what is in them
  std::map<std::string, int> by_name_;
  std::map<std::string, std::uint64_t> said_;  // key of what people said: number of the entry
  struct Spoken {
    std::size_t entries = 0, bytes = 0;
  };
  std::map<std::string, Spoken> words_;  // by person
  std::size_t bytes_ = 0;                // of all of them
  std::size_t late_ = 0;                 // entries that were said when the day was over
  std::size_t controls_ = 0;             // how often people held the day and skipped
  // How often steps were over, each time of `repeat`, and how often they had missed then.
  std::size_t ends_ = 0, misses_ = 0;
  std::string first_miss_;
  // The timeline of those who do not lead the day, by its place in that of the record, and of each
  // entry its number there, or 0; and the entries that they may not see yet.
  std::vector<std::size_t> shown_, unseen_;
  std::vector<std::uint64_t> shown_as_;
  std::size_t document_bytes_ = 0, steps_bytes_ = 0, entry_bytes_ = 0;
  std::set<std::string> hidden_runs_;
  bool alerts_cut_ = false;              // the timeline is long: it has no more of them
  bool alerts_many_ = false;             // more fired at once than are written down
  bool deaf_ = false;                    // the monitoring does not say what fires
  bool taken_over_ = false;              // by a controller that has not asked for alerts yet
  UtcTime asked_from_{};                 // since when alerts are to be asked for
  std::map<std::string, bool> checked_;  // by the word of the check
  std::set<std::string> expected_;       // names of alerts that the day is about
  std::set<std::string> firing_;         // as alert_words() has them
  bool started_ = false, held_ = false, held_keeps_ = false, aborted_ = false;
  std::string abort_reason_, reason_step_;  // the step that the state's reason is about
  UtcTime created_at_{}, last_at_{}, held_at_{};
};

}  // namespace faultline::controller::gameday
