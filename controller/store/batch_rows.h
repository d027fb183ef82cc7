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
        injection_(db, "INSERT OR REPLACE INTO injections VALUES(?, ?, ?, ?)") {}

  // False: it was there already.
  bool add(const std::string& node, const std::string& instance, std::uint64_t number, UtcTime at,
           const api::RunBatch& batch) {
    batch_.reset();
    batch_.bind(1, batch.run);
    batch_.bind(2, node);
    batch_.bind(3, instance);
    batch_.bind(4, static_cast<std::int64_t>(number));
    batch_.bind(5, micros(at));
    batch_.bind(6, api::to_json_text(batch));
    if (batch_.exec() == 0) return false;
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
  SQLite::Statement batch_, injection_;
};

}  // namespace faultline::controller
