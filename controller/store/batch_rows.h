// SPDX-License-Identifier: Apache-2.0
// Batches as rows. Internal to store/; throws as SQLiteCpp does. Within a transaction.
#pragma once

#include "controller/store/guard.h"

namespace faultline::controller {

class BatchRows {
 public:
  explicit BatchRows(SQLite::Database& db)
      : batch_(db,
               "INSERT OR IGNORE INTO batches(run, node, instance, number, stored_at, body) "
               "VALUES(?, ?, ?, ?, ?, ?)"),
        injection_(db, "INSERT OR REPLACE INTO injections VALUES(?, ?, ?, ?)"),
        size_(db,
              "INSERT INTO run_sizes(run, bytes) VALUES(?, ?) ON CONFLICT(run) DO UPDATE SET bytes "
              "= bytes + excluded.bytes"),
        has_(db, "SELECT bytes FROM run_sizes WHERE run = ?"),
        refused_(db,
                 "UPDATE run_sizes SET refused = refused + 1, last_at = ?1, first_at = CASE WHEN "
                 "refused = 0 THEN ?1 ELSE first_at END WHERE run = ?2") {}

  // Whether the run has as many bytes as it may have; if so this is noted for its gap.
  bool full(const std::string& run, std::int64_t most, UtcTime at) {
    has_.reset();
    has_.bind(1, run);
    if (!has_.executeStep() || has_.getColumn(0).getInt64() < most) return false;
    refused_.reset();
    refused_.bind(1, micros(at));
    refused_.bind(2, run);
    refused_.exec();
    return true;
  }

  // False: it was there already.
  bool add(const std::string& node, const std::string& instance, std::uint64_t number, UtcTime at,
           const api::RunBatch& batch) {
    const std::string body = api::to_json_text(batch);
    batch_.reset();
    batch_.bind(1, batch.run);
    batch_.bind(2, node);
    batch_.bind(3, instance);
    batch_.bind(4, static_cast<std::int64_t>(number));
    batch_.bind(5, micros(at));
    batch_.bind(6, body);
    if (batch_.exec() == 0) return false;
    size_.reset();
    size_.bind(1, batch.run);
    size_.bind(2, static_cast<std::int64_t>(body.size()));
    size_.exec();
    for (const api::InjectionStatus& status : batch.injections) {
      injection_.reset();
      injection_.bind(1, batch.run);
      injection_.bind(2, status.pod.id());
      injection_.bind(3, status.index);
      injection_.bind(4, api::to_json_text(status));
      injection_.exec();
    }
    return true;
  }

 private:
  SQLite::Statement batch_, injection_, size_, has_, refused_;
};

}  // namespace faultline::controller
