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

#include "api/run_log.h"
#include "base/result.h"

namespace SQLite {
class Database;
}

namespace faultline::controller {

inline constexpr int kSchemaVersion = 1;

struct StoreOptions {
  std::string path;
  bool read_only = false;
  std::int64_t max_pages = 0;  // 0: as large as the disk; what `--max-store` bounds
};

// How long runs are kept: whichever bound is reached first. Runs that are not over are kept.
struct Retention {
  std::int64_t runs = 1000;
  std::chrono::hours age{30 * 24};
};

struct Appended {
  std::uint64_t acked = 0;                // all batches up to this number are stored
  std::vector<api::NumberedBatch> fresh;  // those that were not stored before
  std::size_t duplicates = 0;
  std::size_t unknown = 0;  // of runs that are not in this store: thrown away
};

struct UnfinishedRun {
  api::RunRecord head;
  std::optional<api::RunState> ending;  // decided, but the run was not closed yet
  UtcTime last_seen;                    // the last thing that was stored of it
};

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
  // Deletes a few runs beyond the bounds; returns their ids. Call until there are none.
  Result<std::vector<std::string>> prune(const Retention& retention, UtcTime now);

  // ---- as a copy of a journal (store/journal.h)
  Result<> clear();
  // What the journal has of a run. Entries of a run in their order; what is here already is kept.
  Result<> restore(const api::RunLogEntry& entry);
  Result<> remove(const std::string& run);
  // All that is stored of a run, as entries of at most about `bytes` of JSON each.
  Result<std::vector<api::RunLogEntry>> entries(const std::string& run, std::size_t bytes);

  // ---- reading
  // The run with this id, else the newest of the experiment with this name. kNotFound.
  Result<std::string> find(const std::string& run_or_name);
  // The run of the Experiment with this name whose uid in the cluster is `uid`. kNotFound.
  Result<std::string> find_of_experiment(const std::string& name, const std::string& uid);
  Result<api::RunRecord> load(const std::string& run);
  // Adds what is in batches to a head that is newer than the stored one.
  Result<> fill(api::RunRecord& head);
  // Newest first; without effects.
  Result<std::vector<api::RunSummary>> list(std::int64_t limit);
  Result<api::RunSummary> summary(const std::string& run);  // the same of one run
  Result<std::vector<UnfinishedRun>> unfinished();
  // Runs by their ending, for /metrics.
  Result<std::vector<std::pair<std::string, std::int64_t>>> count_by_state();

 private:
  explicit Store(StoreOptions options);
  Result<> migrate();
  Result<std::vector<api::RunSummary>> summaries(const char* where, const std::string& run,
                                                 std::int64_t limit);
  // Runs `body`; SQLite's exceptions become errors.
  template <class Body>
  auto guarded(const char* doing, Body body) -> decltype(body());

  StoreOptions options_;
  std::unique_ptr<SQLite::Database> db_;
};

}  // namespace faultline::controller
