// SPDX-License-Identifier: Apache-2.0
// Opening, schema and writing.
#include "controller/store/store.h"

#include <boost/describe/enum_from_string.hpp>
#include <boost/describe/enum_to_string.hpp>

#include "controller/store/batch_rows.h"

namespace faultline::controller {
namespace {

constexpr std::chrono::milliseconds kBusy{1000};  // a failure must show before a lease is over
constexpr std::int64_t kPruneAtOnce = 8;

// Number n - 1 makes version n of version n - 1.
constexpr const char* kMigrations[kSchemaVersion] = {
    R"(
  CREATE TABLE runs(
    run TEXT PRIMARY KEY, name TEXT NOT NULL, asked_at INTEGER NOT NULL,
    state TEXT NOT NULL, ending TEXT, reason TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    head TEXT NOT NULL) WITHOUT ROWID;
  CREATE INDEX runs_by_name ON runs(name, asked_at);
  CREATE INDEX runs_by_age ON runs(asked_at);
  CREATE TABLE batches(
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs(run) ON DELETE CASCADE,
    node TEXT NOT NULL, instance TEXT NOT NULL, number INTEGER NOT NULL,
    stored_at INTEGER NOT NULL, body TEXT NOT NULL,
    UNIQUE(node, instance, number));
  CREATE INDEX batches_by_run ON batches(run, id);
  CREATE TABLE injections(
    run TEXT NOT NULL REFERENCES runs(run) ON DELETE CASCADE,
    pod TEXT NOT NULL, fault_index INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY(run, pod, fault_index)) WITHOUT ROWID;
  CREATE TABLE instances(
    node TEXT NOT NULL, instance TEXT NOT NULL, acked INTEGER NOT NULL,
    changed_at INTEGER NOT NULL, PRIMARY KEY(node, instance)) WITHOUT ROWID;
  CREATE TABLE migrations(version INTEGER PRIMARY KEY, at INTEGER NOT NULL);
  CREATE TABLE checks(id INTEGER PRIMARY KEY CHECK(id = 1), at INTEGER NOT NULL);
)",
    // The namespaces of a run beside its head, so that lists ask rights without reading heads. A
    // trigger fills them, whoever writes the head (NOT EXISTS, because the ON CONFLICT of an upsert
    // goes before an OR IGNORE in a trigger); they only grow, because a run that followed a
    // pod into a namespace has measurements of it. Sizes are counted from now on: to add up what is
    // there would read all of it.
    R"(
  CREATE TABLE run_namespaces(
    run TEXT NOT NULL REFERENCES runs(run) ON DELETE CASCADE,
    namespace TEXT NOT NULL, own INTEGER NOT NULL,
    PRIMARY KEY(run, namespace)) WITHOUT ROWID;
  CREATE TABLE run_sizes(
    run TEXT PRIMARY KEY REFERENCES runs(run) ON DELETE CASCADE,
    bytes INTEGER NOT NULL, refused INTEGER NOT NULL DEFAULT 0,
    first_at INTEGER NOT NULL DEFAULT 0, last_at INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
  CREATE INDEX batches_by_node ON batches(run, node, id);
  DROP INDEX batches_by_run;
  CREATE TRIGGER run_inserted AFTER INSERT ON runs WHEN json_valid(NEW.head) BEGIN
    INSERT INTO run_namespaces
      SELECT NEW.run, coalesce(json_extract(NEW.head, '$.experiment.metadata.namespace'), ''), 1
      WHERE NOT EXISTS (SELECT 1 FROM run_namespaces n WHERE n.run = NEW.run AND n.own);
    INSERT INTO run_namespaces
      SELECT DISTINCT NEW.run, json_extract(value, '$.pod.namespace'), 0
      FROM json_each(NEW.head, '$.pods')
      WHERE json_type(value, '$.pod.namespace') = 'text' AND NOT EXISTS (
        SELECT 1 FROM run_namespaces n
        WHERE n.run = NEW.run AND n.namespace = json_extract(value, '$.pod.namespace'));
  END;
  CREATE TRIGGER run_updated AFTER UPDATE OF head ON runs WHEN json_valid(NEW.head) BEGIN
    INSERT INTO run_namespaces
      SELECT DISTINCT NEW.run, json_extract(value, '$.pod.namespace'), 0
      FROM json_each(NEW.head, '$.pods')
      WHERE json_type(value, '$.pod.namespace') = 'text' AND NOT EXISTS (
        SELECT 1 FROM run_namespaces n
        WHERE n.run = NEW.run AND n.namespace = json_extract(value, '$.pod.namespace'));
  END;
  INSERT INTO run_namespaces
    SELECT run, coalesce(json_extract(head, '$.experiment.metadata.namespace'), ''), 1
    FROM runs WHERE json_valid(head);
  INSERT OR IGNORE INTO run_namespaces
    SELECT run, json_extract(p.value, '$.pod.namespace'), 0
    FROM runs, json_each(CASE WHEN json_valid(head) THEN head ELSE '{}' END, '$.pods') p
    WHERE json_type(p.value, '$.pod.namespace') = 'text';
)",
    // The alerts of a run that is over beside its head, so that a list of all alerts reads no
    // heads. As with the namespaces triggers fill it. Of runs from before nothing is known.
    R"(
  CREATE TABLE detections(
    run TEXT NOT NULL REFERENCES runs(run) ON DELETE CASCADE,
    source TEXT NOT NULL, alert TEXT NOT NULL, verdict TEXT NOT NULL,
    fired_at TEXT, seconds REAL);
  CREATE INDEX detections_by_run ON detections(run, fired_at);
  CREATE TRIGGER detections_inserted AFTER INSERT ON runs
  WHEN NEW.state IN ('Completed', 'Aborted', 'Failed') AND json_valid(NEW.head) BEGIN
    INSERT INTO detections
      SELECT NEW.run, coalesce(json_extract(value, '$.source'), ''), json_extract(value, '$.alert'),
        coalesce(json_extract(value, '$.verdict'), ''), json_extract(value, '$.firingAt'),
        json_extract(value, '$.seconds')
      FROM json_each(NEW.head, '$.monitoring.outcomes')
      WHERE json_type(value, '$.alert') = 'text' LIMIT 200;
  END;
  CREATE TRIGGER detections_updated AFTER UPDATE OF head ON runs
  WHEN NEW.state IN ('Completed', 'Aborted', 'Failed') AND json_valid(NEW.head) BEGIN
    DELETE FROM detections WHERE run = NEW.run;
    INSERT INTO detections
      SELECT NEW.run, coalesce(json_extract(value, '$.source'), ''), json_extract(value, '$.alert'),
        coalesce(json_extract(value, '$.verdict'), ''), json_extract(value, '$.firingAt'),
        json_extract(value, '$.seconds')
      FROM json_each(NEW.head, '$.monitoring.outcomes')
      WHERE json_type(value, '$.alert') = 'text' LIMIT 200;
  END;
)",
    // Game days: the document once, and the timeline as it grows.
    R"(
  CREATE TABLE gamedays(
    day TEXT PRIMARY KEY, name TEXT NOT NULL, created_at INTEGER NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL, over_at INTEGER,
    namespaces TEXT NOT NULL, namespace TEXT NOT NULL, title TEXT NOT NULL,
    head TEXT NOT NULL) WITHOUT ROWID;
  CREATE INDEX gamedays_by_age ON gamedays(created_at);
  CREATE TABLE gameday_entries(
    day TEXT NOT NULL REFERENCES gamedays(day) ON DELETE CASCADE,
    number INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY(day, number)) WITHOUT ROWID;
)"};

}  // namespace

std::string state_text(api::RunState state) { return boost::describe::enum_to_string(state, "?"); }

std::optional<api::RunState> state_of(const std::string& text) {
  api::RunState state{};
  if (!boost::describe::enum_from_string(text.c_str(), state)) return std::nullopt;
  return state;
}

Store::Store(StoreOptions options) : options_(std::move(options)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  std::unique_ptr<Store> store(new Store(std::move(options)));
  const StoreOptions& o = store->options_;
  auto opened = store->guarded("opening", [&]() -> Result<> {
    const int flags =
        o.read_only ? SQLite::OPEN_READONLY : SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE;
    store->db_ = std::make_unique<SQLite::Database>(o.path, flags | SQLite::OPEN_NOMUTEX,
                                                    static_cast<int>(kBusy.count()));
    SQLite::Database& db = *store->db_;
    db.exec("PRAGMA foreign_keys = ON");
    if (o.read_only) return {};
    // Space of deleted runs is given back; only has an effect before the first table.
    db.exec("PRAGMA auto_vacuum = INCREMENTAL");
    db.exec("PRAGMA journal_mode = WAL");
    db.exec("PRAGMA synchronous = NORMAL");
    db.exec("PRAGMA journal_size_limit = 16777216");
    if (o.max_pages > 0) db.exec("PRAGMA max_page_count = " + std::to_string(o.max_pages));
    return store->migrate();
  });
  if (!opened) {
    Error error = std::move(opened.error());
    return fail(error.with_context(o.path));
  }
  return store;
}

Result<> Store::migrate() {
  const int found = db_->execAndGet("PRAGMA user_version").getInt();
  if (found > kSchemaVersion)
    return fail(Errc::kInvalid, "written by a newer program (schema " + std::to_string(found) +
                                    ", this one knows " + std::to_string(kSchemaVersion) +
                                    "); use that one, or another --state-dir");
  const int tables = db_->execAndGet("SELECT count(*) FROM sqlite_master").getInt();
  if (found == 0 && tables > 0)
    return fail(Errc::kInvalid, "is a database of something else; use another --state-dir");
  for (int version = found; version < kSchemaVersion; ++version) {
    SQLite::Transaction transaction(*db_);
    db_->exec(kMigrations[version]);
    SQLite::Statement note(*db_, "INSERT INTO migrations VALUES(?, unixepoch() * 1000000)");
    note.bind(1, version + 1);
    note.exec();
    db_->exec("PRAGMA user_version = " + std::to_string(version + 1));
    transaction.commit();
  }
  return {};
}

Result<> Store::insert(const api::RunRecord& head) {
  return guarded("storing a run", [&]() -> Result<> {
    const std::int64_t asked = micros(head.history.front().at.value);
    SQLite::Statement row(*db_, "INSERT INTO runs VALUES(?, ?, ?, ?, NULL, ?, ?, ?)");
    row.bind(1, head.run);
    row.bind(2, head.experiment.metadata.name);
    row.bind(3, asked);
    row.bind(4, state_text(head.state));
    row.bind(5, head.stateReason);
    row.bind(6, asked);
    row.bind(7, api::to_json_text(head));
    row.exec();
    return {};
  });
}

Result<> Store::update(const api::RunRecord& head, std::optional<api::RunState> ending) {
  return guarded("storing the state of a run", [&]() -> Result<> {
    SQLite::Statement row(*db_,
                          "UPDATE runs SET state = ?, ending = ?, reason = ?, changed_at = ?, "
                          "head = ? WHERE run = ?");
    row.bind(1, state_text(head.state));
    if (ending) row.bind(2, state_text(*ending));
    row.bind(3, head.stateReason);
    row.bind(4, micros(head.history.back().at.value));
    row.bind(5, api::to_json_text(head));
    row.bind(6, head.run);
    if (row.exec() == 0) return fail(Errc::kNotFound, "store: there is no run " + head.run);
    return {};
  });
}

Result<Appended> Store::append(const std::string& node, const std::string& instance,
                               const std::vector<api::NumberedBatch>& batches, UtcTime now) {
  return guarded("storing measurements", [&]() -> Result<Appended> {
    Appended out;
    SQLite::Transaction transaction(*db_, SQLite::TransactionBehavior::IMMEDIATE);
    {
      SQLite::Statement known(*db_, "SELECT acked FROM instances WHERE node = ? AND instance = ?");
      known.bind(1, node);
      known.bind(2, instance);
      if (known.executeStep())
        out.acked = static_cast<std::uint64_t>(known.getColumn(0).getInt64());
    }
    const std::uint64_t before = out.acked;
    SQLite::Statement run(*db_, "SELECT 1 FROM runs WHERE run = ?");
    BatchRows rows(*db_);
    for (const auto& [number, batch] : batches) {
      if (number <= before) {
        ++out.duplicates;
        continue;
      }
      out.acked = std::max(out.acked, number);
      run.reset();
      run.bind(1, batch.run);
      if (!run.executeStep()) {
        ++out.unknown;
        continue;
      }
      const bool full = !batch.windows.empty() && rows.full(batch.run, options_.max_run_bytes, now);
      bool added = false;
      if (full) {
        api::RunBatch rest = batch;
        rest.windows.clear();
        added = rows.add(node, instance, number, now, rest);
      } else {
        added = rows.add(node, instance, number, now, batch);
      }
      if (!added) {
        ++out.duplicates;
        continue;
      }
      if (full) out.cut.insert(number);
      out.fresh.push_back({number, batch});
    }
    if (out.acked > before) {
      SQLite::Statement acked(*db_, "INSERT OR REPLACE INTO instances VALUES(?, ?, ?, ?)");
      acked.bind(1, node);
      acked.bind(2, instance);
      acked.bind(3, static_cast<std::int64_t>(out.acked));
      acked.bind(4, micros(now));
      acked.exec();
    }
    transaction.commit();
    return out;
  });
}

Result<> Store::check(UtcTime now) {
  return guarded("checking", [&]() -> Result<> {
    SQLite::Statement row(*db_, "INSERT OR REPLACE INTO checks VALUES(1, ?)");
    row.bind(1, micros(now));
    row.exec();
    return {};
  });
}

// Four fifths of what the file may have: a run that begins now has room.
bool Store::nearly_full() {
  if (options_.max_pages <= 0) return false;
  const std::int64_t pages = db_->execAndGet("PRAGMA page_count").getInt64() -
                             db_->execAndGet("PRAGMA freelist_count").getInt64();
  return pages > options_.max_pages / 5 * 4;
}

Result<std::vector<std::string>> Store::prune(const Retention& retention, UtcTime now) {
  return guarded("deleting old runs", [&]() -> Result<std::vector<std::string>> {
    SQLite::Transaction transaction(*db_, SQLite::TransactionBehavior::IMMEDIATE);
    // Each run's place among those of its namespace: 1 is the newest.
    const std::string placed =
        "WITH placed AS (SELECT r.run, r.asked_at, r.state, row_number() OVER (PARTITION BY "
        "n.namespace ORDER BY r.asked_at DESC, r.run DESC) AS place FROM runs r LEFT JOIN "
        "run_namespaces n ON n.run = r.run AND n.own) ";
    const std::string over = "state IN ('Completed', 'Aborted', 'Failed')";
    std::vector<std::string> deleted;
    const auto collect = [&deleted](SQLite::Statement& statement) {
      while (statement.executeStep()) deleted.push_back(statement.getColumn(0).getString());
    };
    // Kept are the newest of each namespace, then the second of each, until there are enough.
    SQLite::Statement old(
        *db_, placed + "DELETE FROM runs WHERE run IN (SELECT run FROM runs WHERE " + over +
                  " AND (asked_at < ?1 OR run NOT IN (SELECT run FROM placed "
                  "ORDER BY place, asked_at DESC LIMIT ?2)) ORDER BY asked_at "
                  "LIMIT ?3) RETURNING run");
    const UtcTime oldest = now - retention.age;
    old.bind(1, micros(oldest));
    old.bind(2, retention.runs);
    old.bind(3, kPruneAtOnce);
    collect(old);
    if (deleted.empty() && nearly_full()) {
      SQLite::Statement last(*db_, placed +
                                       "DELETE FROM runs WHERE run IN (SELECT run FROM placed "
                                       "WHERE " +
                                       over +
                                       " ORDER BY place DESC, asked_at LIMIT 1) RETURNING run");
      collect(last);
    }
    // Game days share as runs do: who makes many pushes out his own.
    SQLite::Statement days(*db_,
                           "DELETE FROM gamedays WHERE over_at IS NOT NULL AND (created_at < ?1 OR "
                           "day NOT IN (SELECT day FROM (SELECT day, created_at, row_number() OVER "
                           "(PARTITION BY namespace ORDER BY created_at DESC) AS place FROM "
                           "gamedays) ORDER BY place, created_at DESC LIMIT ?2))");
    days.bind(1, micros(oldest));
    days.bind(2, retention.runs);
    days.exec();
    SQLite::Statement instances(*db_,
                                "DELETE FROM instances WHERE changed_at < ? AND NOT EXISTS (SELECT "
                                "1 FROM batches b WHERE b.node = instances.node AND b.instance = "
                                "instances.instance)");
    instances.bind(1, micros(oldest));
    instances.exec();
    transaction.commit();
    if (!deleted.empty()) db_->exec("PRAGMA incremental_vacuum(4096)");
    return deleted;
  });
}

}  // namespace faultline::controller
