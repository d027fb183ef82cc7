// SPDX-License-Identifier: Apache-2.0
// Game days: the document once, and the timeline as it grows.
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "controller/gameday/words.h"
#include "controller/store/guard.h"
#include "controller/store/store.h"

namespace faultline::controller {
namespace {

constexpr const char* kRef =
    "SELECT day, name, created_at, state, reason, over_at, namespaces, namespace, title FROM "
    "gamedays ";

DayRef ref_of(const SQLite::Statement& row) {
  DayRef ref;
  ref.summary.day = row.getColumn(0).getString();
  ref.summary.name = row.getColumn(1).getString();
  ref.summary.createdAt = {from_micros(row.getColumn(2).getInt64())};
  ref.summary.state = gameday::state_of(row.getColumn(3).getString());
  ref.summary.stateReason = row.getColumn(4).getString();
  if (!row.getColumn(5).isNull()) ref.summary.overAt = {from_micros(row.getColumn(5).getInt64())};
  boost::system::error_code wrong;
  const auto namespaces = boost::json::parse(row.getColumn(6).getString(), wrong);
  if (!wrong && namespaces.is_array())
    for (const auto& one : namespaces.get_array())
      if (one.is_string()) ref.namespaces.emplace(one.get_string());
  ref.summary.namespace_ = row.getColumn(7).getString();
  ref.summary.title = row.getColumn(8).getString();
  return ref;
}

void add_entries(SQLite::Database& db, const std::string& day,
                 const std::vector<api::DayEntry>& entries) {
  SQLite::Statement row(db, "INSERT INTO gameday_entries VALUES(?, ?, ?)");
  for (const api::DayEntry& entry : entries) {
    row.reset();
    row.bind(1, day);
    row.bind(2, static_cast<std::int64_t>(entry.number));
    row.bind(3, api::to_json_text(entry));
    row.exec();
  }
}

}  // namespace

Result<> Store::insert_day(const api::GameDayRecord& record,
                           const std::set<std::string>& namespaces) {
  return guarded("storing a game day", [&]() -> Result<> {
    SQLite::Transaction transaction(*db_, SQLite::TransactionBehavior::IMMEDIATE);
    api::GameDayRecord head = record;
    head.entries.clear();
    boost::json::array names;
    for (const std::string& name : namespaces) names.emplace_back(std::string_view(name));
    SQLite::Statement row(*db_, "INSERT INTO gamedays VALUES(?, ?, ?, ?, ?, NULL, ?, ?, ?, ?)");
    row.bind(1, record.day);
    row.bind(2, record.document.metadata.name);
    row.bind(3, micros(record.entries.front().at.value));
    row.bind(4, gameday::word_of(record.state));
    row.bind(5, record.stateReason);
    row.bind(6, boost::json::serialize(names));
    row.bind(7, record.document.metadata.namespace_);
    row.bind(8, record.document.spec.title);
    row.bind(9, api::to_json_text(head));
    row.exec();
    add_entries(*db_, record.day, record.entries);
    transaction.commit();
    return {};
  });
}

Result<> Store::append_entries(const std::string& day, const std::vector<api::DayEntry>& entries) {
  return guarded("storing what happened on a game day", [&]() -> Result<> {
    SQLite::Transaction transaction(*db_, SQLite::TransactionBehavior::IMMEDIATE);
    for (const api::DayEntry& entry : entries) {
      if (entry.kind != api::EntryKind::over) continue;
      SQLite::Statement row(*db_,
                            "UPDATE gamedays SET state = ?, reason = ?, over_at = ? WHERE day = ?");
      row.bind(1, entry.word);
      row.bind(2, entry.text);
      row.bind(3, micros(entry.at.value));
      row.bind(4, day);
      if (row.exec() == 0) return fail(Errc::kNotFound, "store: there is no game day " + day);
    }
    add_entries(*db_, day, entries);
    transaction.commit();
    return {};
  });
}

Result<> Store::remove_day(const std::string& day) {
  return guarded("forgetting a game day", [&]() -> Result<> {
    SQLite::Statement row(*db_, "DELETE FROM gamedays WHERE day = ?");
    row.bind(1, day);
    row.exec();
    return {};
  });
}

Result<api::GameDayRecord> Store::load_day(const std::string& day) {
  return guarded("reading a game day", [&]() -> Result<api::GameDayRecord> {
    SQLite::Statement row(*db_, "SELECT head FROM gamedays WHERE day = ?");
    row.bind(1, day);
    if (!row.executeStep()) return fail(Errc::kNotFound, "there is no game day " + day);
    auto record = api::from_json_text<api::GameDayRecord>(row.getColumn(0).getString());
    if (!record)
      return fail(Errc::kInternal,
                  "store: game day " + day + " cannot be read: " + record.error().message);
    SQLite::Statement rows(*db_, "SELECT body FROM gameday_entries WHERE day = ? ORDER BY number");
    rows.bind(1, day);
    while (rows.executeStep()) {
      auto entry = api::from_json_text<api::DayEntry>(rows.getColumn(0).getString());
      if (!entry)
        return fail(Errc::kInternal, "store: an entry of game day " + day +
                                         " cannot be read: " + entry.error().message);
      if (entry->number != record->entries.size() + 1)
        return fail(Errc::kInternal, "store: game day " + day + " lacks entry " +
                                         std::to_string(record->entries.size() + 1));
      record->entries.push_back(std::move(*entry));
    }
    if (record->entries.empty())
      return fail(Errc::kInternal, "store: game day " + day + " has no entries");
    return record;
  });
}

Result<DayRef> Store::day_ref(const std::string& day) {
  return guarded("looking for a game day", [&]() -> Result<DayRef> {
    SQLite::Statement row(*db_, std::string(kRef) + "WHERE day = ?");
    row.bind(1, day);
    if (row.executeStep()) return ref_of(row);
    return fail(Errc::kNotFound, "there is no game day " + day);
  });
}

Result<std::vector<DayRef>> Store::day_refs(const std::string& name, std::int64_t limit) {
  return guarded("listing game days", [&]() -> Result<std::vector<DayRef>> {
    SQLite::Statement rows(*db_, std::string(kRef) +
                                     "WHERE (?1 = '' OR name = ?1) ORDER BY created_at DESC, day "
                                     "DESC LIMIT ?2");
    rows.bind(1, name);
    rows.bind(2, limit);
    std::vector<DayRef> refs;
    while (rows.executeStep()) refs.push_back(ref_of(rows));
    return refs;
  });
}

Result<std::vector<std::string>> Store::unfinished_days() {
  return guarded("looking for game days", [&]() -> Result<std::vector<std::string>> {
    SQLite::Statement rows(*db_,
                           "SELECT day FROM gamedays WHERE over_at IS NULL ORDER BY created_at");
    std::vector<std::string> days;
    while (rows.executeStep()) days.push_back(rows.getColumn(0).getString());
    return days;
  });
}

Result<> Store::fail_day(const std::string& day, const std::string& reason, UtcTime at) {
  return guarded("storing the end of a game day", [&]() -> Result<> {
    SQLite::Statement row(*db_,
                          "UPDATE gamedays SET state = ?, reason = ?, over_at = ? WHERE day = ?");
    row.bind(1, gameday::word_of(api::DayState::failed));
    row.bind(2, reason);
    row.bind(3, micros(at));
    row.bind(4, day);
    if (row.exec() == 0) return fail(Errc::kNotFound, "store: there is no game day " + day);
    return {};
  });
}

}  // namespace faultline::controller
