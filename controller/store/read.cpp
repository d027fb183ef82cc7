// SPDX-License-Identifier: Apache-2.0
// Reading.
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

Result<std::string> Store::find(const std::string& run_or_name) {
  return guarded("looking for a run", [&]() -> Result<std::string> {
    SQLite::Statement row(*db_,
                          "SELECT run FROM runs WHERE run = ?1 OR name = ?1 "
                          "ORDER BY run = ?1 DESC, asked_at DESC LIMIT 1");
    row.bind(1, run_or_name);
    if (row.executeStep()) return row.getColumn(0).getString();
    return fail(Errc::kNotFound, "there is no run " + run_or_name);
  });
}

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

Result<api::RunRecord> Store::load(const std::string& run) {
  auto head = guarded("reading a run", [&]() -> Result<api::RunRecord> {
    SQLite::Statement row(*db_, "SELECT head FROM runs WHERE run = ?");
    row.bind(1, run);
    if (!row.executeStep()) return fail(Errc::kNotFound, "there is no run " + run);
    return parse_head(row.getColumn(0).getString(), run);
  });
  if (!head) return head;
  if (auto filled = fill(*head); !filled) return fail(std::move(filled.error()));
  return head;
}

Result<> Store::fill(api::RunRecord& head) {
  return guarded("reading measurements", [&]() -> Result<> {
    SQLite::Statement rows(*db_,
                           "SELECT node, body, stored_at FROM batches WHERE run = ? ORDER BY id");
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
    return {};
  });
}

Result<std::vector<api::RunSummary>> Store::list(std::int64_t limit) {
  return summaries("?1 = ''", "", limit);
}

Result<api::RunSummary> Store::summary(const std::string& run) {
  auto found = summaries("run = ?1", run, 1);
  if (!found) return fail(std::move(found.error()));
  if (found->empty()) return fail(Errc::kNotFound, "there is no run " + run);
  return std::move(found->front());
}

Result<std::vector<api::RunSummary>> Store::summaries(const char* where, const std::string& run,
                                                      std::int64_t limit) {
  return guarded("listing runs", [&]() -> Result<std::vector<api::RunSummary>> {
    std::vector<api::RunSummary> out;
    SQLite::Statement rows(
        *db_, std::string("SELECT run, name, state, reason, asked_at FROM runs WHERE ") + where +
                  " ORDER BY asked_at DESC, run DESC LIMIT ?2");
    rows.bind(1, run);
    rows.bind(2, limit);
    SQLite::Statement injections(
        *db_, "SELECT body FROM injections WHERE run = ? ORDER BY pod, fault_index");
    while (rows.executeStep()) {
      api::RunSummary summary{
          .run = rows.getColumn(0).getString(),
          .name = rows.getColumn(1).getString(),
          .state = state_of(rows.getColumn(2).getString()).value_or(api::RunState::Failed),
          .stateReason = rows.getColumn(3).getString(),
          .startedAt = {from_micros(rows.getColumn(4).getInt64())}};
      injections.reset();
      injections.bind(1, summary.run);
      while (injections.executeStep())
        if (auto status =
                api::from_json_text<api::InjectionStatus>(injections.getColumn(0).getString()))
          summary.injections.push_back(std::move(*status));
      out.push_back(std::move(summary));
    }
    return out;
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

Result<std::vector<std::pair<std::string, std::int64_t>>> Store::count_by_state() {
  using Counts = std::vector<std::pair<std::string, std::int64_t>>;
  return guarded("counting runs", [&]() -> Result<Counts> {
    Counts out;
    SQLite::Statement rows(*db_, "SELECT state, count(*) FROM runs GROUP BY state");
    while (rows.executeStep())
      out.emplace_back(rows.getColumn(0).getString(), rows.getColumn(1).getInt64());
    return out;
  });
}

}  // namespace faultline::controller
