// SPDX-License-Identifier: Apache-2.0
// Runs and what was measured, in one SQLite file. Not thread-safe: each thread opens its own, one
// of them for writing (WAL: readers and the writer do not wait for each other).
//
// Durability: journal_mode=WAL with synchronous=NORMAL. A commit survives the end of this process
// in any way. A power cut may undo the commits since the last checkpoint, but never tears the file;
// the report then shows the lost time as a gap, because windows of it are missing. FULL would cost
// an fsync with every sync of every node, and a slow disk would then eat into the lease.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/gameday_record.h"
#include "api/run_log.h"
#include "base/result.h"

namespace SQLite {
class Database;
}

namespace faultline::controller {

inline constexpr int kSchemaVersion = 4;

inline constexpr std::int64_t kMaxRunBytes = 64 << 20;

struct StoreOptions {
  std::string path;
  bool read_only = false;
  std::int64_t max_pages = 0;  // 0: as large as the disk; what `--max-store` bounds
  // Bytes of JSON that are stored of one run, what `--max-run` bounds. Beyond it windows are left
  // out, and a gap of the run says so.
  std::int64_t max_run_bytes = kMaxRunBytes;
};

// How long runs are kept: whichever bound is reached first. Runs that are not over are kept.
struct Retention {
  // In all. Each namespace of experiments has the same share, and leaves to others what it does not
  // need: who runs much pushes out his own runs.
  std::int64_t runs = 1000;
  std::chrono::hours age{30 * 24};
};

struct Appended {
  std::uint64_t acked = 0;                // all batches up to this number are stored
  std::vector<api::NumberedBatch> fresh;  // those that were not stored before
  std::set<std::uint64_t> cut;            // of these: stored without their windows (max_run_bytes)
  std::size_t duplicates = 0;
  std::size_t unknown = 0;  // of runs that are not in this store: thrown away
};

struct UnfinishedRun {
  api::RunRecord head;
  std::optional<api::RunState> ending;  // decided, but the run was not closed yet
  UtcTime last_seen;                    // the last thing that was stored of it
};

// What a list, and a question of rights, needs to know of a run.
struct RunRef {
  std::string run;                   // id
  std::string name, ns;              // of its experiment; ns may be empty
  std::set<std::string> namespaces;  // of all its pods and of the experiment
  UtcTime asked_at;
};

struct RefQuery {
  std::string name;               // empty: any
  std::optional<std::string> ns;  // of the experiment
  // asked_at and id of the last one that was seen: what is older.
  std::optional<std::pair<UtcTime, std::string>> before;
  std::int64_t limit = 100;
  bool fired = false;  // only those in which an alert fired
};

// An alert that fired in a run after the first injected event.
struct FiredAlert {
  std::string run, source, alert;
  api::DetectionVerdict verdict{};
  api::Timestamp at;
  std::optional<double> seconds;  // from the first injected event
};

// When a run was: from when it was asked for to the end of its recovery.
struct RunTime {
  UtcTime from;
  std::optional<UtcTime> to;  // empty: it is not over
};

// What a list of game days, and a question of rights, needs to know of one.
struct DayRef {
  api::GameDaySummary summary;
  std::set<std::string> namespaces;  // that it hits or looks at, and its own
};

// Windows of one node, as JSON.
struct WindowPiece {
  std::string json;       // "{...},{...}"; empty: none
  std::int64_t last = 0;  // where the next piece goes on
  bool end = false;       // there are no more
};

// How far a run was read by next_entry().
struct EntryPlace {
  bool begun = false;
  std::string node;
  std::int64_t id = 0;
};

enum class Windows { kWith, kWithout };

// Errors of all functions: kUnavailable when the disk or the file cannot be used (the text is
// SQLite's), kInternal when what is stored cannot be read.
class Store {
 public:
  // Makes and migrates the file. kInvalid: written by a newer program, or no store at all.
  static Result<std::unique_ptr<Store>> open(StoreOptions options);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // ---- writing
  Result<> insert(const api::RunRecord& head);  // kConflict: the id exists
  // State, ending, history, gaps, clock offsets. What is in batches is not touched.
  Result<> update(const api::RunRecord& head, std::optional<api::RunState> ending);
  // Stores what was not stored yet, in one transaction. Batches are numbered from 1 by each
  // instance of an agent and sent in order until acknowledged, so that the highest number in a
  // request is also the number up to which everything is stored.
  Result<Appended> append(const std::string& node, const std::string& instance,
                          const std::vector<api::NumberedBatch>& batches, UtcTime now);
  // A write that changes nothing: is the store in order (again)?
  Result<> check(UtcTime now);
  // Deletes a few runs beyond the bounds, or, while the file is nearly as large as it may be
  // (max_pages), the oldest of the namespace that has most; returns their ids. Call until there are
  // none.
  Result<std::vector<std::string>> prune(const Retention& retention, UtcTime now);

  // ---- as a copy of a journal (store/journal.h)
  Result<> clear();
  // What the journal has of a run. Entries of a run in their order; what is here already is kept.
  Result<> restore(const api::RunLogEntry& entry);
  Result<> remove(const std::string& run);
  // The next part of what is stored of a run, of at most about `bytes` of JSON; the first has its
  // head. Nothing: there is no more. kNotFound: there is no such run.
  Result<std::optional<api::RunLogEntry>> next_entry(const std::string& run, EntryPlace& place,
                                                     std::size_t bytes);

  // ---- reading
  // The run of the Experiment with this name whose uid in the cluster is `uid`. kNotFound.
  Result<std::string> find_of_experiment(const std::string& name, const std::string& uid);
  Result<RunRef> ref(const std::string& run);  // by id; kNotFound
  // Newest first. Reads no head and nothing that was measured.
  Result<std::vector<RunRef>> refs(const RefQuery& query);
  // The alerts that fired in these runs, by run in the order of `runs`.
  Result<std::vector<FiredAlert>> fired(const std::vector<std::string>& runs);
  // Of the runs that were asked for since then, the newest `limit`.
  Result<std::vector<RunTime>> times(UtcTime since, std::int64_t limit);
  // In this order, without effects; those that are gone are left out. Ends early, with at least
  // one, when about `bytes` were read.
  Result<std::vector<api::RunSummary>> summaries(const std::vector<std::string>& runs,
                                                 std::size_t bytes);
  Result<api::RunSummary> summary(const std::string& run);  // the same of one run; kNotFound
  // A run takes about three times the memory of its JSON (max_run_bytes); without its windows
  // little.
  Result<api::RunRecord> load(const std::string& run, Windows windows = Windows::kWith);
  // Adds what is in batches to a head that is newer than the stored one.
  Result<> fill(api::RunRecord& head, Windows windows = Windows::kWith);
  // The windows of a node in the order in which they came, behind `after` (0: from the first): at
  // least `bytes` and at most one batch more. Each call reads anew, so that nothing is held open
  // for a slow reader.
  Result<WindowPiece> windows(const std::string& run, const std::string& node, std::int64_t after,
                              std::size_t bytes);
  Result<std::vector<UnfinishedRun>> unfinished();

  // ---- game days (gamedays.cpp)
  // With its entries so far. kConflict: the id exists.
  Result<> insert_day(const api::GameDayRecord& record, const std::set<std::string>& namespaces);
  // All of them or none. kConflict: there is an entry of one of these numbers already; kNotFound.
  Result<> append_entries(const std::string& day, const std::vector<api::DayEntry>& entries);
  Result<> remove_day(const std::string& day);  // and what it says; none is no error
  Result<api::GameDayRecord> load_day(const std::string& day);  // kNotFound
  Result<DayRef> day_ref(const std::string& day);               // by id; kNotFound
  // Newest first; `name` may be empty: any.
  Result<std::vector<DayRef>> day_refs(const std::string& name, std::int64_t limit);
  Result<std::vector<std::string>> unfinished_days();
  // The day is over and has failed, also where its entries cannot be read. kNotFound.
  Result<> fail_day(const std::string& day, const std::string& reason, UtcTime at);

 private:
  explicit Store(StoreOptions options);
  Result<> migrate();
  bool nearly_full();  // throws as SQLiteCpp does
  // What says that windows of the run were left out, if they were.
  std::optional<api::Gap> size_gap(const std::string& run);
  // Runs `body`; SQLite's exceptions become errors.
  template <class Body>
  auto guarded(const char* doing, Body body) -> decltype(body());

  StoreOptions options_;
  std::unique_ptr<SQLite::Database> db_;
};

}  // namespace faultline::controller
