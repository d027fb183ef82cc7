// SPDX-License-Identifier: Apache-2.0
// The store as a copy of what a journal has.
#include <SQLiteCpp/SQLiteCpp.h>

#include "controller/store/batch_rows.h"

namespace faultline::controller {

Result<> Store::clear() {
  return guarded("emptying", [&]() -> Result<> {
    SQLite::Transaction transaction(*db_, SQLite::TransactionBehavior::IMMEDIATE);
    db_->exec("DELETE FROM runs");  // and with them batches and injections
    db_->exec("DELETE FROM instances");
    db_->exec("DELETE FROM gamedays");  // and with them their entries
    transaction.commit();
    return {};
  });
}

Result<> Store::remove(const std::string& run) {
  return guarded("forgetting a run", [&]() -> Result<> {
    SQLite::Statement row(*db_, "DELETE FROM runs WHERE run = ?");
    row.bind(1, run);
    row.exec();
    return {};
  });
}

Result<> Store::restore(const api::RunLogEntry& entry) {
  return guarded("copying a run", [&]() -> Result<> {
    SQLite::Transaction transaction(*db_, SQLite::TransactionBehavior::IMMEDIATE);
    if (entry.head) {
      const api::RunRecord& head = *entry.head;
      // Not REPLACE: that would delete the row, and its batches. What is over stays so, whatever
      // is still found of an earlier moment.
      SQLite::Statement row(*db_,
                            "INSERT INTO runs VALUES(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(run) DO "
                            "UPDATE SET state = excluded.state, ending = excluded.ending, reason = "
                            "excluded.reason, changed_at = excluded.changed_at, head = "
                            "excluded.head WHERE state NOT IN ('Completed', 'Aborted', 'Failed') "
                            "OR excluded.state IN ('Completed', 'Aborted', 'Failed')");
      row.bind(1, head.run);
      row.bind(2, head.experiment.metadata.name);
      row.bind(3, micros(head.history.front().at.value));
      row.bind(4, state_text(head.state));
      if (entry.ending) row.bind(5, state_text(*entry.ending));
      row.bind(6, head.stateReason);
      row.bind(7, micros(entry.at.value));
      row.bind(8, api::to_json_text(head));
      row.exec();
    }
    BatchRows rows(*db_);
    SQLite::Statement acked(*db_,
                            "INSERT INTO instances VALUES(?, ?, ?, ?) ON CONFLICT(node, instance) "
                            "DO UPDATE SET acked = max(acked, excluded.acked), changed_at = "
                            "max(changed_at, excluded.changed_at)");
    for (const auto& [node, instance, number, batch] : entry.batches) {
      if (!rows.add(node, instance, number, entry.at.value, batch)) continue;
      acked.reset();
      acked.bind(1, node);
      acked.bind(2, instance);
      acked.bind(3, static_cast<std::int64_t>(number));
      acked.bind(4, micros(entry.at.value));
      acked.exec();
    }
    transaction.commit();
    return {};
  });
}

Result<std::optional<api::RunLogEntry>> Store::next_entry(const std::string& run, EntryPlace& place,
                                                          std::size_t bytes) {
  using Entry = std::optional<api::RunLogEntry>;
  return guarded("reading a run", [&]() -> Result<Entry> {
    api::RunLogEntry entry;
    if (!place.begun) {
      SQLite::Statement head(*db_, "SELECT head, ending, changed_at FROM runs WHERE run = ?");
      head.bind(1, run);
      if (!head.executeStep()) return fail(Errc::kNotFound, "there is no run " + run);
      auto record = api::from_json_text<api::RunRecord>(head.getColumn(0).getString());
      if (!record) return fail(std::move(record.error()));
      entry.at = {from_micros(head.getColumn(2).getInt64())};
      if (!head.getColumn(1).isNull()) entry.ending = state_of(head.getColumn(1).getString());
      if (auto gap = size_gap(run)) record->gaps.push_back(std::move(*gap));
      entry.head = std::move(*record);
    }
    SQLite::Statement rows(
        *db_,
        "SELECT node, instance, number, stored_at, body, id FROM batches WHERE run = ? AND (node, "
        "id) > (?, ?) ORDER BY node, id");
    rows.bind(1, run);
    rows.bind(2, place.node);
    rows.bind(3, place.id);
    std::size_t size = 0;
    while (rows.executeStep()) {
      const std::string body = rows.getColumn(4).getString();
      if (size > 0 && size + body.size() > bytes) break;
      auto batch = api::from_json_text<api::RunBatch>(body);
      if (!batch) return fail(std::move(batch.error()));
      size += body.size();
      entry.at = {std::max(entry.at.value, from_micros(rows.getColumn(3).getInt64()))};
      place.node = rows.getColumn(0).getString();
      place.id = rows.getColumn(5).getInt64();
      entry.batches.push_back({place.node, rows.getColumn(1).getString(),
                               static_cast<std::uint64_t>(rows.getColumn(2).getInt64()),
                               std::move(*batch)});
    }
    if (std::exchange(place.begun, true) && entry.batches.empty()) return Entry();
    return Entry(std::move(entry));
  });
}

}  // namespace faultline::controller
