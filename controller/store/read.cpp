// SPDX-License-Identifier: Apache-2.0
// Reading one run: whole, without its windows, or its windows piece by piece.
#include <algorithm>
#include <map>

#include "controller/store/guard.h"
#include "controller/store/store.h"

namespace faultline::controller {
namespace {

constexpr const char* kOver = "('Completed', 'Aborted', 'Failed')";

Result<api::RunRecord> parse_head(const std::string& text, const std::string& run) {
  auto head = api::from_json_text<api::RunRecord>(text);
  if (!head)
    return fail(Errc::kInternal, "store: run " + run + " cannot be read: " + head.error().message);
  return head;
}

api::NodeRecord& node_of(api::RunRecord& head, const std::string& name) {
  const auto known = std::ranges::find(head.nodes, name, &api::NodeRecord::node);
  if (known != head.nodes.end()) return *known;
  head.nodes.push_back({.node = name});
  return head.nodes.back();
}

void add(api::NodeRecord& node, api::RunBatch batch) {
  for (api::InjectionStatus& status : batch.injections) {
    const auto known = std::ranges::find_if(node.injections, [&](const api::InjectionStatus& s) {
      return s.index == status.index && s.pod.id() == status.pod.id();
    });
    if (known == node.injections.end())
      node.injections.push_back(std::move(status));
    else
      *known = std::move(status);
  }
  std::ranges::move(batch.windows, std::back_inserter(node.windows));
  std::ranges::move(batch.gaps, std::back_inserter(node.gaps));
  for (api::RunEvent& event : batch.events) {
    if (event.kind == api::RunEventKind::closed) node.closed = true;
    node.events.push_back(std::move(event));
  }
}

}  // namespace

Result<std::string> Store::find_of_experiment(const std::string& name, const std::string& uid) {
  return guarded("looking for the run of an Experiment", [&]() -> Result<std::string> {
    SQLite::Statement row(*db_,
                          "SELECT run FROM runs WHERE name = ? AND "
                          "json_extract(head, '$.experimentUid') = ? LIMIT 1");
    row.bind(1, name);
    row.bind(2, uid);
    if (row.executeStep()) return row.getColumn(0).getString();
    return fail(Errc::kNotFound, "there is no run of the Experiment " + name);
  });
}

Result<api::RunRecord> Store::load(const std::string& run, Windows windows) {
  auto head = guarded("reading a run", [&]() -> Result<api::RunRecord> {
    SQLite::Statement row(*db_, "SELECT head FROM runs WHERE run = ?");
    row.bind(1, run);
    if (!row.executeStep()) return fail(Errc::kNotFound, "there is no run " + run);
    return parse_head(row.getColumn(0).getString(), run);
  });
  if (!head) return head;
  if (auto filled = fill(*head, windows); !filled) return fail(std::move(filled.error()));
  return head;
}

Result<> Store::fill(api::RunRecord& head, Windows windows) {
  return guarded("reading measurements", [&]() -> Result<> {
    const std::string body =
        windows == Windows::kWith
            ? "body"
            : "CASE WHEN json_valid(body) THEN json_set(body, '$.windows', json('[]')) ELSE body "
              "END";
    SQLite::Statement rows(
        *db_, "SELECT node, " + body + ", stored_at FROM batches WHERE run = ? ORDER BY node, id");
    rows.bind(1, head.run);
    while (rows.executeStep()) {
      const std::string node = rows.getColumn(0).getString();
      auto batch = api::from_json_text<api::RunBatch>(rows.getColumn(1).getString());
      if (batch) {
        add(node_of(head, node), std::move(*batch));
        continue;
      }
      const UtcTime at = from_micros(rows.getColumn(2).getInt64());
      head.gaps.push_back({node,
                           "",
                           "",
                           {at},
                           {at},
                           "stored measurements cannot be read: " + batch.error().message});
    }
    if (auto gap = size_gap(head.run)) head.gaps.push_back(std::move(*gap));
    return {};
  });
}

// Throws as SQLiteCpp does.
std::optional<api::Gap> Store::size_gap(const std::string& run) {
  SQLite::Statement row(*db_,
                        "SELECT refused, first_at, last_at, bytes FROM run_sizes WHERE run = ?");
  row.bind(1, run);
  if (!row.executeStep() || row.getColumn(0).getInt64() == 0) return std::nullopt;
  return api::Gap{.from = {from_micros(row.getColumn(1).getInt64())},
                  .to = {from_micros(row.getColumn(2).getInt64())},
                  .reason = "the windows of " + std::to_string(row.getColumn(0).getInt64()) +
                            " batches were not stored: the run has " +
                            std::to_string(row.getColumn(3).getInt64()) +
                            " bytes, which is as much as a run may have (--max-run)"};
}

Result<WindowPiece> Store::windows(const std::string& run, const std::string& node,
                                   std::int64_t after, std::size_t bytes) {
  return guarded("reading windows", [&]() -> Result<WindowPiece> {
    WindowPiece piece{.last = after};
    SQLite::Statement rows(
        *db_,
        "SELECT b.id, w.value FROM batches b, json_each(CASE WHEN json_valid(b.body) THEN b.body "
        "ELSE '{}' END, '$.windows') w WHERE b.run = ? AND b.node = ? AND b.id > ? ORDER BY b.id");
    rows.bind(1, run);
    rows.bind(2, node);
    rows.bind(3, after);
    while (rows.executeStep()) {
      const std::int64_t id = rows.getColumn(0).getInt64();
      if (id != piece.last && piece.json.size() >= bytes) return piece;
      piece.last = id;
      if (!piece.json.empty()) piece.json += ',';
      piece.json += rows.getColumn(1).getString();
    }
    piece.end = true;
    return piece;
  });
}

Result<std::vector<UnfinishedRun>> Store::unfinished() {
  return guarded("looking for interrupted runs", [&]() -> Result<std::vector<UnfinishedRun>> {
    std::vector<UnfinishedRun> out;
    SQLite::Statement rows(
        *db_, std::string("SELECT run, head, ending, max(changed_at, coalesce((SELECT "
                          "max(stored_at) FROM batches b WHERE b.run = runs.run), 0)) FROM runs "
                          "WHERE state NOT IN ") +
                  kOver + " ORDER BY asked_at");
    while (rows.executeStep()) {
      auto head = parse_head(rows.getColumn(1).getString(), rows.getColumn(0).getString());
      if (!head) return fail(std::move(head.error()));
      UnfinishedRun run{.head = std::move(*head),
                        .ending = std::nullopt,
                        .last_seen = from_micros(rows.getColumn(3).getInt64())};
      if (!rows.getColumn(2).isNull()) run.ending = state_of(rows.getColumn(2).getString());
      out.push_back(std::move(run));
    }
    return out;
  });
}

}  // namespace faultline::controller
